"""Groups in token ids, as the layouts take them."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from tropism.groups import Edge, Label, PreferenceGroup


@dataclass(frozen=True, slots=True)
class RenderedResponse:
    """The token ids of one response and which of them are scored (turns of the user are not)."""

    ids: tuple[int, ...]
    scored: tuple[bool, ...]
    prompt: int
    complete: bool

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
        )

    def response_key(self, response: RenderedResponse) -> bytes:
        """The identity of a response's tokens after its prompt's, for the reference cache."""
        digest = hashlib.blake2b(digest_size=20)
        for ids in (self.prompts[response.prompt], response.ids, response.scored):
            digest.update(array("q", ids).tobytes())
            digest.update(b"|")
        return digest.digest()

    def num_distinct_tokens(self) -> int:
        """Nodes of the tries of all sequences of this group: what a perfect layout would compute."""
        total = 0
        for prompt, ids in enumerate(self.prompts):
            rows = sorted(response.ids for response in self.responses if response.prompt == prompt)
            if rows:
                shared = sum(len(common_prefix(a, b)) for a, b in itertools.pairwise(rows))
                total += len(ids) + sum(map(len, rows)) - shared
        return total


def common_prefix(first: Sequence[int], second: Sequence[int]) -> Sequence[int]:
    """The longest beginning that two sequences share."""
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return first[:index]
    return first[: min(len(first), len(second))]
