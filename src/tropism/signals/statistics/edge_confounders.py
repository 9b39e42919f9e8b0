"""Possible confounders of edges: how well a winner can be predicted without its content.

Every interval is Wilson's, 95 %, at the effective number of edges: their number divided by the design effect of
their groups, because the edges of one thread are not independent. Nothing is random.

Reference: Wilson 1927, JASA 22(158); Korn and Graubard 1998, Survey Methodology 24(2), for the effective number.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import numpy as np
from ibis import Table
from numpy.typing import NDArray

from tropism.metrics.bootstrap import wilson
from tropism.records import Estimate
from tropism.signals.engines.engine import count, in_memory
from tropism.signals.kinds.answer_pairs import in_halves

MOST_EDGES = 200_000
"""Most edges that the author rule is evaluated on; whole threads are taken."""


def edge_confounders(edges: Table, answers: Table, *, with_time: bool, with_author: bool) -> dict[str, Estimate]:
    """How often winners are longer, earlier or by authors with higher scores; ties count one half.

    Args:
        edges: from `to_pairs`, after the cap.
        answers: of the threads that have an edge.
        with_time: whether the rows have a time.
        with_author: whether the rows have an author.

    Returns:
        `chosen_longer`: share of edges whose winner has more characters. `length_only_accuracy`: accuracy on a group of
        choosing by length in the direction learned from all other groups. `chosen_earlier`: share whose winner was
        written first. `author_only_accuracy`: accuracy on a group of choosing the author with the higher mean score
        in all other groups; an author unknown there counts one half.
    """
    both = {"longer": edges.longer} | ({"earlier": edges.earlier} if with_time else {})
    sums = _sums(edges, both)
    longer = sums["longer"]
    found = {"chosen_longer": share(*longer), "length_only_accuracy": share(_by_direction(*longer), longer[1])}
    if with_time:
        found["chosen_earlier"] = share(*sums["earlier"])
    if with_author:
        judged = _by_author(_some(edges, answers), answers)
        found["author_only_accuracy"] = share(*_sums(judged, {"right": judged.right})["right"])
    return {name: estimate for name, estimate in found.items() if estimate.n}


def _some(edges: Table, answers: Table) -> Table:
    """About `MOST_EDGES` edges: those of whole threads, chosen by a hash of their first answer."""
    kept = MOST_EDGES / max(1, count(edges))
    if kept >= 1:
        return edges
    first = answers.filter(answers.place == 0)
    return edges.semi_join(first.filter(first.mix <= kept * 16**6), "thread")


def share_of(edges: Table, halves: ibis.Value, name: str) -> dict[str, Estimate]:
    """A share of rows with a `thread`, under a name; empty if there are no rows."""
    found = share(*_sums(edges, {name: halves})[name])
    return {name: found} if found.n else {}


def share(halves: NDArray[np.int64], edges: NDArray[np.int64]) -> Estimate:
    """A share of edges with Wilson's interval at their effective number.

    Args:
        halves: per group, twice the number of edges with the property, [groups].
        edges: per group, the number of edges, [groups].

    Example:
        >>> round(share(np.array([2, 2, 0, 2]), np.array([1, 1, 1, 1])).low, 3)
        0.256
    """
    held = edges > 0
    halves, edges = halves[held], edges[held]
    num_edges = int(edges.sum())
    if not num_edges:
        return Estimate(value=0.5, low=0.0, high=1.0, n=0)
    value = float(halves.sum()) / (2 * num_edges)
    n = _effective(halves, edges, value=value)
    low, high = wilson(value, n)
    return Estimate(value=value, low=low, high=high, n=num_edges)


def _effective(halves: NDArray[np.int64], edges: NDArray[np.int64], *, value: float) -> float:
    """Edges divided by the design effect of their groups; at most their number, and 1 if all share a group."""
    num_edges, num_groups = float(edges.sum()), len(edges)
    if num_groups == 1 or value in (0.0, 1.0):
        return float(num_groups)
    squares = np.sum(halves**2) / 4 - value * np.sum(halves * edges) + value**2 * np.sum(edges**2)
    variance = float(num_groups / (num_groups - 1) * squares) / num_edges**2
    independent = value * (1 - value) / num_edges
    return min(num_edges, num_edges * independent / variance) if variance > 0 else num_edges


def _sums(edges: Table, halves: Mapping[str, ibis.Value]) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Per name and group: the sum of the halves, and the number of edges with a value."""
    sums = {f"{name} halves": value.sum() for name, value in halves.items()}
    counts = {f"{name} edges": value.count() for name, value in halves.items()}
    per_group = in_memory(edges.group_by("thread").agg(**sums, **counts))

    def column(name: str) -> NDArray[np.int64]:
        return per_group[name].fill_null(0).to_numpy().astype(np.int64)

    return {name: (column(f"{name} halves"), column(f"{name} edges")) for name in halves}


def _by_direction(halves: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Halves won by choosing the longer (or shorter) response, as in the other groups."""
    lead = (halves.sum() - halves) - (edges.sum() - edges)
    return np.where(lead > 0, halves, np.where(lead < 0, 2 * edges - halves, edges))


def _by_author(edges: Table, answers: Table) -> Table:
    """Edges with `right`: 2 if the winner's author has the higher mean score in other groups, 1 if unknown."""
    known = answers.filter(answers.author.notnull())
    judged = known.semi_join(edges, "thread")
    here = judged.group_by(["thread", "author"]).agg(total=judged.score.sum(), count=judged.score.count())
    everywhere = known.group_by("author").agg(all_total=known.score.sum(), all_count=known.score.count())
    elsewhere = here.join(everywhere, "author")
    means = elsewhere.filter(elsewhere.all_count > elsewhere["count"]).select(
        "thread",
        "author",
        mean=((elsewhere.all_total - elsewhere.total) / (elsewhere.all_count - elsewhere["count"])).round(9),
    )
    placed = judged.join(means, ["thread", "author"]).select("thread", "place", "mean")
    winners = placed.select("thread", winner="place", winner_mean="mean")
    losers = placed.select("thread", loser="place", loser_mean="mean")
    placed_edges = edges.left_join(winners, ["thread", "winner"]).select(edges, "winner_mean")
    placed_edges = placed_edges.left_join(losers, ["thread", "loser"]).select(placed_edges, "loser_mean")
    return placed_edges.select(
        "thread", right=in_halves(placed_edges.winner_mean, placed_edges.loser_mean).fill_null(1)
    )
