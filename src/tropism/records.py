"""The JSON records that builds, runs, evaluations and reports share. No torch, no arithmetic."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tropism.errors import DataError


class Record(BaseModel):
    """A frozen JSON object; unknown keys are refused, so that an old file never passes as a new one."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Estimate(Record):
    """A number with its 95 % interval and the number of samples behind it."""

    value: float
    low: float
    high: float
    n: int


class Account(Record):
    """What was read, dropped and made, in numbers that add up.

    `rows_read` = `rows_used` + the sum of `dropped`. A row is one record of the file: a comment, a pair, a label.
    """

    rows_read: int
    rows_used: int
    dropped: dict[str, int] = Field(default_factory=dict)
    groups: int
    responses: int
    edges: int
    labels: int
    ties: int = 0
    notes: dict[str, int] = Field(default_factory=dict)
    """Counts of what was changed but not dropped, such as keys that were split."""
    examples: dict[str, list[str]] = Field(default_factory=dict)
    """Up to a few row numbers or keys for each reason in `dropped` and `notes`."""

    @model_validator(mode="after")
    def _adds_up(self) -> Account:
        assert self.rows_read == self.rows_used + sum(self.dropped.values()), f"the account does not add up: {self}"
        return self


class Matrix(Record):
    """A table of estimates with names on both sides, such as attacks by positions; None where nothing was measured."""

    name: str
    row_title: str
    column_title: str
    rows: list[str]
    columns: list[str]
    cells: list[list[Estimate | None]]


class DataCard(Record):
    """Where preference data came from, what became of every row, and what could be mistaken for taste."""

    source: str
    rule: str = ""
    account: Account
    confounds: dict[str, Estimate] = Field(default_factory=dict)
    tables: list[Matrix] = Field(default_factory=list)
    """What a kind of signal tells beside: strengths of models, agreement of annotators."""
    pairs_per_thread: dict[str, float] = Field(default_factory=dict)
    """How edges are spread over threads: mean, median, most, and the share of the hundredth with most."""


class StepLog(Record):
    """One line of a stage's `log.jsonl`: the monitors of an optimizer step."""

    step: int
    values: dict[str, float]


class Sample(Record):
    """One held-out prompt with the answers of the model before and after, and what a judge gave them."""

    prompt: str
    before: str
    after: str
    before_score: float | None = None
    after_score: float | None = None


class Evaluation(Record):
    """What changed between two models, on held-out prompts."""

    before: str
    after: str
    judge: str | None = None
    metrics: dict[str, Estimate] = Field(default_factory=dict)
    margins: list[float] = Field(default_factory=list)
    """Log-ratio margin (nats) of every held-out edge, for the histogram."""
    samples: list[Sample] = Field(default_factory=list)
    account: Account | None = None
    """What rendering did with the held-out groups: a row is a group here."""


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


class Alarm(Record):
    """Something that went wrong while a stage trained: what, when, how far over which threshold, and what to do."""

    name: str
    step: int
    value: float
    threshold: float
    sentence: str
    remedy: str


class Probe(Record):
    """What a small probe of the model measured after a step of a stage; step 0 is the start."""

    step: int
    metrics: dict[str, Estimate]


class MemoryPlan(Record):
    """How a stage is fitted into memory, and what it is expected to need at its peak."""

    tokens_per_batch: int
    gradient_checkpointing: bool
    largest_group_tokens: int
    weights_mb: float
    optimizer_mb: float
    fixed_mb: float
    """What a micro-batch adds whatever its size: gradients, buffers of the head."""
    kb_per_token: float
    """What each of its tokens adds: activations."""
    peak_mb: float
    """Expected peak while training: of the GPU's allocator, or of the process."""
    free_mb: float
    device: str


