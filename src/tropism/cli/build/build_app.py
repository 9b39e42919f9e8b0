"""`tropism build KIND FILE`, and `tropism build FILE`, which finds the kind by the columns or the form of the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from tropism.cli.build import choices, labels, rankings, ratings, votes
from tropism.cli.build.build_options import COLUMNS
from tropism.cli.build.compact_help import CompactCommand

EXAMPLES = """tropism build votes.csv --rule shp --time written_at -o groups.parquet

The kind is found by the columns, or by the form of the file (Stack
Exchange, Open Assistant, ImageReward, Argilla, Label Studio, `tropism label`),
unless it is given. The options of a kind: tropism build votes --help"""


class BuildGroup(TyperGroup):
    """The kinds of signal; a first argument that is none of them is a file whose kind is found."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = self._with_kind(ctx, args)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[KIND] FILE [OPTIONS]"]

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        formatter.write(f"\nExample: {EXAMPLES}\n")

    def _with_kind(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments after the kind of the file that they name."""
        from tropism.signals.detect import find_signal

        options: dict[str, Any] = {
            option: parameter
            for command in self.commands.values()
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        file, given = _file_and_options(args, options)
        if file is None or not given.keys() <= options.keys():
            return ["votes", *args]  # whose parser says what is wrong
        kinds = [name for name, command in self.commands.items() if given.keys() <= _options_of(command)]
        named = {
            options[option].name: values[-1].partition("=")[0]
            for option, values in given.items()
            if values and getattr(options[option], "rich_help_panel", None) == COLUMNS
        }
        if len(given.get("--score", ())) > 1 or any("=" in value for value in given.get("--score", ())):
            kinds = [name for name in kinds if name == "ratings"]
        if not kinds:
            raise typer.BadParameter(f"no kind of signal has all of these options: {', '.join(given)}.")
        question = given.get("--question", given.get("--score", [None]))[-1]
        found = find_signal(Path(file), named=named, kinds=kinds, question=question)
        others = " or ".join(found.others)
        also = f" If they are {others}: tropism build {found.others[0]} {file}" if others else ""
        ctx.obj = f"{file} is read as {found}.{also}"
        return [found.kind, *args]


def _options_of(command: Any) -> set[str]:
    """Every spelling of a command's options."""
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def _file_and_options(args: list[str], options: Mapping[str, Any]) -> tuple[str | None, dict[str, list[str]]]:
    """The first argument that is neither an option nor the value of one, and the options with their values."""
    file: str | None = None
    given: dict[str, list[str]] = {}
    rest = iter(args)
    for argument in rest:
        if not argument.startswith("-"):
            file = file or argument
            continue
        option, equals, value = argument.partition("=")
        given.setdefault(option, [])
        if equals:
            given[option].append(value)
        elif option in options and not options[option].is_flag:
            given[option].append(next(rest, ""))
    return file, given


build_app = typer.Typer(
    cls=BuildGroup,
    help="Make preference groups of votes, ratings, rankings, choices or thumbs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for _kind in (votes, ratings, rankings, choices, labels):
    _name = _kind.__name__.rpartition(".")[2]
    build_app.command(_name, cls=CompactCommand, epilog=_kind.EXAMPLE, options_metavar="[OPTIONS]")(
        getattr(_kind, _name)
    )
