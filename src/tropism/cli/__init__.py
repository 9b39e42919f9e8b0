"""The command line: one file for each command, imported only when it runs, so that `--help` is fast."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import partial
from types import FrameType
from typing import Any

import typer

from tropism.cli import app as application
from tropism.cli import audit, doctor, gate, label, losses, quickstart, report, sample, sweep, train
from tropism.cli import eval as evaluation
from tropism.cli.build.build_app import build_app
from tropism.cli.output import fail, not_written, unwritten
from tropism.cli.spelling import spellings
from tropism.errors import Interrupted, OutputError, TropismError

USAGE_ERRORS: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What typer raises for a wrong command line; typer has no public name for the whole family."""

CLEANING_SECONDS = 5.0
"""How long after Ctrl-C or a termination signal a second one has no effect, and cannot cut the cleaning short."""

app = typer.Typer(
    name="tropism",
    help="From votes, ratings and choices to a better model, and the proof of what changed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("quickstart")(quickstart.quickstart)
app.command("app")(application.app)
app.add_typer(build_app, name="build")
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
    """Print the version and exit, if it was requested."""
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
    """Run the command line; every error that a user can fix becomes one line and a non-zero exit status."""
    terminated = Terminated()
    signal.signal(signal.SIGTERM, terminated.stop)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell starts what runs in the background
        signal.signal(signal.SIGINT, terminated.stop)
    sys.unraisablehook = partial(interrupt_again, terminated)
    status = run(sys.argv[1:], terminated)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(status))  # the command is over, and its files are closed
    sys.exit(status)


def interrupt_again(terminated: Terminated, ignored: sys.UnraisableHookArgs) -> None:
    """Stop again a moment later if a signal arrived in a destructor, in which Python drops the handler's exception.

    The same signal is sent again: Ctrl-C may be ignored when a termination is not.
    """
    if not came_of_interrupt(ignored.exc_value):
        sys.__unraisablehook__(ignored)
        return
    terminated.rearm()
    main_thread = threading.main_thread().ident or 0
    number = signal.SIGTERM if terminated.came else signal.SIGINT
    later = threading.Timer(0.05, signal.pthread_kill, [main_thread, number])
    later.daemon = True
    later.start()


class Terminated(Interrupted):
    """A termination signal, which ends a command as Ctrl-C does, but with another exit status.

    Attributes:
        came: whether it was a termination signal that stopped the command.
    """

    exit_status = 143

    def __init__(self) -> None:
        super().__init__("Stopped by a termination signal.", remedy="Run the same command again to start over.")
        self.came = False
        self._process = os.getpid()
        self._stopped_at: float | None = None

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Handle either signal: clean up by way of an exception, which a second signal must not cut short.

        The second one has no effect for `CLEANING_SECONDS`; after that it stops what still runs. A process that was
        split off does what it would do without this handler.
        """
        if os.getpid() != self._process:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
            os.kill(os.getpid(), number)
            return
        now = time.monotonic()
        if self._stopped_at is not None and now - self._stopped_at < CLEANING_SECONDS:
            return
        self._stopped_at = now
        self.came = self.came or number == signal.SIGTERM
        raise KeyboardInterrupt

    def rearm(self) -> None:
        """Handle the next signal at once: the last one's exception was dropped."""
        self._stopped_at = None


def run(arguments: list[str], terminated: Terminated | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        arguments: everything after `tropism`.
        terminated: knows whether a termination signal arrived; None if signals are not handled.
    """
    terminated = terminated or Terminated()
    if sys.stdout is None:
        return fail(OutputError("standard output is closed.", remedy="Send it to a file or to /dev/null."), arguments)
    try:
        ended = status_of(arguments) or unwritten() or 0
    except (KeyboardInterrupt, Exception) as error:
        problem = problem_of(error)
        if problem is None:
            raise
        ended = problem
    if ended == Interrupted.exit_status:
        ended = Interrupted("Interrupted.", remedy="Run the same command again to start over.")
        ended = terminated if terminated.came else ended
    if not isinstance(ended, TropismError):
        return ended
    status = fail(ended, arguments, spellings(app, arguments))
    return terminated.exit_status if terminated.came and isinstance(ended, Interrupted) else status


def status_of(arguments: list[str]) -> TropismError | int:
    """Run one command; its exit status, or an error of standard output."""
    try:
        return int(app(args=arguments, prog_name="tropism", standalone_mode=False) or 0)
    except USAGE_ERRORS as error:
        error.show()
        return int(error.exit_code)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # typer has taken standard output away already
            return not_written(error.__context__)
        raise


def problem_of(error: BaseException) -> TropismError | int | None:
    """The user's error or exit status for an exception; None if it is a bug."""
    if isinstance(error, Interrupted):
        return error
    if came_of_interrupt(error):
        return Interrupted.exit_status
    if isinstance(error, TropismError):
        return error
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        problem = f"{error.strerror or error}{place}."
        return unwritten() or OutputError(problem, remedy="Free some space or choose another folder.")
    return None


def came_of_interrupt(error: BaseException | None) -> bool:
    """Whether an error was raised because of an interruption: DuckDB, for one, makes it a RuntimeError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
