"""The training section: the curves of the stages, and what their logs say of displacement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tropism.records import Stage, StepLog
from tropism.reporting.figures.curves import curve_figures, series
from tropism.reporting.figures.plots import Plot
from tropism.reporting.model_styles import ModelStyle
from tropism.reporting.numbers import counted, plain
from tropism.reporting.page_records import TrainedRun


class CurveGroup(NamedTuple):
    """The curves of one stage, with what is to be said about it."""

    title: str
    note: str
    plots: list[Plot]


def curve_groups(runs: Sequence[TrainedRun], models: Mapping[str, ModelStyle]) -> list[CurveGroup]:
    """Every stage of a single run, or the last stages of several runs in the same figures."""
    if len(runs) == 1:
        run = runs[0]
        return [
            CurveGroup(
                f"Stage {place}: {stage.name}",
                _stage_in_words(stage, run.logs.get(stage.name, ())),
                curve_figures({run.name: run.logs.get(stage.name, ())}, models, name=f"stage{place}"),
            )
            for place, stage in enumerate(run.run.stages, 1)
        ]
    logs = {run.name: run.logs.get(run.run.stages[-1].name, ()) for run in runs if run.run.stages}
    plots = curve_figures(logs, models, name="last")
    return [CurveGroup("Last stage of every run", "", plots)] if plots else []


def _stage_in_words(stage: Stage, log: Sequence[StepLog]) -> str:
    """What a stage did, and how far winners and losers moved at its last step."""
    losses = " + ".join(
        name + (f" ({', '.join(f'{key} = {value}' for key, value in settings.items())})" if settings else "")
        for name, settings in stage.loss.items()
    )
    said = [
        f"{counted(stage.steps, 'step')} on {counted(stage.groups, 'group')}; loss {losses}, reference "
        f"{stage.reference}, from {stage.start_model}."
    ]
    if stage.chosen_step is not None:
        said.append(f"The checkpoint of step {stage.chosen_step:,} was kept.")
    said.append(_displacement_in_words(log) if log else "This stage left no log, so there are no curves.")
    return " ".join(sentence for sentence in said if sentence)


def _displacement_in_words(log: Sequence[StepLog]) -> str:
    """How far winners and losers are from the reference at the last step."""
    winners, losers = series(log, "winners_logp_change"), series(log, "losers_logp_change")
    if winners is None or losers is None:
        return ""
    numbers = (
        f"At the last step, preferred answers have moved by {plain(winners.last, 1, signed=True)} nats and rejected "
        f"ones by {plain(losers.last, 1, signed=True)} nats against the reference."
    )
    if winners.last < 0 and losers.last < 0:
        return f"{numbers} Both fell: the model gave up some of the preferred answers\u2019 probability too."
    return numbers
