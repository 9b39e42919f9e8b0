"""Files that are opened, and files that are refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tropism.errors import DataError
from tropism.ingest import csv_records, text_bytes
from tropism.ingest.csv_records import csv_header
from tropism.signals.build import build_groups
from tropism.signals.engines.engine import open_file, open_source, rows
from tropism.signals.kinds.columns import VoteColumns
from tropism.signals.kinds.votes import VoteSettings


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet"])
def test_wrong_column_names_the_nearest(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"votes.{kind}"
    row = {"prompt": "x", "answer": "y", "Votes": 1}
    text = {"csv": "prompt,answer,Votes\nx,y,1\n", "json": json.dumps([row]), "jsonl": json.dumps(row)}
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        path.write_text(text[kind])
    with pytest.raises(DataError) as caught:
        open_file(path, ["prompt", "votes"])
    expected = f"{path} has no column 'votes'; its columns are prompt, answer, Votes. Did you mean 'Votes'?"
    assert str(caught.value) == expected
    with pytest.raises(DataError, match=r"Name one of them\.$"):
        open_file(path, ["zzz"])


def test_column_that_first_shows_up_late_is_found(tmp_path: Path) -> None:
    path = tmp_path / "late.jsonl"
    path.write_text('{"a": 1}\n' * 30_000 + '{"a": 2, "b": "x"}\n')
    assert open_file(path, ["a", "b"]).b.count().to_pyarrow().as_py() == 1


@pytest.mark.parametrize(("name", "text"), [("a.csv", ""), ("a.jsonl", ""), ("a.jsonl", "\n \n"), ("a.json", "[]")])
def test_empty_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        open_file(path, ["a"])
    assert str(caught.value) == f"{path} is empty. Give a file with at least one record."


def test_header_alone_has_no_record(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("q,a,votes\n")
    with pytest.raises(DataError) as caught:
        build_groups(path, VoteSettings(columns=VoteColumns("q", "a", "votes")))
    assert str(caught.value) == "a.csv has no record. Give a file with at least one record."


# Columns


def records(path: Path, columns: list[str], *, skip_bad: bool = False) -> list[tuple[Any, ...]]:
    """The values of a file's columns and the number of each record, in the order of the file."""
    table = open_file(path, columns, skip_bad=skip_bad)
    return [tuple(row.values()) for row in rows(table.order_by("__row__"))]


