"""The output of commands: text for people, or with `--json` one last line for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tropism.errors import OutputError, TropismError, respelled
from tropism.records import Account, DataCard, Estimate

JSON = typer.Option(False, "--json", help="End with one JSON object on standard output; all else to standard error.")


class Output:
    """One command's output.

    Args:
        for_programs: True sends everything but the last JSON line to standard error.
    """

    def __init__(self, for_programs: bool) -> None:
        self.for_programs = for_programs
        self.console = Console(stderr=for_programs, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print one line; square brackets in it are text, never markup."""
        self.console.print(escape(text))

    def table(self, title: str, rows: Mapping[str, str]) -> None:
        """Print names and values in two columns."""
        table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
        for name, value in rows.items():
            table.add_row(escape(name), escape(value))
        self.console.print(table)

    def card(self, card: DataCard) -> None:
        """Print the account and the possible confounders of data."""
        self.table(f"Data: {card.source}", account_rows(card.account))
        if card.confounds:
            self.table("Possible confounders", {k: estimate(v) for k, v in card.confounds.items()})
        if card.pairs_per_thread:
            self.table("Pairs per thread", {name: f"{value:.3g}" for name, value in card.pairs_per_thread.items()})
        for table in card.tables:
            cells = (
                ", ".join(
                    f"{column} {estimate(cell)}"
                    for column, cell in zip(table.columns, row, strict=True)
                    if cell is not None
                )
                for row in table.cells
            )
            self.table(f"{table.column_title}: {table.name}", dict(zip(table.rows, cells, strict=True)))

    def finish(self, payload: Mapping[str, Any], *, next_command: str) -> None:
        """End the command: the next one to run for people, one JSON line for programs."""
        if self.for_programs:
            print(json.dumps(payload, ensure_ascii=False), flush=True)  # noqa: T201  (this line is the interface)
        else:
            self.say(f"Next: {next_command}")


def account_rows(account: Account) -> dict[str, str]:
    """An account as the rows of a table."""
    rows = {"rows read": f"{account.rows_read:,}", "rows used": f"{account.rows_used:,}"}
    for reason, count in account.dropped.items():
        rows[f"dropped: {reason}"] = f"{count:,}{examples(account, reason)}"
    for note, count in account.notes.items():
        rows[note] = f"{count:,}{examples(account, note)}"
    rows["made"] = (
        f"{account.groups:,} groups, {account.responses:,} responses, {account.edges:,} edges, "
        f"{account.labels:,} labels, {account.ties:,} ties"
    )
    return rows


def examples(account: Account, reason: str) -> str:
    """A reason's example rows, in brackets."""
    names = account.examples.get(reason)
    return f" ({', '.join(names)})" if names else ""


def estimate(value: Estimate) -> str:
    """A number with its interval and count."""
    return f"{value.value:.3f}  [{value.low:.3f}, {value.high:.3f}]  n = {value.n:,}"


def fail(error: TropismError, arguments: list[str], spellings: Mapping[str, str] | None = None) -> int:
    """Print an error in one line, with `--json` also as JSON, and return its exit status.

    Args:
        error: names parameters as libraries do.
        arguments: everything after `tropism`.
        spellings: parameter to option, of the command that failed.
    """
    error = respelled(error, spellings or {})
    line = " ".join(str(error).split())
    with suppress(OSError):
        if sys.stderr is not None:
            print(f"error: {line}", file=sys.stderr)  # noqa: T201  (standard error, before any console exists)
    if "--json" in arguments:
        report = {"error": {"kind": type(error).__name__, "problem": error.problem, "remedy": error.remedy}}
        with suppress(OSError):
            print(json.dumps(report, ensure_ascii=False))  # noqa: T201  (this line is the interface)
    unwritten()
    return error.exit_status


def unwritten() -> OutputError | None:
    """Flush standard output; if that fails, discard the rest, so that Python does not try again at exit."""
    if sys.stdout is None:
        return None
    try:
        sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        sys.stdout.flush()
        return not_written(error)
    return None


def not_written(error: OSError) -> OutputError:
    """The error for standard output that cannot be written."""
    return OutputError(
        f"standard output cannot be written ({error.strerror}).",
        remedy="Free some space, or keep the reading program open.",
    )
