"""A gate: thresholds on the interval bounds of metrics, and yes or no with the reason in plain words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tropism.errors import ConfigError, DataError
from tropism.records import Alarm, Estimate, Run, SuiteRun, read_run, read_suite_run


class GateSection(BaseModel):
    """A part of the gate's file; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Check(GateSection):
    """One threshold.

    Args:
        metric: `eval.metric` of a suite run, or the name of a metric in a run's own evaluation.
        of: the model's value, or its difference from the base (of a suite run only).
        bound: which end of the 95 % interval must hold; by default the careful one: `low` for at_least, `high` for
            at_most.
        at_least, at_most: the thresholds; at least one of them.
        min_n: fewest samples that the metric must rest on.
        model: the model that must hold it; None means every model but the base.
        alarms: `none` asks that no alarm tripped while the models were trained; stands alone.
    """

    metric: str | None = None
    of: Literal["value", "difference"] = "value"
    bound: Literal["low", "high", "value"] | None = None
    at_least: float | None = None
    at_most: float | None = None
    min_n: int = Field(1, ge=1)
    model: str | None = None
    alarms: Literal["none"] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Check:
        if (self.alarms is None) == (self.metric is None):
            raise ValueError("a check has either a metric or `alarms: none`")
        if self.metric and self.at_least is None and self.at_most is None:
            raise ValueError(f"the check of {self.metric} needs at_least or at_most")
        return self


class GateFile(GateSection):
    """The gate's file: its checks, and the folder to read if the command names none."""

    checks: tuple[Check, ...] = Field(min_length=1)
    folder: str | None = None


class Checked(NamedTuple):
    """The result of one threshold on one model.

    Attributes:
        metric: its name, preceded by the model's if there are several; `alarms` for alarms.
        of: `value` or `difference`.
        bound: `low`, `high` or `value`.
        at: `at_least` or `at_most`.
        threshold: the number.
        found: the measured number; None if there is none.
        n: samples behind it.
        passed: whether it holds.
        reason: in plain words.
    """

    metric: str
    of: str
    bound: str
    at: str
    threshold: float
    found: float | None
    n: int
    passed: bool
    reason: str


class Measures(NamedTuple):
    """What a folder tells: model to metrics and differences, and the alarms of the models whose training is known."""

    values: Mapping[str, Mapping[str, Estimate]]
    differences: Mapping[str, Mapping[str, Estimate]]
    alarms: Mapping[str, Sequence[Alarm] | None]


def read_gate(path: Path) -> GateFile:
    """Read a gate's file.

    Raises:
        ConfigError: if it is missing, is no YAML, or holds anything but checks.
    """
    try:
        return GateFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ConfigError(f"the gate {path} does not exist.", remedy="Check the path.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"the gate {path} is not YAML: {problem}.", remedy="Fix the YAML syntax.") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "file"
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"the gate's {key} is {short(first.get('input'))}: {message}.", remedy="See docs/evaluation.md."
        ) from None


def read_measures(folder: Path) -> Measures:
    """The measures in the folder of a suite run or a training run.

    Raises:
        DataError: if the folder holds neither.
    """
    if not (folder / "eval.json").exists():
        run = read_run(folder / "run.json")
        alarms = {folder.name: alarms_of(run)}
        record = run.evaluation
        if record is None:
            return Measures({folder.name: {}}, {folder.name: {}}, alarms)
        values = {folder.name: record.metrics_of(record.others[0])}
        return Measures(values, {folder.name: _differences_of(record, record.others[0])}, alarms)
    record = read_suite_run(folder / "eval.json")
    runs = {model.name: model.run for model in record.models}
    return Measures(
        {name: record.metrics_of(name) for name in record.others},
        {name: _differences_of(record, name) for name in record.others},
        {name: _known_alarms(runs[name]) for name in record.others},
    )


def _differences_of(record: SuiteRun, model: str) -> dict[str, Estimate]:
    """Every difference of a model from the base, by `eval.metric`."""
    return {f"{one.eval}.{one.metric}": one.difference for one in record.comparisons if one.model == model}


