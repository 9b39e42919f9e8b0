"""What the signals ask of a database besides the expressions themselves; DuckDB and Spark implement it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from ibis import Table
from ibis.expr.types import StringValue
from pyarrow import RecordBatch

from tropism.errors import DataError


class Engine(ABC):
    """A database that computes tables of Ibis."""

    @abstractmethod
    def keep(self, table: Table) -> Table:
        """Compute a table once; its rows stay in the engine until they are released."""

    def append(self, kept: Table, more: Table) -> Table:
        """What `keep` keeps, with more rows; one table replaces both."""
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
        """The rows of a table in its order, some at a time; the engine takes no other query meanwhile."""

    def stream(self, table: Table) -> Iterator[RecordBatch]:
        """The rows of a large table in any order, some at a time; the engine takes no other query meanwhile."""
        return self.batches(table, num_rows=4_096)  # texts may be long

    def json_text(self, text: StringValue) -> StringValue | None:
        """A text as JSON text, if the engine has a function for it; None leaves it to Arrow."""
        return None

    @abstractmethod
    def problem(self, error: Exception) -> str | None:
        """What an error of the engine says about unreadable data, in one line; None if it is a fault of ours."""


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
            else "Use a larger gap or a smaller `cap`, or give the engine more memory and disk.",
        ) from error
