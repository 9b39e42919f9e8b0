"""Some columns of any file as a query for DuckDB, with an account of the records that were not read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tropism.errors import DataError
from tropism.ingest.csv_records import csv_header, csv_records, refuse_repeated
from tropism.ingest.duck_text import csv_query, identifier, json_query, literal
from tropism.ingest.file_kinds import empty, kind_of, nearest
from tropism.ingest.json_records import REPEATED
from tropism.ingest.row_reader import open_parquet, read_rows
from tropism.ingest.row_values import Unusable, encodable
from tropism.ingest.rows import NOT_UTF8, NotRead, Row

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "__row__"
"""The column with a record's number, from 1 and without a header. For messages, never for results."""

_DUCKS_NUMBER = "file_row_number"
_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True)
class TableFile:
    """Some columns of a file.

    Args:
        query: for DuckDB; its columns are `c0`, `c1`, ... in the order asked for, and `ROW`.
        parquet: a Parquet file with these columns, if there is one.
        is_fast: whether DuckDB reads the file itself.
        not_read: records that cannot be read.
    """

    query: str
    parquet: Path | None = None
    is_fast: bool = True
    not_read: NotRead = field(default_factory=NotRead)


def open_table(
    path: Path, columns: Sequence[str], *, connection: Any, folder: Path, skip_bad: bool = False
) -> TableFile:
    """Some columns of a file, folder or hub data set, read once whole, so that every fault is known before any use.

    Values of CSV and JSON are text, as written, so that a key `007` never becomes 7; numbers of JSON may be written
    anew (2.10 as 2.1); Parquet keeps its types.

    Args:
        path: a JSONL, JSON, CSV, TSV or Parquet file, text packed with gzip or not; or what else `read_rows` reads.
        columns: the names that are needed, to the letter.
        connection: of DuckDB.
        folder: for a copy of a file that DuckDB does not read; it must stay as long as the query is used.
        skip_bad: leave out records that cannot be read, and count them; otherwise the first one is an error.

    Raises:
        DataError: if the file cannot be read, lacks a column, or has a record that cannot be read.
    """
    require_distinct(path, columns)
    kind = kind_of(path) if not path.is_dir() and path.exists() else None
    if kind == "parquet":
        return _parquet_table(connection, path, columns, skip_bad=skip_bad)
    query = None
    if kind in ("csv", "tsv"):
        header = csv_header(path, tab=kind == "tsv")
        require_columns(path, columns, header.names)
        if not (header.is_utf8 or skip_bad):
            raise _unreadable(path, "line 1", NOT_UTF8, NOT_UTF8, count=1)
        query = csv_query(connection, path, columns, header)
    elif kind:
        found = json_query(connection, path, columns, lines=kind == "jsonl")
        query = found.query if found and _has_names(path, found.null) else None
    if query is None:
        return _slow_table(path, columns, folder / "rows.parquet", skip_bad=skip_bad)
    return TableFile(f'SELECT *, row_number() OVER () AS "{ROW}" FROM ({query})')  # noqa: S608  (our own names)


def write_parquet(file: TableFile, target: Path, *, connection: Any) -> int:
    """Write the columns of a file as Parquet, and count the rows."""
    quoted_target = "'" + str(target).replace("'", "''") + "'"
    (number,) = connection.execute(f"COPY ({file.query}) TO {quoted_target} (FORMAT parquet)").fetchone()
    return int(number)


def require_distinct(path: Path, columns: Sequence[str]) -> None:
    """Refuse columns that no engine can tell apart.

    Raises:
        DataError: for a column without a name or with the name of our row numbers, and for two that differ only in
            case.
    """
    for column in columns:
        if not column or column.lower() == ROW:
            raise DataError(f"{path} has a column named {column!r}, which cannot be read.", remedy="Rename it.")
        alike = [other for other in columns if other != column and other.lower() == column.lower()]
        if alike:
            raise DataError(
                f"the columns {column!r} and {alike[0]!r} of {path} differ only in case, and cannot both be read.",
                remedy="Rename one of them.",
            )


def require_columns(path: Path, columns: Sequence[str], present: Sequence[str]) -> None:
    """Refuse a file in which a column is not there, or comes twice; names count to the letter.

    Raises:
        DataError: naming the nearest column for one that is missing.
    """
    for column in columns:
        if column not in present:
            close = nearest(column, present)
            raise DataError(
                f"{path} has no column {column!r}; its columns are {', '.join(present)}.",
                remedy=f"Did you mean {close!r}?" if close else "Name one of them.",
            )
    refuse_repeated(path, [name for name in present if name in columns])


def _has_names(path: Path, columns: Sequence[str]) -> bool:
    """Whether columns that are null in all records are named in some."""
    absent = set(columns)
    rows = iter(read_rows(path)) if absent else iter(())
    while absent and (row := next(rows, None)) is not None:
        absent -= row.values.keys()
    return not absent


