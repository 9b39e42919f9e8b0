"""The eval `reward_accuracy`: does a reward model order held-out comparisons as people did."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from tropism.evals.core.items import Item, Measured, Settings, Task
from tropism.evals.preference.scored_pairs import chosen_groups
from tropism.evals.preference.trivial_rules import TRIVIAL_MEASURES, trivial_credits
from tropism.metrics.pair_order import order_credit
from tropism.records import Measure


class RewardAccuracySettings(Settings):
    """Settings of the eval.

    Args:
        max_groups: maximum number of held-out groups that are scored.
    """

    max_groups: int = Field(400, gt=0)


def reward_accuracy(task: Task) -> Measured:
    """Pair accuracy of the rewards, the gap between both sides, and what trivial rules reach on the same pairs.

    Equal rewards count half. Comparisons that people called ties are skipped.
    """
    settings = task.settings_as(RewardAccuracySettings)
    groups = chosen_groups([group for group in task.groups if group.edges], settings.max_groups)
    with task.progress(f"Rewarding held-out answers ({task.subject.name})", len(groups)) as done:
        rewards = task.subject.rewards(groups, progress=done)
    items, edges = [], []
    missing = ties = 0
    for group, row in zip(groups, rewards, strict=True):
        for place, edge in enumerate(group.edges):
            winner, loser = row[edge.winner], row[edge.loser]
            if winner is None or loser is None:
                missing += 1
            elif edge.prob == 0.5:
                ties += 1
            else:
                values = {"pair_accuracy": order_credit(winner, loser), "reward_gap": winner - loser}
                items.append(Item(f"{group.id}#{place}", group.id, values))
                edges.append((group, edge))
    items = [
        Item(item.id, item.cluster, {**item.values, **trivial})
        for item, trivial in zip(items, trivial_credits(edges, seed=task.seed), strict=True)
    ]
    skipped = {"comparisons that do not fit into max_tokens": missing, "ties": ties}
    return Measured(
        items=items,
        series={"margin": [item.values["reward_gap"] for item in items]},
        skipped={reason: count for reason, count in skipped.items() if count},
    )


MEASURES: Mapping[str, Measure] = {
    "pair_accuracy": Measure(
        label="Pair accuracy",
        unit="share",
        better="higher",
        meaning="Share of pairs in which the preferred answer gets the higher reward. 50 % is a coin toss.",
        baseline=0.5,
    ),
    "reward_gap": Measure(
        label="Reward gap",
        meaning="Mean reward of preferred minus rejected answers, on the model's own scale.",
        baseline=0.0,
    ),
    **TRIVIAL_MEASURES,
}