@pytest.mark.parametrize(
    ("header", "cells"), [(",q,score", "0,{},{}"), ("q,score,", "{},{},"), (",,q,score", "0,1,{},{}")]
)
def test_columns_without_a_name_are_passed_over(tmp_path: Path, header: str, cells: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n{cells.format('x', 1)}\n{cells.format('y', 2)}\n")
    assert records(path, ["score", "q"]) == [("1", "x", 1), ("2", "y", 2)]
    with pytest.raises(DataError, match=r"has (two columns named ''\. Rename one|a column named '', which cannot)"):
        open_file(path, [""])


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet"])
@pytest.mark.parametrize(("column", "expected"), [("Score", 9), ("score", 1)])
def test_names_that_differ_in_case_are_told_apart(tmp_path: Path, kind: str, column: str, expected: int) -> None:
    path = tmp_path / f"a.{kind}"
    row = {"Score": 9, "q": "x", "score": 1}
    text = {"csv": "Score,q,score\n9,x,1\n", "json": json.dumps([row]), "jsonl": json.dumps(row)}
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        path.write_text(text[kind])
    found = records(path, ["q", column])
    assert found == [("x", expected if kind == "parquet" else str(expected), 1)]
    with pytest.raises(DataError, match=r"^the columns 'Score' and 'score' of .* differ only in case, and cannot both"):
        open_file(path, ["Score", "score"])
    with pytest.raises(DataError, match=r"has no column 'SCORE'; .* Did you mean '[Ss]core'\?$"):
        open_file(path, ["SCORE"])


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("q,a\nx," + "a" * 3_000_000 + "\ny,b\n")
    assert [(q, len(a), number) for q, a, number in records(path, ["q", "a"])] == [("x", 3_000_000, 1), ("y", 1, 2)]
    path.write_text("q,a\nx," + "a" * 33_000_000 + "\ny,b\n")
    with pytest.raises(DataError, match=r"a\.csv cannot be read: line 2: longer than 32,000,000 bytes\. Correct"):
        open_file(path, ["q", "a"])


def test_a_list_or_object_among_texts_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for value, before in ((["a", "b"], 0), ({"x": 1}, 1), ([1], 25_000)):
        told = [{"a": "[deleted]", "b": 1}] * before + [{"a": value, "b": 2}, {"a": '["a"]', "b": 3}]
        path.write_text("".join(json.dumps(row) + "\n" for row in told))
        with pytest.raises(DataError) as caught:
            open_file(path, ["a", "b"])
        reason = "'a' is a list or an object, not text or a number"
        assert str(caught.value) == (
            f"{path} cannot be read: line {before + 1}: {reason} (1 such row). Correct or remove such rows, or name "
            "another column; `skip_bad` drops and counts them."
        )
        opened = open_source(path, ["a", "b"], skip_bad=True)
        assert rows(opened.table.order_by("__row__"))[before:] == [{"a": '["a"]', "b": "3", "__row__": before + 2}]
        assert opened.not_read.examples == {reason: [f"line {before + 1}"]}
        assert records(path, ["b"])[before] == ("2", before + 1)


def test_a_column_of_lists_is_refused_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"q": [["x"]], "a": ["y"]}), path)
    with pytest.raises(DataError, match=r"column 'q' of .*a\.parquet holds lists or objects, but text or numbers were"):
        open_file(path, ["q"])
    assert records(path, ["a"]) == [("y", 1)]


def test_bytes_that_are_no_text_are_named_or_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"q": ["x", "y"], "a": ["größer".encode(), None]}), path)
    assert records(path, ["q", "a"]) == [("x", "größer", 1), ("y", None, 2)]
    pq.write_table(pa.table({"q": ["x", "y"], "a": ["größer".encode(), b"\xff"]}), path)
    with pytest.raises(DataError, match=r"cannot be read: row 2: 'a' holds text that is not valid UTF-8 \(1 such row"):
        open_file(path, ["q", "a"])
    assert records(path, ["q", "a"], skip_bad=True) == [("x", "größer", 1), ("y", None, 2)]


def test_names_of_row_numbers_in_a_file_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"q": ["x", "y"], "File_Row_Number": [7, 7], "__row__": ["5", "6"]}), path)
    assert records(path, ["q"]) == [("x", 1), ("y", 2)]
    assert records(path, ["File_Row_Number"]) == [(7, 1), (7, 2)]
    with pytest.raises(DataError, match=r"has a column named '__row__', which cannot be read\. Rename it\.$"):
        open_file(path, ["q", "__row__"])


def test_lines_of_broken_records_far_into_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    record = '"x\n' + "y" * 1_000 + '",1\n'
    path.write_text("q,a\n" + record * 35_000 + "x\n" + record * 5_000 + "x,2,3\n" + record * 30_000)
    opened = open_source(path, ["a"], skip_bad=True)
    assert opened.not_read.examples == {
        "fewer cells than columns": ["line 70002"],
        "more cells than columns": ["line 80003"],
    }
    with pytest.raises(DataError, match=r"line 70002: 1 cell, but the header has 2 \(1 such row\)\. Correct"):
        open_file(path, ["a"])


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_those_of_the_file_whatever_ends_them(tmp_path: Path, ends: str, packed: bool) -> None:
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    lines = ["q,a,n", 'a,"b', "b", 'b",1', "a,c", "x,y,2", '"v', 'w",3', "z,z,4"]
    text = "".join(f"{line}{ends}" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    with pytest.raises(DataError, match=r"cannot be read: line 5: 2 cells, but the header has 3 \(2 such rows\)\. Cor"):
        open_file(path, ["q", "a"])
    opened = open_source(path, ["q"], skip_bad=True)
    assert [row["q"] for row in rows(opened.table)] == ["a", "x", "z"]
    assert opened.not_read.examples == {"fewer cells than columns": ["line 5", "line 7"]}


def test_lines_are_those_of_the_file_where_ends_are_mixed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'q,a\r\n"x\ny",1\rk\r\n\n"v\r\nw"\nu,5\r\nt,\xff\n')
    opened = open_source(path, ["q"], skip_bad=True)
    assert [row["q"] for row in rows(opened.table)] == ["x\ny", "u"]
    few, latin = "fewer cells than columns", "text that is not valid UTF-8"
    assert opened.not_read.examples == {few: ["line 4", "line 6"], latin: ["line 9"]}
    for ends in ("\n", "\r\n", "\r"):
        path.write_bytes(f'q,a\r\nx,1{ends}"y\n""z""",2\n"v\r\nw",3{ends}'.encode())
        assert records(path, ["q", "a"]) == [("x", "1", 1), ('y\n"z"', "2", 2), ("v\r\nw", "3", 3)]


