"""What every layout hands to a policy: one micro-batch of groups as tensors."""

from __future__ import annotations

import dataclasses
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tropism.errors import DataError
from tropism.scores import Feedback
from tropism.text.prepared import Prepared, PreparedGroup

FAST_TOKENS = {"cpu": 1024, "cuda": 16384}
"""Tokens from which on a larger micro-batch is no faster: on two CPU cores steps of 1,024 to 2,048 took least (see
docs/forest.md); for GPUs it is an estimate and has not been measured."""


@dataclass(frozen=True, kw_only=True)
class Batch(ABC):
    """One micro-batch.

    Attributes:
        input_ids: token ids.
        predicting: flat places (row * width + column) whose hidden states predict a scored token.
        targets: the tokens that are predicted there.
        place: which of `predicting` gives the log-probability of each scored token of each response.
        response: the response that each scored token belongs to.
        length: number of scored tokens of each response.
        last: flat place of each response's last token.
        feedback: what people thought, as indices into the responses.
        keys: identity of each response's tokens, for the reference cache.
        group_ids: for messages about this batch.
        num_distinct_tokens: what has to be computed when every distinct token is computed once.
        num_sequence_tokens: tokens of all prompts and responses, each as often as it is there.
        inputs: extra inputs of the model by name: of tokens (rows, width, ...), or of prompts and responses, joined.
        reference: log-probability of each response under the reference, nats; None if it is not known.
        reference_tokens: the same of each scored token; None if no loss asked for it.
    """

    input_ids: Int[Tensor, "rows width"]
    predicting: Int[Tensor, " places"]
    targets: Int[Tensor, " places"]
    place: Int[Tensor, " scored"]
    response: Int[Tensor, " scored"]
    length: Int[Tensor, " responses"]
    last: Int[Tensor, " responses"]
    feedback: Feedback
    keys: tuple[bytes, ...]
    group_ids: tuple[str, ...]
    num_distinct_tokens: int
    num_sequence_tokens: int = 0
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    reference: Float[Tensor, " responses"] | None = None
    reference_tokens: Float[Tensor, " scored"] | None = None

    @property
    def num_computed_tokens(self) -> int:
        """Tokens that the model computes for this batch, padding included."""
        return self.input_ids.numel()

    @abstractmethod
    def model_inputs(self) -> dict[str, Any]:
        """What the model's forward takes."""

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        moved: dict[str, Any] = {
            name: one.to(device) for name, one in values.items() if isinstance(one, Tensor | Feedback)
        }
        moved["inputs"] = {name: one.to(device) for name, one in self.inputs.items()}
        return dataclasses.replace(self, **moved)

    def with_reference(
        self, reference: Float[Tensor, " responses"], tokens: Float[Tensor, " scored"] | None = None
    ) -> Batch:
        """The same batch with reference log-probabilities, of single tokens too if they are given."""
        return dataclasses.replace(self, reference=reference, reference_tokens=tokens)

    def without_weight(self) -> Batch:
        """The same batch, in which nothing counts."""
        nothing = self.feedback._replace(
            weight=torch.zeros_like(self.feedback.weight),
            label_weight=torch.zeros_like(self.feedback.label_weight),
            rank=torch.full_like(self.feedback.rank, -1),
            baseline=torch.ones_like(self.feedback.baseline),
        )
        return dataclasses.replace(self, feedback=nothing, num_distinct_tokens=0)


def feedback_of(groups: Sequence[Prepared]) -> Feedback:
    """The people's side of a batch, with responses counted through the batch."""
    starts = [0, *itertools.accumulate(len(group.responses) for group in groups)][: len(groups)]
    edges = [(start, edge) for start, group in zip(starts, groups, strict=True) for edge in group.edges]
    labels = [(start, label) for start, group in zip(starts, groups, strict=True) for label in group.labels]

    def integers(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long)

    def numbers(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32)

    return Feedback(
        winner=integers([start + edge.winner for start, edge in edges]),
        loser=integers([start + edge.loser for start, edge in edges]),
        weight=numbers([edge.weight for _, edge in edges]),
        margin=numbers([edge.margin for _, edge in edges]),
        prob=numbers([edge.prob for _, edge in edges]),
        label_response=integers([start + label.response for start, label in labels]),
        label_desirable=torch.tensor([label.desirable for _, label in labels], dtype=torch.bool),
        label_weight=numbers([label.weight for _, label in labels]),
        group=integers([index for index, group in enumerate(groups) for _ in group.responses]),
        rank=integers([-1 if rank is None else rank for group in groups for rank in group.ranks]),
        score=numbers([math.nan if score is None else score for group in groups for score in group.scores]),
        baseline=torch.tensor(
            [index in group.baselines for group in groups for index in range(len(group.responses))], dtype=torch.bool
        ),
    )


def lengths_of(groups: Iterable[Prepared]) -> Int[Tensor, " responses"]:
    """Number of scored tokens of each response."""
    return torch.tensor(
        [group.num_scored(i) for group in groups for i in range(len(group.responses))], dtype=torch.long
    )


def cut_to_fit(
    group: PreparedGroup, *, size: Callable[[PreparedGroup], int], tokens_per_batch: int
) -> list[PreparedGroup]:
    """A group, or if it is too large for a micro-batch, groups that have the same prompt and lose no feedback.

    Args:
        group: the group.
        size: how many tokens a group takes in a micro-batch.
        tokens_per_batch: most tokens of a micro-batch.

    Raises:
        DataError: if responses that must stay together do not fit.
    """
    if size(group) <= tokens_per_batch:
        return [group]
    cut: list[PreparedGroup] = []
    filled: set[int] = set()
    for together in _inseparable(group):
        more = filled | together
        part = group.keep([i in more for i in range(len(group.responses))])
        if cut and filled and size(part) <= tokens_per_batch:
            cut[-1], filled = part, more
            continue
        alone = group.keep([i in together for i in range(len(group.responses))])
        if size(alone) > tokens_per_batch:
            raise DataError(
                f"group {group.group.id} needs {size(alone):,} tokens in one micro-batch, and tokens_per_batch is "
                f"{tokens_per_batch:,}.",
                remedy=f"Set tokens_per_batch to {size(alone):,} or more, or lower data.max_tokens.",
            )
        cut.append(alone)
        filled = together
    return cut


def _inseparable(group: Prepared) -> list[set[int]]:
    """The responses of a group in sets that can be cut apart: those that an edge joins stay together.

    Feedback that is a whole keeps the group whole: a ranking; labels beside edges; edges or labels beside responses
    without any. Cut apart, each would mean something else to a loss.
    """
    everything = set(range(len(group.responses)))
    joined = {i for edge in group.edges for i in (edge.winner, edge.loser)}
    labelled = {label.response for label in group.labels}
    is_whole = group.is_whole or any(rank is not None for rank in group.ranks) or (joined and labelled)
    if is_whole or ((joined or labelled) and joined | labelled != everything):
        return [everything]
    sets = [{i} for i in sorted(everything)]
    for edge in group.edges:
        touched = [one for one in sets if edge.winner in one or edge.loser in one]
        sets = [one for one in sets if one not in touched] + [set().union(*touched)]
    return sorted(sets, key=min)
