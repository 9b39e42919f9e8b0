"""Spark opens the files that DuckDB opens, and refuses the same ones."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tropism.errors import DataError
from tropism.signals.engines import open_file, rows

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
    for engine in ("duckdb", "local[2]"):
        for name, columns, message in (
            ("cut.csv.gz", ["q"], "is a damaged gzip: it was cut off"),
            ("twice.csv", ["q"], "has two columns named 'q'"),
            ("case.csv", ["q", "Q"], "differ only in case"),
            ("mixed.jsonl", ["q"], r"column 'q' of .* holds a list or an object, .* \(1 such row\)"),
            ("bytes.parquet", ["q"], "column 'q' of .* holds bytes that are not UTF-8 text"),
        ):
            with pytest.raises(DataError, match=message):
                open_file(tmp_path / name, columns, engine=engine)
