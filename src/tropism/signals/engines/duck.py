"""DuckDB as the engine: in this process, on disk if memory is short."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import ibis
from ibis import Table
from ibis.backends.duckdb import Backend
from ibis.expr.types import StringValue
from pyarrow import RecordBatch
from pyarrow import Table as Rows

from tropism.errors import OutputError
from tropism.ingest import ROW, NotRead, open_table
from tropism.signals.engines.database import Engine, data_errors

MOST_MEMORY = 3_000_000_000
"""Bytes that DuckDB may hold before it writes to disk; half of the machine's memory if that is less."""


class DuckEngine(Engine):
    """One connection of Ibis to DuckDB."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def keep(self, table: Table) -> Table:
        return self.backend.create_table(ibis.util.gen_name("tropism"), table, temp=True)

    def append(self, kept: Table, more: Table) -> Table:
        columns = more.select(*kept.columns)
        self.backend.raw_sql(f'INSERT INTO "{kept.op().name}" {self.backend.compile(columns)}')
        return kept

    def put(self, rows: Rows) -> Table:
        return self.keep(ibis.memtable(rows))

    def release(self, table: Table) -> None:
        self.backend.raw_sql(f'DROP TABLE "{table.op().name}"')

    def batches(self, table: Table, *, num_rows: int) -> Iterator[RecordBatch]:
        # not through Ibis' own method: Ibis 12 calls one that DuckDB 2 removed
        yield from self.backend.con.sql(self.backend.compile(table)).to_arrow_reader(num_rows)

    def json_text(self, text: StringValue) -> StringValue:
        return _to_json(text)

    def problem(self, error: Exception) -> str | None:
        if isinstance(error, duckdb.OutOfMemoryException):
            return "makes more pairs than memory or disk can hold"
        if isinstance(error, duckdb.InvalidInputException | duckdb.ConversionException | duckdb.IOException):
            return f"cannot be read: {str(error).strip().splitlines()[0].rstrip('. ')}"
        return None


def open_in_duckdb(path: Path, columns: Sequence[str], *, skip_bad: bool) -> tuple[Table, NotRead]:
    """Some columns of a file as a table with `ROW`, and the records that are not in it; see `open_source`."""
    backend = connect()
    with data_errors(str(path), DuckEngine(backend)):
        folder = scratch_folder(backend)
        file = open_table(path, columns, connection=backend.con, folder=folder, skip_bad=skip_bad)
        name = ibis.util.gen_name("tropism_file")
        backend.raw_sql(f'CREATE VIEW "{name}" AS {file.query}')
        table = backend.table(name)
        return named(table, columns), file.not_read


def named(table: Table, columns: Sequence[str]) -> Table:
    """The columns `c0`, `c1`, ... of a `TableFile` under their own names, with `ROW`."""
    return table.select(**{name: table[f"c{at}"] for at, name in enumerate(columns)}, **{ROW: table[ROW]})


def connect() -> Backend:
    """A connection that counts in UTC, shows no progress bar, and spills to disk before memory runs out."""
    backend = ibis.duckdb.connect()
    memory = min(MOST_MEMORY, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    for setting in (
        "TimeZone = 'UTC'",
        "enable_progress_bar = false",
        f"memory_limit = '{memory // 1_000_000}MB'",
        # readable by this user alone; DuckDB would not remove its own
        "temp_directory = '{}'".format(str(scratch_folder(backend)).replace("'", "''")),
    ):
        backend.raw_sql(f"SET {setting}")
    return backend


def scratch_folder(owner: Any, *, parent: Path | None = None) -> Path:
    """A folder for copies that is removed when its owner is, or when the program ends.

    Raises:
        OutputError: if the parent, in which it is made, cannot be written to.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="tropism-", dir=parent))
    except OSError as error:
        raise OutputError(
            f"no folder can be made in {parent or tempfile.gettempdir()} ({error.strerror or error}).",
            remedy="Choose a place with write access and space.",
        ) from None
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder


@ibis.udf.scalar.builtin(name="to_json")
def _to_json(text: str) -> str:  # type: ignore[empty-body]
    """DuckDB's own function; Ibis has no name for it."""
