"""Tables on the engine that computes them: opening a file, keeping, counting and fetching rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
from ibis import Table
from ibis.expr.types import Scalar

from tropism.errors import ConfigError
from tropism.ingest import ROW, NotRead
from tropism.signals.engines.database import Engine, data_errors
from tropism.signals.engines.duck import DuckEngine, open_in_duckdb

__all__ = [
    "ROW",
    "Engine",
    "OpenSource",
    "count",
    "data_errors",
    "engine_of",
    "in_memory",
    "keep",
    "keep_in_parts",
    "open_file",
    "open_source",
    "release",
    "rows",
    "scalar",
]

ROWS_PER_PART = 2_000_000
"""Rows that are sorted at one time, about: twice as many or more are taken in parts."""


@dataclass(frozen=True)
class OpenSource:
    """Some columns of a file on an engine.

    Args:
        table: those columns and `ROW`.
        not_read: the records that are not in it because they cannot be read.
        notes: what else was done with the file, and to how many rows.
    """

    table: Table
    not_read: NotRead
    notes: Mapping[str, int] = field(default_factory=dict)


def open_source(path: Path, columns: Sequence[str], *, engine: str = "duckdb", skip_bad: bool = False) -> OpenSource:
    """Open some columns of a file as a lazy table; see `tropism.ingest.open_table`.

    Args:
        path: a JSONL, JSON, CSV, TSV or Parquet file; text may be packed with gzip (`.csv.gz`).
        columns: the names that are needed.
        engine: `duckdb`, `spark` (on this machine), or the address of a cluster (`spark://host:port`), whose workers
            must see the path. Spark reads Parquet: a file in another form is converted first, with a note.
        skip_bad: omit and count records that cannot be read; otherwise the first one is an error.

    Raises:
        DataError: if the file is missing, empty or of another kind, lacks a column, or has a record that cannot be
            read.
        ConfigError: for an engine that is not known or not installed.
    """
    if engine == "duckdb":
        return OpenSource(*open_in_duckdb(path, columns, skip_bad=skip_bad))
    if engine == "spark" or engine.startswith(("spark://", "local[")):
        from tropism.signals.engines.spark import open_in_spark

        return OpenSource(*open_in_spark(path, columns, master=_master(engine), skip_bad=skip_bad))
    raise ConfigError(
        f"`engine` must be duckdb, spark or spark://host:port, got {engine!r}.", remedy="Omit it for DuckDB."
    )


def open_file(path: Path, columns: Sequence[str], *, engine: str = "duckdb", skip_bad: bool = False) -> Table:
    """The table of `open_source`, without its account."""
    return open_source(path, columns, engine=engine, skip_bad=skip_bad).table


def _master(engine: str) -> str:
    """The address of Spark for the name of an engine."""
    return "local[*]" if engine == "spark" else engine


def engine_of(table: Table) -> Engine:
    """The engine that computes a table."""
    backend = ibis.get_backend(table)
    if backend.name == "duckdb":
        return DuckEngine(backend)
    from tropism.signals.engines.spark import SparkEngine

    return SparkEngine(backend)


def keep(table: Table) -> Table:
    """Compute a table once; its rows stay in the engine until they are released."""
    return engine_of(table).keep(table)


def keep_in_parts(make: Callable[[Table], Table], rows: Table, *, num_rows: int) -> Table:
    """Compute what is made of rows thread by thread, some threads at a time, so that no sort outgrows memory.

    Args:
        make: from rows to rows; those of one thread must not depend on those of another.
        rows: with `thread`.
        num_rows: how many rows there are, about.
    """
    engine, num_parts = engine_of(rows), max(1, num_rows // ROWS_PER_PART)
    if num_parts == 1:
        return engine.keep(make(rows))
    kept = engine.keep(make(rows.filter(rows.thread % num_parts == 0)))
    for part in range(1, num_parts):
        kept = engine.append(kept, make(rows.filter(rows.thread % num_parts == part)))
    return kept


def release(*tables: Table) -> None:
    """Free what `keep` keeps."""
    for table in tables:
        engine_of(table).release(table)


def in_memory(table: Table) -> pa.Table:
    """The rows of a table in its order."""
    batches = list(engine_of(table).batches(table, num_rows=100_000))
    return pa.Table.from_batches(batches) if batches else table.schema().to_pyarrow().empty_table()


def rows(table: Table) -> list[dict[str, Any]]:
    """The rows of a small table."""
    return in_memory(table).to_pylist()


def scalar(value: Scalar) -> Any:
    """One computed value."""
    return rows(value.as_table())[0].popitem()[1]


def count(table: Table) -> int:
    """How many rows a table has."""
    return int(scalar(table.count()))
