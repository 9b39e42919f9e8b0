"""CSV and JSON as tables of DuckDB: read once whole when opened, so that what is wrong is said at once and by row."""

from __future__ import annotations

import csv
import glob
import io
import re
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import duckdb
import ibis
import ibis.expr.datatypes as dt
from ibis import Table
from ibis.backends.duckdb import Backend

from tropism.errors import DataError
from tropism.signals.engines.duck import rejected_lines
from tropism.signals.engines.engine import ROW, rows, scalar
from tropism.signals.engines.file_checks import (
    LONGEST_LINE,
    csv_header,
    empty,
    is_packed,
    not_flat,
    opened,
    require_columns,
    require_plain,
    scanned,
)

_TOO_LONG = f"longer than {LONGEST_LINE:,} bytes"
_BOM = b"\xef\xbb\xbf"


def numbered(connection: Backend, table: Table) -> Table:
    """A table of a file with `ROW`, in the order of the file."""
    # not Ibis' own row_number(): its window has a frame, for which DuckDB gathers all rows first
    name = ibis.util.gen_name("tropism_file")
    connection.create_view(name, table)
    schema = {**table.schema(), ROW: "int64"}
    return connection.sql(f'SELECT *, row_number() OVER () AS "{ROW}" FROM "{name}"', schema=schema)  # noqa: S608  (our own names)


def literal(path: Path) -> str:
    """A path in which `*`, `?` and `[` mean themselves."""
    return glob.escape(str(path))


def open_csv(connection: Backend, path: Path, columns: Sequence[str], *, tab: bool, lenient: bool) -> Table:
    """Read with the names of the first line, by their places; nothing is guessed but the separator."""
    told = scanned(path)
    if told.invalid and not lenient:
        raise DataError(f"{path} is not UTF-8 text: {told.invalid}.", remedy="Save it again in UTF-8.")
    names, separator = csv_header(path, tab=tab)
    require_columns(path, columns, names)
    places = [f"c{place}" for place in range(len(names))]
    wanted = {name: places[names.index(name)] for name in columns}

    def read(from_path: Path, **options: Any) -> Table:
        return connection.read_csv(
            literal(from_path),
            columns=dict.fromkeys(places, "VARCHAR"),
            auto_detect=False,
            header=True,
            delim=separator,
            quote='"',
            escape='"',
            compression="gzip" if is_packed(from_path) else "uncompressed",
            max_line_size=LONGEST_LINE,
            buffer_size=LONGEST_LINE,
            **options,
        ).select(**wanted)

    if told.invalid or (told.num_ends > 1 and not _parses(read(path))):
        copy = with_equal_ends(connection, path, separator=separator, num_columns=len(names), lenient=lenient)
        told_by, options = copy, {"new_line": "\\n"}
    else:
        told_by, options = path, {}

    def store_rejects() -> None:
        # once, and not at every reading: DuckDB would keep every bad record again
        scalar(read(told_by, ignore_errors=True, store_rejects=True, **options).count())

    def place(record: int) -> str:
        with suppress(duckdb.Error):
            store_rejects()
        lines = rejected_lines(connection, record=record)
        return f"line {lines[0]}" if lines else f"record {record - 1}"

    if lenient:
        store_rejects()
        return read(told_by, ignore_errors=True, **options)
    table = read(told_by, **options)
    with _explained(path, lambda message: _csv_reason(message, place), can_skip=True):
        scalar(table.count())
    return table


def _parses(table: Table) -> bool:
    """Whether DuckDB gets through a file."""
    try:
        scalar(table.count())
    except duckdb.InvalidInputException:
        return False
    return True


