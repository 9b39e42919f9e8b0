"""`tropism quickstart`: the whole road on an embedded default."""

from __future__ import annotations

from pathlib import Path

import typer

from tropism.cli.output import JSON, Output


def quickstart(
    folder: Path = typer.Option(Path("runs/quickstart"), "--output", "-o", help="Where the run goes."),
    posts: int = typer.Option(2000, help="Posts of the simulated forum to learn from."),
    seed: int = typer.Option(0, help="Seed of the forum, of training and of the answers."),
    for_programs: bool = JSON,
) -> None:
    """From a simulated forum's votes to a better pocket model and a report, with nothing to download."""
    output = Output(for_programs)
    from tropism.applications.quickstart.road import run_quickstart
    from tropism.cli.train import show
    from tropism.report.page import write_report

    run = run_quickstart(folder, num_posts=posts, seed=seed, say=output.say)
    show(output, run, write_report(folder / "run"))
