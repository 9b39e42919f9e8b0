"""Files that are opened, and files that are refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tropism.errors import DataError
from tropism.signals.engines import file_checks, text_files
from tropism.signals.engines.duck import connect
from tropism.signals.engines.engine import engine_of, open_file, rows
from tropism.signals.engines.file_checks import csv_header, lines_at
from tropism.signals.engines.text_files import with_equal_ends
from tropism.signals.kinds.rules import GapRule
from tropism.signals.kinds.votes import VoteColumns, votes_to_groups


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text("a\n1\n")
    with pytest.raises(DataError) as caught:
        open_file(tmp_path / "vote.csv", ["a"])
    assert str(caught.value) == f"{tmp_path}/vote.csv does not exist. Did you mean {tmp_path}/votes.csv?"
    with pytest.raises(DataError, match=r"does not exist\. Check the path; its folder has nothing like it\.$"):
        open_file(tmp_path / "qqq.parquet", ["a"])
    with pytest.raises(DataError, match=r"does not exist, nor does its folder\. Check the path\.$"):
        open_file(tmp_path / "none" / "votes.csv", ["a"])
    with pytest.raises(DataError, match=r"is a folder, not a file\. Name a file in it\.$"):
        open_file(tmp_path, ["a"])
    (tmp_path / "votes.xlsx").write_text("x")
    with pytest.raises(DataError, match=r"its name must end in one of \.jsonl, .*\.parquet\. Rename or convert it\.$"):
        open_file(tmp_path / "votes.xlsx", ["a"])


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
        votes_to_groups(open_file(path, ["q", "a", "votes"]), VoteColumns("q", "a", "votes"), GapRule(), source="a.csv")
    assert str(caught.value) == "a.csv has no record. Give a file with at least one record."


def test_broken_files_end_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "a.jsonl"
    broken.write_text('{"q": "Q", "a": "x", "votes": 1}\n{"q": \n')
    with pytest.raises(
        DataError, match=r"a\.jsonl cannot be read: row 2: unexpected end of data\. Correct .* --skip-bad drops"
    ):
        open_file(broken, ["q"])
    ragged = tmp_path / "a.csv"
    ragged.write_text("q,a,votes\nQ,x,1\nQ,x\n")
    with pytest.raises(DataError, match=r"a\.csv cannot be read: line 3: 2 cells, but the header has 3\. Correct"):
        open_file(ragged, ["q", "a", "votes"])
    latin = tmp_path / "b.csv"
    latin.write_bytes("q,a,é\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"b\.csv is not UTF-8 text: line 1: .* Save it again in UTF-8\.$"):
        open_file(latin, ["q"])
    nested = tmp_path / "b.jsonl"
    nested.write_text('{"q": [{"role": "user"}]}\n')
    with pytest.raises(DataError, match=r"column 'q' of .*b\.jsonl holds lists or objects, but text or numbers were"):
        open_file(nested, ["q"])
    bare = tmp_path / "c.jsonl"
    bare.write_text("5\n")
    with pytest.raises(DataError, match=r"c\.jsonl has values that are no JSON objects\. Write each answer as one obj"):
        open_file(bare, ["q"])
    twice = tmp_path / "c.csv"
    twice.write_text("q,q\n1,2\n")
    with pytest.raises(DataError, match=r"has two columns named 'q'\. Rename one of them\.$"):
        open_file(twice, ["q"])


# Columns


def records(path: Path, columns: list[str], *, lenient: bool = False) -> list[tuple[Any, ...]]:
    """The values of a file's columns and the number of each record, in the order of the file."""
    table = open_file(path, columns, lenient=lenient)
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


def test_our_own_names_of_row_numbers_harm_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"q": ["x", "y"], "File_Row_Number": [7, 7], "__row__": ["5", "6"]}), path)
    assert records(path, ["q"]) == [("x", 1), ("y", 2)]
    assert records(path, ["File_Row_Number"]) == [(7, 1), (7, 2)]
    with pytest.raises(DataError, match=r"has a column named '__row__', which cannot be read\. Rename it\.$"):
        open_file(path, ["q", "__row__"])


