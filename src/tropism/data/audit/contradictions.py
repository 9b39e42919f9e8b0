"""Finds comparisons and labels that contradict each other: in both directions, in cycles, or in labels."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from tropism.data.audit.audited_rows import AuditedRow
from tropism.data.audit.findings import Ledger, RowPlace
from tropism.data.audit.row_texts import number_of
from tropism.data.group_keys import group_key
from tropism.groups import PreferenceGroup, content_key

Arc: TypeAlias = tuple[int, int]
"""A winner and a loser, each by the hash of what it says."""


class RowVerdict(NamedTuple):
    """One edge or label of one row."""

    ordinal: int
    part: int
    weight: float


class RowVerdicts:
    """Collects the edges and labels of all rows, about 50 bytes each, and finds what contradicts what."""

    def __init__(self) -> None:
        self._edges = _Table()
        self._labels = _Table()

    def add(self, unit: AuditedRow, group: PreferenceGroup) -> None:
        """Take the verdicts of a row; ties are none."""
        prompt = number_of(group_key(group))
        sides = [number_of(f"{response.prompt}\x1f{content_key(response.content)}") for response in group.responses]
        for index, edge in enumerate(group.edges):
            weight = edge.weight * (2 * edge.prob - 1)
            if edge.prob > 0.5 and sides[edge.winner] != sides[edge.loser]:
                self._edges.add((prompt, sides[edge.winner], sides[edge.loser]), (unit.place.ordinal, index), weight)
        for index, label in enumerate(group.labels):
            key = (prompt, sides[label.response], int(label.desirable))
            self._labels.add(key, (unit.place.ordinal, index), label.weight)

    def report(self, ledger: Ledger) -> None:
        """Say what was found, and which verdicts a repair would leave out."""
        for arcs in self._edges.by_prompt():
            ledger.totals["pairs of responses"] += len({frozenset(arc) for arc in arcs})
            if len(arcs) > 1:
                _contradictions(ledger, arcs)
                _circles(ledger, arcs)
        for labels in self._labels.by_prompt():
            ledger.totals["labelled responses"] += len({response for response, _ in labels})
            _label_conflicts(ledger, labels)


def _contradictions(ledger: Ledger, arcs: dict[Arc, list[RowVerdict]]) -> None:
    """Take out of the arcs what a heavier verdict contradicts."""
    for arc in [arc for arc in arcs if arc[0] < arc[1] and arc[::-1] in arcs]:
        sides = (arc, arc[::-1])
        lighter = _lighter(*(arcs[side] for side in sides))
        ledger.found("contradictory-edges", _completed_by(ledger, arcs[arc], arcs[arc[::-1]]))
        for side, is_lighter in zip(sides, lighter, strict=True):
            if is_lighter:
                _leave_out(ledger, "contradictory-edges", arcs.pop(side))


def _circles(ledger: Ledger, arcs: dict[Arc, list[RowVerdict]]) -> None:
    """Take the lightest arc out of each circle."""
    weights = {arc: sum(verdict.weight for verdict in verdicts) for arc, verdicts in arcs.items()}
    circle = find_circle(weights)
    if circle:
        ledger.found("preference-cycles", _completed_by(ledger, *(arcs[arc] for arc in circle)))
    while circle:
        lightest = min(circle, key=lambda arc: (weights[arc], arc))
        _leave_out(ledger, "preference-cycles", arcs[lightest])
        del weights[lightest]
        circle = find_circle(weights)


def _label_conflicts(ledger: Ledger, labels: dict[Arc, list[RowVerdict]]) -> None:
    """Labels of one response that differ."""
    for response in [response for response, wanted in labels if wanted and (response, 0) in labels]:
        sides = (labels[(response, 0)], labels[(response, 1)])
        ledger.found("contradictory-labels", _completed_by(ledger, *sides))
        for verdicts, is_lighter in zip(sides, _lighter(*sides), strict=True):
            for verdict in verdicts if is_lighter else ():
                ledger.drop_label("contradictory-labels", ledger.place(verdict.ordinal), verdict.part)


class _Table:
    """Verdicts in flat arrays: prompt, two keys, the row, the index in it, the weight."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._weights = array("d")

    def add(self, keys: tuple[int, int, int], place: tuple[int, int], weight: float) -> None:
        self._numbers.extend((*keys, *place))
        self._weights.append(weight)

    def by_prompt(self) -> Iterator[dict[Arc, list[RowVerdict]]]:
        """For each prompt, its verdicts by their two keys, in the order of the rows."""
        numbers = np.array(self._numbers, dtype=np.int64).reshape(-1, 5)
        order = np.argsort(numbers[:, 0], kind="stable")
        cuts = np.flatnonzero(np.diff(numbers[order, 0])) + 1
        for rows in np.split(order, cuts) if len(order) else ():
            arcs: dict[Arc, list[RowVerdict]] = defaultdict(list)
            for row in rows:
                _, one, other, ordinal, index = (int(number) for number in numbers[row])
                arcs[(one, other)].append(RowVerdict(ordinal, index, self._weights[row]))
            yield dict(arcs)


def find_circle(arcs: Mapping[Arc, float]) -> list[Arc]:
    """The arcs of one circle of a directed graph, or none where there is no circle.

    Example:
        >>> sorted(find_circle({(1, 2): 1.0, (2, 3): 1.0, (3, 1): 1.0, (1, 4): 1.0}))
        [(1, 2), (2, 3), (3, 1)]
        >>> find_circle({(1, 2): 1.0, (2, 3): 1.0, (1, 3): 1.0})
        []
    """
    below: dict[int, list[int]] = defaultdict(list)
    num_above: Counter[int] = Counter()
    for winner, loser in sorted(arcs):
        below[winner].append(loser)
        num_above[loser] += 1
    free = [node for node in list(below) if not num_above[node]]
    while free:
        for loser in below.pop(free.pop(), ()):
            num_above[loser] -= 1
            if not num_above[loser]:
                free.append(loser)
    left = {node for node in num_above if num_above[node]}
    if not left:
        return []
    # every node that is left lies on or below a circle: going up from one, some node comes twice
    above = {loser: winner for winner in sorted(left) for loser in below.get(winner, ())}
    path, seen = [min(left)], {min(left): 0}
    while (up := above[path[-1]]) not in seen:
        seen[up] = len(path)
        path.append(up)
    circle = [*path[seen[up] :], up]
    return list(zip(circle[1:], circle[:-1], strict=True))


def _completed_by(ledger: Ledger, *verdicts: list[RowVerdict]) -> RowPlace:
    """The row that completed a contradiction: of the earliest row of each side, the last."""
    return ledger.place(max(min(verdict.ordinal for verdict in side) for side in verdicts))


def _leave_out(ledger: Ledger, check: str, verdicts: list[RowVerdict]) -> None:
    """Have edges left out."""
    for verdict in verdicts:
        ledger.drop_edge(check, ledger.place(verdict.ordinal), verdict.part)


def _lighter(one: list[RowVerdict], other: list[RowVerdict]) -> tuple[bool, bool]:
    """Which of two sides weighs less; both where they weigh the same."""
    gap = sum(verdict.weight for verdict in one) - sum(verdict.weight for verdict in other)
    return gap <= 0, gap >= 0
