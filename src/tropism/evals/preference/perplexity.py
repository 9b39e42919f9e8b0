"""The eval `perplexity`: how well the model predicts wanted and unwanted held-out responses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import Field

from tropism.evals.core.items import Item, Measured, Settings, Statistic, Task
from tropism.evals.preference.scored_pairs import chosen_groups
from tropism.groups import PreferenceGroup
from tropism.records import Measure

LARGEST_EXPONENT = 700.0


class PerplexitySettings(Settings):
    """Settings of the eval.

    Args:
        max_groups: maximum number of held-out groups that are scored.
    """

    max_groups: int = Field(400, gt=0)


def perplexity(task: Task) -> Measured:
    """exp of the mean negative log-probability per token of held-out responses, by side.

    `preferred`: responses that win a comparison or are labelled desirable; in a group without comparisons and labels,
    all. `rejected`: the others with feedback. A response is counted once, even if it is in several comparisons.
    """
    groups = chosen_groups(task.groups, task.settings_as(PerplexitySettings).max_groups)
    with task.progress(f"Scoring held-out responses ({task.subject.name})", len(groups)) as done:
        scores = task.subject.logp(groups, progress=done)
    items = [
        Item(
            id=f"{group.id}/{group.responses[index].id}",
            cluster=group.id,
            values={},
            detail={"side": side, "nats": -one.nats, "tokens": one.tokens},
        )
        for group, row in zip(groups, scores, strict=True)
        for index, side in sides_of(group).items()
        if (one := row[index]) is not None
    ]
    missing = sum(len(sides_of(group)) for group in groups) - len(items)
    return Measured(items=items, skipped={"responses that do not fit into max_tokens": missing} if missing else {})


def sides_of(group: PreferenceGroup) -> dict[int, str]:
    """Index of each response with feedback to `preferred` or `rejected`."""
    if not group.edges and not group.labels:
        return dict.fromkeys(range(len(group.responses)), "preferred")
    sides = {edge.loser: "rejected" for edge in group.edges}
    sides |= {edge.winner: "preferred" for edge in group.edges}
    return sides | {one.response: "preferred" if one.desirable else "rejected" for one in group.labels}


def _of_side(side: str) -> Statistic:
    """The perplexity of one side; nan if it has no response."""

    def statistic(items: Sequence[Item]) -> float:
        part = [item.detail for item in items if item.detail["side"] == side]
        tokens = sum(one["tokens"] for one in part)
        return math.exp(min(LARGEST_EXPONENT, sum(one["nats"] for one in part) / tokens)) if tokens else math.nan

    return statistic


MEASURES: Mapping[str, Measure] = {
    "preferred": Measure(
        label="Perplexity of preferred answers",
        better="lower",
        meaning="exp of the mean negative log-probability per token; 1 is perfect prediction.",
    ),
    "rejected": Measure(
        label="Perplexity of rejected answers",
        meaning="The same for answers that people rejected. A rise is what preference training does.",
    ),
}
STATISTICS: Mapping[str, Statistic] = {"preferred": _of_side("preferred"), "rejected": _of_side("rejected")}