def test_bytes_are_text_where_they_are_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"q": ["x", "y"], "a": ["größer".encode(), None]}), path)
    assert records(path, ["q", "a"]) == [("x", "größer", 1), ("y", None, 2)]
    pq.write_table(pa.table({"q": ["x", "y"], "a": ["größer".encode(), b"\xff"]}), path)
    with pytest.raises(DataError, match=r"^row 2: column 'a' of .* holds bytes that are not UTF-8 text\. Write it as"):
        open_file(path, ["q", "a"])
    assert records(path, ["q", "a"], lenient=True) == [("x", "größer", 1), ("y", None, 2)]


@pytest.mark.parametrize("value", [["a", "b"], {"x": 1}])
@pytest.mark.parametrize("before", [0, 1, 25_000])
def test_a_list_among_texts_is_no_text(tmp_path: Path, value: Any, before: int) -> None:
    path = tmp_path / "a.jsonl"
    told = [{"a": "[deleted]", "b": 1}] * before + [{"a": value, "b": 2}, {"a": '["a"]', "b": 3}]
    path.write_text("".join(json.dumps(row) + "\n" for row in told))
    with pytest.raises(DataError) as caught:
        open_file(path, ["a", "b"])
    assert str(caught.value) == (
        f"row {before + 1}: column 'a' of {path} holds a list or an object, but text or numbers were expected "
        "(1 such row). Name a column of plain values, or flatten it first; --skip-bad drops and counts such rows."
    )
    expected = [(None, None, before + 1), ('["a"]', "3", before + 2)]
    assert records(path, ["a", "b"], lenient=True)[before:] == expected
    assert records(path, ["b"])[before] == ("2", before + 1)


# Bytes


@pytest.mark.parametrize(("kind", "text"), [("csv", "q,a\nx,1\n"), ("jsonl", '{"q": "x", "a": "1"}\n')])
def test_a_damaged_gzip_is_refused(tmp_path: Path, kind: str, text: str) -> None:
    path = tmp_path / f"a.{kind}.GZ"
    packed = gzip.compress(text.encode())
    path.write_bytes(packed)
    assert records(path, ["q", "a"]) == [("x", "1", 1)]
    wrong_sum = packed[:-8] + bytes(byte ^ 1 for byte in packed[-8:-4]) + packed[-4:]
    for damaged, reason in (
        (wrong_sum, "is a damaged gzip: its checksum is wrong"),
        (packed[:-3], "is a damaged gzip: it was cut off"),
        (packed[:12], "is a damaged gzip: it was cut off"),
        (packed[:10] + b"\xff" + packed[11:], "is a damaged gzip: Error -3 while decompressing"),
        (text.encode(), "is named .gz, but is no gzip"),
    ):
        path.write_bytes(damaged)
        for lenient in (False, True):
            with pytest.raises(DataError, match=reason):
                open_file(path, ["q", "a"], lenient=lenient)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_line_ends_may_be_mixed(tmp_path: Path, ends: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f'q,a\r\nx,1{ends}"y\n""z""",2\n"v\r\nw",3{ends}'.encode())
    expected = [("x", "1", 1), ('y\n"z"', "2", 2), ("v\r\nw", "3", 3)]
    assert records(path, ["q", "a"]) == records(path, ["q", "a"], lenient=True) == expected
    path.write_bytes(f"q,a\r\nx,1{ends}y,2,3\nz,4\r\n".encode())
    with pytest.raises(DataError, match=r"a\.csv cannot be read: line 3: 3 cells, but the header has 2\. Correct"):
        open_file(path, ["q", "a"])
    table = open_file(path, ["q"], lenient=True)
    assert [row["q"] for row in rows(table)] == ["x", "z"]
    assert engine_of(table).rejected() == [3]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_lines_are_those_of_the_file_after_cells_of_several_lines(tmp_path: Path, ends: str, packed: bool) -> None:
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    lines = ["q,a,n", 'a,"b', "b", 'b",1', "a,c", "x,y,2", '"v', 'w",3', "z,z,4"]
    text = "".join(f"{line}{ends}" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    with pytest.raises(DataError, match=r"cannot be read: line 5: 2 cells, but the header has 3\. Correct"):
        open_file(path, ["q", "a"])
    table = open_file(path, ["q"], lenient=True)
    assert [row["q"] for row in rows(table)] == ["a", "x", "z"]
    assert engine_of(table).rejected() == [5, 7]


def test_lines_are_those_of_the_file_where_ends_are_mixed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'q,a\r\n"x\ny",1\rk\r\n\n"v\r\nw"\nu,5\r\nt,\xff\n')
    with pytest.raises(DataError, match=r"a\.csv is not UTF-8 text: line 9: invalid start byte\. Save"):
        open_file(path, ["q", "a"])
    table = open_file(path, ["q"], lenient=True)
    assert [row["q"] for row in rows(table)] == ["x\ny", "u"]
    assert engine_of(table).rejected() == [4, 6, 9]
    path.write_bytes(path.read_bytes().replace(b"\xff", b""))
    with pytest.raises(DataError, match=r"a\.csv cannot be read: line 4: 1 cell, but the header has 2\. Correct"):
        open_file(path, ["q", "a"])


