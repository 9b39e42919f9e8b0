"""Records are whole or not there, and their numbers add up."""

import pytest

from tropism.errors import ConfigError, DataError
from tropism.records import (
    Account,
    Estimate,
    EvalResult,
    SuiteModel,
    SuiteRun,
    read_log,
    read_run,
    write_json,
    write_text,
)


def test_an_account_must_add_up():
    with pytest.raises(ValueError, match="does not add up"):
        Account(rows_read=3, rows_used=1, dropped={"empty": 1}, groups=1, responses=1, edges=0, labels=0)


def test_a_record_survives_the_way_to_disk_and_back(tmp_path):
    estimate = Estimate(value=0.5, low=0.25, high=0.75, n=8)
    write_json(estimate, tmp_path / "a" / "e.json")
    assert Estimate.model_validate_json((tmp_path / "a" / "e.json").read_text()) == estimate


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_text("old", path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_text("new", path)
    assert [one.name for one in tmp_path.iterdir()] == ["file.txt"]
    assert path.read_text() == "old"


def test_a_log_cut_short_by_a_kill_is_read_up_to_there(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "loss": 0.5, "note": null}\n{"step": 2, "lo')
    (line,) = read_log(path)
    assert (line.step, line.values) == (1, {"loss": 0.5})


def test_a_missing_or_foreign_run_is_a_plain_error(tmp_path):
    with pytest.raises(DataError, match=r"no finished run in .* Give the `output` folder"):
        read_run(tmp_path / "run.json")
    (tmp_path / "run.json").write_text('{"kind": "something"}')
    with pytest.raises(DataError, match=r"is not a run of this version: .* Run `tropism train` again"):
        read_run(tmp_path / "run.json")


def suite_run(*names):
    one = Estimate(value=0.7, low=0.6, high=0.8, n=90)
    return SuiteRun(
        title="t", command="c", suite="training", settings={}, environment={}, base="start",
        models=[SuiteModel(name=name, path=name, fingerprint=name) for name in ("start", *names)],
        results=[EvalResult(eval="preference", model=name, metrics={"pair_accuracy": one}) for name in names],
        comparisons=[], seconds=1.0,
    )  # fmt: skip


def test_a_suite_run_is_read_by_the_name_of_eval_and_metric():
    run = suite_run("tuned")
    assert run["preference.pair_accuracy"].value == 0.7
    assert run.metric("preference.pair_accuracy", "tuned") == run["preference.pair_accuracy"]
    assert run.metric("preference.pair_accuracy", "start") is None
    with pytest.raises(KeyError, match=r"'drift.kl' was not measured; available: preference\.pair_accuracy"):
        run["drift.kl"]


def test_a_metric_of_several_models_asks_which():
    run = suite_run("a", "b")
    with pytest.raises(ConfigError, match="`model` is required"):
        run.metric("preference.pair_accuracy")
    with pytest.raises(ConfigError, match=r"unknown `model` 'c'\. Available: start, a, b\."):
        run.metric("preference.pair_accuracy", "c")
