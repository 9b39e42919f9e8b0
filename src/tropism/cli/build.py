"""`tropism build`: a file of votes to preference groups."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from tropism.cli.output import JSON, Output

if TYPE_CHECKING:
    from tropism.records import DataCard
    from tropism.signals.rules import VoteRule
    from tropism.signals.votes import Votes


def build(
    file: Path = typer.Argument(help="The votes: JSONL, JSON, CSV, TSV or Parquet, one answer a row."),
    target: Path = typer.Option(
        Path("groups.parquet"), "--output", "-o", help="Groups (.parquet), or pairs in TRL's columns (.jsonl)."
    ),
    prompt: str = typer.Option("prompt", help="Column of the text that was answered."),
    response: str = typer.Option("response", help="Column of the answer's text."),
    score: str = typer.Option("score", help="Column of the answer's votes."),
    group: str = typer.Option(None, help="Column of the thread's key; without it, equal prompts are a thread."),
    time: str = typer.Option(None, help="Column of the time of writing: ISO 8601, or seconds since 1970."),
    author: str = typer.Option(None, help="Column of the author; tells how far popularity explains the votes."),
    rule: Literal["gap", "shp"] = typer.Option(
        "gap", help="gap: more votes by a lead. shp: more votes in less time (needs --time)."
    ),
    min_gap: float = typer.Option(None, help="Smallest lead in votes; 1 with gap."),
    min_ratio: float = typer.Option(None, help="With shp: smallest quotient of the votes; 2."),
    min_score: float = typer.Option(None, help="With shp: fewest votes of either answer; 2."),
    later: bool = typer.Option(False, "--later", help="With gap: the winner was written after the loser."),
    cap: int = typer.Option(None, help="Most pairs of a thread, the largest leads first."),
    weight: Literal["one", "gap"] = typer.Option("one", help="Weight of an edge: 1, or the lead in votes."),
    skip_bad: bool = typer.Option(False, "--skip-bad", help="Drop and count scores and times that cannot be read."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the output file."),
    for_programs: bool = JSON,
) -> None:
    """Make preference groups of answers that people voted on."""
    output = Output(for_programs)
    check_target(file, target, overwrite=overwrite)
    chosen = vote_rule(rule, min_gap=min_gap, min_ratio=min_ratio, min_score=min_score, later=later)
    from tropism.signals.engines import open_file
    from tropism.signals.votes import VoteColumns, votes_to_groups

    columns = VoteColumns(prompt, response, score, group=group, time=time, author=author)
    with output.console.status(f"Reading {file} and making pairs"):
        table = open_file(file, list(columns.given().values()))
        votes = votes_to_groups(table, columns, chosen, cap=cap, weight=weight, skip_bad=skip_bad, source=file.name)
    with output.console.status(f"Writing {votes.card.account.groups:,} groups to {target}"):
        write(votes, target)
    output.card(votes.card)
    output.table("Done", {"rule": votes.card.rule, "output": str(target)})
    output.finish(
        payload(votes.card, target),
        next_command=f"tropism train RECIPE.yaml {shlex.quote(f'data.train={target}')}",
    )


def check_target(file: Path, target: Path, *, overwrite: bool) -> None:
    """Refuse a target that is of another kind, that is the input, or that is there already.

    Raises:
        ConfigError: for the first two.
        OutputError: for the last.
    """
    from tropism.errors import ConfigError, OutputError

    if target.suffix not in (".parquet", ".jsonl"):
        raise ConfigError(
            f"--output must end in .parquet (groups) or .jsonl (pairs), not {target.name!r}.",
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


def vote_rule(
    name: Literal["gap", "shp"],
    *,
    min_gap: float | None,
    min_ratio: float | None,
    min_score: float | None,
    later: bool,
) -> VoteRule:
    """The rule that the options describe.

    Raises:
        ConfigError: for an option that the rule does not have.
    """
    from tropism.errors import ConfigError
    from tropism.signals.rules import GapRule, ShpRule

    given = {"--min-ratio": min_ratio is not None, "--min-score": min_score is not None, "--later": later}
    foreign = ("--min-ratio", "--min-score") if name == "gap" else ("--later",)
    for option in foreign:
        if given[option]:
            other = "shp" if name == "gap" else "gap"
            raise ConfigError(
                f"{option} has no effect with --rule {name}.", remedy=f"Leave it away, or use --rule {other}."
            )
    if name == "gap":
        return GapRule(1.0 if min_gap is None else min_gap, later=later)
    settings = {"min_gap": min_gap, "min_ratio": min_ratio, "min_score": min_score}
    return ShpRule(**{key: value for key, value in settings.items() if value is not None})


def write(votes: Votes, target: Path) -> None:
    """Write groups, or pairs where the name ends in `.jsonl`; whole or not at all."""
    from tropism.data.store import write_groups, write_pairs

    if target.suffix == ".jsonl":
        write_pairs(votes.groups, target)
    else:
        write_groups(votes.groups, target, card=votes.card)


def payload(card: DataCard, target: Path) -> dict[str, Any]:
    """The JSON object of `build`."""
    from tropism.signals.votes import SPLIT_KEYS

    account = card.account
    return {
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
        "rule": card.rule,
        "output": str(target),
    }
