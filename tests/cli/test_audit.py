"""`tropism audit` from the outside."""

import json
from pathlib import Path

import pytest

from tropism.cli import run
from tropism.cli.json_keys import JSON_KEYS
from tropism.data.group_store import read_card, read_groups_file

PAIRS = [
    {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"},
    {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"},
    {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "blue."},
    {"prompt": "Greet me.", "chosen": "Hello!", "rejected": 7},
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in PAIRS))
    (tmp_path / "sound.jsonl").write_text(json.dumps(PAIRS[0]) + "\n")
    return tmp_path


def test_audit_names_rows_counts_and_remedies(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "pairs.jsonl"]) == 1
    shown = capsys.readouterr().out
    assert "4 rows (3 readable), 2 prompts, 6 responses, 3 comparisons, 0 labels" in shown
    assert "error    equal-responses: 1 of 4 rows (25.0%), such as 3" in shown
    assert "warning  duplicate-rows: 1 of 4 rows (25.0%), such as 2" in shown
    assert "('rejected' is neither text nor messages: 1)" in shown
    assert "Not run (no --model): special-tokens" in shown
    assert "Failed: 1 errors, 2 warnings, 0 notes." in shown
    assert shown.rstrip().endswith("Next: tropism audit pairs.jsonl --fix -o audited.parquet")


def test_audit_ends_with_one_json_line_of_the_promised_keys(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "sound.jsonl", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    assert report.keys() == JSON_KEYS["audit"].keys()
    assert (report["findings"], report["passed"], report["fixed"]) == ([], True, None)
    run(["audit", "pairs.jsonl", "--json"])
    first = json.loads(capsys.readouterr().out)["findings"][0]
    assert {name: first[name] for name in ("check", "severity", "count", "n", "share", "examples")} == {
        "check": "equal-responses",
        "severity": "error",
        "count": 1,
        "n": 4,
        "share": 0.25,
        "examples": ["3"],
    }


def test_the_exit_status_follows_severity(folder: Path) -> None:
    assert run(["audit", "pairs.jsonl", "--skip", "equal-responses"]) == 0
    assert run(["audit", "pairs.jsonl", "--skip", "equal-responses", "--strict"]) == 1
    assert run(["audit", "sound.jsonl", "--strict"]) == 0


def test_fix_writes_what_is_left_with_its_account(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "pairs.jsonl", "--fix", "-o", "new/fixed.parquet"]) == 0
    shown = capsys.readouterr().out
    assert shown.rstrip().endswith("Next: tropism train RECIPE.yaml data.train=new/fixed.parquet")
    (group,) = read_groups_file(folder / "new" / "fixed.parquet")
    assert (group.prompts, len(group.edges), group.edges[0].weight) == (("2 + 2?",), 1, 1.0)
    card = read_card(folder / "new" / "fixed.parquet")
    assert card is not None
    assert (card.account.rows_read, card.account.rows_used) == (4, 1)
    assert card.account.dropped == {
        "duplicate-rows": 1,
        "equal-responses": 1,
        "'rejected' is neither text nor messages": 1,
    }


