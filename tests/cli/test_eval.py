"""`tropism eval` and `tropism gate` from end to end on a tiny run: the record, resuming, and yes or no."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tropism.cli import run
from tropism.cli.json_keys import JSON_KEYS
from tropism.data.group_store import write_pairs
from tropism.records import read_run, read_suite_run
from tropism.testing import pairs, tiny_llama, tiny_policy

SUITE = "evals: [preference, displacement, drift: {prompts: 4, max_new_tokens: 6}, forgetting: {texts: 10}, win_rate]\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run of three DPO steps on forty pairs, with the model that it started from beside it."""
    folder = tmp_path_factory.mktemp("trained")
    tiny_policy().save(folder / "tiny")
    write_pairs(pairs([f"question {i} {'x' * (5 * i % 13)}" for i in range(40)]), folder / "pairs.jsonl")
    recipe = {
        "model": str(folder / "tiny"),
        "data": {"train": str(folder / "pairs.jsonl"), "holdout": 0.3, "max_tokens": 128, "min_response_tokens": 4},
        "train": {"per_device_train_batch_size": 4, "learning_rate": 1e-3, "max_steps": 3, "use_cpu": True},
        "evaluation": {"prompts": 4, "max_new_tokens": 6},
        "output": str(folder / "run"),
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "suite.yaml").write_text(SUITE)
    assert run(["train", str(folder / "recipe.yaml")]) == 0
    return folder


def evaluate(trained: Path, out: Path, *more: str) -> list[str]:
    return ["eval", str(trained / "run"), "--suite", str(trained / "suite.yaml"), "-o", str(out), *more]


def last_json(capsys) -> dict:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def error_line(capsys, *arguments: str) -> str:
    assert run(list(arguments)) not in (0, None)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


def test_a_run_is_compared_with_its_start_on_what_it_held_out(trained, tmp_path, capsys):
    assert run(evaluate(trained, tmp_path / "out", "--json")) == 0
    found = last_json(capsys)
    assert set(found) == set(JSON_KEYS["eval"])
    record = read_suite_run(tmp_path / "out" / "eval.json")
    assert (record.base, [model.name for model in record.models]) == ("tiny", ["tiny", "run"])
    held_out = json.loads((trained / "run" / "run.json").read_text())["split"]["groups held out"]
    assert record.settings["groups"] == held_out
    assert found["metrics"]["run.preference.pair_accuracy"]["n"] == held_out
    assert found["left_out"] == {"win_rate": "there is no judge"}
    assert all((tmp_path / "out" / result.items).exists() for result in record.results)
    assert record.models[1].run == str(trained / "run")


