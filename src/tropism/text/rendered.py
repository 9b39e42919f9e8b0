"""Groups in token ids, as the layouts take them."""

from __future__ import annotations

import dataclasses
import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from tropism.groups import Edge, Label, PreferenceGroup


@dataclass(frozen=True, slots=True)
class RenderedResponse:
    """The token ids of one response and which of them are scored (turns of the user are not).

    `aligned` holds the value of an input that goes with each token (a segment, say, or the hash of an image's patch);
    empty where ids are all that a model sees. Two tokens are the same only where these agree too.
    """

    ids: tuple[int, ...]
    scored: tuple[bool, ...]
    prompt: int
    complete: bool
    aligned: tuple[int, ...] = ()

    @property
    def num_scored(self) -> int:
        """Number of scored tokens."""
        return sum(self.scored)


@dataclass(frozen=True, slots=True)
class RenderedGroup:
    """A group in token ids. `edges` and `labels` index `responses`."""

    group: PreferenceGroup
    prompts: tuple[tuple[int, ...], ...]
    responses: tuple[RenderedResponse, ...]
    edges: tuple[Edge, ...]
    labels: tuple[Label, ...]
    ranks: tuple[int | None, ...]
    scores: tuple[float | None, ...]
    aligned: tuple[tuple[int, ...], ...] = ()
    """Of each prompt, the value of the input that goes with each token; empty where there is none."""
    baselines: frozenset[int] = frozenset()
    """Responses that answer another prompt and only serve as somebody's reference point (KTO)."""
    is_whole: bool = False
    """Whether a loss looks at the whole group, so that it must not be cut apart."""

    def sequence(self, index: int) -> tuple[int, ...]:
        """Token ids of a response behind its prompt."""
        response = self.responses[index]
        return (*self.prompts[response.prompt], *response.ids)

    def aligned_inputs(self, index: int) -> tuple[int, ...]:
        """The input that goes with each token of `sequence`; empty where there is none."""
        response = self.responses[index]
        return (*self.aligned[response.prompt], *response.aligned) if self.aligned else response.aligned

    def identities(self, index: int) -> tuple[int, ...] | tuple[tuple[int, int], ...]:
        """What tells the tokens of `sequence` apart: their ids, with the input that goes with each if there is one."""
        aligned = self.aligned_inputs(index)
        return tuple(zip(self.sequence(index), aligned, strict=True)) if aligned else self.sequence(index)

    def keep(self, wanted: Sequence[bool]) -> RenderedGroup:
        """The same group with only the wanted responses, and the edges and labels between them."""
        place = {old: new for new, old in enumerate(i for i, keep in enumerate(wanted) if keep)}
        return dataclasses.replace(
            self,
            responses=tuple(self.responses[old] for old in place),
            edges=tuple(
                dataclasses.replace(edge, winner=place[edge.winner], loser=place[edge.loser])
                for edge in self.edges
                if edge.winner in place and edge.loser in place
            ),
            labels=tuple(
                dataclasses.replace(label, response=place[label.response])
                for label in self.labels
                if label.response in place
            ),
            ranks=tuple(self.ranks[old] for old in place),
            scores=tuple(self.scores[old] for old in place),
            baselines=frozenset(place[old] for old in self.baselines if old in place),
        )

    def with_stranger(self, stranger: RenderedResponse, *, max_tokens: int) -> RenderedGroup:
        """The same group with another prompt's answer as a baseline, cut on the right where it is too long."""
        room = max(1, max_tokens - len(self.prompts[0]))
        ids, scored = stranger.ids[:room], stranger.scored[:room]
        cut = RenderedResponse(ids, scored, 0, stranger.complete and len(ids) == len(stranger.ids))
        return dataclasses.replace(
            self,
            responses=(*self.responses, cut),
            ranks=(*self.ranks, None),
            scores=(*self.scores, None),
            baselines=self.baselines | {len(self.responses)},
        )

    def response_key(self, response: RenderedResponse) -> bytes:
        """The identity of a response's tokens after its prompt's, for the reference cache."""
        digest = hashlib.blake2b(digest_size=20)
        aligned = (self.aligned[response.prompt], response.aligned) if self.aligned else ()
        for ids in (self.prompts[response.prompt], response.ids, response.scored, *aligned):
            digest.update(array("q", ids).tobytes())
            digest.update(b"|")
        return digest.digest()
