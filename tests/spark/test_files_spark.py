"""Spark opens the files that DuckDB opens, and refuses the same ones."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tropism.errors import DataError
from tropism.signals.engines.engine import engine_of, open_file, rows
from tropism.signals.engines.spark import open_in_spark

pytestmark = pytest.mark.filterwarnings("ignore")


def records(path: Path, columns: list[str], engine: str) -> list[tuple[Any, ...]]:
    """The values of a file's columns, in the order of the file."""
    table = open_file(path, columns, engine=engine)
    return [tuple(row.values())[:-1] for row in rows(table.order_by("__row__"))]


FILES = {
    "unnamed.csv": b",q,score,\n0,x,1,\n1,y,2,\n",
    "semicolons.csv": b"q;score\nx, one;1\ny;2\n",
    "case.csv": b"Score,q,score\n9,x,1\n8,y,2\n",
    "ends.csv": b'q,score\r\nx,1\n"y\nz",2\r\n',
    "trailing.csv": b"q,score\nx,1,\ny,2\n",
    "quotes.csv": b'q,score\na "b" c,1\n"d""e",2\n',
    "replaced.csv": "q,score\n\ufffd,1\ny,2\n".encode(),
    "marked.csv": b"\xef\xbb\xbfq,score\nx,1\ny,2\n",
    "case.jsonl": b'{"Score": 9, "q": "x", "score": 1}\n{"Score": 8, "q": "[y]", "score": 2.5}\n',
    "marked.jsonl": b'\xef\xbb\xbf{"q": "x", "score": 1}\n{"q": "[\\"y\\"]", "score": 2}\n',
    "list.json": b'[{"q": "x", "score": 1}, {"q": "{y}", "score": 2}]',
}


@pytest.mark.parametrize("name", FILES)
def test_both_engines_read_the_same(name: str, spark: Any, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    found = records(path, ["score", "q"], "local[2]")
    assert len(found) == 2
    assert found == records(path, ["score", "q"], "duckdb")


def test_bytes_and_names_of_parquet_are_read_alike(spark: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {"Q": [1, 2], "q": ["größer".encode(), None], "file_row_number": [7, 7], "a`b": ["x", "y"]}
    pq.write_table(pa.table(columns), path)
    for engine in ("duckdb", "local[2]"):
        told = records(path, ["q", "file_row_number", "a`b"], engine)
        assert told == [("größer", 7, "x"), (None, 7, "y")]


def test_both_engines_refuse_the_same(spark: Any, tmp_path: Path) -> None:
    packed = gzip.compress(b"q\nx\n")
    (tmp_path / "cut.csv.gz").write_bytes(packed[:-3])
    (tmp_path / "twice.csv").write_bytes(b"q,q\nx,y\n")
    (tmp_path / "case.csv").write_bytes(b"q,Q\nx,y\n")
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps({"q": q}) + "\n" for q in ("x", ["x"], '["x"]')))
    pq.write_table(pa.table({"q": [b"\xff"]}), tmp_path / "bytes.parquet")
    (tmp_path / "few.csv").write_bytes(b"q,r\nx,1\nonly\nz,3\n")
    (tmp_path / "many.csv").write_bytes(b"q,r\nx,1\ny,2,3\n")
    (tmp_path / "after.csv").write_bytes(b'q,r\n"x"y,1\n')
    (tmp_path / "latin.csv").write_bytes(b"q,r\nx,1\ngr\xf6\xdfer,2\n")
    (tmp_path / "latin.jsonl").write_bytes(b'{"q": "x"}\n{"q": "gr\xf6\xdfer"}\n')
    (tmp_path / "latin.json").write_bytes(b'[{"q": "x"}, {"q": "gr\xf6\xdfer"}]')
    (tmp_path / "broken.jsonl").write_bytes(b'{"q": "x"}\n{"q": "y"\n{"q": "z"}\n')
    (tmp_path / "number.jsonl").write_bytes(b'{"q": "x"}\n5\n')
    for engine in ("duckdb", "local[2]"):
        for name, columns, message in (
            ("cut.csv.gz", ["q"], "is a damaged gzip: it was cut off"),
            ("twice.csv", ["q"], "has two columns named 'q'"),
            ("case.csv", ["q", "Q"], "differ only in case"),
            ("mixed.jsonl", ["q"], r"column 'q' of .* holds a list or an object, .* \(1 such row\)"),
            ("bytes.parquet", ["q"], "column 'q' of .* holds bytes that are not UTF-8 text"),
            ("few.csv", ["q"], "line 3: 1 cell, but the header has 2"),
            ("many.csv", ["q"], "line 3: 3 cells, but the header has 2"),
            (
                "after.csv",
                ["q"],
                "line 2: (',' expected after|a quoted cell does not end, or something follows its end)",
            ),
            ("latin.csv", ["q"], "latin.csv is not UTF-8 text: line 3: invalid"),
            ("latin.jsonl", ["q"], "latin.jsonl (is not UTF-8 text: line 2|cannot be read: row 2)"),
            ("latin.json", ["q"], r"latin\.json (is not UTF-8 text: line 1|cannot be read: row 2)"),
            (
                "broken.jsonl",
                ["q"],
                "broken.jsonl cannot be read: (row 2: unexpected|JsonEOFException: Unexpected end)",
            ),
            (
                "number.jsonl",
                ["q"],
                "number.jsonl (cannot be read: .*Expected a STRUCT|has values that are no JSON objects)",
            ),
        ):
            with pytest.raises(DataError, match=message):
                open_file(tmp_path / name, columns, engine=engine)


def test_spark_says_that_it_leaves_out_no_records(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_bytes(b"q,r\nx,1\nonly\n")
    (tmp_path / "latin.csv").write_bytes(b"q,r\ngr\xf6\xdfer,2\n")
    (tmp_path / "broken.jsonl").write_bytes(b'{"q": "x"}\n{"q": "y"\n')
    for name in ("few.csv", "latin.csv", "broken.jsonl"):
        with pytest.raises(DataError, match="--skip-bad drops such rows only without --engine spark"):
            open_file(tmp_path / name, ["q"], engine="local[2]", skip_bad=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [(b'q,r\r\n"x\ny",1\r\n', "lines that end in several ways"), (b"q,r\nx,1,\n", "another number of cells")],
)
def test_a_cluster_gets_no_copy_that_only_the_driver_sees(
    text: bytes, reason: str, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text)
    assert len(records(path, ["q"], "local[2]")) == 1
    monkeypatch.setattr("tropism.signals.engines.spark.connect", lambda master: spark)
    with pytest.raises(DataError, match=f"cannot be read on a cluster: it has .*{reason}"):
        open_in_spark(path, ["q"], master="spark://elsewhere:7077")


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
