"""What an application is: a published system as a value that one runner runs, measures and reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from tropism.groups import PreferenceGroup
from tropism.records import DataCard, Estimate

BASE = "base"
"""The arm that holds the metrics of the model that all arms are compared with, if no arm made it."""


class ApplicationSettings(BaseModel):
    """What a user may set; the defaults are the demo. An application that runs on a user's own model and data has the
    fields `model` and `data`, with None for those of the demo."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class GroupSet:
    """Preference groups, the card that says where they came from, and their sources.

    Args:
        groups: in the order in which they are trained on.
        card: what became of every row.
        sources: file name to content of what the groups were made from; kept beside them for inspection.
    """

    groups: Sequence[PreferenceGroup]
    card: DataCard | None = None
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ArmMetrics:
    """The metrics of every arm on every seed.

    Args:
        values: arm to its metrics (`eval.metric`), one mapping for each seed.
        changes: the same for the difference from the base, on the same items.
        shares: metrics that are shares, whose intervals stay within 0 and 1.
    """

    values: Mapping[str, Sequence[Mapping[str, Estimate]]]
    changes: Mapping[str, Sequence[Mapping[str, Estimate]]]
    shares: frozenset[str] = frozenset()


RecipeSettings: TypeAlias = Mapping[str, Any]
"""A recipe's keys and values, without `output`. A source of data that has the name of a group set means that set."""


@dataclass(frozen=True)
class Claim:
    """A sentence about the arms that a number supports or refutes.

    Args:
        name: short, an identifier.
        sentence: what is claimed, in one plain sentence.
        measure: the number behind it, from the arms' metrics over seeds; None if it was not measured. Most claims use
            `tropism.applications.seed_estimates.value_of` or `change_of`.
        threshold: the claim holds if the whole 95 % interval is on the right side of it.
        direction: `above` or `below` the threshold.
    """

    name: str
    sentence: str
    measure: Callable[[ArmMetrics], Estimate | None]
    threshold: float
    direction: Literal["above", "below"] = "above"


@dataclass(frozen=True)
class Application:
    """A published system that works on a user's model, and the proof of its effect.

    Args:
        name: an identifier, as the command line calls it.
        paper: the paper or the origin, in one line.
        summary: what it does and what the paper claims, in one line.
        settings: a subclass of `ApplicationSettings`.
        groups: `(settings, seed)` to named sets of preference groups; the same arguments give the same groups.
        arms: `(settings, seed)` to the recipe of each arm: undefended, defended, controls, baselines.
        suite: settings to the evals that measure every arm, as a suite's file lists them.
        claims: what is claimed of the arms.
        compare_with: the arm that the others are compared with; None compares with the model that the first arm's last
            stage started from.
    """

    name: str
    paper: str
    summary: str
    settings: type[ApplicationSettings]
    groups: Callable[[Any, int], Mapping[str, GroupSet]]
    arms: Callable[[Any, int], Mapping[str, RecipeSettings]]
    suite: Callable[[Any], Sequence[str | Mapping[str, Any]]]
    claims: Sequence[Claim]
    compare_with: str | None = None
