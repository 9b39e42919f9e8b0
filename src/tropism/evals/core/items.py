"""What an evaluation takes and gives: a task, its settings, single measured things, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from tropism.evals.core.subject import Subject
from tropism.groups import PreferenceGroup
from tropism.judges.judge import Judge
from tropism.records import Estimate, EvalWords, Matrix, Measure

Progress: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Makes a progress bar from a title and a total; yields a function to call with the number of items done."""

Need: TypeAlias = Literal["groups", "texts", "judge", "policy"]
"""What an eval cannot do without: held-out groups, held-out plain texts, a judge, the model's weights."""


class Settings(BaseModel):
    """An eval's settings, as a suite gives them; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


SettingsType = TypeVar("SettingsType", bound=Settings)


@dataclass(frozen=True)
class Item:
    """One measured thing: an answer, a pair, an attack on a sample.

    Args:
        id: names the same thing for every model, so that two models are compared on it; unique in its eval.
        cluster: what it belongs to (its prompt, say): items of one cluster are not independent.
        values: metric to value, finite; a metric that was not measured on this item is left out.
        detail: JSON for whoever looks closer: prompt, answer, attack, position, and numbers that are no metrics.
    """

    id: str
    cluster: str
    values: Mapping[str, float]
    detail: Mapping[str, Any] = field(default_factory=dict)


Statistic: TypeAlias = Callable[[Sequence[Item]], float]
"""A number that a whole collection of items has and that is no mean of theirs, such as a ratio of sums; nan where the
items do not tell it, which leaves the metric out."""


@dataclass(frozen=True)
class Measured:
    """What an eval found on one model.

    Args:
        items: every single thing that was measured.
        metrics: numbers whose interval the eval knows best. Every other name in the items' `values` is a metric too:
            their mean, with an interval that draws clusters. So is every name in the eval's `statistics`.
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
    """All that an eval is given.

    Args:
        subject: the model to measure.
        base: the model that it is compared with; the subject itself where the base is measured.
        groups: held-out preference groups.
        texts: held-out plain texts.
        judge: who compares answers, if anybody.
        settings: the eval's own; take them by `task.settings_as(MySettings)`.
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
        """The settings as the type that the eval's row in the table names."""
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
        needs: what it cannot do without; where that is missing, the suite leaves it out and says so.
        statistics: metrics that are no means of items' values. The frame computes each on all items, with an interval
            from leaving out blocks of clusters, and its difference between two models from leaving out the same blocks.
        across: tables over all models of a run, from their items by name and the base's name; kept with the base.
    """

    function: Callable[[Task], Measured]
    settings: type[Settings] = Settings
    words: EvalWords | None = None
    measures: Mapping[str, Measure] = field(default_factory=dict)
    needs: frozenset[Need] = frozenset()
    statistics: Mapping[str, Statistic] = field(default_factory=dict)
    across: Callable[[Mapping[str, Sequence[Item]], str], Sequence[Matrix]] | None = None
