"""Spark as the engine: the same expressions on a cluster, or on this machine for trying it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ibis
from ibis import Table
from pyarrow import RecordBatch
from pyarrow import Table as Rows

from tropism.errors import ConfigError, DataError
from tropism.signals.engines import ROW, ROWS_AT_ONCE, Engine
from tropism.signals.file_checks import (
    csv_header,
    is_packed,
    not_flat,
    not_utf8,
    require_columns,
    require_plain,
    require_sound_gzip,
    scanned,
    suffix_of,
)
from tropism.signals.text_files import with_equal_ends

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

_PART = "__part__"


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
        from pyspark.sql.functions import spark_partition_id

        kept = self._frame(table).withColumn(_PART, spark_partition_id()).localCheckpoint(eager=True)
        sizes = sorted((row[_PART], row["count"]) for row in kept.groupBy(_PART).count().collect())
        first, waiting = 0, 0
        for at, (part, size) in enumerate(sizes):
            waiting += size
            if waiting >= ROWS_AT_ONCE or at == len(sizes) - 1:
                some = kept.filter(kept[_PART].between(first, part)).drop(_PART)
                yield from _arrow(some).to_batches(max_chunksize=ROWS_AT_ONCE)
                first, waiting = part + 1, 0
        kept.unpersist()

    def problem(self, error: Exception) -> str | None:
        from pyspark.errors import PySparkException

        if not isinstance(error, PySparkException):
            return None
        condition = error.getCondition() or ""
        if condition.startswith(("FAILED_READ_FILE", "MALFORMED", "UNABLE_TO_INFER", "PATH_NOT_FOUND")):
            return f"cannot be read: {str(error).strip().splitlines()[0].rstrip('. ')}"
        return None

    def _frame(self, table: Table) -> Any:
        """A table as a data frame of Spark's."""
        return self.backend._session.sql(self.backend.compile(table))


def _arrow(frame: Any) -> Rows:
    """A data frame's rows, here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*pandas", category=FutureWarning)
        return frame.toArrow()


def open_in_spark(path: Path, columns: Sequence[str], *, master: str) -> Table:
    """Open some columns of a file that every worker sees; see `engines.open_file`.

    Row numbers are the records' own where Spark reads the file in one part; where it reads several, they tell records
    apart and no more.
    """
    backend = connect(master)
    suffix = _suffix(path)
    try:
        if suffix in (".csv", ".tsv"):
            frame = _read_csv(backend, path, columns, tab=suffix == ".tsv")
        elif suffix == ".parquet":
            frame = _with_texts(path, backend._session.read.parquet(str(path)), columns)
        else:
            reader = backend._session.read.option("primitivesAsString", "true")
            frame = reader.json(str(path), multiLine=suffix == ".json")
            require_columns(path, columns, frame.columns)
            _require_flat(backend, path, frame, columns, many_lines=suffix == ".json")
    except Exception as error:
        reason = SparkEngine(backend).problem(error)
        if reason is None:
            raise
        raise DataError(f"{path} {reason}.", remedy="Check the path; all workers must see it.") from None
    name = ibis.util.gen_name("tropism_file")
    frame.select(*map(_quoted, columns)).createOrReplaceTempView(name)
    table = backend.table(name)
    require_plain(path, table, columns)
    return _numbered(backend, table)


def _suffix(path: Path) -> str:
    """The kind of a file by its name; a file that this machine sees is checked, too."""
    if not path.exists():
        return (path.with_suffix("") if is_packed(path) else path).suffix.lower()
    suffix = suffix_of(path)
    if is_packed(path):
        require_sound_gzip(path)
    return suffix


def _read_csv(backend: Any, path: Path, columns: Sequence[str], *, tab: bool) -> Any:
    """Read with the names of the first line, as DuckDB does, where this machine sees the file; else as Spark does."""
    options = {"header": True, "quote": '"', "escape": '"', "multiLine": True}
    reader = backend._session.read
    if not path.exists():
        frame = reader.csv(str(path), sep="\t" if tab else ",", **options)
        require_columns(path, columns, frame.columns)
        return frame
    names, separator = csv_header(path, tab=tab)
    require_columns(path, columns, names)
    if scanned(path).num_ends > 1:
        path = with_equal_ends(backend, path, separator=separator, num_columns=len(names), lenient=False)
    places = [f"c{place}" for place in range(len(names))]
    frame = reader.schema(", ".join(f"{place} string" for place in places)).csv(str(path), sep=separator, **options)
    return frame.select(*(frame[places[names.index(name)]].alias(name) for name in columns))


def _with_texts(path: Path, frame: Any, columns: Sequence[str]) -> Any:
    """A frame with bytes as text."""
    from pyspark.sql import functions

    require_columns(path, columns, frame.columns)
    kinds = dict(frame.dtypes)
    for name in columns:
        if kinds[name] == "binary":
            text = frame[_quoted(name)].cast("string")
            if not frame.filter(~functions.is_valid_utf8(text)).isEmpty():
                raise not_utf8(path, name, row=None)
            frame = frame.withColumn(name, text)
    return frame


def _require_flat(backend: Any, path: Path, frame: Any, columns: Sequence[str], *, many_lines: bool) -> None:
    """Refuse columns that hold texts in some rows and lists or objects in others, of which Spark makes texts."""
    from pyspark.sql import functions

    kinds = dict(frame.dtypes)
    for name in columns:
        if kinds[name] != "string" or frame.filter(frame[_quoted(name)].rlike(r"^[\[{]")).isEmpty():
            continue
        told = backend._session.read.schema(f"{_quoted(name)} variant").json(str(path), multiLine=many_lines)
        number = told.filter(functions.schema_of_variant(_quoted(name)).rlike("^(ARRAY|OBJECT)")).count()
        if number:
            raise not_flat(path, name, number=number, row=None)


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
        ConfigError: where PySpark or a Java runtime is missing.
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
