"""Rows that repeat an earlier row of their side, exactly or nearly."""

from __future__ import annotations

import numpy as np

from tropism.data.audit.audited_rows import AuditedRow
from tropism.data.audit.findings import Ledger, RowPlace
from tropism.data.audit.row_texts import RowText, number_of
from tropism.data.group_keys import group_key
from tropism.groups import PreferenceGroup, Split, content_key
from tropism.metrics.near_duplicates import NearTexts, Runs

_MARKS = {fared: np.uint64(hash(f"fared {fared}") % 2**64) for fared in (-1, 0, 1)}
"""What makes the runs of preferred, rejected and other responses different."""


class DuplicateRows:
    """Finds rows that come twice, exactly or nearly: by their prompts, and by their responses and how these fared."""

    def __init__(self) -> None:
        self._keys: set[int] = set()
        self._rows: list[tuple[RowPlace, Split | None]] = []
        self._answers, self._prompts = NearTexts(), NearTexts()

    def add(self, ledger: Ledger, unit: AuditedRow, group: PreferenceGroup, text: RowText) -> None:
        """Take a row."""
        key = _row_key(unit, group)
        if key in self._keys:
            ledger.found("duplicate-rows", unit.place)
            ledger.drop_row("duplicate-rows", unit.place)
            return
        self._keys.add(key)
        self._rows.append((unit.place, unit.side))
        self._answers.add(_answer_runs(group, text), collection=unit.side)
        self._prompts.add(text.prompt_runs, collection=unit.side)

    def report(self, ledger: Ledger) -> None:
        """Say which rows are near an earlier one of their side."""
        for row, (place, side) in enumerate(self._rows):
            if self._has_earlier(row, side):
                ledger.found("near-duplicate-rows", place)
                ledger.drop_row("near-duplicate-rows", place)

    def _has_earlier(self, row: int, side: Split | None) -> bool:
        """Both must be near, so it is enough to look at the rows that are near by what is rarer."""
        asked, other = self._answers, self._prompts
        if asked.num_looked_at(row, collection=side) > other.num_looked_at(row, collection=side):
            asked, other = other, asked
        found = asked.near(row, collection=side, among=lambda rows: np.less(rows, row))
        return any(other.are_near(row, earlier) for earlier in found)


def _row_key(unit: AuditedRow, group: PreferenceGroup) -> int:
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
