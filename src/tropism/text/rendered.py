"""Groups in token ids, as the layouts take them."""

from __future__ import annotations

import dataclasses
import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from tropism.groups import Edge, Label, PreferenceGroup
from tropism.text.extra_inputs import NO_INPUTS, ExtraInputs


@dataclass(frozen=True, slots=True)
class RenderedResponse:
    """The token ids of one response, which of them are scored (turns of the user are not), and its extra inputs."""

    ids: tuple[int, ...]
    scored: tuple[bool, ...]
    prompt: int
    complete: bool
    inputs: ExtraInputs = NO_INPUTS

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
    prompt_inputs: tuple[ExtraInputs, ...] = ()
    """The extra inputs of each prompt; empty if token ids are all that the model sees."""
    baselines: frozenset[int] = frozenset()
    """Responses that answer another prompt and only serve as somebody's reference point (KTO)."""
    is_whole: bool = False
    """Whether a loss reads the whole group, so that it must not be cut apart."""

    def sequence(self, index: int) -> tuple[int, ...]:
        """Token ids of a response behind its prompt."""
        response = self.responses[index]
        return (*self.prompts[response.prompt], *response.ids)

    def inputs_of(self, index: int) -> tuple[ExtraInputs, ExtraInputs]:
        """The extra inputs of a response's prompt, and of the response."""
        response = self.responses[index]
        return self.prompt_inputs[response.prompt] if self.prompt_inputs else NO_INPUTS, response.inputs

    @property
    def has_inputs(self) -> bool:
        """Whether the model sees more of this group than token ids."""
        every = (*self.prompt_inputs, *(response.inputs for response in self.responses))
        return any(inputs.keys for inputs in every)

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

    def identities(self, index: int, *, keyed: bool = False) -> tuple[int, ...] | tuple[tuple[int, int], ...]:
        """What tells the tokens of `sequence` apart: their ids, with the keys of their extra inputs.

        Args:
            index: of the response.
            keyed: pairs of id and key; a token without extra inputs has key 0. Else ids alone.
        """
        if not keyed:
            return self.sequence(index)
        response = self.responses[index]
        keys: list[int] = []
        lengths = (len(self.prompts[response.prompt]), len(response.ids))
        for inputs, length in zip(self.inputs_of(index), lengths, strict=True):
            keys += inputs.keys or (0,) * length
        return tuple(zip(self.sequence(index), keys, strict=True))

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
        is_complete = completion.complete and len(ids) == len(completion.ids)
        cut = RenderedResponse(ids, scored, 0, is_complete, completion.inputs.first(len(ids)))
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
        keys = (self.prompt_inputs[response.prompt].keys if self.prompt_inputs else (), response.inputs.keys)
        extra = keys if any(keys) else ()
        for ids in (self.prompts[response.prompt], response.ids, response.scored, *extra):
            digest.update(array("q", ids).tobytes())
            digest.update(b"|")
        return digest.digest()
