"""The gate: thresholds on the right bound, what is missing has failed, and reasons in plain words."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tropism.errors import ConfigError, DataError
from tropism.evals.core.gate import Check, GateFile, Measures, alarms_of, hold, read_gate, read_measures
from tropism.records import Alarm, Comparison, Estimate, EvalResult, Probe, SuiteModel, SuiteRun, write_json

ACCURACY = Estimate(value=0.7, low=0.6, high=0.8, n=200)
GAP = Estimate(value=-0.02, low=-0.05, high=0.01, n=200)
ALARM = Alarm(name="kl", step=40, value=31.0, threshold=20.0, sentence="It moved 31 nats.", remedy="Raise beta.")


def measures(alarms=()):
    return Measures(
        {"a": {"preference.pair_accuracy": ACCURACY}}, {"a": {"preference.pair_accuracy": GAP}}, {"a": alarms}
    )


def held(alarms=(), **check):
    return hold(GateFile(checks=(Check(**check),)), measures(alarms))


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        ({"at_least": 0.6}, True),
        ({"at_least": 0.61}, False),
        ({"at_least": 0.7, "bound": "value"}, True),
        ({"at_least": 0.8, "bound": "high"}, True),
        ({"at_most": 0.8}, True),
        ({"at_most": 0.79}, False),
        ({"at_least": -0.05, "of": "difference"}, True),
        ({"at_most": 0.0, "of": "difference"}, False),
        ({"at_least": 0.5, "min_n": 201}, False),
        ({"at_least": 0.5, "min_n": 200}, True),
    ],
)
def test_a_threshold_is_held_against_the_careful_bound(check, passed):
    (found,) = held(metric="preference.pair_accuracy", **check)
    assert found.passed is passed


def test_reasons_are_plain_words_with_interval_and_n():
    (found,) = held(metric="preference.pair_accuracy", at_least=0.65)
    assert found.reason == "the lower bound of the value is 0.6, not at least 0.65 (0.7 [0.6, 0.8], n = 200)"
    assert found[:7] == ("preference.pair_accuracy", "value", "low", "at_least", 0.65, 0.6, 200)


def test_both_thresholds_are_two_checks_each_with_its_own_bound():
    low, high = held(metric="preference.pair_accuracy", at_least=0.6, at_most=0.7)
    assert (low.bound, low.passed, high.bound, high.passed) == ("low", True, "high", False)


def test_what_is_missing_has_failed():
    (found,) = held(metric="preference.pair_acuracy", at_least=0.1)
    assert not found.passed
    assert found.reason == "it was not measured; did you mean 'preference.pair_accuracy'?"
    (found,) = held(metric="preference.pair_accuracy", model="b", at_least=0.1)
    assert (found.passed, found.reason) == (False, "unknown model 'b'; available: a")
    (found,) = hold(GateFile(checks=(Check(alarms="none", model="b"),)), measures())
    assert (found.metric, found.passed) == ("b: alarms", False)


def test_alarms_shut_the_gate_and_so_does_not_knowing_them():
    (quiet,), (loud,), (unknown,) = (
        hold(GateFile(checks=(Check(alarms="none"),)), measures(alarms)) for alarms in ([], [ALARM], None)
    )
    assert quiet.passed
    assert (loud.passed, loud.reason) == (False, "kl at step 40: It moved 31 nats")
    assert unknown.passed is False
    assert unknown.reason == "not measured: the training run is unknown, or its last stage was not probed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("checks: []", "checks"),
        ("checks: [{metric: a}]", "needs at_least or at_most"),
        ("checks: [{metric: a, at_least: 1, alarms: none}]", "either a metric or `alarms: none`"),
        ("checks: [{at_least: 1}]", "either a metric or `alarms: none`"),
        ("checks: [{metric: a, at_leats: 1}]", "Extra inputs are not permitted"),
        ("checks: [{metric: a, at_least: 1, bound: middle}]", "bound"),
        ("a: [", "not YAML"),
        ("3", "gate's file"),
    ],
)
def test_a_wrong_gate_is_a_plain_error(tmp_path, text, message):
    (tmp_path / "gate.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_gate(tmp_path / "gate.yaml")
    with pytest.raises(ConfigError, match="does not exist"):
        read_gate(tmp_path / "none.yaml")


def suite_run(folder: Path, **changes) -> SuiteRun:
    result = EvalResult(eval="preference", model="a", metrics={"pair_accuracy": ACCURACY})
    comparison = Comparison(
        eval="preference",
        metric="pair_accuracy",
        model="a",
        before=ACCURACY,
        after=ACCURACY,
        difference=GAP,
        better="higher",
    )
    models = [SuiteModel(name=name, path=name, fingerprint=name) for name in ("base", "a")]
    record = SuiteRun(
        title="t", command="c", suite="s", settings={}, environment={}, models=models, base="base", results=[result],
        comparisons=[comparison], seconds=1.0,
    )  # fmt: skip
    write_json(record.model_copy(update=changes), folder / "eval.json")
    return record


def test_a_suite_runs_folder_tells_values_and_differences_of_all_but_the_base(tmp_path):
    suite_run(tmp_path)
    found = read_measures(tmp_path)
    assert found.values == {"a": {"preference.pair_accuracy": ACCURACY}}
    assert found.differences == {"a": {"preference.pair_accuracy": GAP}}
    assert found.alarms == {"a": None}


def test_a_run_that_is_gone_leaves_its_alarms_unknown(tmp_path):
    models = [SuiteModel(name=name, path=name, fingerprint=name, run=str(tmp_path / "gone")) for name in ("base", "a")]
    suite_run(tmp_path, models=models)
    assert read_measures(tmp_path).alarms == {"a": None}


@pytest.mark.parametrize(
    ("probed", "known"), [((True, True), True), ((False, True), True), ((True, False), False), ((False, False), False)]
)
def test_alarms_are_known_only_if_the_last_stage_was_probed(probed, known):
    probe = Probe(step=1, metrics={"kl": ACCURACY})
    stages = [SimpleNamespace(probes=[probe] if one else [], alarms=[ALARM] if one else []) for one in probed]
    found = alarms_of(SimpleNamespace(stages=stages))
    assert found == ([ALARM] * sum(probed) if known else None)


def test_a_folder_of_neither_kind_is_a_plain_error(tmp_path):
    with pytest.raises(DataError, match="no finished run"):
        read_measures(tmp_path)
    (tmp_path / "eval.json").write_text("{}")
    with pytest.raises(DataError, match="is not an evaluation of this version"):
        read_measures(tmp_path)
