"""What all `tropism build` commands do with their settings: build, write, and show what became of every row."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tropism.cli.output import Output

if TYPE_CHECKING:
    from tropism.records import DataCard
    from tropism.signals.kinds.built_groups import BuiltGroups
    from tropism.signals.kinds.signal_settings import SignalSettings


def build_file(
    context: typer.Context, file: Path, target: Path, settings: SignalSettings, *, overwrite: bool, for_programs: bool
) -> None:
    """Build the groups of a file, write them, and end the command.

    Args:
        context: of the command; its object is the sentence on how the kind was found, if it was.
        file: the feedback.
        target: what is written.
        settings: of the kind of signal.
        overwrite: replace the target.
        for_programs: end with a line of JSON.
    """
    from tropism.signals.build import build_groups

    output = Output(for_programs)
    check_target(file, target, overwrite=overwrite)
    _check_lines(target, holdout=settings.holdout)
    if isinstance(context.obj, str):
        output.say(context.obj)
    with output.console.status(f"Reading {file} and making groups") as status, build_groups(file, settings) as built:
        status.update(f"Writing {built.card.account.groups:,} groups to {target}")
        write(built, target)
    output.card(built.card)
    output.table("Done", {"rule": built.card.rule, "output": str(target)})
    output.finish(
        payload(built.card, target, kind=settings.name),
        next_command=f"tropism train RECIPE.yaml {shlex.quote(f'data.train={target}')}",
    )


def check_target(file: Path, target: Path, *, overwrite: bool) -> None:
    """Refuse a target of an unknown type, one that is the input, and one that exists.

    Raises:
        ConfigError: for the first two.
        OutputError: for the last.
    """
    from tropism.errors import ConfigError, OutputError

    if target.suffix not in (".parquet", ".jsonl"):
        raise ConfigError(
            f"--output must end in .parquet (groups) or .jsonl (pairs or labels), got {target.name!r}.",
            remedy="Use groups.parquet for `tropism train`.",
        )
    if target.resolve() == file.resolve():
        raise ConfigError(f"--output would replace its own input {file}.", remedy="Name another file.")
    if target.is_dir():
        raise OutputError(f"{target} is a folder.", remedy="Name a file with --output.")
    if target.exists() and not overwrite:
        raise OutputError(
            f"{target} exists.", remedy="Name another file with --output, or replace it with --overwrite."
        )


def _check_lines(target: Path, *, holdout: float | None) -> None:
    """Refuse to write as lines what TRL's columns cannot hold.

    Raises:
        ConfigError: for groups that are held out.
    """
    from tropism.errors import ConfigError

    if target.suffix == ".jsonl" and holdout is not None:
        raise ConfigError(
            f"`holdout` has no effect with {target.name}: TRL's columns do not say what is held out.",
            remedy="Use -o groups.parquet, or omit `holdout`.",
        )


def write(built: BuiltGroups, target: Path) -> None:
    """Write groups, or TRL's columns if the name ends in `.jsonl`; whole or not at all, through a symbolic link."""
    from tropism.data.group_store import write_labels, write_pairs, write_tables

    target = target.resolve()
    if target.suffix == ".jsonl":
        (write_labels if built.card.account.labels else write_pairs)(built, target)
    else:
        write_tables(built.groups.tables(), target, card=built.card)


def payload(card: DataCard, target: Path, *, kind: str) -> dict[str, Any]:
    """The JSON object of `build`."""
    from tropism.signals.kinds.built_groups import SPLIT_KEYS

    account = card.account
    return {
        "kind": kind,
        "rows_read": account.rows_read,
        "rows_used": account.rows_used,
        "dropped": account.dropped,
        "groups": account.groups,
        "responses": account.responses,
        "edges": account.edges,
        "labels": account.labels,
        "ties": account.ties,
        "notes": account.notes,
        "split_keys": account.notes.get(SPLIT_KEYS, 0),
        "confounds": {name: value.model_dump() for name, value in card.confounds.items()},
        "pairs_per_thread": card.pairs_per_thread,
        "tables": [table.model_dump() for table in card.tables],
        "rule": card.rule,
        "output": str(target),
    }
