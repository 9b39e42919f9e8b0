"""`tropism report`: write a run's page again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tropism.cli.output import JSON, Output


def report(
    run: Annotated[Path, typer.Argument(help="Output folder of a finished run.", show_default=False)],
    for_programs: bool = JSON,
) -> None:
    """Write a run's report again: one HTML file that opens offline."""
    from tropism.report.page import write_report

    output = Output(for_programs)
    page = write_report(run)
    output.say(f"Wrote {page}")
    output.finish({"report": str(page)}, next_command=f"python -m webbrowser {shlex.quote(str(page))}")
