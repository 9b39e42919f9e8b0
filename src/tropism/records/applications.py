"""The record of an application: its arms' metrics over seeds, and whether its claims hold."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tropism.records.record import Estimate, Record
from tropism.records.suites import Measure


class ClaimResult(Record):
    """A claim and what was measured for it."""

    name: str
    sentence: str
    threshold: float
    direction: Literal["above", "below"]
    """The side of the threshold on which the whole 95 % interval must be."""
    estimate: Estimate | None
    """None if it was not measured."""
    holds: bool

    @property
    def says(self) -> str:
        """The outcome in words."""
        if self.estimate is None:
            return "not measured"
        return "holds" if self.holds else "does not hold"


class ApplicationRun(Record):
    """An application on all of its seeds, as its folder's `application.json` keeps it."""

    kind: Literal["tropism.application"] = "tropism.application"
    version: int = 1
    name: str
    paper: str
    summary: str
    command: str
    settings: dict[str, Any]
    seeds: list[int]
    claims: list[ClaimResult]
    arms: dict[str, dict[str, Estimate]]
    """Arm to metric (`eval.metric`) to its estimate over all seeds; `base` is the model that the arms are compared with
    if it is not an arm itself."""
    measures: dict[str, Measure] = Field(default_factory=dict)
    """`eval.metric` to its words."""
    evaluations: list[str]
    """The folder of each seed's evaluation, relative to this one's."""
    notes: list[str] = Field(default_factory=list)
    environment: dict[str, str]
    seconds: float
