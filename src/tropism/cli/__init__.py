"""The command line: every command in a file of its own, loaded only when it runs, so that `--help` answers at once."""

from __future__ import annotations

import sys
from typing import Any

import typer

from tropism.cli import audit, build, doctor, gate, label, losses, quickstart, report, sample, sweep, train
from tropism.cli import eval as evaluation
from tropism.cli.output import fail
from tropism.errors import Interrupted, OutputError, TropismError

USAGE_ERRORS: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What typer raises for a wrong command line; it has no public name of its own for the whole family."""

app = typer.Typer(
    name="tropism",
    help="From votes, ratings and choices to a better model, and the proof of what changed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("quickstart")(quickstart.quickstart)
app.command("build")(build.build)
app.command("audit")(audit.audit)
app.command("train")(train.train)
app.command("sweep")(sweep.sweep)
app.command("eval")(evaluation.evaluate)
app.command("gate")(gate.gate)
app.command("report")(report.report)
app.command("sample")(sample.sample)
app.command("label")(label.label)
app.command("losses")(losses.losses)
app.command("doctor")(doctor.doctor)


def print_version(asked: bool) -> None:
    """Print the version and exit, where it was asked for."""
    if asked:
        from tropism import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=print_version
    ),
) -> None:
    """From votes, ratings and choices to a better model, and the proof of what changed."""


def main() -> None:
    """Run the command line; every error that a user can put right ends in one line and a non-zero exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    try:
        status = app(args=arguments, prog_name="tropism", standalone_mode=False)
    except TropismError as error:
        return fail(error, arguments)
    except USAGE_ERRORS as error:
        error.show()
        return error.exit_code
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        problem = f"{error.strerror or error}{place}."
        return fail(OutputError(problem, remedy="Free some space or choose another folder."), arguments)
    if status == Interrupted.exit_status:
        return fail(Interrupted("Interrupted.", remedy="Run the same command again to start over."), arguments)
    return int(status or 0)
