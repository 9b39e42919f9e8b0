"""Files that are opened, and files that are refused."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tropism.errors import DataError
from tropism.signals.engines import open_file
from tropism.signals.rules import GapRule
from tropism.signals.votes import VoteColumns, votes_to_groups


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
        DataError, match=r"a\.jsonl cannot be read: .*line 3: unexpected end of data\. Correct .*UTF-8\.$"
    ):
        open_file(broken, ["q"])
    ragged = tmp_path / "a.csv"
    ragged.write_text("q,a,votes\nQ,x,1\nQ,x\n")
    columns = VoteColumns("q", "a", "votes")
    with pytest.raises(DataError, match=r"^a\.csv cannot be read: .*[Ll]ine: 3.*UTF-8\.$"):
        votes_to_groups(open_file(ragged, ["q", "a", "votes"]), columns, GapRule(), source="a.csv")
    latin = tmp_path / "b.csv"
    latin.write_bytes("q,a,é\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"b\.csv is not UTF-8 text: .* Save it again in UTF-8\.$"):
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
