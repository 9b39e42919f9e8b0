"""The forest layout: every distinct token of a batch once, no padding, one row.

Groups become token tries; prompts, shared turns and equal beginnings of responses are computed once, however many
responses, pairs and groups they belong to. A response's log-probability is read at the parents of its tokens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from tropism.layout.attention import ForestPlan
from tropism.layout.batch import Batch, cut_to_fit, feedback_of
from tropism.layout.batch_inputs import Positions, forest_inputs, gathered, positions_of
from tropism.layout.tries import Forest, count_distinct, plant
from tropism.text.rendered import RenderedGroup


@dataclass(frozen=True, kw_only=True)
class ForestBatch(Batch):
    """One row of tries in depth-first order.

    Attributes:
        position_ids: depth of each token in its tree, or the model's own positions.
        plan: how the row hangs together, for the attention layers.
    """

    position_ids: Int[Tensor, "rows width *axes"]
    plan: ForestPlan

    def model_inputs(self) -> dict[str, Any]:
        """What the model's forward takes; transformers hands `forest` on to every attention layer."""
        return {"input_ids": self.input_ids, "position_ids": self.position_ids, "forest": self.plan}

    def to(self, device: torch.device | str) -> ForestBatch:
        """The same batch on another device."""
        moved = super().to(device)
        assert isinstance(moved, ForestBatch)
        return dataclasses.replace(moved, plan=self.plan.to(device))


def collate(
    groups: Sequence[RenderedGroup], *, multiple_of: int = 1, positions: Positions | None = None
) -> ForestBatch:
    """Lay out groups as one row of tries.

    Args:
        groups: at least one rendered group.
        multiple_of: the row is padded to a multiple of this with tokens that see only themselves.
        positions: a model's own positions of tokens; None takes their depths.

    Returns:
        A batch on the CPU, without reference scores.
    """
    owners = [(group, index) for group in groups for index in range(len(group.responses))]
    sequences = [np.array(group.sequence(index), dtype=np.int64) for group, index in owners]
    is_keyed = any(group.has_inputs for group in groups)
    forest = plant([group.identities(index, keyed=is_keyed) for group, index in owners])
    columns = [group.scored_places(index) for group, index in owners]
    scored = np.concatenate([np.zeros(0, np.int64), *(p[c] for p, c in zip(forest.paths, columns, strict=True))])
    nodes, place = np.unique(scored, return_inverse=True)
    ids = gather(sequences, forest)
    padding = -forest.num_nodes % multiple_of
    plan = ForestPlan(
        np.append(forest.parent, np.full(padding, -1)),
        np.append(forest.subtree_end, np.arange(forest.num_nodes, forest.num_nodes + padding) + 1),
        np.append(forest.depth, np.zeros(padding, dtype=np.int64)),
    )
    own = positions_of(owners, positions)
    length = [len(one) for one in columns]
    return ForestBatch(
        input_ids=row(ids, padding),
        position_ids=gathered(own, forest, padding=padding) if own else torch.from_numpy(plan.depth)[None],
        plan=plan,
        inputs=forest_inputs(owners, forest, padding=padding) if is_keyed else {},
        predicting=torch.from_numpy(forest.parent[nodes]),
        targets=torch.from_numpy(ids[nodes]),
        place=torch.from_numpy(place.reshape(-1)),
        response=torch.repeat_interleave(torch.arange(len(owners)), torch.tensor(length)),
        length=torch.tensor(length, dtype=torch.long),
        last=torch.tensor([int(path[-1]) for path in forest.paths], dtype=torch.long),
        feedback=feedback_of(groups),
        keys=tuple(group.response_key(group.responses[index]) for group, index in owners),
        group_ids=tuple(group.group.id for group in groups),
        num_distinct_tokens=forest.num_nodes,
        num_sequence_tokens=sum(map(len, sequences)),
    )


def gather(sequences: Sequence[np.ndarray], forest: Forest) -> np.ndarray:
    """The value of every node, taken from the sequence that it came from."""
    starts = np.cumsum([0, *map(len, sequences)])[:-1]
    everything = np.concatenate([np.zeros(0, dtype=np.int64), *sequences])
    values: np.ndarray = everything[starts[forest.source[:, 0]] + forest.source[:, 1]]
    return values


def row(values: np.ndarray, padding: int) -> Int[Tensor, "1 width"]:
    """One padded row of a batch."""
    return torch.from_numpy(np.append(values, np.zeros(padding, dtype=np.int64)))[None]


def split(groups: Sequence[RenderedGroup], *, tokens_per_batch: int) -> list[list[RenderedGroup]]:
    """Pack a step's groups into as few micro-batches as a budget allows; groups of one prompt go together.

    Args:
        groups: rendered groups.
        tokens_per_batch: most distinct tokens of a micro-batch.

    Raises:
        DataError: for a group that no micro-batch holds.

    Reference: first-fit decreasing, Johnson 1973: at most 11/9 of the fewest bins, plus 6/9.

    Example:
        >>> split([], tokens_per_batch=4)
        []
    """
    by_prompt: dict[tuple[tuple[int, ...], ...], list[RenderedGroup]] = {}
    for group in groups:
        by_prompt.setdefault(group.prompts, []).append(group)
    pieces: list[tuple[int, list[RenderedGroup]]] = []
    for together in by_prompt.values():
        size = num_distinct_tokens(together)
        if size <= tokens_per_batch:
            pieces.append((size, together))
            continue
        for group in together:
            fitting = cut_to_fit(group, size=lambda one: num_distinct_tokens([one]), tokens_per_batch=tokens_per_batch)
            pieces += [(num_distinct_tokens([part]), [part]) for part in fitting]
    bins: list[list[RenderedGroup]] = []
    room: list[int] = []
    for size, piece in sorted(pieces, key=lambda one: -one[0]):
        index = next((i for i, left in enumerate(room) if size <= left), len(bins))
        if index == len(bins):
            bins.append([])
            room.append(tokens_per_batch)
        bins[index] += piece
        room[index] -= size
    return bins


def num_distinct_tokens(groups: Sequence[RenderedGroup]) -> int:
    """Distinct tokens of some groups together."""
    is_keyed = any(group.has_inputs for group in groups)
    owners = [(group, index) for group in groups for index in range(len(group.responses))]
    return count_distinct([group.identities(index, keyed=is_keyed) for group, index in owners])
