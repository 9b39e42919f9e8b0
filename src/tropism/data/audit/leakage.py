"""What stands on both sides of a split: prompts, near-duplicates of prompts, authors."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tropism.data.audit.findings import Ledger, Place
from tropism.data.audit.near import Signatures, numbers_of, overlap
from tropism.data.audit.units import Unit
from tropism.data.audit.words import NEAR, RowText, number_of
from tropism.groups import PreferenceGroup, Split

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
        self._first: dict[int, int] = {}
        self._rows: dict[int, _Sides] = defaultdict(_Sides)
        self._authors: dict[str, _Sides] = defaultdict(_Sides)
        self._trained = Signatures()
        self._held = Signatures()
        self._pairs: list[tuple[int, int]] = []
        self._words: dict[int, NDArray[np.int64]] = {}

    def add(self, unit: Unit, group: PreferenceGroup, text: RowText) -> None:
        """Take a row of the first pass."""
        key = number_of(text.prompt)
        rows = self._rows[key]
        if not (rows.held if unit.side == "eval" else rows.trained):
            (self._held if unit.side == "eval" else self._trained).add(key, text.prompt_runs)
        self._first.setdefault(key, unit.place.ordinal)
        rows.add(unit.side, unit.place)
        for author in authors_of(group):
            self._authors[author].add(unit.side, unit.place)

    def wanted(self) -> frozenset[int]:
        """The ordinals of the rows whose prompts decide; ends the first pass."""
        proposed = [*self._trained.twins(), *self._held.twins(), *self._trained.twins_in(self._held)]
        self._pairs = [(key, other) for key, other in proposed if key != other]
        return frozenset(self._first[key] for pair in self._pairs for key in pair)

    def see_again(self, text: RowText) -> None:
        """Take the words of a wanted prompt."""
        self._words[number_of(text.prompt)] = numbers_of(text.prompt_runs)

    def report(self, ledger: Ledger, *, leaks_from: LeaksFrom) -> None:
        """Say what was found.

        Args:
            ledger: takes it.
            leaks_from: the side that a repair takes leaked prompts from.
        """
        ledger.totals["prompts"] = len(self._rows)
        ledger.totals["evaluation rows"] = sum(len(rows.held) for rows in self._rows.values())
        near: dict[int, set[int]] = defaultdict(set)
        for one, other in self._pairs:
            if overlap(self._words[one], self._words[other]) >= NEAR:
                near[one].add(other)
                near[other].add(one)
        self._report_twins(ledger, near)
        for key, rows in self._rows.items():
            _leak(ledger, "leaked-prompts", rows.held, rows.trained, leaks_from)
            twins = [place for other in sorted(near.get(key, ())) for place in self._rows[other].trained]
            if not rows.trained:
                _leak(ledger, "leaked-near-prompts", rows.held, twins, leaks_from)
        self._report_authors(ledger)

    def _report_twins(self, ledger: Ledger, near: dict[int, set[int]]) -> None:
        """Prompts near an earlier one of their own side; across sides they are leaks."""
        for key in sorted(near, key=self._first.__getitem__):
            mine, earlier = self._rows[key], [other for other in near[key] if self._first[other] < self._first[key]]
            if any(
                (mine.trained and self._rows[other].trained) or (mine.held and self._rows[other].held)
                for other in earlier
            ):
                ledger.found("near-duplicate-prompts", (mine.trained or mine.held)[0])

    def _report_authors(self, ledger: Ledger) -> None:
        """Evaluation rows with an author who is trained on."""
        leaked = {place for sides in self._authors.values() if sides.trained for place in sides.held}
        for place in sorted(leaked):
            ledger.found("leaked-authors", place)


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
