"""Extra inputs of a batch: those of its prompts and responses, joined as rows or as one row of tries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from tropism.layout.tries import Forest
from tropism.text.rendered import RenderedGroup

Owner = tuple[RenderedGroup, int]
"""A group, and the index of one of its responses."""
Positions = Callable[[RenderedGroup, int], Tensor | None]
"""From a group and a response to the positions of the tokens of prompt and response, shape (tokens, ...); None if a
token's position is its depth."""


def padded_inputs(owners: Sequence[Owner], *, width: int) -> dict[str, Tensor]:
    """Extra inputs of one row per response: values of tokens padded with 0, what tokens share joined in row order."""
    found = {}
    for name, rows in per_token(owners).items():
        found[name] = torch.stack([filled(values, width) for values in rows])
    parts: dict[str, list[Tensor]] = {}
    for group, index in owners:
        for inputs in group.inputs_of(index):
            for name, values in inputs.shared.items():
                parts.setdefault(name, []).append(values)
    return found | {name: torch.cat(values) for name, values in parts.items()}


def forest_inputs(owners: Sequence[Owner], forest: Forest, *, padding: int) -> dict[str, Tensor]:
    """Extra inputs of one row of tries: of every node once, what tokens share once per distinct prompt or response."""
    found = {}
    for name, rows in per_token(owners).items():
        found[name] = gathered(rows, forest, padding=padding)
    parts: dict[str, dict[int, Tensor]] = {}
    for (group, index), path in zip(owners, forest.paths, strict=True):
        start = 0
        for inputs in group.inputs_of(index):
            for name, values in inputs.shared.items():
                parts.setdefault(name, {})[int(path[start])] = values
            start = len(group.prompts[group.responses[index].prompt])
    return found | {name: torch.cat([by_node[node] for node in sorted(by_node)]) for name, by_node in parts.items()}


def per_token(owners: Sequence[Owner]) -> dict[str, list[Tensor]]:
    """By name, the values of the tokens of each prompt and response; 0 if only others have an input of this name."""
    sample: dict[str, Tensor] = {}
    for group, index in owners:
        for inputs in group.inputs_of(index):
            sample |= inputs.per_token
    return {name: [_values_of(owner, name, values) for owner in owners] for name, values in sample.items()}


def _values_of(owner: Owner, name: str, like: Tensor) -> Tensor:
    """The values of one input for the tokens of a prompt with its response."""
    group, index = owner
    response = group.responses[index]
    lengths = (len(group.prompts[response.prompt]), len(response.ids))
    parts = [
        inputs.per_token.get(name, like.new_zeros(length, *like.shape[1:]))
        for inputs, length in zip(group.inputs_of(index), lengths, strict=True)
    ]
    return torch.cat(parts)


def positions_of(owners: Sequence[Owner], positions: Positions | None) -> list[Tensor] | None:
    """The positions of each prompt's and response's tokens; None if they are depths."""
    if positions is None:
        return None
    found = [positions(group, index) for group, index in owners]
    known = [one for one in found if one is not None]
    assert len(known) in (0, len(found)), "positions are given for all groups or for none"
    return known or None


def gathered(rows: Sequence[Tensor], forest: Forest, *, padding: int) -> Tensor:
    """The value of every node, from the sequence that it came from, as one padded row."""
    starts = torch.tensor([0, *map(len, rows)]).cumsum(0)[:-1]
    source = torch.from_numpy(forest.source)
    values = torch.cat(list(rows))[starts[source[:, 0]] + source[:, 1]]
    return filled(values, len(values) + padding)[None]


def filled(values: Tensor, width: int) -> Tensor:
    """Values of tokens with zeros behind them."""
    return torch.cat([values, values.new_zeros(width - len(values), *values.shape[1:])])


def padded_positions(rows: Sequence[Tensor], *, width: int) -> Int[Tensor, "rows width *axes"]:
    """Positions of one row per response, filled up with 0."""
    return torch.stack([filled(row, width) for row in rows])