def test_leaks_are_taken_from_the_side_that_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "held.jsonl").write_text(json.dumps(PAIRS[0] | {"rejected": "22"}) + "\n")
    more = {"prompt": "Another?", "chosen": "Yes.", "rejected": "No."}
    (folder / "train.jsonl").write_text(json.dumps(PAIRS[0]) + "\n" + json.dumps(more) + "\n")
    assert run(["audit", "train.jsonl", "--eval", "held.jsonl"]) == 1
    assert "leaked-prompts: 1 of 1 evaluation rows (100.0%), such as held.jsonl:1" in capsys.readouterr().out
    assert run(["audit", "train.jsonl", "--eval", "held.jsonl", "--fix"]) == 0
    assert [group.prompts for group in read_groups_file(folder / "audited.parquet")] == [("Another?",)]
    capsys.readouterr()
    assert run(["audit", "train.jsonl", "--eval", "held.jsonl", "--fix", "--overwrite", "--leaks-from", "eval"]) == 2
    assert "which are never written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nothing.jsonl"], 2, "there is no file nothing.jsonl."),
        (["pairs.jsonl", "--max-tokens", "99"], 2, "--max-tokens has no effect without --model."),
        (["pairs.jsonl", "--min-response-tokens", "9"], 2, "--min-response-tokens has no effect without --model."),
        (["pairs.jsonl", "--skip", "spelling"], 2, "unknown check 'spelling' in --skip."),
        (["pairs.jsonl", "--model", "nowhere/at/all"], 2, "the model folder nowhere/at/all does not exist."),
        (
            ["pairs.jsonl", "--fix", "-o", "fixed.jsonl"],
            2,
            "--output must end in .parquet, got 'fixed.jsonl'.",
        ),
        (["pairs.jsonl", "--fix", "-o", "sound.parquet"], 3, "sound.parquet exists."),
    ],
)
def test_audit_ends_in_one_clear_error(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    (folder / "sound.parquet").write_text("mine")
    assert run(["audit", *arguments]) == status
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert (folder / "sound.parquet").read_text() == "mine"


def test_nothing_is_written_where_nothing_would_be_left(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "equal.jsonl").write_text(json.dumps(PAIRS[2]) + "\n")
    assert run(["audit", "equal.jsonl", "--fix"]) == 2
    assert "no row would be left of equal.jsonl: equal-responses: 1." in capsys.readouterr().err
    assert not (folder / "audited.parquet").exists()


def test_images_are_not_written_where_their_paths_would_mean_other_files(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "cat.png").write_bytes(b"cat")
    shown = {"role": "user", "content": [{"type": "image", "image": "cat.png"}, {"type": "text", "text": "What?"}]}
    answers = [[{"role": "assistant", "content": words}] for words in ("A cat.", "A dog.")]
    row = {"prompt": [shown], "chosen": answers[0], "rejected": answers[1]}
    (folder / "images.jsonl").write_text(json.dumps(row) + "\n")
    assert run(["audit", "images.jsonl", "--fix", "-o", "elsewhere/fixed.parquet"]) == 2
    assert "names the image 'cat.png'" in capsys.readouterr().err
    assert run(["audit", "images.jsonl", "--fix"]) == 0


def test_what_is_wrong_with_real_hh_rows_is_found(real_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", str(real_data / "data" / "hh_harmless.jsonl"), "--json"]) == 1
    found = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert {name: found[name]["count"] for name in found} == {
        "empty-responses": 2,
        "unreadable-rows": 5,
        "near-duplicate-prompts": 3,
    }
    assert found["empty-responses"]["examples"] == ["393", "853"]


def test_real_rows_are_audited_for_a_real_tokenizer(
    real_data: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (real_data / "data" / "hh_harmless.jsonl").open(encoding="utf-8") as file:
        (folder / "some.jsonl").write_text("".join(next(file) for _ in range(100)), encoding="utf-8")
    model = real_data / "models" / "stories260K"
    assert run(["audit", "some.jsonl", "--model", str(model), "--max-tokens", "512", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = {finding["check"]: finding["count"] for finding in report["findings"]}
    assert found == {"prompt-cut": 24, "rejected-cut": 3}
    assert set(report["not_run"].values()) == {"no --eval, and no row says split: eval"}


@pytest.mark.parametrize("given", [["-o", "x.parquet"], ["--overwrite"], ["--leaks-from", "train"]])
def test_what_only_a_repair_needs_is_refused_without_one(
    given: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option = {"-o": "--output"}.get(given[0], given[0])
    assert run(["audit", "pairs.jsonl", *given]) == 2
    expected = f"error: {option} has no effect without --fix. Add --fix, or omit {option}.\n"
    assert capsys.readouterr().err == expected
