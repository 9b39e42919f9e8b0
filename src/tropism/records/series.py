"""Several runs that belong together: sweeps and rounds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tropism.records.base import Estimate, Record
from tropism.records.data import DataCard
from tropism.records.runs import Alarm, Evaluation


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
