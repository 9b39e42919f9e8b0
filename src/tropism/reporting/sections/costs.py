"""What training cost, as lines of text that add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tropism.records import Run
from tropism.reporting.numbers import MISSING, counted, duration, size
from tropism.reporting.page_records import TrainedRun


class CostLine(NamedTuple):
    """What a part of a run cost."""

    label: str
    steps: str
    time: str
    computed: str = ""
    distinct: str = ""
    ratio: str = ""
    reference: str = ""
    memory: str = ""
    is_total: bool = False


def cost_lines(runs: Sequence[TrainedRun]) -> list[CostLine]:
    """The parts of a single run with their total, or the total of each of several."""
    if len(runs) != 1:
        return [cost_total(run.run, run.name) for run in runs]
    run = runs[0].run
    return [*cost_parts(run), cost_total(run, "Whole run")._replace(is_total=True)]


def cost_parts(run: Run) -> list[CostLine]:
    """Time and tokens of each stage, then the time of everything else."""
    lines = [
        CostLine(
            stage.name,
            f"{stage.steps:,}",
            duration(stage.seconds),
            f"{stage.tokens_computed:,}",
            f"{stage.tokens_distinct:,}",
            _ratio(stage.tokens_computed, stage.tokens_distinct),
            f"{stage.reference_tokens_scored:,}",
        )
        for stage in run.stages
    ]
    rest = run.seconds - _stage_seconds(run)
    if rest >= 0.05 and run.stages:
        lines.append(CostLine("Everything else (loading, evaluation)", "", duration(rest)))
    return lines


def cost_total(run: Run, label: str) -> CostLine:
    """A whole run. Its time is at least that of its stages, of which a resumed run may have found some trained."""
    computed, distinct, reference, steps = (
        sum(getattr(stage, name) for stage in run.stages)
        for name in ("tokens_computed", "tokens_distinct", "reference_tokens_scored", "steps")
    )
    return CostLine(
        label,
        f"{steps:,}",
        duration(max(run.seconds, _stage_seconds(run))),
        f"{computed:,}",
        f"{distinct:,}",
        _ratio(computed, distinct),
        f"{reference:,}",
        size(run.peak_memory_mb),
    )


def training_in_words(runs: Sequence[TrainedRun]) -> str:
    """Steps and time of all runs in a line."""
    steps = sum(stage.steps for run in runs for stage in run.run.stages)
    seconds = sum(max(run.run.seconds, _stage_seconds(run.run)) for run in runs)
    prefix = f"{counted(len(runs), 'run')}, " if len(runs) > 1 else ""
    return f"{prefix}{counted(steps, 'step')}, {duration(seconds)}"


def _stage_seconds(run: Run) -> float:
    """The time of all stages."""
    return sum(stage.seconds for stage in run.stages)


def _ratio(computed: int, distinct: int) -> str:
    """Computed tokens for each distinct one."""
    return f"{computed / distinct:.2f}" if distinct else MISSING
