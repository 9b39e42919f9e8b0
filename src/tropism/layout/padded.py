"""The plain layout: one row per response, padded on the right. Trusted, slow, the oracle for every other layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from tropism.layout.batch import Batch, cut_to_fit, feedback_of
from tropism.layout.batch_inputs import Positions, padded_inputs, padded_positions, positions_of
from tropism.layout.tries import count_distinct
from tropism.text.rendered import RenderedGroup


@dataclass(frozen=True, kw_only=True)
class PaddedBatch(Batch):
    """One row per response, padded on the right with token 0.

    Attributes:
        attention_mask: 1 for a token, 0 for padding.
        position_ids: the model's own positions; None if a token's position is its place in the row.
    """

    attention_mask: Int[Tensor, "responses width"]
    position_ids: Int[Tensor, "responses width *axes"] | None = None

    def model_inputs(self) -> dict[str, Any]:
        """What the model's forward takes."""
        own = {} if self.position_ids is None else {"position_ids": self.position_ids}
        return {"input_ids": self.input_ids, "attention_mask": self.attention_mask, **own}


def collate(groups: Sequence[RenderedGroup], *, positions: Positions | None = None) -> PaddedBatch:
    """Lay out groups as one row per response.

    Args:
        groups: at least one rendered group.
        positions: a model's own positions of tokens; None lets the model count them.

    Returns:
        A batch on the CPU, without reference scores.
    """
    owners = [(group, index) for group in groups for index in range(len(group.responses))]
    rows = [group.sequence(index) for group, index in owners]
    width = max(map(len, rows))
    input_ids = torch.zeros(len(rows), width, dtype=torch.long)
    attention_mask = torch.zeros(len(rows), width, dtype=torch.long)
    is_keyed = any(group.has_inputs for group in groups)
    own = positions_of(owners, positions)
    predicting: list[int] = []
    targets: list[int] = []
    response: list[int] = []
    length: list[int] = []
    for row, (ids, (group, index)) in enumerate(zip(rows, owners, strict=True)):
        input_ids[row, : len(ids)] = torch.tensor(ids, dtype=torch.long)
        attention_mask[row, : len(ids)] = 1
        columns = group.scored_places(index)
        predicting += [row * width + column - 1 for column in columns]
        targets += [ids[column] for column in columns]
        response += [row] * len(columns)
        length.append(len(columns))
    return PaddedBatch(
        input_ids=input_ids,
        attention_mask=attention_mask,
        position_ids=padded_positions(own, width=width) if own else None,
        inputs=padded_inputs(owners, width=width) if is_keyed else {},
        predicting=torch.tensor(predicting, dtype=torch.long),
        targets=torch.tensor(targets, dtype=torch.long),
        place=torch.arange(len(targets)),
        response=torch.tensor(response, dtype=torch.long),
        length=torch.tensor(length, dtype=torch.long),
        last=torch.tensor([row * width + len(ids) - 1 for row, ids in enumerate(rows)], dtype=torch.long),
        feedback=feedback_of(groups),
        keys=tuple(group.response_key(group.responses[index]) for group, index in owners),
        group_ids=tuple(group.group.id for group in groups),
        num_sequence_tokens=sum(map(len, rows)),
        num_distinct_tokens=count_distinct([group.identities(index, keyed=is_keyed) for group, index in owners]),
    )


def split(groups: Sequence[RenderedGroup], *, tokens_per_batch: int) -> list[list[RenderedGroup]]:
    """Cut a step's groups into micro-batches of like length, so that little is padded.

    Args:
        groups: rendered groups.
        tokens_per_batch: most tokens of a micro-batch, padding included.

    Raises:
        DataError: for a group that no micro-batch holds.

    Example:
        >>> split([], tokens_per_batch=4)
        []
    """
    batches: list[list[RenderedGroup]] = []
    num_rows = 0
    fitting = [
        part
        for group in groups
        for part in cut_to_fit(group, size=num_padded_tokens, tokens_per_batch=tokens_per_batch)
    ]
    for group in sorted(fitting, key=_longest_row):
        num_rows += len(group.responses)
        if not batches or num_rows * _longest_row(group) > tokens_per_batch:
            batches.append([])
            num_rows = len(group.responses)
        batches[-1].append(group)
    return batches


def _longest_row(group: RenderedGroup) -> int:
    """Number of tokens of a group's longest prompt with its response."""
    return max(len(group.prompts[response.prompt]) + len(response.ids) for response in group.responses)


def num_padded_tokens(group: RenderedGroup) -> int:
    """Tokens of a group's rows alone in a batch, padding included."""
    return len(group.responses) * _longest_row(group)
