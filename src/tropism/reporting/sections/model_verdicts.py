"""The verdict on each model: what it is better at, worse at and what is unsure, and the alarms while it trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tropism.records import Alarm
from tropism.reporting.measured_changes import MeasuredChange, by_eval, tally_of
from tropism.reporting.model_styles import ModelStyle
from tropism.reporting.numbers import change_text, interval_text, value_text
from tropism.reporting.page_records import PageRecords, TrainedRun


class ChangeText(NamedTuple):
    """One metric in a verdict: the change, or the value if there is no base, with its interval."""

    label: str
    value: str
    interval: str


class VerdictPart(NamedTuple):
    """Changes of one eval."""

    title: str
    changes: list[ChangeText]


class UnsurePart(NamedTuple):
    """Metrics of one eval about which nothing can be claimed, and whether these are all that have a direction."""

    title: str
    labels: list[str]
    is_all: bool


class TrippedAlarm(NamedTuple):
    """An alarm and the stage that it belongs to."""

    stage: str
    alarm: Alarm


class ModelVerdict(NamedTuple):
    """The verdict on one model.

    Args:
        model: the model.
        num_better, num_worse: how many metrics with a direction moved which way.
        num_judged: how many have a direction.
        num_changed: how many metrics without a direction moved.
        better, worse: what moved, by eval.
        unsure: metrics with a direction about which nothing can be claimed, by eval.
        alarms: what tripped while it trained.
    """

    model: ModelStyle
    num_better: int
    num_worse: int
    num_judged: int
    num_changed: int
    better: list[VerdictPart]
    worse: list[VerdictPart]
    unsure: list[UnsurePart]
    alarms: list[TrippedAlarm]


def model_verdicts(
    changes: Sequence[MeasuredChange], models: Mapping[str, ModelStyle], records: PageRecords
) -> list[ModelVerdict]:
    """A verdict for every model that is compared with a base or tripped an alarm."""
    found = []
    for model in models.values():
        own = [change for change in changes if change.model == model.name and change.verdict != "note"]
        alarms = _alarms_of(records.run_named(model.name))
        if own or alarms:
            better, worse = ([one for one in own if one.verdict == verdict] for verdict in ("better", "worse"))
            found.append(
                ModelVerdict(
                    model,
                    len(better),
                    len(worse),
                    sum(one.is_judged for one in own),
                    sum(one.verdict == "changed" for one in own),
                    _parts_of(better, records, changes),
                    _parts_of(worse, records, changes),
                    unsure_of(own, records),
                    alarms,
                )
            )
    return found


def _parts_of(
    changes: Sequence[MeasuredChange], records: PageRecords, every: Sequence[MeasuredChange]
) -> list[VerdictPart]:
    """Changes by eval, in their order."""
    return [
        VerdictPart(records.words_of(name).title, [change_in_words(one, every) for one in own])
        for name, own in by_eval(changes).items()
    ]


def unsure_of(changes: Sequence[MeasuredChange], records: PageRecords) -> list[UnsurePart]:
    """Metrics with a direction about which nothing can be claimed, by eval."""
    parts = []
    for name, own in by_eval([change for change in changes if change.is_judged]).items():
        labels = [change.measure.label for change in own if change.verdict == "unsure"]
        if labels:
            parts.append(UnsurePart(records.words_of(name).title, labels, len(labels) == len(own)))
    return parts


def change_in_words(change: MeasuredChange, every: Sequence[MeasuredChange]) -> ChangeText:
    """How far a metric moved, in points if it is a share; a win rate also by its wins, ties and losses."""
    unit, label = change.measure.unit, change.measure.label
    tally = tally_of(every, change.model) if change.key == "win_rate.rate" else None
    label = f"{label} ({tally})" if tally else label
    if change.difference is None:
        return ChangeText(label, value_text(change.after, unit), interval_text(change.after, unit))
    return ChangeText(label, *change_text(change.difference, unit))


def _alarms_of(run: TrainedRun | None) -> list[TrippedAlarm]:
    """What tripped in any stage of a run."""
    if run is None:
        return []
    return [TrippedAlarm(stage.name, alarm) for stage in run.run.stages for alarm in stage.alarms]
