"""Several models on one suite of evals, against one base."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from tropism.errors import DataError
from tropism.records.base import Estimate, Matrix, Record


class EvalResult(Record):
    """What one eval measured on one model."""

    eval: str
    model: str
    """The model's name in its suite run."""
    metrics: dict[str, Estimate]
    matrices: list[Matrix] = Field(default_factory=list)
    series: dict[str, list[float]] = Field(default_factory=dict)
    """Values of single items where a figure needs them; series of one result that belong together have equal length."""
    skipped: dict[str, int] = Field(default_factory=dict)
    """Items that could not be measured: reason to number."""
    notes: list[str] = Field(default_factory=list)
    """Plain sentences that a reader must know, such as that a judge prefers whichever answer comes first."""
    items: str = ""
    """Path of the JSONL file of single items, relative to the suite run's folder."""
    seconds: float = 0.0


SIGNIFICANT = 0.05
"""A corrected p-value up to this counts."""


class Comparison(Record):
    """A model beside the base on one metric of one eval, on the same items."""

    eval: str
    metric: str
    model: str
    before: Estimate
    after: Estimate
    difference: Estimate
    better: Literal["higher", "lower", "neither"]
    """Which direction people would want; `neither` where a change is a change and no more."""
    p_value: float | None = None
    """Two-sided; paired where items are, else what the interval implies; None where nothing moved."""
    p_adjusted: float | None = None
    """By Holm's method over this model's tests of metrics that have a direction, or over those of the others."""

    @property
    def verdict(self) -> Literal["better", "worse", "changed", "unsure"]:
        """What may be said: the interval must leave out zero and the corrected test, where there is one, agree."""
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
    """A held-out comparison, and by how many nats each model finds its two answers likelier than the base does."""

    prompt: str
    winner: str
    loser: str
    winner_change: dict[str, float]
    loser_change: dict[str, float]


class SuiteRun(Record):
    """What `tropism eval` keeps in its folder's `eval.json`: several models on one suite, against one base."""

    kind: Literal["tropism.eval"] = "tropism.eval"
    version: int = 1
    title: str
    command: str
    suite: str
    settings: dict[str, Any]
    environment: dict[str, str]
    models: list[SuiteModel]
    base: str
    """The name of the model that the others are compared with; it has results of its own."""
    results: list[EvalResult]
    comparisons: list[Comparison]
    samples: list[SuiteSample] = Field(default_factory=list)
    pairs: list[SuitePair] = Field(default_factory=list)
    """The comparisons whose preferred answer gained or lost most probability in some model."""
    seconds: float


def read_suite_run(path: Path) -> SuiteRun:
    """Read a suite run's `eval.json`.

    Raises:
        DataError: where the file is missing or not such a record.
    """
    try:
        return SuiteRun.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"no finished evaluation in {path.parent} (its eval.json is missing).",
            remedy="Give the -o folder of a `tropism eval` that ended.",
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{path} is not an evaluation of this version: {'.'.join(map(str, first['loc']))}: {first['msg']}.",
            remedy="Run `tropism eval` again.",
        ) from None
