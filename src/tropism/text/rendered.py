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

    def num_tokens(self, index: int) -> int:
        """Number of tokens of a response with its prompt."""
        response = self.responses[index]
        return len(self.prompts[response.prompt]) + len(response.ids)

    def scored_places(self, index: int) -> list[int]:
        """Positions of a response's scored tokens, counted from the start of its prompt.

        The first token of a response without a prompt cannot be scored: nothing predicts it.
        """
        response = self.responses[index]
        start = len(self.prompts[response.prompt])
        return [start + k for k, scored in enumerate(response.scored) if scored and start + k > 0]

    def num_scored(self, index: int) -> int:
        """Number of tokens of a response whose log-probability can be read."""
        return len(self.scored_places(index))

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

    def kept_whole(self) -> RenderedGroup:
        """The same group, marked as one that must not be split."""
        return dataclasses.replace(self, is_whole=True)

    def without_feedback(self) -> RenderedGroup:
        """The same responses without edges, labels, ranks and scores: to be scored, and split wherever it helps."""
        unknown = (None,) * len(self.responses)
        return dataclasses.replace(self, edges=(), labels=(), ranks=unknown, scores=unknown)

    def with_mismatched(self, other: RenderedGroup, *, max_tokens: int) -> RenderedGroup:
        """The same group with the first completion of another group as a baseline, truncated to `max_tokens`."""
        completion = other.responses[0]
        room = max(1, max_tokens - len(self.prompts[0]))
        ids, scored = completion.ids[:room], completion.scored[:room]
        cut = RenderedResponse(ids, scored, 0, completion.complete and len(ids) == len(completion.ids))
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