def _parquet_table(connection: Any, path: Path, columns: Sequence[str], *, skip_bad: bool) -> TableFile:
    """Columns by their places, for DuckDB renames one of two names that differ only in case."""
    import pyarrow as pa

    schema = open_parquet(path).schema_arrow
    names = schema.names
    require_columns(path, columns, names)
    for name in columns:
        if pa.types.is_nested(schema.field(name).type):
            raise DataError(
                f"column {name!r} of {path} holds lists or objects, but text or numbers were expected.",
                remedy="Name a column of plain values, or flatten it first.",
            )
    # DuckDB numbers the rows itself, unless a column has the name that it gives the numbers
    is_numbered = all(name.lower() != _DUCKS_NUMBER for name in names)
    number = f"{_DUCKS_NUMBER} + 1" if is_numbered else "row_number() OVER ()"
    given = [row[0] for row in connection.execute(f"DESCRIBE FROM read_parquet({literal(path)})").fetchall()]
    kinds = {name: schema.field(name).type for name in columns}
    binary = [name for name, kind in kinds.items() if _is_binary(kind)]
    sources = {name: identifier(given[names.index(name)]) for name in columns}
    wanted = ", ".join(
        f"{f'TRY(decode({source}))' if name in binary else source} AS c{at}"
        for at, (name, source) in enumerate(sources.items())
    )
    source = f"read_parquet({literal(path)}{', file_row_number = true' if is_numbered else ''})"
    if not skip_bad:
        for name in binary:
            _require_utf8(connection, path, name, f"SELECT {sources[name]} AS value, {number} AS number FROM {source}")  # noqa: S608
    query = f'SELECT {wanted}, {number} AS "{ROW}" FROM {source}'  # noqa: S608  (quoted names)
    return TableFile(query, parquet=None if binary else path)


def _is_binary(kind: Any) -> bool:
    """Whether an Arrow type holds bytes."""
    import pyarrow as pa

    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    ) or str(kind) in ("binary_view",)


def _require_utf8(connection: Any, path: Path, name: str, query: str) -> None:
    """Refuse a column of bytes that are no text."""
    count, first = connection.execute(
        f"SELECT count(*), min(number) FROM ({query}) WHERE value IS NOT NULL AND TRY(decode(value)) IS NULL"  # noqa: S608
    ).fetchone()
    if count:
        raise _unreadable(path, f"row {first}", NOT_UTF8, f"{name!r} holds {NOT_UTF8}", count=count)


def _slow_table(path: Path, columns: Sequence[str], target: Path, *, skip_bad: bool) -> TableFile:
    """The columns as `read_rows` reads them, in a Parquet file of their own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([*((f"c{at}", pa.string()) for at in range(len(columns))), (ROW, pa.int64())])
    found, rows = _Found(columns), _rows(path, columns)
    with pq.ParquetWriter(target, schema) as writer:
        for table in found.tables(rows, schema):
            writer.write_table(table)
    if found.first and not skip_bad:
        row, reason, detail = found.first
        raise _unreadable(path, row.place, reason, detail, count=found.not_read.counts[reason])
    if not found.num_rows:
        raise _nothing_read(path, found.not_read)
    require_columns(path, columns, list(found.names))
    query = f"SELECT * FROM read_parquet({literal(target)})"  # noqa: S608
    return TableFile(query, target, is_fast=False, not_read=found.not_read)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a file; of CSV no cell is taken for more than text."""
    kind = kind_of(path) if path.is_file() else None
    if kind in ("csv", "tsv"):
        return csv_records(path, tab=kind == "tsv", wanted=columns, cell=lambda cell: cell or None)
    return read_rows(path)


class _Found:
    """What the rows of a file hold in some columns."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns
        self.names: dict[str, None] = {}
        self.num_rows = 0
        self.first: tuple[Row, str, str] | None = None
        self.not_read = NotRead()

    def tables(self, rows: Iterator[Row], schema: pa.Schema) -> Iterator[pa.Table]:
        """The sound rows as text, some at a time."""
        import pyarrow as pa

        sound = (cells for row in rows if (cells := self._cells(row)) is not None)
        while some := list(islice(sound, _ROWS_AT_ONCE)):
            columns = zip(zip(*some, strict=True), schema.types, strict=True)
            yield pa.Table.from_arrays([pa.array(cells, kind) for cells, kind in columns], schema=schema)

    def _cells(self, row: Row) -> tuple[Any, ...] | None:
        """A row's values and number; None for one that cannot be read, which is counted."""
        if row.problem:
            self._lose(row, row.problem, row.detail or row.problem)
            return None
        try:
            cells = [_cell(row.values.get(name), name) for name in self.columns]
        except Unusable as reason:
            self._lose(row, str(reason), str(reason))
            return None
        if row.values.keys() != self.names.keys():
            self.names.update(dict.fromkeys(row.values))
        self.num_rows += 1
        return (*cells, row.number)

    def _lose(self, row: Row, reason: str, detail: str) -> None:
        """Count a row that cannot be read."""
        self.not_read.add(reason, row.place)
        self.first = self.first or (row, reason, detail)


def _cell(value: Any, name: str) -> str | None:
    """A plain value as text."""
    if value is None or isinstance(value, str):
        return value if value is None or value.isascii() else encodable(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        raise Unusable(f"{name!r} is a list or an object, not text or a number")
    if value is REPEATED:
        raise Unusable(f"{name!r} comes twice in its object")
    if isinstance(value, bytes):
        raise Unusable(NOT_UTF8)
    return _NOT_FINITE.get(str(value), str(value))


_NOT_FINITE: Mapping[str, str] = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _unreadable(path: Path, place: str, reason: str, detail: str, *, count: int) -> DataError:
    """The error for the first record that cannot be read, with the number of records like it."""
    fix = (
        "Save the file again in UTF-8" if reason == NOT_UTF8 else "Correct or remove such rows, or name another column"
    )
    return DataError(
        f"{path} cannot be read: {place}: {detail} ({count} such row{'s' if count > 1 else ''}).",
        remedy=f"{fix}; `skip_bad` drops and counts them.",
    )


def _nothing_read(path: Path, not_read: NotRead) -> DataError:
    """The error for a file of which no record can be read."""
    if not not_read:
        return empty(path)
    number = sum(not_read.counts.values())
    return DataError(f"none of the {number} rows of {path} can be read: {not_read}.", remedy="Correct the rows.")
