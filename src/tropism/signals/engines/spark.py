"""Spark as the engine: the same expressions on a cluster, or on this machine for trying it."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
from ibis import Table
from pyarrow import RecordBatch
from pyarrow import Table as Rows

from tropism.errors import ConfigError, DataError
from tropism.ingest import ROW, NotRead
from tropism.ingest.file_kinds import missing, named_kind
from tropism.ingest.table_file import open_table, require_columns, require_distinct, write_parquet
from tropism.signals.engines.database import Engine
from tropism.signals.engines.duck import connect as connect_duckdb
from tropism.signals.engines.duck import named, scratch_folder

SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.driver.memory": "4g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.caseSensitive": "true",
    # a checkpointed table may carry constraints on columns that it has no more, on which a union then fails (4.3)
    "spark.sql.constraintPropagation.enabled": "false",
    "spark.sql.warehouse.dir": f"{tempfile.gettempdir()}/tropism-warehouse",
}

ROWS_AT_ONCE = 50_000
"""Rows of a large table that are fetched at one time; each time is a query."""

BYTES_AT_ONCE = 64_000_000
"""Text that is fetched at one time, about; `spark.driver.maxResultSize` is 1 GB unless set."""

_UNREADABLE = r"\[(?:FAILED_READ_FILE|MALFORMED|UNABLE_TO_INFER|PATH_NOT_FOUND)[\w.]*\] [^\n]*"
_END = re.compile(r" SQLSTATE| \(start marker")


class SparkEngine(Engine):
    """One session of Ibis with Spark."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    def keep(self, table: Table) -> Table:
        # a checkpoint, not a cache: a part that is lost and computed again must not number its rows anew
        name = ibis.util.gen_name("tropism")
        self._frame(table).localCheckpoint(eager=True).createOrReplaceTempView(name)
        return self.backend.table(name)

    def put(self, rows: Rows) -> Table:
        name = ibis.util.gen_name("tropism")
        self.backend._session.createDataFrame(rows).createOrReplaceTempView(name)
        return self.backend.table(name)

    def release(self, table: Table) -> None:
        self.backend._session.catalog.dropTempView(table.op().name)

    def batches(self, table: Table, *, num_rows: int) -> Iterator[RecordBatch]:
        yield from _arrow(self._frame(table)).to_batches(max_chunksize=num_rows)

    def stream(self, table: Table) -> Iterator[RecordBatch]:
        # a file of one part (gzip, CSV, JSON) would come whole; the cache holds the table while parts are made of it
        cached = self._frame(table).persist()
        try:
            yield from _part_by_part(cached.repartition(_num_parts(cached)))
        finally:
            cached.unpersist()

    def problem(self, error: Exception) -> str | None:
        from py4j.protocol import Py4JJavaError
        from pyspark.errors import PySparkException

        if not isinstance(error, PySparkException | Py4JJavaError):
            return None
        too_large = re.search(r"[^:\n]* bigger than [^.\n]*spark\.driver\.maxResultSize[^\n]*", str(error))
        if too_large:
            return f"does not fit into what Spark sends at one time: {too_large[0].strip().rstrip('. ')}"
        messages = re.findall(_UNREADABLE, str(error))
        # the last one is the cause of those before it
        return f"cannot be read: {_END.split(messages[-1])[0][:200].rstrip('., ')}" if messages else None

    def _frame(self, table: Table) -> Any:
        """A table as a data frame of Spark's."""
        return self.backend._session.sql(self.backend.compile(table))


def _arrow(frame: Any) -> Rows:
    """A data frame's rows, here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*pandas", category=FutureWarning)
        return frame.toArrow()


def _num_parts(frame: Any) -> int:
    """In how many parts a data frame is fetched, so that none has too many rows or too much text."""
    from pyspark.sql.functions import coalesce, count, lit, octet_length, sum

    sizes = [coalesce(octet_length(frame[_quoted(name)]), lit(0)) for name, kind in frame.dtypes if kind == "string"]
    num_rows, num_bytes = frame.agg(count(lit(1)), sum(reduce(add, sizes, lit(0)))).first()
    return max(1, -(-num_rows // ROWS_AT_ONCE), -(-(num_bytes or 0) // BYTES_AT_ONCE))


def _part_by_part(frame: Any) -> Iterator[RecordBatch]:
    """A data frame's rows, here, one part after the other; what is before the last shuffle is computed once."""
    from pyspark.core.rdd import RDD
    from pyspark.serializers import NoOpSerializer

    schema = _arrow(frame.limit(0)).schema
    # toArrow takes all parts at once and toLocalIterator makes Python objects, so this is the one in Arrow's form
    parts = RDD(frame._jdf.toArrowBatchRdd().toJavaRDD(), frame.sparkSession.sparkContext, NoOpSerializer())
    for batch in parts.toLocalIterator():
        yield pa.ipc.read_record_batch(pa.py_buffer(batch), schema)


