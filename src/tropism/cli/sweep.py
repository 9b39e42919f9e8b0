"""`tropism sweep`: one recipe over a grid of settings, on one reference cache."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tropism.cli.output import JSON, Output, estimate

if TYPE_CHECKING:
    from tropism.records import Sweep, SweepRun

SHOWN = {
    "preference.pair_accuracy": "pair accuracy",
    "reward_accuracy.pair_accuracy": "pair accuracy",
    "win_rate.rate": "win rate, ties as half",
    "drift.kl": "KL from the base",
}
"""Metrics of the table and their names there; all others are in each run's record."""


def sweep(
    recipe: Path = typer.Argument(help="The recipe, a YAML file."),
    axes: list[str] = typer.Argument(help="Settings and their values, such as loss.dpo.beta=0.05,0.1 or loss=dpo,ipo."),
    folder: Path = typer.Option(Path("runs/sweep"), "--output", "-o", help="Folder for all runs and sweep.json."),
    for_programs: bool = JSON,
) -> int:
    """Train a recipe once for every combination of settings; the same command continues after an interruption."""
    output = Output(for_programs)
    from tropism.reporting.page import write_report
    from tropism.training.runs.sweep import parse_axis, run_sweep

    command = shlex.join(["tropism", "sweep", str(recipe), *axes, "--output", str(folder)])
    found = run_sweep(recipe, [parse_axis(axis) for axis in axes], output=folder, command=command, say=output.say)
    for run in found.runs:
        if not run.error:
            write_report(folder / run.folder)
    show(output, found, folder)
    return 2 if any(run.error for run in found.runs) else 0


def show(output: Output, sweep: Sweep, folder: Path) -> None:
    """Print every run's metrics, with intervals, and its alarms."""
    for run in sweep.runs:
        output.table(run.name, rows(run))
    output.finish(payload(sweep, folder), next_command=shlex.join(["tropism", "report", str(folder)]))


def rows(run: SweepRun) -> dict[str, str]:
    """One run as the rows of a table."""
    if run.error:
        return {"failed": run.error}
    tripped = ", ".join(f"{alarm.name} (step {alarm.step})" for alarm in run.alarms)
    return {label: estimate(run.metrics[name]) for name, label in SHOWN.items() if name in run.metrics} | {
        "alarms": tripped or "none",
        "reference tokens scored": f"{run.reference_tokens_scored:,}",
    }


def payload(sweep: Sweep, folder: Path) -> dict[str, Any]:
    """The JSON object of `sweep`."""
    return {
        "runs": [run.model_dump() for run in sweep.runs],
        "failed": sum(run.error is not None for run in sweep.runs),
        "reference_tokens_scored": sum(run.reference_tokens_scored for run in sweep.runs),
        "sweep": str(folder / "sweep.json"),
    }
