"""Several runs that belong together: sweeps and rounds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tropism.records.data import DataCard
from tropism.records.record import Estimate, Record
from tropism.records.runs import Alarm
from tropism.records.suites import SuiteRun


class SweepRun(Record):
    """One run of a sweep; its own record is `run.json` in its folder."""

    name: str
    folder: str
    """Relative to the sweep's folder."""
    settings: dict[str, Any]
    metrics: dict[str, Estimate] = Field(default_factory=dict)
    """Of the run's evaluation, by `eval.metric`."""
    alarms: list[Alarm] = Field(default_factory=list)
    reference_tokens_scored: int = 0
    """0 if the cache of earlier runs held every score."""
    seconds: float = 0.0
    error: str | None = None
    """Why it failed, if it did."""


class Sweep(Record):
    """One recipe over a grid of settings, as kept in `sweep.json`; runs in the order in which they ran."""

    kind: Literal["tropism.sweep"] = "tropism.sweep"
    version: int = 1
    title: str
    command: str
    recipe: dict[str, Any]
    grid: dict[str, list[Any]]
    runs: list[SweepRun]


class RoundRecord(Record):
    """One on-policy round: the answers sampled from a model, their comparisons, and the run trained on them."""

    number: int
    start_model: str
    groups: str
    """The file of the round's groups, relative to the rounds' folder."""
    run: str
    """The run's folder, relative to the rounds' folder."""
    model: str
    card: DataCard
    notes: list[str] = Field(default_factory=list)
    against_first: SuiteRun | None = None
    """The round's model compared with the model that the first round started from."""


class Rounds(Record):
    """All on-policy rounds of a recipe, as the folder's `rounds.json` keeps them."""

    kind: Literal["tropism.rounds"] = "tropism.rounds"
    version: int = 1
    title: str
    command: str
    recipe: dict[str, Any]
    rounds: list[RoundRecord]