def test_line_of_a_broken_record_far_into_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    record = '"x\n' + "y" * 1_000 + '",1\n'
    path.write_text("q,a\n" + record * 35_000 + "x\n" + record * 5_000 + "x,2,3\n" + record * 30_000)
    table = open_file(path, ["a"], lenient=True)
    assert engine_of(table).rejected() == [70_002, 80_003]
    with pytest.raises(DataError, match=r"a\.csv cannot be read: line 70002: 1 cell, but the header has 2\. Correct"):
        open_file(path, ["a"])


def test_a_broken_record_is_stored_once_however_often_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("q,a\nx\ny,1\n")
    table = open_file(path, ["q", "a"], lenient=True)
    for _ in range(3):
        assert [row["q"] for row in rows(table)] == ["y"]
    backend = ibis.get_backend(table)
    assert backend.raw_sql("SELECT count(*) FROM reject_errors").fetchone() == (1,)
    assert engine_of(table).rejected() == [2]


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_lines_are_counted_whatever_ends_them(tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_checks, "_BYTES_AT_ONCE", chunk)
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\nb\r\n\rc\r\n\nd")
    assert lines_at(path, [13, 0, 2, 5, 6, 9, 10, 7]) == [1, 2, 4, 4, 6, 6, 6, 6]


@pytest.mark.parametrize("ends", ["\n", "\r"])
def test_a_file_that_is_cut_inside_its_last_character_is_refused(tmp_path: Path, ends: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"q,a{ends}x,1{ends}y,é".encode()[:-1])
    with pytest.raises(DataError, match=r"a\.csv is not UTF-8 text: line 3: unexpected end of data\. Save it again"):
        open_file(path, ["q", "a"])
    table = open_file(path, ["q"], lenient=True)
    assert [row["q"] for row in rows(table)] == ["x"]


def test_invalid_bytes_have_a_reason_where_ends_are_made_equal(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"q,a\r\nx,1\ny,\xff\n")
    with pytest.raises(DataError, match=r"a\.csv cannot be read: line 3: bytes that are not UTF-8\. Correct"):
        with_equal_ends(connect(), path, separator=",", num_columns=2, lenient=False)


@pytest.mark.parametrize(("text", "line"), [(b"q,a\r\nx,1\n" + b"y" * 9_000, 3), (b'q,a\r\n"x\n' + b"y\n" * 9_000, 2)])
def test_a_record_without_end_is_refused_before_memory_is_full(
    tmp_path: Path, text: bytes, line: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "LONGEST_LINE", 5_000)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(text))
    for lenient in (False, True):
        with pytest.raises(DataError, match=rf"cannot be read: line {line}: longer than .* bytes\. Correct or remove"):
            with_equal_ends(connect(), path, separator=",", num_columns=2, lenient=lenient)


