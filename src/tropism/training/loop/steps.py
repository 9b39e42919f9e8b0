"""Which groups a step holds, what its losses ask of them, and how a step is seen over all processes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from tropism.errors import DataError
from tropism.losses import Mixture
from tropism.losses.loss_row import Need
from tropism.scores import Feedback, ResponseScores, joined
from tropism.text.prepared import Prepared

NEEDED_DATA: dict[Need, str] = {"edges": "pairs", "labels": "labels", "ranks": "rankings"}


def require_honoured(mixture: Mixture, groups: Sequence[Prepared]) -> None:
    """Refuse margins and soft labels that a loss has no place for, rather than train as if they were not there.

    Raises:
        DataError: naming the loss, the group and the value.
    """
    usual = {"margin": 0.0, "prob": 1.0}
    for part in mixture.parts:
        ignored = set(usual) - part.loss.honours if part.loss.family in ("pairwise", "listwise") else set()
        for group, name in itertools.product(groups, sorted(ignored)):
            for edge in group.edges:
                if getattr(edge, name) != usual[name]:
                    raise DataError(
                        f"loss {part.name!r} has no place for an edge's {name}, and one of group {group.group.id} is "
                        f"{getattr(edge, name)}.",
                        remedy="Choose another loss (dpo honours all), or build the groups without it.",
                    )


def with_mismatched(groups: Sequence[Prepared], *, seed: int) -> list[Prepared]:
    """Groups with the completion of another group each as a baseline, chosen once for all steps so it can be cached."""
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed)).tolist()
    longest = max((group.num_tokens(i) for group in groups for i in range(len(group.responses))), default=0)
    partner = dict(zip(order, [*order[1:], *order[:1]], strict=True))
    return [group.with_mismatched(groups[partner[index]], max_tokens=longest) for index, group in enumerate(groups)]


def gather_step(found: Sequence[tuple[ResponseScores, Feedback]]) -> tuple[ResponseScores, Feedback, int]:
    """A step's scores and feedback over all processes, and how many of its edges belong to the processes before."""
    local = [(scores._replace(tokens=None), feedback) for scores, feedback in found]
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return *joined(local), 0
    device = local[0][0].length.device if local else torch.device("cpu")
    shares: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(shares, [(_moved(s, "cpu"), f.to("cpu")) for s, f in local])
    before = sum(len(feedback.winner) for share in shares[: torch.distributed.get_rank()] for _, feedback in share)
    scores, feedback = joined([one for share in shares for one in share])
    return _moved(scores, device), feedback.to(device), before


def _moved(scores: ResponseScores, device: torch.device | str) -> ResponseScores:
    """Scores of responses on another device."""
    reference = None if scores.reference is None else scores.reference.to(device)
    return ResponseScores(scores.policy.to(device), reference, scores.length.to(device))


class StepSampler(Sampler[list[int]]):
    """Which groups a process sees in each step: a new order in each epoch, none twice, the last step may be short."""

    def __init__(self, num_groups: int, *, groups_per_step: int, rank: int, world: int, seed: int) -> None:
        self.num_groups = num_groups
        self.groups_per_step = groups_per_step * world
        self.rank = rank
        self.world = world
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.num_groups / self.groups_per_step)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(
            self.num_groups, generator=torch.Generator().manual_seed(self.seed + self.epoch)
        ).tolist()
        for start in range(0, self.num_groups, self.groups_per_step):
            yield order[start : start + self.groups_per_step][self.rank :: self.world]


class StepLoader(DataLoader[Prepared]):
    """A data loader that tells its sampler the epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the order."""
        assert isinstance(self.batch_sampler, StepSampler)
        self.batch_sampler.set_epoch(epoch)