def _known_alarms(run: str | None) -> list[Alarm] | None:
    """The alarms of the run that made a model; None if it is unknown or no longer there."""
    try:
        return alarms_of(read_run(Path(run) / "run.json")) if run else None
    except DataError:
        return None


def alarms_of(run: Run) -> list[Alarm] | None:
    """Every alarm of a run; None if the last stage was not probed, so that no alarm of its model could trip."""
    if not run.stages or not run.stages[-1].probes:
        return None
    return [alarm for stage in run.stages for alarm in stage.alarms]


def hold(gate: GateFile, measures: Measures) -> list[Checked]:
    """Hold every check against every model that it speaks of; what is missing has failed."""
    found = []
    for check in gate.checks:
        for model in [check.model] if check.model else list(measures.values):
            if check.metric is None:
                found.append(_no_alarms(model, measures))
            if check.at_least is not None:
                found.append(held(check, model, measures, at="at_least", threshold=check.at_least))
            if check.at_most is not None:
                found.append(held(check, model, measures, at="at_most", threshold=check.at_most))
    return found


def held(check: Check, model: str, measures: Measures, *, at: str, threshold: float) -> Checked:
    """One threshold on one model."""
    assert check.metric is not None
    bound = check.bound or ("low" if at == "at_least" else "high")
    metric = named(check.metric, model, measures)
    failed = Checked(metric, check.of, bound, at, threshold, None, 0, passed=False, reason="")
    if model not in measures.values:
        return failed._replace(reason=f"unknown model {model!r}; available: {', '.join(measures.values)}")
    known = (measures.values if check.of == "value" else measures.differences)[model]
    estimate = known.get(check.metric)
    if estimate is None:
        return failed._replace(reason=missing(check, known))
    number = {"low": estimate.low, "high": estimate.high, "value": estimate.value}[bound]
    found = failed._replace(found=number, n=estimate.n)
    if estimate.n < check.min_n:
        return found._replace(reason=f"it rests on {estimate.n:,} samples, and {check.min_n:,} are asked for")
    passed = number >= threshold if at == "at_least" else number <= threshold
    what = ENDS[bound] + ("the difference from the base" if check.of == "difference" else "the value")
    reason = (
        f"{what} is {number:.4g}, {'' if passed else 'not '}{at.replace('_', ' ')} {threshold:g} "
        f"({estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}], n = {estimate.n:,})"
    )
    return found._replace(passed=passed, reason=reason)


ENDS = {"low": "the lower bound of ", "high": "the upper bound of ", "value": ""}


def _no_alarms(model: str, measures: Measures) -> Checked:
    """Whether no alarm tripped while a model was trained."""
    found = Checked(named("alarms", model, measures), "value", "value", "at_most", 0, None, 0, passed=False, reason="")
    if model not in measures.values:
        return found._replace(reason=f"unknown model {model!r}; available: {', '.join(measures.values)}")
    alarms = measures.alarms[model]
    if alarms is None:
        return found._replace(reason="not measured: the training run is unknown, or its last stage was not probed")
    said = "; ".join(f"{alarm.name} at step {alarm.step}: {alarm.sentence.rstrip('.')}" for alarm in alarms)
    return found._replace(found=float(len(alarms)), n=len(alarms), passed=not alarms, reason=said or "no alarm tripped")


def named(metric: str, model: str, measures: Measures) -> str:
    """A metric's name, preceded by the model's if it is ambiguous."""
    return metric if list(measures.values) == [model] else f"{model}: {metric}"


def missing(check: Check, known: Mapping[str, Estimate]) -> str:
    """Why a metric that was not measured has failed, naming the nearest that was."""
    assert check.metric is not None
    close = difflib.get_close_matches(check.metric, list(known), n=1, cutoff=0.5)
    what = "no difference of it" if check.of == "difference" else "it"
    return f"{what} was not measured" + (f"; did you mean {close[0]!r}?" if close else "")


def short(value: Any) -> str:
    """A value in a message, not too long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
