"""One record of a file, and the account of the records that were not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

NUM_EXAMPLES = 5

NOT_JSON = "not valid JSON"
NO_OBJECT = "not a JSON object"
NOT_UTF8 = "text that is not valid UTF-8"
TOO_DEEP = "nested too deeply"
FEWER_CELLS = "fewer cells than columns"
MORE_CELLS = "more cells than columns"
NOT_CSV = "not a valid CSV record"
NOT_PYTHON = "a value that cannot be read"


class Row(NamedTuple):
    """One record of a file.

    Args:
        number: counted from 1: the line of a JSONL file, the record of any other (a CSV header is no record).
        values: the columns; empty if the record cannot be read.
        problem: why it cannot be read, one of a small number of reasons; empty if it can.
        detail: the problem with the particulars of this record.
        line: the line at which a record of a text file begins, from 1; 0 if unknown.
        offset: the place of a JSONL line in the unpacked file, in bytes.
        size: the bytes of that line, with its line end.
    """

    number: int
    values: Mapping[str, Any]
    problem: str = ""
    detail: str = ""
    line: int = 0
    offset: int = 0
    size: int = 0

    @property
    def place(self) -> str:
        """Where the record is, for an error.

        Example:
            >>> Row(2, {}, "not valid JSON", line=3).place
            'line 3'
        """
        return f"line {self.line}" if self.line else f"row {self.number}"


@dataclass
class NotRead:
    """The rows of a source that were not read: how many for each reason, and the first few of each.

    Example:
        >>> lost = NotRead()
        >>> lost.add("not valid JSON", 3)
        >>> lost.add("not valid JSON", 7)
        >>> str(lost)
        'not valid JSON: 2 (rows 3, 7)'
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, place: int | str) -> None:
        """Count a row that is not read.

        Args:
            reason: one of a small number of fixed texts.
            place: the row's number, or its place in words.
        """
        self.counts[reason] += 1
        self.remember(reason, place)

    def remember(self, reason: str, place: int | str) -> None:
        """Keep the place of a row as an example if there are fewer than five of the reason."""
        places = self.examples.setdefault(reason, [])
        if len(places) < NUM_EXAMPLES:
            places.append(str(place))

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        """The reasons, the most frequent first."""
        return "; ".join(
            f"{reason}: {count}{_in_brackets(self.examples.get(reason, ()))}"
            for reason, count in self.counts.most_common()
        )


def _in_brackets(places: list[str] | tuple[str, ...]) -> str:
    """Examples of rows behind a count."""
    if not places:
        return ""
    word = ("rows " if len(places) > 1 else "row ") if places[0].isdigit() else ""
    return f" ({word}{', '.join(places)})"
