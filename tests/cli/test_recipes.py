"""The recipes that are shipped, on real data and real weights, in a few steps."""

import json
from pathlib import Path

import pytest

from tropism.cli import run

RECIPES = Path(__file__).parents[2] / "recipes"
FEW = ["evaluation.prompts=4", "evaluation.max_new_tokens=10"]


def last_json(capsys) -> dict:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


@pytest.fixture
def environment(real_data, monkeypatch):
    monkeypatch.setenv("TROPISM_TEST_DATA", str(real_data))
    return real_data


@pytest.mark.usefixtures("environment")
def test_real_pairs_and_real_weights_end_with_a_report(tmp_path, capsys):
    few = [*FEW, "train.max_steps=2", "data.max_groups=40", f"output={tmp_path}/hh"]
    assert run(["train", str(RECIPES / "hh-dpo.yaml"), *few, "--json"]) == 0
    payload = last_json(capsys)
    assert Path(payload["report"]).exists()
    assert payload["first_loss"] == pytest.approx(0.6931472, abs=1e-4)
    (card,) = json.loads((tmp_path / "hh" / "run.json").read_text())["cards"]
    rows = card["account"]["examples"]["chosen and rejected do not share a prompt"]
    assert all(any(number in row for row in rows) for number in ("975", "1311", "1526", "1528", "1592")), rows


def test_real_votes_go_through_sft_and_dpo(environment, tmp_path, capsys):
    groups = tmp_path / "counsel.parquet"
    table = str(environment / "data" / "counsel_chat.jsonl")
    columns = ["--prompt", "questionText", "--response", "answerText", "--score", "upvotes", "--group", "questionID"]
    rule = ["--rule", "gap", "--min-gap", "1", "--cap", "10"]
    assert run(["build", table, *columns, *rule, "-o", str(groups), "--json"]) == 0
    assert last_json(capsys)["edges"] == 616
    few = [*FEW, "data.max_groups=60", f"data.train={groups}", f"output={tmp_path}/votes"]
    few += [f"stages.{stage}.train.max_steps=2" for stage in ("sft", "dpo")]
    assert run(["train", str(RECIPES / "votes-sft-dpo.yaml"), *few, "--json"]) == 0
    payload = last_json(capsys)
    assert payload["steps"] == 4
    assert Path(payload["report"]).exists()
