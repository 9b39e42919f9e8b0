"""Several models on one suite of evals, against one base."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, ValidationError

from tropism.errors import ConfigError, DataError
from tropism.records.data import Account
from tropism.records.record import Estimate, Matrix, Record

Better: TypeAlias = Literal["higher", "lower", "neither"]
"""The direction of a metric that people want; `neither` for a metric whose change is neither good nor bad."""


class TableWords(Record):
    """A table of an eval in words."""

    title: str
    reading: str = ""
    """How to read it, in one plain sentence."""
    unit: Literal["share", "number"] | None = None
    """Of its cells; None if each column is a metric with a unit of its own."""
    is_shaded: bool = False
    """Whether cells are shaded by their value."""
    is_across: bool = False
    """Whether it is about all models at once."""
    with_base: bool = True
    """Whether the base's own table says anything."""


class EvalWords(Record):
    """An eval in words."""

    title: str
    question: str = ""
    base_is_zero: bool = False
    """Whether the base is measured against itself, so that its values say nothing."""
    tables: dict[str, TableWords] = Field(default_factory=dict)
    """Name of a matrix to its words; one that is not here is shown under its own name."""

    @classmethod
    def named(cls, name: str) -> EvalWords:
        """Words for an eval that has none: its name.

        Example:
            >>> EvalWords.named("refusal_rate").title
            'Refusal rate'
        """
        return cls(title=_humanised(name))


class Measure(Record):
    """A metric in words: its label, unit, direction and meaning."""

    label: str
    unit: Literal["share", "number"] = "number"
    """A share of a whole is written in percent; a number as it is."""
    better: Better = "neither"
    meaning: str = ""
    """One plain sentence."""
    baseline: float | None = None
    """The value that means "no difference", if the metric has one."""

    @classmethod
    def named(cls, name: str) -> Measure:
        """Words for a metric that has none: a number without a direction, under its own name."""
        return cls(label=_humanised(name))


def _humanised(name: str) -> str:
    """An identifier as words."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


class EvalResult(Record):
    """What one eval measured on one model."""

    eval: str
    model: str
    """The model's name in its suite run."""
    metrics: dict[str, Estimate]
    matrices: list[Matrix] = Field(default_factory=list)
    series: dict[str, list[float]] = Field(default_factory=dict)
    """Values of single items if a figure needs them; series of one result that belong together have equal length."""
    skipped: dict[str, int] = Field(default_factory=dict)
    """Items that could not be measured: reason to number."""
    notes: list[str] = Field(default_factory=list)
    """Plain sentences that a reader must know, such as that a judge prefers the answer that it sees first."""
    items: str = ""
    """Path of the JSONL file of single items, relative to the suite run's folder."""
    seconds: float = 0.0


SIGNIFICANT = 0.05
"""A corrected p-value up to this counts."""


class Comparison(Record):
    """A model compared with the base on one metric of one eval, on the same items."""

    eval: str
    metric: str
    model: str
    before: Estimate
    after: Estimate
    difference: Estimate
    better: Better
    p_value: float | None = None
    """Two-sided; from paired items if there are any, else from the interval; None if nothing moved."""
    p_adjusted: float | None = None
    """By Holm's method, over this model's metrics with a direction or over those without one."""

    @property
    def verdict(self) -> Literal["better", "worse", "changed", "unsure"]:
        """What may be claimed: the interval must exclude zero and the corrected test, if there is one, must agree."""
        low, high = self.difference.low, self.difference.high
        is_tested = low < high if self.p_adjusted is None else self.p_adjusted <= SIGNIFICANT
        if not is_tested or low <= 0 <= high:
            return "unsure"
        if self.better == "neither":
            return "changed"
        return "better" if (self.difference.value > 0) == (self.better == "higher") else "worse"


class SuiteModel(Record):
    """A model of a suite run; `run` is the folder of the training run that made it, if known."""

    name: str
    path: str
    fingerprint: str
    run: str | None = None


class SuiteSample(Record):
    """One prompt with every model's answer, and what the judge gave them."""

    prompt: str
    answers: dict[str, str]
    scores: dict[str, float] = Field(default_factory=dict)


class SuitePair(Record):
    """A held-out comparison, and by how many nats each model raised its two answers over the base."""

    prompt: str
    winner: str
    loser: str
    winner_change: dict[str, float]
    loser_change: dict[str, float]


class SuiteRun(Record):
    """One or several models measured on one suite and compared with one base."""

    kind: Literal["tropism.eval"] = "tropism.eval"
    version: int = 1
    title: str
    command: str
    suite: str
    settings: dict[str, Any]
    environment: dict[str, str]
    models: list[SuiteModel]
    base: str
    """The name of the model that the others are compared with; it has its own results."""
    results: list[EvalResult]
    comparisons: list[Comparison]
    samples: list[SuiteSample] = Field(default_factory=list)
    pairs: list[SuitePair] = Field(default_factory=list)
    """The comparisons whose preferred answer gained or lost most probability in some model."""
    evals: dict[str, EvalWords] = Field(default_factory=dict)
    """Eval to its words, for every eval in `results`."""
    measures: dict[str, Measure] = Field(default_factory=dict)
    """`eval.metric` to its words, for every metric in `results`."""
    accounts: dict[str, Account] = Field(default_factory=dict)
    """Model to what rendering did with the held-out groups; a row is a group here."""
    seconds: float

    @property
    def others(self) -> list[str]:
        """The names of the models that are compared with the base."""
        return [model.name for model in self.models if model.name != self.base]

    def metrics_of(self, model: str) -> dict[str, Estimate]:
        """Every metric of one model, named `eval.metric`."""
        return {
            f"{result.eval}.{name}": estimate
            for result in self.results
            if result.model == model
            for name, estimate in result.metrics.items()
        }

    def metric(self, name: str, model: str | None = None) -> Estimate | None:
        """One metric of one model.

        Args:
            name: `eval.metric`, such as `preference.pair_accuracy`.
            model: name of the model, the base included; None takes the only model that is not the base.

        Returns:
            The estimate, or None if it was not measured.

        Raises:
            ConfigError: if `model` is unknown, or None although several models were compared.
        """
        names = [one.name for one in self.models] if model else self.others
        if (model and model not in names) or (not model and len(names) != 1):
            raise ConfigError(
                f"unknown `model` {model!r}." if model else "`model` is required if several models were compared.",
                remedy=f"Available: {', '.join(names)}.",
            )
        return self.metrics_of(model or names[0]).get(name)

    def __getitem__(self, name: str) -> Estimate:
        """One metric of the only model that is not the base.

        Raises:
            KeyError: if it was not measured; the message lists the metrics that were.
        """
        estimate = self.metric(name)
        if estimate is None:
            raise KeyError(f"{name!r} was not measured; available: {', '.join(self.metrics_of(self.others[0]))}")
        return estimate


def read_suite_run(path: Path) -> SuiteRun:
    """Read a suite run's `eval.json`.

    Raises:
        DataError: if the file is missing or is not such a record.
    """
    try:
        return SuiteRun.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"no finished evaluation in {path.parent} (its eval.json is missing).",
            remedy="Give the output folder of a finished `tropism eval`.",
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{path} is not an evaluation of this version: {'.'.join(map(str, first['loc']))}: {first['msg']}.",
            remedy="Run `tropism eval` again.",
        ) from None
