"""A training run: its stages, what was watched while they trained, and what changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from tropism.errors import DataError
from tropism.records.base import Estimate, Record
from tropism.records.data import Account, DataCard


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
