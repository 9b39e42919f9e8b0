"""CSV and JSON read by DuckDB: the fast way for files in which every record is sound.

DuckDB is asked only whether it reads a file whole. What it does not, and what it would read in another way than
`read_rows`, is left to `read_rows`, which knows the reason for every record.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from tropism.ingest.csv_records import Header
from tropism.ingest.file_kinds import is_packed
from tropism.ingest.text_bytes import LONGEST_RECORD, scanned

_REFUSES = (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.IOException)


class JsonQuery(NamedTuple):
    """A query for columns of a JSON file, and those columns that are null in all of its records."""

    query: str
    null: list[str]


def csv_query(connection: Any, path: Path, columns: Sequence[str], header: Header) -> str | None:
    """A query for columns of a CSV file as text, under the names `c0`, `c1`, ...; None if DuckDB cannot be trusted.

    Args:
        connection: of DuckDB.
        path: the file.
        columns: names in the header, each there once.
        header: the file's.
    """
    told = scanned(path, utf8=True)
    is_mixed = told.num_cr > 0 and told.num_lf + told.num_crlf > 0  # DuckDB takes a single CR for part of a cell
    if not told.is_utf8 or is_mixed or len(header.names) == 1:  # of one column, a blank line would be a record
        return None
    places = ", ".join(f"c{place}: 'VARCHAR'" for place in range(len(header.names)))
    wanted = ", ".join(f"c{header.names.index(name)} AS c{at}" for at, name in enumerate(columns))
    packed = "gzip" if is_packed(path) else "uncompressed"
    query = (
        f"SELECT {wanted} FROM read_csv({literal(path)}, columns = {{{places}}}, auto_detect = false, header = true, "  # noqa: S608
        f"delim = {_quoted(header.separator)}, quote = '\"', escape = '\"', compression = '{packed}', "
        f"max_line_size = {LONGEST_RECORD}, buffer_size = {LONGEST_RECORD})"
    )
    return query if _first_row(connection, f"SELECT count(*) FROM ({query})") else None  # noqa: S608


def json_query(connection: Any, path: Path, columns: Sequence[str], *, lines: bool) -> JsonQuery | None:
    """A query for columns of a JSON file as text, under the names `c0`, `c1`, ...; None if DuckDB cannot be trusted.

    Args:
        connection: of DuckDB.
        path: the file.
        columns: names that do not differ in case alone.
        lines: whether every line holds an object; otherwise the file may be a list.
    """
    told = scanned(path, utf8=False)
    is_cut = not lines and told.edges not in (b"[]", b"{}")  # DuckDB takes a list that is cut for a whole one
    if told.has_bom or is_cut:
        return None
    names = [f"c{at}" for at in range(len(columns))]
    values = _json_relation(path, columns, "VARCHAR", lines=lines)
    is_null = " AND ".join(f"{name} IS NULL" for name in names)
    may_be_nested = " OR ".join(f"left({name}, 1) IN ('[', '{{')" for name in names)
    counted = _first_row(
        connection,
        f"SELECT count(*), count(*) FILTER ({is_null}), count(*) FILTER ({may_be_nested}), "  # noqa: S608
        f"{', '.join(f'count({name})' for name in names)} FROM ({values})",
    )
    # blank lines are no rows but have numbers; a record without values may be no object at all
    if not counted or not counted[0] or counted[1] or (lines and counted[0] != told.num_lines):
        return None
    if counted[2]:
        is_nested = " OR ".join(f"json_type({name}) IN ('ARRAY', 'OBJECT')" for name in names)
        typed = _json_relation(path, columns, "JSON", lines=lines)
        nested = _first_row(connection, f"SELECT count(*) FROM ({typed}) WHERE {is_nested}")  # noqa: S608
        if not nested or nested[0]:
            return None
    return JsonQuery(values, [name for name, filled in zip(columns, counted[3:], strict=True) if not filled])


def literal(path: Path) -> str:
    """A path for DuckDB in which `*`, `?` and `[` mean themselves."""
    return _quoted(glob.escape(str(path)))


def _quoted(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _json_relation(path: Path, columns: Sequence[str], kind: str, *, lines: bool) -> str:
    """The columns of a JSON file as values of one type."""
    kinds = ", ".join(f"{_quoted(name)}: '{kind}'" for name in columns)
    wanted = ", ".join(f"{identifier(name)} AS c{at}" for at, name in enumerate(columns))
    return (
        f"SELECT {wanted} FROM read_json({literal(path)}, columns = {{{kinds}}}, "  # noqa: S608
        f"format = '{'newline_delimited' if lines else 'auto'}', maximum_object_size = {LONGEST_RECORD}, "
        f"compression = '{'gzip' if is_packed(path) else 'uncompressed'}')"
    )


def identifier(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _first_row(connection: Any, query: str) -> tuple[Any, ...] | None:
    """The first row of a query; None if DuckDB cannot read the file."""
    try:
        row: tuple[Any, ...] | None = connection.execute(query).fetchone()
    except _REFUSES:
        return None
    return row