@pytest.mark.parametrize(("text", "line"), [(b"q,a\r\nx,1\n" + b"y" * 9_000, 3), (b'q,a\r\n"x\n' + b"y\n" * 9_000, 2)])
def test_a_record_without_end_is_refused_before_memory_is_full(
    tmp_path: Path, text: bytes, line: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_records, "LONGEST_RECORD", 5_000)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(text))
    for skip_bad in (False, True):
        with pytest.raises(DataError, match=rf"cannot be read: line {line}: longer than .* bytes\. Correct or remove"):
            open_file(path, ["q", "a"], skip_bad=skip_bad)


def test_a_line_of_json_without_end_is_refused_before_memory_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tropism.ingest.json_records.LONGEST_RECORD", 5_000)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"q": "x"}\n{"q": "' + b"y" * 20_000 + b'"}\n\n{"q": "z"}\n')
    opened = open_source(path, ["q"], skip_bad=True)
    assert [(row["q"], row["__row__"]) for row in rows(opened.table)] == [("x", 1), ("z", 4)]
    assert opened.not_read.examples == {text_bytes.TOO_LONG: ["line 2"]}


@pytest.mark.parametrize("byte", [b"x", b",", b"\0"])
def test_a_header_without_end_is_refused_before_memory_is_full(tmp_path: Path, byte: bytes) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(byte * 40_000_000, 1))
    with pytest.raises(DataError, match=r"\(its first line is longer than 32,000,000 bytes\)\. Check what the file is"):
        csv_header(path, tab=False)


def test_a_header_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("q,a,é\nx,1,2\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"cannot be read: line 1: text that is not valid UTF-8 .*Save the file again"):
        open_file(path, ["q"])
    assert records(path, ["q", "a"], skip_bad=True) == [("x", "1", 1)]


@pytest.mark.parametrize("before", [0, 1, 30_000])
def test_a_broken_record_of_json_is_named_with_its_line(tmp_path: Path, before: int) -> None:
    path = tmp_path / "a.jsonl"
    for broken, reason in (
        ("{x}", r"not valid JSON (column 2: Expecting property name enclosed in double quotes)"),
        ('{"q": 1, "q": 2}', "'q' comes twice in its object"),
    ):
        path.write_text('{"q": "x"}\n' * before + broken + '\n{"q": "x"}\n')
        with pytest.raises(DataError) as caught:
            open_file(path, ["q"])
        assert f"{path} cannot be read: line {before + 1}: {reason} (1 such row). Correct" in str(caught.value)


def test_a_folder_that_datasets_saved_is_a_table_too(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_list([{"q": "x", "a": 1}, {"q": "y", "a": 2}]).save_to_disk(str(tmp_path / "saved"))
    assert records(tmp_path / "saved", ["a", "q"]) == [("1", "x", 1), ("2", "y", 2)]
    with pytest.raises(DataError, match="is a folder, but not one that datasets"):
        open_file(tmp_path, ["a"])