@pytest.mark.parametrize("byte", [b"x", b",", b"\0"])
def test_a_header_without_end_is_refused_before_memory_is_full(tmp_path: Path, byte: bytes) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(byte * 40_000_000, 1))
    with pytest.raises(DataError, match=r"\(its first line is longer than 32,000,000 bytes\)\. Check what the file is"):
        csv_header(path, tab=False)


@pytest.mark.parametrize("start", [b"\n", b"\r\n\r\n", b"\xef\xbb\xbf\n"])
def test_a_blank_line_before_the_names_is_told(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(start + b"q,a\nx,1\n")
    with pytest.raises(DataError, match=r"\(its first line is blank\)\. Remove the blank lines before the names\.$"):
        open_file(path, ["q"])
    path.write_bytes(start)
    with pytest.raises(DataError, match=r"a\.csv is empty\. Give a file with at least one record\.$"):
        open_file(path, ["q"])


def test_broken_utf8_costs_its_row_whatever_column_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"q,a,n\nx,1,1\ny,\xff,2\n\xfe,3,3\nz,4,4\n")
    with pytest.raises(DataError, match=r"a\.csv is not UTF-8 text: line 3: invalid start byte\. Save it again"):
        open_file(path, ["q"])
    table = open_file(path, ["q", "a", "n"], lenient=True)
    for name, expected in (("q", ["x", "z"]), ("a", ["1", "4"]), ("n", ["1", "4"])):
        assert [(row[name], row["__row__"]) for row in rows(table.select(name, "__row__"))] == [
            (expected[0], 1),
            (expected[1], 2),
        ]
    assert engine_of(table).rejected() == [3, 4]


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("q,a\nx," + "a" * 3_000_000 + "\ny,b\n")
    assert [(q, len(a), number) for q, a, number in records(path, ["q", "a"])] == [("x", 3_000_000, 1), ("y", 1, 2)]
    path.write_text("q,a\nx," + "a" * 33_000_000 + "\ny,b\n")
    with pytest.raises(DataError, match=r"a\.csv cannot be read: line 2: longer than 32,000,000 bytes\. Correct"):
        open_file(path, ["q", "a"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("q,a\nx\n", "line 2: 1 cell, but the header has 2"),
        ("q,a\nx,1\ny,2,3\n", "line 3: 3 cells, but the header has 2"),
        ('q,a\n"x"y,1\n', "line 2: a quoted cell does not end, or something follows its end"),
        ('q,a\nx,"1\n', "line 2: a quoted cell does not end, or something follows its end"),
    ],
)
def test_a_broken_record_of_csv_is_named_with_its_fault(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        open_file(path, ["q", "a"])
    assert str(caught.value) == (
        f"{path} cannot be read: {reason}. "
        "Correct or remove that part of the file; --skip-bad drops and counts such rows."
    )


@pytest.mark.parametrize("before", [0, 1, 30_000])
def test_a_broken_record_of_json_is_named_with_its_row(tmp_path: Path, before: int) -> None:
    path = tmp_path / "a.jsonl"
    for broken, reason in (
        ("{x}", "unexpected character"),
        ('{"q": 1, "q": 2}', 'Object {"q":1,"q":2} has duplicate key "q"'),
    ):
        path.write_text('{"q": "x"}\n' * before + broken + '\n{"q": "x"}\n')
        with pytest.raises(DataError) as caught:
            open_file(path, ["q"])
        assert f"{path} cannot be read: row {before + 1}: {reason}. Correct" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"), [("a.jsonl", '{"q": "x"}\n{"q": "y"}\n'), ("a.json", '[{"q": "x"}, {"q": "y"}]')]
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_byte_order_mark_is_passed_over(tmp_path: Path, name: str, text: str, packed: bool) -> None:
    path, marked = tmp_path / name, text.encode("utf-8-sig")
    if packed:
        path, marked = path.with_name(name + ".gz"), gzip.compress(marked)
    path.write_bytes(marked)
    assert records(path, ["q"]) == records(path, ["q"], lenient=True) == [("x", 1), ("y", 2)]
