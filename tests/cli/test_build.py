"""`tropism build` from the outside."""

import json
from pathlib import Path

import pytest

from tropism.cli import run
from tropism.data.store import read_card, read_groups_file

ROWS = "prompt,response,score,when,who\nQ,a a,5,1,ann\nQ,b,2,2,bob\nQ,c,2,1,\nR,[deleted],1,1,ann\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "votes.csv").write_text(ROWS)
    return tmp_path


def test_build_writes_groups_with_their_card(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "votes.csv", "--time", "when", "--author", "who"]) == 0
    shown = capsys.readouterr().out
    assert "1 groups, 3 responses, 2 edges" in " ".join(shown.split())
    assert "chosen_earlier" in shown
    assert shown.rstrip().endswith("Next: tropism train RECIPE.yaml data.train=groups.parquet")
    (group,) = read_groups_file(folder / "groups.parquet")
    assert [group.responses[edge.winner].content for edge in group.edges] == ["a a", "a a"]
    card = read_card(folder / "groups.parquet")
    assert card is not None
    assert (card.source, card.account.dropped) == ("votes.csv", {"deleted response": 1})


def test_build_ends_with_one_json_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "votes.csv", "-o", "new/g.parquet", "--cap", "1", "--json"]) == 0
    shown = capsys.readouterr()
    (line,) = shown.out.splitlines()
    report = json.loads(line)
    confounds, tables = report.pop("confounds"), report.pop("tables")
    assert report.pop("pairs_per_thread") == {"mean": 1.0, "median": 1.0, "most": 1.0, "share of the top 1 %": 1.0}
    assert tables == []
    assert report == {
        "rows_read": 4,
        "rows_used": 3,
        "dropped": {"deleted response": 1},
        "groups": 1,
        "responses": 3,
        "edges": 1,
        "labels": 0,
        "ties": 0,
        "notes": {"responses without an edge": 1, "pairs over the cap": 1},
        "split_keys": 0,
        "rule": "gap: the winner leads by at least 1; at most 1 edge of a thread, the largest gaps first",
        "output": "new/g.parquet",
    }
    assert confounds["chosen_longer"]["value"] == 1.0
    assert "rows read" in shown.err
    assert (folder / "new" / "g.parquet").exists()


def test_build_writes_pairs(folder: Path) -> None:
    assert run(["build", "votes.csv", "-o", "pairs.jsonl", "--min-gap", "3", "--weight", "gap"]) == 0
    pairs = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    assert sorted(pair["rejected"] for pair in pairs) == ["b", "c"]
    assert {(pair["prompt"], pair["chosen"], pair["weight"]) for pair in pairs} == {("Q", "a a", 3.0)}


def test_build_uses_the_shp_rule(folder: Path) -> None:
    assert run(["build", "votes.csv", "--rule", "shp", "--time", "when", "--min-ratio", "2.5"]) == 0
    (group,) = read_groups_file(folder / "groups.parquet")
    assert [group.responses[edge.loser].content for edge in group.edges] == ["c"]


def test_build_never_replaces_a_file_unasked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "groups.parquet").write_text("mine")
    assert run(["build", "votes.csv"]) == 3
    assert capsys.readouterr().err == (
        "error: groups.parquet exists. Name another file with --output, or replace it with --overwrite.\n"
    )
    assert (folder / "groups.parquet").read_text() == "mine"
    assert run(["build", "votes.csv", "--overwrite"]) == 0
    assert len(list(read_groups_file(folder / "groups.parquet"))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--min-ratio", "2"],
            "--min-ratio has no effect with --rule gap. Leave it away, or use --rule ratio or shp.",
        ),
        (["--rank", "r"], "--rank has no effect with --signal votes. Leave it away; it belongs to rankings."),
        (["--weight", "count"], "--weight count has no meaning for votes. Use one or gap."),
        (["--salt", "x"], "--salt has no effect without --private. Add --private."),
        (["--holdout", "1.5"], "--holdout must lie between 0 and 1, not 1.5. Use 0.1, say."),
        (
            ["--score", "a", "--score", "b"],
            "votes have one --score, not several. Use --signal ratings for several aspects.",
        ),
        (
            ["--signal", "labels", "--min-gap", "1"],
            "--min-gap has no effect with --signal labels. Leave it away; it belongs to votes, ratings, posts.",
        ),
        (["--posts", "--signal", "votes"], "--posts and --signal votes exclude each other. Give one of them."),
        (
            ["--rule", "shp", "--later", "--time", "when"],
            "--later has no effect with --rule shp. "
            "Leave it away, or use --rule gap or lead or ratio or log2 or quantile.",
        ),
        (
            ["-o", "groups.csv"],
            "--output must end in .parquet (groups) or .jsonl (pairs), not 'groups.csv'. "
            "Use groups.parquet for `tropism train`.",
        ),
        (
            ["--score", "scores"],
            "votes.csv has no column 'scores'; its columns are prompt, response, score, when, who. "
            "Did you mean 'score'?",
        ),
        (
            ["--score", "response"],
            "--response and --score both name the column 'response'. "
            "Give --score a column of its own or, where it may, leave it away.",
        ),
        (
            ["--score", "who"],
            "row 1: column 'who' must hold a number, not 'ann' (2 such rows). "
            "Correct it, or drop and count such rows with --skip-bad.",
        ),
    ],
)
def test_build_ends_in_one_clear_error_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["build", "votes.csv", *arguments]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["votes.csv"]


def test_build_never_replaces_its_input(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "votes.jsonl").write_text("{}\n")
    assert run(["build", "votes.jsonl", "-o", "votes.jsonl", "--overwrite"]) == 2
    assert "--output would replace its own input votes.jsonl. Name another file." in capsys.readouterr().err


def test_build_makes_the_counted_edges_of_counsel_chat(
    folder: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = ["--prompt", "questionText", "--response", "answerText", "--score", "upvotes", "--group", "questionID"]
    assert run(["build", str(real_data / "data" / "counsel_chat.jsonl"), *columns, "--min-gap", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["edges"], report["split_keys"]) == (373, 15)
    assert report["rows_read"] == report["rows_used"] + sum(report["dropped"].values()) == 1539
    assert sum(len(group.edges) for group in read_groups_file(folder / "groups.parquet")) == 373


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("v.csv", b"prompt,response,score\nQ,a,1\nQ,b,2,3\nQ\xff,c,4\nQ,d,5\n"),
        (
            "v.jsonl",
            b'{"prompt":"Q","response":"a","score":1}\n{"prompt":"Q",\n[1]\n{"prompt":"Q","response":"d","score":5}\n',
        ),
    ],
)
def test_skip_bad_counts_lines_that_no_parser_reads(
    folder: Path, name: str, text: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / name).write_bytes(text)
    assert run(["build", name]) == 2
    problem = capsys.readouterr().err
    assert "not UTF-8" in problem or "cannot be read" in problem
    assert run(["build", name, "--skip-bad", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows_read"], report["rows_used"], report["edges"]) == (4, 2, 1)
    assert report["dropped"] == {"record that cannot be read, or holds nothing": 2}
