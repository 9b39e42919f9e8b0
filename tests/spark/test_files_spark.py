"""Spark opens the files that DuckDB opens, and refuses the same ones."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.ingest.hostile import COLUMNS, HOSTILE, written
from tropism.errors import DataError
from tropism.signals.engines.engine import engine_of, open_file, open_source, rows
from tropism.signals.engines.spark import open_in_spark

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", HOSTILE)
def test_spark_reads_hostile_files_as_duckdb_does(name: str, spark: Any, tmp_path: Path) -> None:
    file, path = HOSTILE[name], written(tmp_path, name)
    if file.refused:
        with pytest.raises(DataError, match=re.escape(file.refused)):
            open_file(path, COLUMNS, engine="local[2]", skip_bad=True)
        return
    opened = open_source(path, COLUMNS, engine="local[2]", skip_bad=True)
    found = {row["__row__"]: tuple(row[name] for name in COLUMNS) for row in rows(opened.table)}
    assert found == file.sound
    assert opened.not_read.examples == file.lost
    converted = {f"rows of {name} converted to Parquet for Spark": len(file.sound)}
    assert opened.notes == ({} if name in ("plain.parquet", "case.parquet") else converted)
    if file.lost:
        with pytest.raises(DataError, match=r"cannot be read: .*`skip_bad` drops and counts"):
            open_file(path, COLUMNS, engine="local[2]")


def test_names_of_parquet_are_read_alike(spark: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {"Q": [1, 2], "q": ["größer".encode(), None], "file_row_number": [7, 7], "a`b": ["x", "y"]}
    for q in (columns["q"], ["größer", None]):
        pq.write_table(pa.table(columns | {"q": q}), path)
        for engine in ("duckdb", "local[2]"):
            told = rows(open_file(path, ["q", "file_row_number", "a`b"], engine=engine).order_by("__row__"))
            assert [tuple(row.values()) for row in told] == [("größer", 7, "x", 1), (None, 7, "y", 2)]
            with pytest.raises(DataError, match="differ only in case"):
                open_file(path, ["q", "Q"], engine=engine)


def test_a_cluster_reads_what_its_workers_see(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tropism.signals.engines.spark.connect", lambda master: spark)
    path, cluster = written(tmp_path, "few.csv"), {"master": "spark://elsewhere:7077", "skip_bad": True}
    table, _, notes = open_in_spark(path, COLUMNS, **cluster)
    assert notes == {"rows of few.csv converted to Parquet for Spark": 2}
    assert len(rows(table)) == 2
    (folder,) = (child for child in tmp_path.iterdir() if child.is_dir())  # beside the file, for workers see it there
    assert (folder / "converted.parquet").exists()
    with pytest.raises(DataError, match=r"there is no file .*\.csv"):
        open_in_spark(tmp_path / "gone.csv", COLUMNS, **cluster)
    with pytest.raises(DataError, match=r"gone\.parquet cannot be read: .*PATH_NOT_FOUND.*all workers must see it"):
        open_in_spark(tmp_path / "gone.parquet", COLUMNS, **cluster)


def test_a_file_of_one_part_streams_within_what_spark_sends_at_one_time(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 60 texts of 50,000 bytes are 3 MB, and ten of them half of the 1 MB that Spark may send here
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(json.dumps([{"q": f"{at:02}" + "x" * 49_998} for at in range(60)]).encode()))
    table = open_file(path, ["q"], engine="local[2]")
    engine = engine_of(table)
    monkeypatch.setattr("tropism.signals.engines.spark.BYTES_AT_ONCE", 500_000)
    limits = spark._session.sparkContext._jsc.sc().conf()
    limits.set("spark.driver.maxResultSize", "1m")
    try:
        found = list(engine.stream(table))
        with pytest.raises(Exception, match="maxResultSize") as caught:
            list(engine.batches(table, num_rows=10))
    finally:
        limits.remove("spark.driver.maxResultSize")
    assert max(batch.num_rows for batch in found) == 10
    assert sorted(text[:2] for batch in found for text in batch["q"].to_pylist()) == [f"{at:02}" for at in range(60)]
    problem = engine.problem(caught.value)
    assert problem is not None
    assert "does not fit into what Spark sends at one time" in problem
    assert len(problem.splitlines()) == 1


def test_every_part_is_fetched_once_and_alone(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"q": str(at)}) + "\n" for at in range(1_000)))
    table = open_file(path, ["q"], engine="local[2]")
    monkeypatch.setattr("tropism.signals.engines.spark.ROWS_AT_ONCE", 100)
    context = spark._session.sparkContext
    context.setJobGroup("streamed", "")
    found = list(engine_of(table).stream(table))
    assert sum(batch.num_rows for batch in found) == 1_000
    assert [found[0].schema.field(name).type for name in ("q", "__row__")] == [pa.string(), pa.int64()]
    told = context.statusTracker()
    jobs = [told.getJobInfo(job) for job in sorted(told.getJobIdsForGroup("streamed"))]
    stages = [[told.getStageInfo(stage) for stage in job.stageIds] for job in jobs]
    # Spark forgets old stages; of these jobs they are the skipped ones, whose rows are there already
    tasks = [sum(stage.numCompletedTasks for stage in of_job if stage) for of_job in stages]
    assert tasks[-9:] == [1] * 9  # the first of the ten jobs also parts the rows


def test_a_stream_of_no_rows_ends(spark: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": "x"}\n')
    table = open_file(path, ["q"], engine="local[2]")
    assert list(engine_of(table).stream(table.filter(table.q == "y"))) == []
