"""Rows that repeat an earlier row of their side, exactly or nearly."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tropism.data.audit.findings import Ledger
from tropism.data.audit.near import Signatures, numbers_of, overlap
from tropism.data.audit.units import Unit
from tropism.data.audit.words import NEAR, RowText, number_of
from tropism.data.keys import group_key
from tropism.groups import PreferenceGroup, Split, content_key


class _Seen(NamedTuple):
    """The words of a row that may be a near-duplicate."""

    answers: NDArray[np.int64]
    prompt: NDArray[np.int64]


class DuplicateRows:
    """Finds rows that come twice.

    A first pass over all rows finds exact copies and proposes near ones; `wanted` says of which rows the words must
    be seen once more; `see_again` takes them, and `report` says what was found.
    """

    def __init__(self) -> None:
        self._keys: set[int] = set()
        self._signatures: dict[Split | None, Signatures] = defaultdict(Signatures)
        self._proposed: dict[int, list[int]] = defaultdict(list)
        self._seen: dict[int, _Seen] = {}

    def add(self, ledger: Ledger, unit: Unit, group: PreferenceGroup, text: RowText) -> None:
        """Take a row of the first pass."""
        key = _row_key(unit, group)
        if key in self._keys:
            ledger.found("duplicate-rows", unit.place)
            ledger.drop_row("duplicate-rows", unit.place)
            return
        self._keys.add(key)
        self._signatures[unit.side].add(unit.place.ordinal, _answer_runs(group, text))

    def wanted(self) -> frozenset[int]:
        """The ordinals of the rows whose words decide; ends the first pass."""
        for signatures in self._signatures.values():
            for later, earlier in signatures.twins():
                self._proposed[later].append(earlier)
        return frozenset(self._proposed).union(*self._proposed.values())

    def see_again(self, unit: Unit, group: PreferenceGroup, text: RowText) -> None:
        """Take the words of a wanted row."""
        self._seen[unit.place.ordinal] = _Seen(numbers_of(_answer_runs(group, text)), numbers_of(text.prompt_runs))

    def report(self, ledger: Ledger) -> None:
        """Say which rows are near an earlier one: by their prompts, and by their responses and how these fared."""
        for later, earlier in sorted(self._proposed.items()):
            if any(_is_near(self._seen[later], self._seen[ordinal]) for ordinal in earlier):
                ledger.found("near-duplicate-rows", ledger.place(later))
                ledger.drop_row("near-duplicate-rows", ledger.place(later))


def _is_near(one: _Seen, other: _Seen) -> bool:
    """Whether two rows share enough of both."""
    return overlap(one.answers, other.answers) >= NEAR and overlap(one.prompt, other.prompt) >= NEAR


def _row_key(unit: Unit, group: PreferenceGroup) -> int:
    """Equal where two rows of one side say the same, whatever they are called."""
    edges = [(edge.winner, edge.loser, edge.weight, edge.margin, edge.prob) for edge in group.edges]
    labels = [(label.response, label.desirable, label.weight) for label in group.labels]
    told = [(response.prompt, content_key(response.content)) for response in group.responses]
    return number_of(repr((unit.side, group_key(group), told, edges, labels)))


def _answer_runs(group: PreferenceGroup, text: RowText) -> frozenset[str]:
    """The runs of words of all responses, each marked by how the response fared."""
    fared = [0.0] * len(group.responses)
    for edge in group.edges:
        fared[edge.winner] += edge.prob - 0.5
        fared[edge.loser] -= edge.prob - 0.5
    for label in group.labels:
        fared[label.response] += 1 if label.desirable else -1
    marks = ["+" if place > 0 else "-" if place < 0 else "=" for place in fared]
    return frozenset(mark + run for runs, mark in zip(text.answer_runs, marks, strict=True) for run in runs)