def test_train_and_eval_of_one_suite_give_the_same_metrics_to_the_last_digit(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("TROPISM_CACHE", str(tmp_path / "cache"))  # nothing that training kept is found
    trained_run = read_run(trained / "run" / "run.json").evaluation
    assert run(["eval", str(trained / "run"), "--suite", "training", "-o", str(tmp_path / "out")]) == 0
    record = read_suite_run(tmp_path / "out" / "eval.json")
    assert record.metrics_of("run") == trained_run.metrics_of("dpo")
    assert record.metrics_of(record.base) == trained_run.metrics_of(trained_run.base)
    assert {"preference.pair_accuracy", "displacement.winner_change", "drift.kl"} <= set(record.metrics_of("run"))


def test_the_same_command_again_finds_everything_there(trained, tmp_path, capsys):
    assert run(evaluate(trained, tmp_path / "out")) == 0
    first = read_suite_run(tmp_path / "out" / "eval.json")
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == f"Next: tropism report {tmp_path / 'out'}"
    assert run(evaluate(trained, tmp_path / "out", "--verbose")) == 0
    said = capsys.readouterr().out
    assert "8 results were already there" in said
    assert "with 95 % intervals" in said
    assert "preference.pair_accuracy" in said
    assert read_suite_run(tmp_path / "out" / "eval.json").comparisons == first.comparisons
    assert run(evaluate(trained, tmp_path / "out", "--fresh")) == 0
    assert "were already there" not in capsys.readouterr().out
    assert read_suite_run(tmp_path / "out" / "eval.json").comparisons == first.comparisons


def test_the_end_is_at_most_fifteen_lines_of_eighty_columns_in_words(trained, tmp_path, capsys):
    assert run(evaluate(trained, tmp_path / "out")) == 0
    lines = capsys.readouterr().out.splitlines()
    end = lines[1 + max(k for k, line in enumerate(lines) if line.startswith("Suite ")) :]
    assert len(end) <= 15
    assert all(len(line) <= 80 for line in end[:-1])  # the last one is the next command, with a path
    said = "\n".join(end)
    assert "Pair accuracy" in said
    assert "Not run: Win rate: there is no judge." in said
    assert not re.search(r"[a-z]+_[a-z]+|preference\.|drift\.", said.rpartition("\n")[0])


def test_groups_that_a_run_was_trained_on_are_left_out_of_a_file(trained, tmp_path, capsys):
    assert run(evaluate(trained, tmp_path / "out", "--data", str(trained / "pairs.jsonl"))) == 0
    counts = json.loads((trained / "run" / "run.json").read_text())["split"]
    assert f"{counts['groups for stage dpo']} groups are not used: run was trained on them." in capsys.readouterr().out
    assert read_suite_run(tmp_path / "out" / "eval.json").settings["groups"] == counts["groups held out"]


def test_models_without_a_run_need_a_base_and_data(trained, tmp_path, capsys):
    tiny_policy(tiny_llama(seed=5)).save(tmp_path / "other")
    line = error_line(capsys, "eval", str(tmp_path / "other"), "-o", str(tmp_path / "out"))
    assert "there is nothing to compare with" in line
    (tmp_path / "suite.yaml").write_text("evals: [preference, drift: {prompts: 2, max_new_tokens: 4}, forgetting]")
    (tmp_path / "texts.jsonl").write_text('{"text": "one"}\n{"text": "two and three"}\n')
    (tmp_path / "judge.py").write_text("def score(prompt, answer):\n    return len(answer)\n")
    more = ["--data", str(trained / "pairs.jsonl"), "--texts", str(tmp_path / "texts.jsonl"), "--template", "chat"]
    arguments = [str(tmp_path / "other"), "--against", str(trained / "tiny"), "--suite", str(tmp_path / "suite.yaml")]
    assert run(["eval", *arguments, "-o", str(tmp_path / "out"), *more, "--judge", f"{tmp_path}/judge.py:score"]) == 0
    record = read_suite_run(tmp_path / "out" / "eval.json")
    assert (record.settings["groups"], record.settings["texts"]) == (40, 2)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--suite", "all"], "unknown suite 'all'"),
        (["--against", "RUN"], "a model is given twice, or is its own base"),
        (["--texts", "RUN/recipe.yaml"], "the texts in .* cannot be read"),
        (["--judge", "nobody"], "a judge is named"),
        (["-o", "RUN"], "holds a run, not an evaluation"),
    ],
)
def test_a_wrong_option_is_one_line(trained, tmp_path, capsys, more, message):
    filled = [one.replace("RUN", str(trained / "run")) for one in more]
    arguments = ["eval", str(trained / "run"), "--suite", str(trained / "suite.yaml"), "-o", str(tmp_path / "out")]
    assert re.search(message, error_line(capsys, *arguments, *filled))


def test_a_folder_of_something_else_is_refused(trained, tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("dear")
    assert "is not empty and holds no evaluation." in error_line(capsys, *evaluate(trained, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_ctrl_c_keeps_what_is_done(trained, tmp_path, capsys, monkeypatch):
    from tropism.evals.preference import drift

    def stop(*arguments, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(drift, "answer_item", stop)
        assert run(evaluate(trained, tmp_path / "out")) == 130
    assert "Run the same command again to continue" in capsys.readouterr().err
    assert not (tmp_path / "out" / "eval.json").exists()
    assert run(evaluate(trained, tmp_path / "out")) == 0
    assert "4 results were already there" in capsys.readouterr().out


def test_the_gate_opens_and_shuts_with_reasons(trained, tmp_path, capsys):
    assert run(evaluate(trained, tmp_path / "out")) == 0
    gate = tmp_path / "gate.yaml"
    gate.write_text(
        "checks:\n- {metric: drift.words, at_least: 0}\n- {metric: drift.kl, of: difference, at_most: 1000}\n"
    )
    assert run(["gate", str(gate), str(tmp_path / "out")]) == 0
    assert "The gate is open: all 2 checks hold." in capsys.readouterr().out
    gate.write_text(
        f"folder: {tmp_path / 'out'}\nchecks:\n- {{metric: win_rate.win_rate, at_least: 0.5}}\n- alarms: none\n"
    )
    assert run(["gate", str(gate), "--json"]) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out.strip().splitlines()[-1])
    assert set(found) == set(JSON_KEYS["gate"])
    assert [check["passed"] for check in found["checks"]] == [False, True]
    assert "FAILED  win_rate.win_rate: it was not measured" in captured.err


def test_a_gate_looks_at_a_training_run_too(trained, tmp_path, capsys):
    gate = tmp_path / "gate.yaml"
    gate.write_text("checks: [{metric: preference.pair_accuracy, at_least: 0.0}, {alarms: none}]")
    assert run(["gate", str(gate), str(trained / "run")]) == 0
    assert "passed  preference.pair_accuracy: the lower bound of the value is" in capsys.readouterr().out
    assert "needs a folder" in error_line(capsys, "gate", str(gate))