def with_equal_ends(owner: Any, path: Path, *, separator: str, num_columns: int, lenient: bool) -> Path:
    """A copy of a CSV file whose records all end in LF, for as long as its owner, a connection, is there.

    A record that cannot be read is an error, or if lenient gets a cell too many: DuckDB then leaves it out whatever
    columns it reads. (Invalid UTF-8 it would find only in the columns that it reads.) Every record begins at the line
    at which it begins in the file.
    """
    copy = _scratch(owner) / "records.csv"
    limit = csv.field_size_limit(sys.maxsize)
    try:
        with (
            io.TextIOWrapper(opened(path), "utf-8-sig", errors="surrogateescape", newline="") as file,
            copy.open("w", encoding="utf-8", newline="") as target,
        ):
            lines = _Lines(path, file)
            reader = csv.reader(lines, delimiter=separator, strict=True)
            writer = csv.writer(target, delimiter=separator, lineterminator="\n")
            while (cells := _next_record(path, reader, num_columns=num_columns, lenient=lenient)) is not None:
                writer.writerow(cells)
                lines.begin_record()
    finally:
        csv.field_size_limit(limit)
    return copy


class _Lines(Iterator[str]):
    """The lines of a file, for as long as those of one record are no longer than DuckDB could read."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self._num_lines = self._num_before = self._num_characters = 0

    def begin_record(self) -> None:
        """With the next line, another record begins."""
        self._num_before, self._num_characters = self._num_lines, 0

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self._num_lines += 1
        self._num_characters += len(line)
        if self._num_characters >= LONGEST_LINE:
            raise _unreadable(self._path, f"line {self._num_before + 1}: {_TOO_LONG}", can_skip=False)
        return line


def _next_record(path: Path, reader: Any, *, num_columns: int, lenient: bool) -> list[str] | None:
    """The cells of the next record, one more than `num_columns` for one that cannot be read, None at the end."""
    first = reader.line_num + 1
    try:
        cells: list[str] | None = next(reader, None)
    except csv.Error as error:
        cells, reason = [], str(error)
    else:
        if not cells:
            return cells
        if len(cells) == num_columns + 1 and not cells[-1]:
            cells.pop()  # as DuckDB does
        reason = "" if len(cells) == num_columns else _num_cells(len(cells), num_columns)
    if not reason and _is_utf8(cells):
        return cells
    if lenient:
        return ["?"] * num_columns + ["?" + "\n" * (reader.line_num - first)]  # as many lines as in the file
    raise _unreadable(path, f"line {first}: {reason or 'bytes that are not UTF-8'}", can_skip=True)


def _is_utf8(cells: Sequence[str]) -> bool:
    """Whether no byte of a record had to be escaped."""
    try:
        "".join(cells).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def open_json(connection: Backend, path: Path, columns: Sequence[str], *, lines: bool, lenient: bool) -> Table:
    """Look for the columns in the first records, then in all; read them as text."""
    source = _without_mark(connection, path)
    options: dict[str, Any] = {
        "format": "newline_delimited" if lines else "auto",
        "compression": "gzip" if is_packed(source) else "uncompressed",
        "ignore_errors": lenient and lines,  # a list of objects has no lines that could be left out
    }

    def read(kinds: dict[str, str]) -> Table:
        return connection.read_json(literal(source), columns=kinds, **options)

    with _explained(path, _json_reason, can_skip=lines):
        for sample in (20_480, -1):
            guessed = connection.read_json(literal(source), sample_size=sample, map_inference_threshold=-1, **options)
            if set(columns) <= set(guessed.columns):
                break
        if scalar(guessed.limit(1).count()) == 0:
            raise empty(path)
        if guessed.columns == ("json",) and "json" not in columns:
            if not options["ignore_errors"]:
                raise DataError(
                    f"{path} has values that are no JSON objects.",
                    remedy="Write each answer as one object, its columns by name"
                    + ("; --skip-bad drops and counts the others." if lines else "."),
                )
        else:
            # DuckDB renames one of two names that differ only in case
            lower = {name.lower() for name in guessed.columns}
            hidden = [name for name in columns if name not in guessed.columns and name.lower() in lower]
            found = [name for name in hidden if scalar(read({name: "JSON"})[name].count())]
            require_columns(path, columns, [*guessed.columns, *found])
            require_plain(path, guessed, [name for name in columns if name not in found])
        return _flat(connection, path, read, columns, lenient=lenient)


def _flat(
    connection: Backend, path: Path, read: Callable[[dict[str, str]], Table], columns: Sequence[str], *, lenient: bool
) -> Table:
    """The columns as text; a list or object in one of them stops, or if lenient leaves its record without values."""
    table = read(dict.fromkeys(columns, "JSON"))
    is_nested = {name: _json_type(table[name]).isin(["ARRAY", "OBJECT"]).fill_null(False) for name in columns}
    (found,) = rows(table.aggregate(**{f"c{at}": is_nested[name].sum() for at, name in enumerate(columns)}))
    nested = [name for at, name in enumerate(columns) if found[f"c{at}"]]
    if not nested:
        return read(dict.fromkeys(columns, "VARCHAR"))
    if not lenient:
        told = numbered(connection, table)
        number = found[f"c{columns.index(nested[0])}"]
        first = told.filter(_json_type(told[nested[0]]).isin(["ARRAY", "OBJECT"]))[ROW].min()
        raise not_flat(path, nested[0], number=number, row=scalar(first))
    bad = ibis.or_(*(is_nested[name] for name in nested))
    return table.select(**{name: bad.ifelse(ibis.null("string"), _json_text(table[name], "$")) for name in columns})


def _without_mark(connection: Backend, path: Path) -> Path:
    """The file, or a copy of it without the byte order mark that DuckDB's JSON reader refuses."""
    with opened(path) as file:
        if file.read(len(_BOM)) != _BOM:
            return path
        copy = _scratch(connection) / "records.json"
        with copy.open("wb") as target:
            shutil.copyfileobj(file, target)
    return copy


