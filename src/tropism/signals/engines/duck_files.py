"""Files as tables of DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis import Table
from ibis.backends.duckdb import Backend
from ibis.expr.types import StringValue, Value

from tropism.errors import DataError
from tropism.signals.engines.duck import DuckEngine, connect
from tropism.signals.engines.engine import ROW, data_errors, scalar
from tropism.signals.engines.file_checks import (
    is_packed,
    not_utf8,
    require_columns,
    require_plain,
    require_sound_gzip,
    suffix_of,
)
from tropism.signals.engines.text_files import literal, numbered, open_csv, open_json

_NUMBER = "file_row_number"


def open_in_duckdb(path: Path, columns: Sequence[str], *, lenient: bool = False) -> Table:
    """Open some columns of a file; see `engines.open_file`."""
    suffix = suffix_of(path)
    connection = connect()
    with data_errors(str(path), DuckEngine(connection)):
        if suffix == ".parquet":
            return _open_parquet(connection, path, columns, lenient=lenient)
        if suffix in (".csv", ".tsv"):
            table = open_csv(connection, path, columns, tab=suffix == ".tsv", lenient=lenient)
        else:
            if is_packed(path):
                require_sound_gzip(path)
            table = open_json(connection, path, columns, lines=suffix != ".json", lenient=lenient)
        return numbered(connection, table.select(*columns))


def _open_parquet(connection: Backend, path: Path, columns: Sequence[str], *, lenient: bool) -> Table:
    """Read by the places of the columns, since DuckDB renames one of two names that differ only in case."""
    given = connection.read_parquet(literal(path))
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise DataError(f"{path} cannot be read: {reason}.", remedy="Write the file again.") from None
    require_columns(path, columns, names)
    # DuckDB numbers the rows itself, unless a column has the name that it gives the numbers
    is_numbered = all(name.lower() != _NUMBER for name in names)
    table = connection.read_parquet(literal(path), file_row_number=True) if is_numbered else given
    wanted = {name: table[given.columns[names.index(name)]] for name in columns}
    if is_numbered:
        told = table.select(**wanted, **{ROW: table[_NUMBER] + 1})
    else:
        told = numbered(connection, table.select(**wanted))
    require_plain(path, told, columns)
    binary = [name for name in columns if told[name].type().is_binary()]
    if not binary:
        return told
    if not lenient:
        _require_utf8(path, told, binary)
    return told.mutate(**{name: _text(told[name]) for name in binary})


def _require_utf8(path: Path, table: Table, columns: Sequence[str]) -> None:
    """Refuse columns of bytes that are no text."""
    for name in columns:
        first = scalar(table.filter(table[name].notnull() & _text(table[name]).isnull())[ROW].min())
        if first is not None:
            raise not_utf8(path, name, row=first)


def _text(value: Value) -> StringValue:
    """Bytes as text, null where they are none."""
    return _try(_decode(value))


@ibis.udf.scalar.builtin(name="decode")
def _decode(value: bytes) -> str:  # type: ignore[empty-body]
    """DuckDB's own function; Ibis has no name for it."""


@ibis.udf.scalar.builtin(name="try")
def _try(value: str) -> str:  # type: ignore[empty-body]
    """DuckDB's own expression: null in the place of an error."""
