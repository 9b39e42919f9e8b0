"""Held-out comparisons by a reward model: does it order them as people did."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tropism.metrics.bootstrap import mean_by_cluster
from tropism.policies.base import Policy
from tropism.records import Evaluation
from tropism.text.prepared import Prepared


@torch.no_grad()
def held_out(policy: Policy, groups: Sequence[Prepared], *, names: tuple[str, str]) -> Evaluation:
    """Pair accuracy of the rewards, and the gap between winners and losers.

    Args:
        policy: the reward model.
        groups: held-out groups.
        names: of where it started and of itself, for the record.

    Returns:
        `pair_accuracy` (edges that are no ties; equal rewards count half) and `reward_gap`, with intervals that draw
        groups.
    """
    policy.model.eval()
    correct: list[float] = []
    gaps: list[float] = []
    owners: list[int] = []
    decided: list[int] = []
    seen = 0
    for batch in policy.collate(groups, tokens_per_batch=policy.fast_budget(groups)):
        batch = batch.to(policy.device)
        rewards, feedback = policy.score(policy.model, batch).policy, batch.feedback
        gap = (rewards[feedback.winner] - rewards[feedback.loser]).tolist()
        owner = (feedback.group[feedback.winner] + seen).tolist()
        seen += len(batch.group_ids)
        gaps += gap
        owners += owner
        for one, group, prob in zip(gap, owner, feedback.prob.tolist(), strict=True):
            if prob != 0.5:
                correct.append(0.5 if one == 0 else float(one > 0))
                decided.append(group)
    metrics = {"pair_accuracy": mean_by_cluster(correct, decided), "reward_gap": mean_by_cluster(gaps, owners)}
    return Evaluation(
        before=names[0],
        after=names[1],
        metrics={name: value for name, value in metrics.items() if value is not None},
        margins=gaps,
    )