def _scratch(owner: Any) -> Path:
    """A folder for copies that is gone when its owner is, or the program ends."""
    folder = Path(tempfile.mkdtemp(prefix="tropism-"))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def _explained(path: Path, reason: Callable[[str], str | None], *, can_skip: bool) -> Iterator[None]:
    """Turn what DuckDB says of a broken file into one line with the row and the reason."""
    try:
        yield
    except duckdb.InvalidInputException as error:
        told = reason(str(error))
        if told is None:
            raise
        raise _unreadable(path, told, can_skip=can_skip) from None


def _unreadable(path: Path, reason: str, *, can_skip: bool) -> DataError:
    """The error for a record that cannot be read; a list of objects has none that could be left out."""
    remedy = "Correct or remove that part of the file" + (
        "; --skip-bad drops and counts such rows." if can_skip else "."
    )
    return DataError(f"{path} cannot be read: {reason}.", remedy=remedy)


def _csv_reason(message: str, place: Callable[[int], str]) -> str | None:
    """The place and reason in DuckDB's message about a CSV file, which counts records; None where it has none."""
    record = re.search(r"CSV Error on Line: (\d+)", message)
    cells = re.search(r"^Expected Number of Columns: (\d+) Found: (\d+)", message, re.MULTILINE)
    if not record:
        return None
    begin = place(int(record[1]))
    if cells:
        return f"{begin}: {_num_cells(int(cells[2]), int(cells[1]))}"
    if "\nMaximum line size of" in message:
        return f"{begin}: {_TOO_LONG}"
    if "unterminated quote" in message:
        return f"{begin}: a quoted cell does not end, or something follows its end"
    return begin


def _num_cells(given: int, expected: int) -> str:
    return f"{given} cell{'s' if given != 1 else ''}, but the header has {expected}"


def _json_reason(message: str) -> str | None:
    """The row and reason in DuckDB's message about a JSON file, whose count is one too high where it cannot parse."""
    found = re.search(r" in (?:line|record/value) (\d+): (.*)", message)
    if not found:
        return None
    number = int(found[1]) - ("Malformed JSON" in message[: found.start()])
    reason = found[2].removesuffix(" Try auto-detecting the JSON format").strip().rstrip(".")
    return f"row {number}: {reason if len(reason) <= 200 else reason[:200] + '...'}"


@ibis.udf.scalar.builtin(name="json_type")
def _json_type(value: dt.JSON) -> str:  # type: ignore[empty-body]
    """DuckDB's own function; Ibis has no name for it."""


@ibis.udf.scalar.builtin(name="json_extract_string")
def _json_text(value: dt.JSON, path: str) -> str:  # type: ignore[empty-body]
    """DuckDB's own function; the text of a string, and any other value as written."""
