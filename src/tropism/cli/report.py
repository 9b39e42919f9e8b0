"""`tropism report`: one page on runs, an evaluation, a sweep or rounds."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tropism.cli.output import JSON, Output


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Output folders of runs, sweeps, rounds, or an evaluation.", show_default=False),
    ],
    target: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The HTML file. By default report.html in the given folder, or in the current one if there are "
            "several.",
        ),
    ] = None,
    for_programs: bool = JSON,
) -> None:
    """Write a report: one HTML file that opens offline, on one run or on several models."""
    from tropism.reporting.page import write_report

    output = Output(for_programs)
    page = write_report(paths, target)
    output.say(f"Wrote {page}")
    output.finish({"report": str(page)}, next_command=f"python -m webbrowser {shlex.quote(str(page))}")
