"""Held-out comparisons with the log-probability of both sides before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tropism.data.group_keys import group_key, unit_hash
from tropism.evals.core.items import Item, Task
from tropism.evals.core.subject import Scored
from tropism.groups import Edge, PreferenceGroup
from tropism.metrics.bootstrap import mean_by_cluster
from tropism.records import Matrix


@dataclass(frozen=True)
class ScoredPair:
    """One comparison: `before` is under the base, `after` under the subject."""

    group: PreferenceGroup
    place: int
    winner_before: Scored
    winner_after: Scored
    loser_before: Scored
    loser_after: Scored

    @property
    def id(self) -> str:
        """The group's id and the number of the edge in it."""
        return f"{self.group.id}#{self.place}"

    @property
    def edge(self) -> Edge:
        """The comparison itself."""
        return self.group.edges[self.place]

    @property
    def winner_change(self) -> float:
        """How much likelier the winner became, nats."""
        return self.winner_after.nats - self.winner_before.nats

    @property
    def loser_change(self) -> float:
        """How much likelier the loser became, nats."""
        return self.loser_after.nats - self.loser_before.nats

    @property
    def margin(self) -> float:
        """Lead of the winner's log-ratio over the loser's, nats: the implicit reward's margin over beta."""
        return self.winner_change - self.loser_change


class ScoredPairs(NamedTuple):
    """The comparisons that could be scored, and why others could not."""

    pairs: list[ScoredPair]
    skipped: dict[str, int]


def scored_pairs(task: Task, *, max_groups: int) -> ScoredPairs:
    """Score the edges of held-out groups under base and subject; groups are chosen by a hash of their prompts."""
    groups = chosen_groups([group for group in task.groups if group.edges], max_groups)
    sides = []
    for model in (task.base, task.subject):
        with task.progress(f"Scoring held-out answers ({model.name})", len(groups)) as done:
            sides.append(model.logp(groups, progress=done))
    pairs: list[ScoredPair] = []
    num_missing = 0
    for group, before, after in zip(groups, *sides, strict=True):
        for place, edge in enumerate(group.edges):
            sides_of_edge = (before[edge.winner], after[edge.winner], before[edge.loser], after[edge.loser])
            if any(one is None for one in sides_of_edge):
                num_missing += 1
            else:
                pairs.append(ScoredPair(group, place, *sides_of_edge))
    reason = "comparisons that do not fit into max_tokens"
    return ScoredPairs(pairs, {reason: num_missing} if num_missing else {})


def chosen_groups(groups: Sequence[PreferenceGroup], count: int) -> list[PreferenceGroup]:
    """So many groups, chosen by a hash of their prompts and not by their order."""
    return sorted(groups, key=lambda group: (unit_hash(group_key(group), purpose="eval"), group.id))[:count]


def table_by(
    items: Sequence[Item],
    row_of: Callable[[Item], str | None],
    *,
    name: str,
    row_title: str,
    rows: Sequence[str],
    columns: Sequence[str],
) -> Matrix:
    """Means of items' values by a property of the items.

    Args:
        items: with `values`.
        row_of: the row that an item belongs to; None omits it.
        name: of the matrix.
        row_title: what the rows are.
        rows: in the order in which they are shown; None is measured if no item falls into one.
        columns: names of values.
    """
    cells = []
    for row in rows:
        part = [item for item in items if row_of(item) == row]
        cells.append([
            mean_by_cluster(
                [item.values[column] for item in part if column in item.values],
                [item.cluster for item in part if column in item.values],
            )
            for column in columns
        ])  # fmt: skip
    return Matrix(
        name=name, row_title=row_title, column_title="metric", rows=list(rows), columns=list(columns), cells=cells
    )


def quarters(values: Sequence[float]) -> list[str]:
    """For each value the quarter of all values that it falls into, in words; equal values share one.

    Example:
        >>> quarters([1.0, 2.0, 3.0, 4.0])
        ['lowest quarter', 'second quarter', 'third quarter', 'highest quarter']
    """
    ordered = sorted(values)
    first = {value: place for place, value in reversed(list(enumerate(ordered)))}
    return [QUARTERS[4 * first[value] // len(ordered)] for value in values]


QUARTERS = ("lowest quarter", "second quarter", "third quarter", "highest quarter")
