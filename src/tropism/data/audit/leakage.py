"""Finds prompts, near-duplicates of prompts, and authors on both sides of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tropism.data.audit.audited_rows import AuditedRow
from tropism.data.audit.findings import Ledger, RowPlace
from tropism.data.audit.row_texts import RowText, number_of
from tropism.groups import PreferenceGroup, Split
from tropism.metrics.near_duplicates import NearTexts

LeaksFrom: TypeAlias = Literal["train", "eval"]


@dataclass(slots=True)
class _Sides:
    """Rows by the side they are on; rows without one are trained on, or held out by a hash that knows prompts only."""

    trained: list[RowPlace] = field(default_factory=list)
    held: list[RowPlace] = field(default_factory=list)

    def on(self, side: Split) -> list[RowPlace]:
        """The rows of a side."""
        return self.held if side == "eval" else self.trained


class PromptLeaks:
    """Finds prompts that come nearly twice, and what stands on both sides."""

    def __init__(self) -> None:
        self._rows: dict[int, _Sides] = defaultdict(_Sides)
        self._authors: dict[str, _Sides] = defaultdict(_Sides)
        self._texts = NearTexts()
        self._keys: list[tuple[int, Split]] = []

    def add(self, unit: AuditedRow, group: PreferenceGroup, text: RowText) -> None:
        """Take a row."""
        key = number_of(text.prompt)
        rows = self._rows[key]
        side: Split = "eval" if unit.side == "eval" else "train"
        if not rows.on(side):
            self._texts.add(text.prompt_runs, collection=side)
            self._keys.append((key, side))
        rows.on(side).append(unit.place)
        for author in _authors_of(group):
            self._authors[author].on(side).append(unit.place)

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
        places = np.array([order[key] for key, _ in self._keys], np.int64)

        def has_earlier(number: int, side: Split) -> bool:
            return self._is_near_any(number, side, lambda others: places[others] < places[number])

        found = {key for number, (key, side) in enumerate(self._keys) if has_earlier(number, side)}
        for key in sorted(found, key=order.__getitem__):
            rows = self._rows[key]
            ledger.found("near-duplicate-prompts", (rows.trained or rows.held)[0])

    def _report_near_leaks(self, ledger: Ledger, leaks_from: LeaksFrom) -> None:
        """Prompts that are evaluated on only, and those near them that are trained on."""
        sides = np.array([side for _, side in self._keys], object)
        is_trained = sides == "train"
        is_only_held = np.array([not self._rows[key].trained for key, _ in self._keys], bool)
        leaked = self._rows_near(is_only_held, "train", is_trained)
        for place in leaked:
            ledger.found("leaked-near-prompts", place)
        for place in self._rows_near(is_trained, "eval", is_only_held) if leaks_from == "train" else leaked:
            ledger.drop_row("leaked-near-prompts", place)

    def _rows_near(self, chosen: NDArray[np.bool_], side: Split, others: NDArray[np.bool_]) -> list[RowPlace]:
        """The rows of the chosen prompts that are near one of others on the other side."""
        found = [n for n in np.flatnonzero(chosen).tolist() if self._is_near_any(n, side, lambda n: others[n])]
        return sorted(place for n in found for place in self._rows[self._keys[n][0]].on(self._keys[n][1]))

    def _is_near_any(self, number: int, side: Split, among: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> bool:
        """Is a prompt near one of some others on a side?"""
        return any(True for _ in self._texts.near(number, collection=side, among=among))

    def _report_authors(self, ledger: Ledger) -> None:
        """Evaluation rows with an author who is trained on."""
        leaked = {place for sides in self._authors.values() if sides.trained for place in sides.held}
        for place in sorted(leaked):
            ledger.found("leaked-authors", place)


def _authors_of(group: PreferenceGroup) -> list[str]:
    """Who wrote the responses, where `extra` says so under `author` or `authors`.

    Example:
        >>> from tropism.groups import Response
        >>> _authors_of(PreferenceGroup("g", ("p",), (Response("a", "x"),), extra={"authors": ["bo", "al", None]}))
        ['al', 'bo']
    """
    named = group.extra.get("authors")
    listed = named if isinstance(named, list | tuple) else [named]
    return sorted({str(author) for author in [group.extra.get("author"), *listed] if author not in (None, "")})


def _leak(ledger: Ledger, check: str, held: list[RowPlace], trained: list[RowPlace], leaks_from: LeaksFrom) -> None:
    """Evaluation rows that training knows."""
    if held and trained:
        for place in held:
            ledger.found(check, place)
        for place in trained if leaks_from == "train" else held:
            ledger.drop_row(check, place)
