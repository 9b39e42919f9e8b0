"""The plain layout: one row per response, padded on the right. Trusted, slow, the oracle for every other layout."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tropism.layout.rendered import RenderedGroup
from tropism.scores import Feedback


@dataclass(frozen=True)
class PaddedBatch:
    """One micro-batch.

    Attributes:
        input_ids: token ids, padded on the right with 0.
        attention_mask: 1 where a token is.
        predicting: flat places (row * width + column) whose hidden states predict the scored tokens.
        targets: the scored tokens.
        response: the response that each scored token belongs to.
        length: number of scored tokens of each response.
        feedback: what people thought, as indices into the responses.
        keys: identity of each response's tokens, for the reference cache.
        group_ids: for messages about this batch.
        reference: log-probability of each response under the reference, nats; None where it is not known.
        num_distinct_tokens: what a layout that computes each distinct token once would compute.
    """

    input_ids: Int[Tensor, "responses width"]
    attention_mask: Int[Tensor, "responses width"]
    predicting: Int[Tensor, " scored"]
    targets: Int[Tensor, " scored"]
    response: Int[Tensor, " scored"]
    length: Int[Tensor, " responses"]
    feedback: Feedback
    keys: tuple[bytes, ...]
    group_ids: tuple[str, ...]
    num_distinct_tokens: int
    reference: Float[Tensor, " responses"] | None = None

    @property
    def num_computed_tokens(self) -> int:
        """Tokens that the model computes for this batch, padding included."""
        return self.input_ids.numel()

    def to(self, device: torch.device | str) -> PaddedBatch:
        """The same batch on another device."""
        moved = {
            field.name: getattr(self, field.name).to(device)
            for field in dataclasses.fields(self)
            if isinstance(getattr(self, field.name), Tensor | Feedback)
        }
        return dataclasses.replace(self, **moved)

    def with_reference(self, reference: Float[Tensor, " responses"]) -> PaddedBatch:
        """The same batch with reference log-probabilities."""
        return dataclasses.replace(self, reference=reference)

    def without_weight(self) -> PaddedBatch:
        """The same batch where nothing counts."""
        nothing = self.feedback._replace(
            weight=torch.zeros_like(self.feedback.weight),
            label_weight=torch.zeros_like(self.feedback.label_weight),
            baseline=torch.ones_like(self.feedback.baseline),
        )
        return dataclasses.replace(self, feedback=nothing, num_distinct_tokens=0)


def collate(groups: Sequence[RenderedGroup]) -> PaddedBatch:
    """Lay out groups as one row per response.

    Args:
        groups: at least one rendered group.

    Returns:
        A batch on the CPU, without reference scores.
    """
    rows = [(*group.prompts[response.prompt], *response.ids) for group in groups for response in group.responses]
    width = max(map(len, rows))
    input_ids = torch.zeros(len(rows), width, dtype=torch.long)
    attention_mask = torch.zeros(len(rows), width, dtype=torch.long)
    predicting: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    length: list[int] = []
    responses = [(group, response) for group in groups for response in group.responses]
    for row, (ids, (group, response)) in enumerate(zip(rows, responses, strict=True)):
        input_ids[row, : len(ids)] = torch.tensor(ids, dtype=torch.long)
        attention_mask[row, : len(ids)] = 1
        start = len(group.prompts[response.prompt])
        columns = [start + k for k, scored in enumerate(response.scored) if scored and start + k > 0]
        predicting += [row * width + column - 1 for column in columns]
        targets += [ids[column] for column in columns]
        owner += [row] * len(columns)
        length.append(len(columns))
    return PaddedBatch(
        input_ids=input_ids,
        attention_mask=attention_mask,
        predicting=torch.tensor(predicting, dtype=torch.long),
        targets=torch.tensor(targets, dtype=torch.long),
        response=torch.tensor(owner, dtype=torch.long),
        length=torch.tensor(length, dtype=torch.long),
        feedback=feedback_of(groups),
        keys=tuple(group.response_key(response) for group, response in responses),
        group_ids=tuple(group.group.id for group in groups),
        num_distinct_tokens=sum(group.num_distinct_tokens() for group in groups),
    )


def feedback_of(groups: Sequence[RenderedGroup]) -> Feedback:
    """The people's side of a batch, with responses counted through the batch."""
    starts, total = [], 0
    for group in groups:
        starts.append(total)
        total += len(group.responses)
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
        baseline=torch.zeros(total, dtype=torch.bool),
    )


def split(groups: Sequence[RenderedGroup], *, groups_per_batch: int) -> list[list[RenderedGroup]]:
    """Cut a step's groups into micro-batches of like length, so that little is padded.

    Example:
        >>> split([], groups_per_batch=4)
        []
    """
    by_length = sorted(groups, key=longest_row)
    return [by_length[i : i + groups_per_batch] for i in range(0, len(by_length), groups_per_batch)]


def longest_row(group: RenderedGroup) -> int:
    """Number of tokens of a group's longest prompt with its response."""
    return max(len(group.prompts[response.prompt]) + len(response.ids) for response in group.responses)
