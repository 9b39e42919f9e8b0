"""What stands on both sides of a split: prompts, near-duplicates of prompts, authors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tropism.data.audit.findings import Ledger, Place
from tropism.data.audit.units import Unit
from tropism.data.audit.words import RowText, number_of
from tropism.groups import PreferenceGroup, Split
from tropism.near import NearTexts, RunCounts, Runs

LeaksFrom: TypeAlias = Literal["train", "eval"]


@dataclass(slots=True)
class _Sides:
    """Rows by the side they are on; rows without one are trained on, or held out by a hash that knows prompts only."""

    trained: list[Place] = field(default_factory=list)
    held: list[Place] = field(default_factory=list)

    def add(self, side: Split | None, place: Place) -> None:
        """Take a row."""
        (self.held if side == "eval" else self.trained).append(place)


class Prompts:
    """Finds prompts that come nearly twice, and what stands on both sides; in two passes, as `DuplicateRows` does."""

    def __init__(self) -> None:
        self._rows: dict[int, _Sides] = defaultdict(_Sides)
        self._authors: dict[str, _Sides] = defaultdict(_Sides)
        self._counts = RunCounts()
        self._trained, self._held = _Side(self._counts), _Side(self._counts)

    def add(self, unit: Unit, group: PreferenceGroup, text: RowText) -> None:
        """Take a row of the first pass."""
        key = number_of(text.prompt)
        if key not in self._rows:
            self._counts.add(text.prompt_runs)
        self._rows[key].add(unit.side, unit.place)
        for author in authors_of(group):
            self._authors[author].add(unit.side, unit.place)

    def see_again(self, unit: Unit, text: RowText) -> None:
        """Take a row of the second pass."""
        key = number_of(text.prompt)
        rows = self._rows[key]
        for side, places in ((self._trained, rows.trained), (self._held, rows.held)):
            if places and places[0] == unit.place:
                side.add(key, text.prompt_runs)

    def report(self, ledger: Ledger, *, leaks_from: LeaksFrom) -> None:
        """Say what was found.

        Args:
            ledger: takes it.
            leaks_from: the side that a repair takes leaked prompts from.
        """
        ledger.totals["prompts"] = len(self._rows)
        ledger.totals["evaluation rows"] = sum(len(rows.held) for rows in self._rows.values())
        self._report_twins(ledger)
        for rows in self._rows.values():
            _leak(ledger, "leaked-prompts", rows.held, rows.trained, leaks_from)
        self._report_near_leaks(ledger, leaks_from)
        self._report_authors(ledger)

    def _report_twins(self, ledger: Ledger) -> None:
        """Prompts near an earlier one of their own side; across sides they are leaks."""
        order = {key: place for place, key in enumerate(self._rows)}
        found = {key for side in (self._trained, self._held) for key in side.later_twins(order)}
        for key in sorted(found, key=order.__getitem__):
            rows = self._rows[key]
            ledger.found("near-duplicate-prompts", (rows.trained or rows.held)[0])

    def _report_near_leaks(self, ledger: Ledger, leaks_from: LeaksFrom) -> None:
        """Prompts that are evaluated on only, and those near them that are trained on."""
        only_held = _Side(self._counts)
        for key, runs in self._held.texts():
            if not self._rows[key].trained:
                only_held.add(key, runs)
        leaked = only_held.near(self._trained)
        for place in sorted(place for key in leaked for place in self._rows[key].held):
            ledger.found("leaked-near-prompts", place)
        dropped = self._trained.near(only_held) if leaks_from == "train" else leaked
        for key in dropped:
            for place in self._rows[key].trained if leaks_from == "train" else self._rows[key].held:
                ledger.drop_row("leaked-near-prompts", place)

    def _report_authors(self, ledger: Ledger) -> None:
        """Evaluation rows with an author who is trained on."""
        leaked = {place for sides in self._authors.values() if sides.trained for place in sides.held}
        for place in sorted(leaked):
            ledger.found("leaked-authors", place)


class _Side:
    """The prompts of one side, by their keys."""

    def __init__(self, counts: RunCounts) -> None:
        self._keys: list[int] = []
        self._texts = NearTexts(counts)

    def add(self, key: int, runs: Runs) -> None:
        """Take a prompt."""
        self._keys.append(key)
        self._texts.add(runs)

    def texts(self) -> Iterator[tuple[int, Runs]]:
        """The prompts, with their runs where another text may be near them."""
        for number, key in enumerate(self._keys):
            yield key, self._texts.runs(number)

    def later_twins(self, order: Mapping[int, int]) -> list[int]:
        """The prompts that are near one that comes before them in an order."""
        places = np.array([order[key] for key in self._keys], np.int64)

        def has_earlier(key: int, runs: Runs) -> bool:
            return any(True for _ in self._texts.near(runs, among=lambda others: places[others] < order[key]))

        return [key for key, runs in self.texts() if has_earlier(key, runs)]

    def near(self, other: _Side) -> list[int]:
        """The prompts that are near one of the other side, which holds none of these."""
        return [key for key, runs in self.texts() if any(True for _ in other._texts.near(runs, among=_all))]


def _all(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Ask about every text."""
    return np.ones(len(numbers), bool)


def authors_of(group: PreferenceGroup) -> list[str]:
    """Who wrote the responses, where `extra` says so under `author` or `authors`.

    Example:
        >>> from tropism.groups import Response
        >>> authors_of(PreferenceGroup("g", ("p",), (Response("a", "x"),), extra={"authors": ["bo", "al", None]}))
        ['al', 'bo']
    """
    named = group.extra.get("authors")
    listed = named if isinstance(named, list | tuple) else [named]
    return sorted({str(author) for author in [group.extra.get("author"), *listed] if author not in (None, "")})


def _leak(ledger: Ledger, check: str, held: list[Place], trained: list[Place], leaks_from: LeaksFrom) -> None:
    """Evaluation rows that training knows."""
    if held and trained:
        for place in held:
            ledger.found(check, place)
        for place in trained if leaks_from == "train" else held:
            ledger.drop_row(check, place)
