"""A training run: its stages, the probes and alarms of each, and the evaluation at its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from tropism.errors import DataError
from tropism.records.data import Account, DataCard
from tropism.records.record import Estimate, Record
from tropism.records.suites import SuiteRun


class StepLog(Record):
    """One line of a stage's `log.jsonl`: the monitors of an optimizer step."""

    step: int
    values: dict[str, float]


class Alarm(Record):
    """A problem found during training: its name, step, value, threshold, explanation and remedy."""

    name: str
    step: int
    value: float
    threshold: float
    sentence: str
    remedy: str


class Probe(Record):
    """What a small probe measured after a step of a stage; step 0 is the start."""

    step: int
    metrics: dict[str, Estimate]


class MemoryPlan(Record):
    """How a stage fits into memory, and what it is expected to need at its peak."""

    tokens_per_batch: int
    gradient_checkpointing: bool
    largest_group_tokens: int
    weights_mb: float
    optimizer_mb: float
    fixed_mb: float
    """What a micro-batch of any size adds: gradients, buffers of the head."""
    kb_per_token: float
    """What each token of a micro-batch adds: activations."""
    peak_mb: float
    """Expected peak during training, of the GPU's allocator or of the process."""
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
    """What was measured during training, in the order of steps."""
    chosen_step: int | None = None
    """The step whose checkpoint became the model if `alarms.choose` chose one; None for the last step."""


class Run(Record):
    """A whole run, as its `run.json` keeps it."""

    kind: Literal["tropism.run"] = "tropism.run"
    version: int = 1
    title: str
    command: str
    recipe: dict[str, Any]
    chosen: dict[str, Any] = Field(default_factory=dict)
    """The part of the recipe that was set, without defaults."""
    environment: dict[str, str]
    cards: list[DataCard]
    split: dict[str, int] = Field(default_factory=dict)
    """Side of the split to the number of groups, over all sources."""
    stages: list[Stage]
    evaluation: SuiteRun | None = None
    """The run's model compared with the model that its last stage started from; None if nothing could be measured."""
    seconds: float
    peak_memory_mb: float


def read_run(path: Path) -> Run:
    """Read a run's `run.json`.

    Raises:
        DataError: if the file is missing or is not such a record.
    """
    try:
        return Run.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"no finished run in {path.parent} (its run.json is missing).",
            remedy="Give the `output` folder of a finished `tropism train`, or finish it with --resume.",
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{path} is not a run of this version: {'.'.join(map(str, first['loc']))}: {first['msg']}.",
            remedy="Run `tropism train` again.",
        ) from None


def read_log(path: Path) -> list[StepLog]:
    """Read a stage's `log.jsonl`; a last line cut short by a kill is ignored."""
    steps = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
        except json.JSONDecodeError:
            continue
        step = int(values.pop("step"))
        steps.append(StepLog(step=step, values={k: v for k, v in values.items() if isinstance(v, int | float)}))
    return steps
