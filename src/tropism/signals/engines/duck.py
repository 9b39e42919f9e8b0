"""DuckDB as the engine: in this process, out of core where memory is short."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import duckdb
import ibis
from ibis import Table
from ibis.backends.duckdb import Backend
from ibis.expr.types import StringValue
from pyarrow import RecordBatch
from pyarrow import Table as Rows

from tropism.signals.engines.engine import Engine
from tropism.signals.engines.file_checks import lines_at

MOST_MEMORY = 3_000_000_000
"""Bytes that DuckDB may hold before it writes to disk; half of the machine's memory where that is less."""


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

    def rejected(self) -> list[int]:
        return rejected_lines(self.backend)

    def problem(self, error: Exception) -> str | None:
        if isinstance(error, duckdb.OutOfMemoryException):
            return "makes more pairs than memory or disk can hold"
        if isinstance(error, duckdb.InvalidInputException | duckdb.ConversionException | duckdb.IOException):
            return f"cannot be read: {str(error).strip().splitlines()[0].rstrip('. ')}"
        return None


def rejected_lines(backend: Backend, *, record: int | None = None) -> list[int]:
    """The lines at which the records of a CSV file begin that DuckDB left out and stored.

    Args:
        backend: the connection that read the file.
        record: its number as DuckDB counts, which takes a record of several lines for one; None asks for all.
    """
    only = "" if record is None else f"WHERE line = {record:d}"
    try:
        found = backend.raw_sql(
            f"SELECT DISTINCT file_path, line_byte_position - 1 "  # noqa: S608  (a number)
            f"FROM reject_errors JOIN reject_scans USING (scan_id, file_id) {only}"
        ).fetchall()
    except duckdb.CatalogException:
        return []  # no CSV file was read leniently
    paths = dict.fromkeys(path for path, _ in found)
    return sorted(line for path in paths for line in lines_at(Path(path), [at for of, at in found if of == path]))


def connect() -> Backend:
    """A connection that counts in UTC, shows no bar of its own, and uses disk before it uses all memory."""
    backend = ibis.duckdb.connect()
    folder = tempfile.mkdtemp(prefix="tropism-")  # for nobody else to read; DuckDB would leave it behind
    weakref.finalize(backend, shutil.rmtree, folder, ignore_errors=True)
    memory = min(MOST_MEMORY, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    for setting in (
        "TimeZone = 'UTC'",
        "enable_progress_bar = false",
        f"memory_limit = '{memory // 1_000_000}MB'",
        "temp_directory = '{}'".format(folder.replace("'", "''")),
    ):
        backend.raw_sql(f"SET {setting}")
    return backend


@ibis.udf.scalar.builtin(name="to_json")
def _to_json(text: str) -> str:  # type: ignore[empty-body]
    """DuckDB's own function; Ibis has no name for it."""
