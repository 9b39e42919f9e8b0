"""The interface of evals: a task with its settings goes in, measured items come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from tropism.evals.core.subject import Subject
from tropism.groups import PreferenceGroup
from tropism.judges.judge import Judge
from tropism.policies.base import Capability
from tropism.records import Estimate, EvalWords, Matrix, Measure

Progress: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Makes a progress bar from a title and a total; yields a function to call with the number of items done."""

Need: TypeAlias = Literal["groups", "texts", "judge"] | Capability
"""What an eval needs: held-out groups, held-out plain texts, a judge, or a capability of every model."""


class Settings(BaseModel):
    """An eval's settings, as a suite gives them; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


SettingsType = TypeVar("SettingsType", bound=Settings)


@dataclass(frozen=True)
class Item:
    """One measured thing: an answer, a pair, an attack on a sample.

    Args:
        id: names the same thing for every model, so that two models are compared on it; unique in its eval.
        cluster: what it belongs to, such as its prompt: items of one cluster are not independent.
        values: metric to a finite value; a metric that was not measured on this item is omitted.
        detail: JSON for closer inspection: prompt, answer, attack, position, and numbers that are not metrics.
    """

    id: str
    cluster: str
    values: Mapping[str, float]
    detail: Mapping[str, Any] = field(default_factory=dict)


Statistic: TypeAlias = Callable[[Sequence[Item]], float]
"""A number of a whole collection of items that is not a mean, such as a ratio of sums; nan if it is undefined, which
omits the metric."""


@dataclass(frozen=True)
class Measured:
    """What an eval found on one model.

    Args:
        items: every measured item.
        metrics: numbers with an interval of the eval itself. Every other name in the items' `values` is a
            metric too: their mean, with a bootstrap interval over clusters. So is every name in `Eval.statistics`.
        matrices: tables of estimates.
        series: values of single items for a figure.
        skipped: what could not be measured: reason to number.
        notes: plain sentences that a reader must know.
    """

    items: Sequence[Item]
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    matrices: Sequence[Matrix] = ()
    series: Mapping[str, Sequence[float]] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Task:
    """The input of an eval.

    Args:
        subject: the model to measure.
        base: the model that it is compared with; the subject itself if the base is measured.
        groups: held-out preference groups.
        texts: held-out plain texts.
        judge: compares answers; None if there is no judge.
        settings: of this eval; read them by `task.settings_as(MySettings)`.
        seed: of every draw.
        progress: makes a progress bar.
    """

    subject: Subject
    base: Subject
    groups: Sequence[PreferenceGroup]
    texts: Sequence[str]
    judge: Judge | None
    settings: Settings
    seed: int
    progress: Progress

    @property
    def is_base(self) -> bool:
        """Whether the base itself is measured."""
        return self.subject.fingerprint == self.base.fingerprint

    def settings_as(self, kind: type[SettingsType]) -> SettingsType:
        """The settings, as the type in the eval's row."""
        assert isinstance(self.settings, kind), f"{type(self.settings).__name__} is not {kind.__name__}"
        return self.settings


@dataclass(frozen=True)
class Eval:
    """A row of the table of evals.

    Args:
        function: measures one model.
        settings: the type of its settings; every field has a default.
        words: title and question for people; without them the title is the eval's name, humanised.
        measures: metric to its label, unit, direction and meaning; a metric that is not named has no direction.
        needs: what it requires; if that is missing, the suite skips the eval and gives the reason.
        statistics: metrics that are not means of items' values. Each is computed on all items, with a jackknife
            interval over blocks of clusters; a difference between two models omits the same blocks on both sides.
        across: tables over all models of a run, from their items by name and the base's name; kept with the base.
    """

    function: Callable[[Task], Measured]
    settings: type[Settings] = Settings
    words: EvalWords | None = None
    measures: Mapping[str, Measure] = field(default_factory=dict)
    needs: frozenset[Need] = frozenset()
    statistics: Mapping[str, Statistic] = field(default_factory=dict)
    across: Callable[[Mapping[str, Sequence[Item]], str], Sequence[Matrix]] | None = None
