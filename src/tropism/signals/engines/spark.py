"""Spark as the engine: the same expressions on a cluster, or on this machine for trying it."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
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
from tropism.signals.engines.engine import ROW, ROWS_AT_ONCE, Engine
from tropism.signals.engines.file_checks import (
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
from tropism.signals.engines.text_files import with_equal_ends

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

_CSV = {
    "header": True, "quote": '"', "escape": '"', "multiLine": True,
    "mode": "FAILFAST", "columnPruning": False, "unescapedQuoteHandling": "RAISE_ERROR",
}  # fmt: skip
"""How CSV is read: a record with too many or too few cells is an error, which Spark sees only where it parses all."""

BYTES_AT_ONCE = 64_000_000
"""Text that is fetched at one time, about; `spark.driver.maxResultSize` is 1 GB unless set."""

_UNREADABLE = (
    r"\[(?:FAILED_READ_FILE|INVALID_JSON_RECORD|MALFORMED|UNABLE_TO_INFER|PATH_NOT_FOUND)[\w.]*\] [^\n]*"
    r"|\bJson\w+Exception: [^\n]*"
)
_END = re.compile(r" SQLSTATE| \(start marker")

_CORRECT = "Correct or remove that part of the file; --skip-bad drops such rows only without --engine spark."


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
        told = re.findall(_UNREADABLE, str(error))
        # the last one is the cause of those before it
        return f"cannot be read: {_END.split(told[-1])[0][:200].rstrip('., ')}" if told else None

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


def open_in_spark(path: Path, columns: Sequence[str], *, master: str) -> Table:
    """Open some columns of a file that every worker sees; see `engines.open_file`.

    Row numbers are the records' own where Spark reads the file in one part; where it reads several, they tell records
    apart and no more.
    """
    backend = connect(master)
    suffix = _suffix(path)
    backend._session.sparkContext.setLogLevel("OFF")  # what cannot be read is told once, by the error
    try:
        if suffix in (".csv", ".tsv"):
            frame = _read_csv(backend, path, columns, tab=suffix == ".tsv", is_local=master.startswith("local"))
        elif suffix == ".parquet":
            frame = _with_texts(path, backend._session.read.parquet(str(path)), columns)
        else:
            frame = _read_json(backend, path, columns, many_lines=suffix == ".json")
        name = ibis.util.gen_name("tropism_file")
        frame.select(*map(_quoted, columns)).createOrReplaceTempView(name)
        table = backend.table(name)
        require_plain(path, table, columns)
        return _numbered(backend, table)
    except Exception as error:
        reason = SparkEngine(backend).problem(error)
        if reason is None:
            raise
        remedy = "Check the path; all workers must see it." if _unseen(reason) else _CORRECT
        raise DataError(f"{path} {reason}.", remedy=remedy) from None
    finally:
        backend._session.sparkContext.setLogLevel("ERROR")


def _unseen(reason: str) -> bool:
    """Whether a worker cannot see the file."""
    return "PATH_NOT_FOUND" in reason or "FILE_NOT_EXIST" in reason


def _suffix(path: Path) -> str:
    """The kind of a file by its name; a file that this machine sees is checked, too."""
    if not path.exists():
        return (path.with_suffix("") if is_packed(path) else path).suffix.lower()
    suffix = suffix_of(path)
    if is_packed(path):
        require_sound_gzip(path)
    return suffix


def _read_csv(backend: Any, path: Path, columns: Sequence[str], *, tab: bool, is_local: bool) -> Any:
    """Read with the names of the first line, as DuckDB does, where this machine sees the file; else as Spark does."""
    reader = backend._session.read.options(**_CSV)
    if not path.exists():
        _require_utf8(backend, path)
        frame = reader.csv(str(path), sep="\t" if tab else ",")
        require_columns(path, columns, frame.columns)
        return frame
    told = scanned(path)
    if told.invalid:
        raise _not_text(path, told.invalid)
    names, separator = csv_header(path, tab=tab)
    require_columns(path, columns, names)
    places = [f"c{place}" for place in range(len(names))]
    reader = reader.schema(", ".join(f"{place} string" for place in places)).option("sep", separator)
    frame = reader.csv(str(path))
    if told.num_ends > 1 or not _parses(backend, frame):
        if not is_local:
            raise _only_here(path, many_ends=told.num_ends > 1)
        try:
            copy = with_equal_ends(backend, path, separator=separator, num_columns=len(names), lenient=False)
        except DataError as error:
            raise DataError(error.problem, remedy=_CORRECT) from None
        frame = reader.csv(str(copy))
    return frame.select(*(frame[places[names.index(name)]].alias(name) for name in columns))


def _parses(backend: Any, frame: Any) -> bool:
    """Whether Spark gets through a file."""
    try:
        frame.write.format("noop").mode("overwrite").save()
    except Exception as error:
        reason = SparkEngine(backend).problem(error)
        if reason is None or _unseen(reason):
            raise
        return False
    return True


def _only_here(path: Path, *, many_ends: bool) -> DataError:
    """The error for CSV that Spark reads only from a copy, which the workers of a cluster would not see."""
    found = "lines that end in several ways" if many_ends else "a record with another number of cells than the header"
    remedy = "Save it as Parquet, or with LF alone and full records; without --engine spark errors name the line."
    return DataError(f"{path} cannot be read on a cluster: it has {found}.", remedy=remedy)


def _require_utf8(backend: Any, path: Path) -> None:
    """Refuse bytes that are no UTF-8; Spark's readers of CSV and JSON make U+FFFD of them without a word."""
    from pyspark.sql import functions

    lines = backend._session.read.text(str(path))
    if not lines.filter(~functions.is_valid_utf8(lines["value"])).isEmpty():
        raise _not_text(path, scanned(path).invalid if path.exists() else "some lines have other bytes")


def _not_text(path: Path, invalid: str) -> DataError:
    remedy = "Save it again in UTF-8; --skip-bad drops such rows only without --engine spark."
    return DataError(f"{path} is not UTF-8 text: {invalid}.", remedy=remedy)


def _read_json(backend: Any, path: Path, columns: Sequence[str], *, many_lines: bool) -> Any:
    """Read objects with their values as text; a value that is no object is an error."""
    _require_utf8(backend, path)
    reader = backend._session.read.options(primitivesAsString=True, mode="FAILFAST")
    frame = reader.json(str(path), multiLine=many_lines)
    require_columns(path, columns, frame.columns)
    _require_flat(backend, path, frame, columns, many_lines=many_lines)
    return frame


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
