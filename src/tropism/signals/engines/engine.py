"""Which engine runs the expressions of the signals: DuckDB in this process, or Spark, behind the same few verbs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
from ibis import Table
from ibis.expr.types import Scalar, StringValue
from pyarrow import RecordBatch

from tropism.errors import ConfigError, DataError

ROW = "__row__"
"""Column that `open_file` adds: the record's number, from 1 and without a header. For messages, never for results."""

ROWS_PER_PART = 2_000_000
"""Rows that are sorted at one time, about: twice as many or more are taken in parts."""


ROWS_AT_ONCE = 50_000
"""Rows of a large table that are fetched at one time where every fetching is a query; elsewhere it is fewer."""


class Engine(ABC):
    """What the signals ask of a database beside the expressions themselves."""

    @abstractmethod
    def keep(self, table: Table) -> Table:
        """Compute a table once; its rows stay in the engine until they are released."""

    def append(self, kept: Table, more: Table) -> Table:
        """What `keep` keeps, with more rows; one table takes the place of both."""
        both = self.keep(kept.union(more))
        self.release(kept)
        return both

    @abstractmethod
    def put(self, rows: pa.Table) -> Table:
        """A table in memory as a table of the engine, until it is released."""

    @abstractmethod
    def release(self, table: Table) -> None:
        """Free what `keep` keeps."""

    @abstractmethod
    def batches(self, table: Table, *, num_rows: int) -> Iterator[RecordBatch]:
        """The rows of a table in its order, some at a time; nothing else may ask the engine meanwhile."""

    def stream(self, table: Table) -> Iterator[RecordBatch]:
        """The rows of a large table in any order, some at a time; nothing else may ask the engine meanwhile."""
        return self.batches(table, num_rows=4_096)  # texts may be long

    def json_text(self, text: StringValue) -> StringValue | None:
        """A text as JSON text, where the engine knows how; None leaves it to Arrow."""
        return None

    def rejected(self) -> list[int]:
        """The lines of the file that the engine has left out so far."""
        return []

    @abstractmethod
    def problem(self, error: Exception) -> str | None:
        """What an error of the engine says about unreadable data, in one line; None where it is a fault of ours."""


def open_file(path: Path, columns: Sequence[str], *, engine: str = "duckdb", lenient: bool = False) -> Table:
    """Open some columns of a file as a lazy table.

    Values of CSV and texts of JSON are text, exactly as written, so that a key `007` never becomes 7; numbers of JSON
    may be written anew (2.10 as 2.1); Parquet keeps its types.

    Args:
        path: a JSONL, JSON, CSV, TSV or Parquet file; text may be compressed with gzip (`.csv.gz`).
        columns: the names that are needed.
        engine: `duckdb`, `spark` (on this machine), or the address of a cluster (`spark://host:port`), whose workers
            must see the path.
        lenient: lines of JSON that cannot be read become rows without values, and lines of CSV are left out and told by
            `Engine.rejected`; otherwise the first one is an error. Without effect on Spark, where it is always one.

    Returns:
        A table of those columns and `ROW`.

    Raises:
        DataError: where the file is missing, empty or of another kind, or lacks a column.
        ConfigError: for an engine that is not known or not installed.
    """
    if engine == "duckdb":
        from tropism.signals.engines.duck_files import open_in_duckdb

        return open_in_duckdb(path, columns, lenient=lenient)
    if engine == "spark" or engine.startswith(("spark://", "local[")):
        from tropism.signals.engines.spark import open_in_spark

        return open_in_spark(path, columns, master="local[*]" if engine == "spark" else engine)
    raise ConfigError(
        f"--engine must be duckdb, spark or spark://host:port, not {engine!r}.", remedy="Leave it away for DuckDB."
    )


def engine_of(table: Table) -> Engine:
    """The engine that computes a table."""
    backend = ibis.get_backend(table)
    if backend.name == "duckdb":
        from tropism.signals.engines.duck import DuckEngine

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


@contextmanager
def data_errors(source: str, engine: Engine) -> Iterator[None]:
    """Turn what the engine says about unreadable data into a `DataError` of one line."""
    try:
        yield
    except Exception as error:
        problem = engine.problem(error)
        if problem is None:
            raise
        raise DataError(
            f"{source or 'the table'} {problem}.",
            remedy="Correct or remove that part of the file, or save it again as JSONL, CSV or Parquet in UTF-8."
            if problem.startswith("cannot be read")
            else "Ask for a larger gap or a smaller --cap, or give the engine more room.",
        ) from error
