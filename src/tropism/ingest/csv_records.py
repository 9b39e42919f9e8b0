"""The records of a CSV or TSV file, one after the other, each with its number and line."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from tropism.errors import DataError
from tropism.ingest.file_kinds import empty
from tropism.ingest.rows import FEWER_CELLS, MORE_CELLS, NOT_CSV, NOT_UTF8, Row
from tropism.ingest.text_bytes import BOM, LONGEST_RECORD, TOO_LONG, opened, reading

_SEPARATORS = ",;\t|"


class Header(NamedTuple):
    """The first line of a file: the names of its columns, what separates them, and whether it is UTF-8."""

    names: list[str]
    separator: str
    is_utf8: bool


def csv_header(path: Path, *, tab: bool) -> Header:
    """The names in the first line, and the separator that splits it into most of them.

    Args:
        path: the file. No more than its first `LONGEST_RECORD` bytes are read: a small gzip can hold a line without
            end.
        tab: whether columns are separated by tabs; otherwise the separator is found.

    Raises:
        DataError: if the file is empty, or does not begin with a line of names.
    """
    with reading(path), opened(path) as file:
        first = file.read(LONGEST_RECORD).removeprefix(BOM)
    if not first.strip():
        raise empty(path)
    if first[:1] in (b"\n", b"\r"):
        raise _no_names(path, "its first line is blank", remedy="Remove the blank lines before the names.")
    ends = [place for end in (b"\n", b"\r") if (place := first.find(end)) >= 0]
    if len(first) >= LONGEST_RECORD - len(BOM) and not ends:
        raise _no_names(path, f"its first line is {TOO_LONG}")
    found = []
    for separator in "\t" if tab else _SEPARATORS:
        with io.TextIOWrapper(io.BytesIO(first), "utf-8", errors="replace", newline="") as text:
            try:
                found.append((next(csv.reader(text, delimiter=separator)), separator))
            except csv.Error as error:
                raise _no_names(path, str(error)) from None
    names, separator = max(found, key=lambda one: len(one[0]))
    line = first[: min(ends, default=len(first))]
    return Header([name.strip() for name in names], separator, line.decode("utf-8", "ignore").encode() == line)


def csv_records(path: Path, *, tab: bool, wanted: Collection[str] | None, cell: Callable[[str], Any]) -> Iterator[Row]:
    """The records of a file; a blank line is no record.

    A record has as many cells as the header, or one more that is empty. Blanks between a separator and a quoted cell
    are not part of the cell.

    Args:
        path: the file.
        tab: as in `csv_header`.
        wanted: the names of the columns to read; None reads all that have a name.
        cell: from the text of a cell to its value.

    Raises:
        DataError: if the file cannot be read, two columns that are read have one name, or a record has no end.
    """
    names, separator, _ = csv_header(path, tab=tab)
    read = {at: name for at, name in enumerate(names) if name and (wanted is None or name in wanted)}
    refuse_repeated(path, list(read.values()))
    limit = csv.field_size_limit(sys.maxsize)
    try:
        with (
            reading(path),
            io.TextIOWrapper(opened(path), "utf-8-sig", errors="surrogateescape", newline="") as file,
        ):
            lines = _Lines(path, file, separator)
            reader = csv.reader(lines, delimiter=separator, strict=True)
            next(reader)
            number = 0
            while (row := _next_row(reader, lines, num_cells=len(names))) is not None:
                if row.problem or row.values["cells"]:
                    number += 1
                    cells = row.values.get("cells", ())
                    values = {name: cell(cells[at]) for at, name in read.items()} if cells else {}
                    yield row._replace(number=number, values=values)
    finally:
        csv.field_size_limit(limit)


def refuse_repeated(path: Path, names: list[str]) -> None:
    """Refuse two columns of one name.

    Raises:
        DataError: naming the column.
    """
    for place, name in enumerate(names):
        if name in names[:place]:
            raise DataError(f"{path} has two columns named {name!r}.", remedy="Rename one of them.")


class _Lines(Iterator[str]):
    """The lines of a file, as long as those of one record are no longer than a record may be."""

    def __init__(self, path: Path, file: TextIO, separator: str) -> None:
        self._path, self._file, self._separator = path, file, separator
        self._num_lines = self._num_before = self._num_characters = 0
        self._is_quoted = False

    def begin_record(self) -> None:
        """Another record begins with the next line."""
        self._num_before, self._num_characters, self._is_quoted = self._num_lines, 0, False

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_RECORD)
        if not line:
            raise StopIteration
        self._num_lines += 1
        self._num_characters += len(line)
        if self._num_characters >= LONGEST_RECORD:
            raise DataError(
                f"{self._path} cannot be read: line {self._num_before + 1}: {TOO_LONG}.",
                remedy="Correct or remove that part of the file.",
            )
        if '"' not in line:
            return line
        closed = _closed_up(line, self._separator, is_quoted=self._is_quoted)
        self._is_quoted ^= bool(line.count('"') % 2)
        return closed


def _closed_up(line: str, separator: str, *, is_quoted: bool) -> str:
    """A line without the blanks between a separator and a quoted cell.

    Example:
        >>> _closed_up('a, "b, "" c" ,d', ",", is_quoted=False)
        'a,"b, "" c",d'
    """
    if ' "' not in line and '" ' not in line:
        return line
    parts = line.split('"')
    for at in range(is_quoted, len(parts), 2):
        before = parts[at].rstrip(" ")
        if at + 1 < len(parts) and (before.endswith(separator) or not (before or at)):
            parts[at] = before
        after = parts[at].lstrip(" ")
        if at > 0 and after[:1] in ("", separator, "\r", "\n"):
            parts[at] = after
    return '"'.join(parts)


def _next_row(reader: Any, lines: _Lines, *, num_cells: int) -> Row | None:
    """The next record with its `cells`, or why it cannot be read; None at the end."""
    line = reader.line_num + 1
    lines.begin_record()
    try:
        cells: list[str] | None = next(reader, None)
    except csv.Error as error:
        return Row(0, {}, NOT_CSV, f"{NOT_CSV} ({error})", line)
    if cells is None:
        return None
    if len(cells) == num_cells + 1 and not cells[-1]:
        cells.pop()
    if not _is_utf8(cells):
        return Row(0, {}, NOT_UTF8, line=line)
    if cells and len(cells) != num_cells:
        detail = f"{len(cells)} cell{'s' if len(cells) > 1 else ''}, but the header has {num_cells}"
        return Row(0, {}, MORE_CELLS if len(cells) > num_cells else FEWER_CELLS, detail, line)
    return Row(0, {"cells": cells}, line=line)


def _is_utf8(cells: list[str]) -> bool:
    """Whether no byte of a record had to be escaped."""
    try:
        "".join(cells).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _no_names(path: Path, reason: str, *, remedy: str = "Check what the file is.") -> DataError:
    """The error for a file whose first line does not name its columns."""
    return DataError(f"{path} does not begin with the names of its columns ({reason}).", remedy=remedy)
