"""Rows that repeat an earlier row of their side, exactly or nearly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from tropism.data.audit.findings import Ledger, Place
from tropism.data.audit.units import Unit
from tropism.data.audit.words import RowText, number_of
from tropism.data.keys import group_key
from tropism.groups import PreferenceGroup, Split, content_key
from tropism.near import NearTexts, RunCounts, Runs, is_near

_MARKS = {fared: np.uint64(hash(f"fared {fared}") % 2**64) for fared in (-1, 0, 1)}
"""What makes the runs of preferred, rejected and other responses different."""


class DuplicateRows:
    """Finds rows that come twice.

    A first pass over all rows finds exact copies and counts words; in a second one `see_again` takes the rows anew, and
    `report` says what was found.
    """

    def __init__(self) -> None:
        self._keys: set[int] = set()
        self._copies: set[int] = set()
        self._counts = _Counts()
        self._sides: dict[Split | None, _Side] = defaultdict(lambda: _Side(self._counts))

    def add(self, ledger: Ledger, unit: Unit, group: PreferenceGroup, text: RowText) -> None:
        """Take a row of the first pass."""
        key = _row_key(unit, group)
        if key in self._keys:
            ledger.found("duplicate-rows", unit.place)
            ledger.drop_row("duplicate-rows", unit.place)
            self._copies.add(unit.place.ordinal)
            return
        self._keys.add(key)
        self._counts.answers.add(_answer_runs(group, text))
        self._counts.prompts.add(text.prompt_runs)

    def see_again(self, unit: Unit, group: PreferenceGroup, text: RowText) -> None:
        """Take a row of the second pass."""
        if unit.place.ordinal not in self._copies:
            self._sides[unit.side].add(unit.place, _answer_runs(group, text), text.prompt_runs)

    def report(self, ledger: Ledger) -> None:
        """Say which rows are near an earlier one: by their prompts, and by their responses and how these fared."""
        for place in sorted(place for side in self._sides.values() for place in side.later_twins()):
            ledger.found("near-duplicate-rows", place)
            ledger.drop_row("near-duplicate-rows", place)


class _Counts:
    """The words of all rows that are no copies."""

    def __init__(self) -> None:
        self.answers, self.prompts = RunCounts(), RunCounts()


class _Side:
    """The rows of one side of a split, by their answers and by their prompts."""

    def __init__(self, counts: _Counts) -> None:
        self._places: list[Place] = []
        self._answers, self._prompts = NearTexts(counts.answers), NearTexts(counts.prompts)

    def add(self, place: Place, answers: Runs, prompt: Runs) -> None:
        """Take a row."""
        self._places.append(place)
        self._answers.add(answers)
        self._prompts.add(prompt)

    def later_twins(self) -> Iterator[Place]:
        """Rows that share enough of both with an earlier one."""
        for row, place in enumerate(self._places):
            if self._has_earlier(row):
                yield place

    def _has_earlier(self, row: int) -> bool:
        """Both must be near, so it is enough to look at the rows that are near by what is rarer."""
        answers, prompt = self._answers.runs(row), self._prompts.runs(row)
        if self._answers.num_looked_at(answers) <= self._prompts.num_looked_at(prompt):
            asked, runs, others, theirs = self._answers, answers, self._prompts, prompt
        else:
            asked, runs, others, theirs = self._prompts, prompt, self._answers, answers
        found = asked.near(runs, among=lambda numbers: np.less(numbers, row))
        return any(is_near(theirs, others.runs(other)) for other in found)


def _row_key(unit: Unit, group: PreferenceGroup) -> int:
    """Equal where two rows of one side say the same, whatever they are called."""
    edges = [(edge.winner, edge.loser, edge.weight, edge.margin, edge.prob) for edge in group.edges]
    labels = [(label.response, label.desirable, label.weight) for label in group.labels]
    told = [(response.prompt, content_key(response.content)) for response in group.responses]
    return number_of(repr((unit.side, group_key(group), told, edges, labels)))


def _answer_runs(group: PreferenceGroup, text: RowText) -> Runs:
    """The runs of words of all responses, each marked by how the response fared."""
    fared = [0.0] * len(group.responses)
    for edge in group.edges:
        fared[edge.winner] += edge.prob - 0.5
        fared[edge.loser] -= edge.prob - 0.5
    for label in group.labels:
        fared[label.response] += 1 if label.desirable else -1
    marked = [runs ^ _MARKS[int(np.sign(place))] for runs, place in zip(text.answer_runs, fared, strict=True)]
    return np.unique(np.concatenate(marked))