class Stage(Record):
    """One training stage: its losses, its steps and what it cost."""

    name: str
    loss: dict[str, dict[str, Any]]
    reference: str
    start_model: str
    model: str
    log: str
    """Path of its `log.jsonl`, relative to the run's folder."""
    groups: int
    steps: int
    first_loss: float
    last_loss: float
    seconds: float
    tokens_computed: int
    tokens_distinct: int
    reference_tokens_scored: int
    account: Account
    """What rendering did with the groups: a row is a group here."""
    plan: MemoryPlan | None = None
    alarms: list[Alarm] = Field(default_factory=list)
    probes: list[Probe] = Field(default_factory=list)
    """What was measured while it trained, in the order of steps: a reward-KL frontier over checkpoints, say."""
    chosen_step: int | None = None
    """The step whose checkpoint was kept as the model, where a composite chose it; None for the last."""


class Run(Record):
    """A whole run, as its `run.json` keeps it."""

    kind: Literal["tropism.run"] = "tropism.run"
    version: int = 1
    title: str
    command: str
    recipe: dict[str, Any]
    environment: dict[str, str]
    cards: list[DataCard]
    split: dict[str, int] = Field(default_factory=dict)
    """Where the groups of all sources went: side to number."""
    stages: list[Stage]
    evaluation: Evaluation | None = None
    seconds: float
    peak_memory_mb: float


class SweepRun(Record):
    """One run of a sweep; its own record is `run.json` in its folder."""

    name: str
    folder: str
    """Relative to the sweep's folder."""
    settings: dict[str, Any]
    metrics: dict[str, Estimate] = Field(default_factory=dict)
    alarms: list[Alarm] = Field(default_factory=list)
    reference_tokens_scored: int = 0
    """0 where the cache of the runs before knew all."""
    seconds: float = 0.0
    error: str | None = None
    """Why it failed, if it did."""


class Sweep(Record):
    """One recipe over a grid of settings, as its folder's `sweep.json` keeps it; the runs in the order they ran."""

    kind: Literal["tropism.sweep"] = "tropism.sweep"
    version: int = 1
    title: str
    command: str
    recipe: dict[str, Any]
    grid: dict[str, list[Any]]
    runs: list[SweepRun]


class RoundRecord(Record):
    """One on-policy round: what was sampled from which model, what it was judged, and the run that trained on it."""

    number: int
    start_model: str
    groups: str
    """The file of the round's groups, relative to the rounds' folder."""
    run: str
    """The run's folder, relative to the rounds' folder."""
    model: str
    card: DataCard
    notes: list[str] = Field(default_factory=list)
    against_first: Evaluation | None = None
    """The round's model beside the model that the first round started from, on held-out prompts."""


class Rounds(Record):
    """All on-policy rounds of a recipe, as the folder's `rounds.json` keeps them."""

    kind: Literal["tropism.rounds"] = "tropism.rounds"
    version: int = 1
    title: str
    command: str
    recipe: dict[str, Any]
    rounds: list[RoundRecord]


def write_json(record: Record, path: Path) -> None:
    """Write a record whole or not at all.

    Raises:
        OSError: where the folder cannot be written; the old file, if any, is untouched.
    """
    write_text(record.model_dump_json(indent=1) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write a text file whole or not at all, by way of a neighbour that is renamed into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_run(path: Path) -> Run:
    """Read a run's `run.json`.

    Raises:
        DataError: where the file is missing or not such a record.
    """
    try:
        return Run.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"no finished run in {path.parent} (its run.json is missing).",
            remedy="Give the `output` folder of a `tropism train` that ended, or run it with --resume.",
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{path} is not a run of this version: {'.'.join(map(str, first['loc']))}: {first['msg']}.",
            remedy="Run `tropism train` again.",
        ) from None


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


def read_log(path: Path) -> list[StepLog]:
    """Read a stage's `log.jsonl`; a last line cut short by a kill is left out."""
    steps = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
        except json.JSONDecodeError:
            continue
        step = int(values.pop("step"))
        steps.append(StepLog(step=step, values={k: v for k, v in values.items() if isinstance(v, int | float)}))
    return steps
