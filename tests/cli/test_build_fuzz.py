"""Broken feedback through `tropism build`: an account of every row, or one clear error and no file."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.data.fuzzing import NUM_ROWS, WRITERS, Row, broken_row
from tropism.cli import run
from tropism.data.group_store import read_groups_file

FEEDBACK: dict[str, tuple[str, ...]] = {
    "votes": ("prompt", "response", "score", "time", "author"),
    "ratings": ("prompt", "response", "score"),
    "rankings": ("prompt", "response", "rank", "annotator"),
    "choices": ("prompt", "response_a", "response_b", "choice", "annotator"),
    "labels": ("prompt", "response", "label"),
}
"""Kinds of `tropism build` and the columns of their rows."""
OPTIONS = ("--skip-bad", "--json", "-o")
NAMED = {"time": "--time", "author": "--author", "annotator": "--annotator"}


def feedback_row(columns: tuple[str, ...], random_: random.Random) -> Row:
    """A row of feedback."""
    values: Row = {name: f"{name}{random_.randrange(30)}" for name in columns}
    values |= {"prompt": f"p{random_.randrange(20)}", "score": random_.randrange(-3, 9), "rank": random_.randrange(4)}
    values |= {"label": random_.random() < 0.5, "choice": random_.choice(("a", "b", "tie")), "time": 1.0}
    return {name: values[name] for name in columns}


def named(columns: tuple[str, ...]) -> list[str]:
    """The options that name columns without a default."""
    return [part for name in columns if name in NAMED for part in (NAMED[name], name)]


def sound_line(row: Row) -> str:
    """A line of JSON that every parser reads, whatever its values are."""
    text = json.dumps({name: value for name, value in row.items() if value == value}, default=str)
    return text.encode("utf-8", "replace").decode().replace("\\ud8", "\\u00d8").replace("\\u0000", "?") + "\n"


@pytest.mark.parametrize("signal", FEEDBACK)
def test_build_accounts_for_every_row_of_broken_values(
    tmp_path: Path, signal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    random_, columns = random.Random(signal), FEEDBACK[signal]
    rows = [broken_row(feedback_row(columns, random_), random_) for _ in range(NUM_ROWS)]
    path, target = tmp_path / "fuzzed.jsonl", tmp_path / "groups.parquet"
    path.write_text("".join(sound_line(row) for row in rows), encoding="utf-8")
    assert run(["build", signal, str(path), *named(columns), *OPTIONS, str(target)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows_read"] == report["rows_used"] + sum(report["dropped"].values()) == NUM_ROWS
    assert len(list(read_groups_file(target))) == report["groups"] > 0


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("signal", FEEDBACK)
def test_build_uses_or_reports_every_row(
    tmp_path: Path, signal: str, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    random_, columns = random.Random(signal), FEEDBACK[signal]
    path, target = tmp_path / f"fuzzed{ending}", tmp_path / "groups.parquet"
    WRITERS[ending]([broken_row(feedback_row(columns, random_), random_) for _ in range(NUM_ROWS)], path, random_)
    status = run(["build", signal, str(path), *named(columns), *OPTIONS, str(target)])
    report = json.loads(capsys.readouterr().out)
    if status == 0:
        assert report["rows_read"] == report["rows_used"] + sum(report["dropped"].values()) == NUM_ROWS
        assert len(list(read_groups_file(target))) == report["groups"]
    else:
        assert status == 2
        assert report["error"]["remedy"]
        assert not target.exists()