def open_in_spark(
    path: Path, columns: Sequence[str], *, master: str, skip_bad: bool
) -> tuple[Table, NotRead, Mapping[str, int]]:
    """Some columns of a file as a table with `ROW`, the records that are not in it, and notes; see `open_source`.

    A Parquet file is read as it is, and need not be seen by this machine. Its row numbers are the records' own if Spark
    reads it in one part; if it reads several, numbers only distinguish records.
    """
    backend = connect(master)
    if not path.exists() and named_kind(path) == "parquet":
        return _unchecked(backend, path, columns), NotRead(), {}
    if not path.exists():
        raise missing(path)
    duckdb = connect_duckdb()
    file = open_table(path, columns, connection=duckdb.con, folder=scratch_folder(backend), skip_bad=skip_bad)
    if file.parquet == path:
        table = _parquet(backend, path)
        return _numbered(backend, table.select(*columns)), file.not_read, {}
    is_local = master.startswith("local")
    folder = scratch_folder(backend) if is_local else scratch_folder(backend, parent=path.absolute().parent)
    target = folder / "converted.parquet"
    number = write_parquet(file, target, connection=duckdb.con)
    if not is_local:
        folder.chmod(0o755)  # workers may be other users
    return (
        named(_parquet(backend, target), columns),
        file.not_read,
        {f"rows of {path.name} converted to Parquet for Spark": number},
    )


def _unchecked(backend: Any, path: Path, columns: Sequence[str]) -> Table:
    """Columns of a Parquet file that the workers see and this machine does not."""
    require_distinct(path, columns)
    backend._session.sparkContext.setLogLevel("OFF")  # an unreadable file is reported once, by the error
    try:
        table = _parquet(backend, path)
        require_columns(path, columns, table.columns)
        return _numbered(backend, table.select(*columns))
    except Exception as error:
        reason = SparkEngine(backend).problem(error)
        if reason is None:
            raise
        raise DataError(f"{path} {reason}.", remedy="Check the path; all workers must see it.") from None
    finally:
        backend._session.sparkContext.setLogLevel("ERROR")


def _parquet(backend: Any, path: Path) -> Table:
    """A Parquet file as a table."""
    name = ibis.util.gen_name("tropism_file")
    backend._session.read.parquet(str(path)).createOrReplaceTempView(name)
    return backend.table(name)


def _quoted(name: str) -> str:
    """A column's name as Spark's SQL takes it."""
    escaped = name.replace("`", "``")
    return f"`{escaped}`"


def _numbered(backend: Any, table: Table) -> Table:
    """The table with `ROW`, fixed once so that every later reading gives a record the same number."""
    from pyspark.sql import functions

    frame = backend._session.sql(backend.compile(table))
    name = ibis.util.gen_name("tropism_rows")
    numbered = frame.withColumn(ROW, functions.monotonically_increasing_id() + 1)
    numbered.localCheckpoint(eager=True).createOrReplaceTempView(name)
    return backend.table(name)


def connect(master: str) -> Any:
    """A session of Ibis with Spark.

    Raises:
        ConfigError: if PySpark or a Java runtime is missing.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*pandas", category=FutureWarning)
            from pyspark.sql import SparkSession

            builder = SparkSession.builder.master(master).appName("tropism")
            for name, value in SETTINGS.items():
                builder = builder.config(name, value)
            session = builder.getOrCreate()
    except ImportError:
        raise ConfigError(
            "the engine spark needs PySpark, which is not installed.", remedy="Run pip install 'tropism[spark]'."
        ) from None
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"Spark does not start at {master}: {reason}.", remedy="Install a Java runtime (17 or newer) and try again."
        ) from None
    session.sparkContext.setLogLevel("ERROR")
    return ibis.pyspark.connect(session)
