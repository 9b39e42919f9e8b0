"""Votes become preference groups: one group per thread, one edge per pair that a rule passes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import ibis
from ibis import Table

from tropism.errors import ConfigError, DataError
from tropism.groups import PreferenceGroup
from tropism.records import Account, DataCard
from tropism.signals.answers import (
    ALONE,
    NO_PAIR,
    REPEATED,
    VoteColumns,
    read_rows,
    refuse_bad_rows,
    split_keys,
    to_answers,
    usable,
)
from tropism.signals.confounds import confounds
from tropism.signals.engines import ROW, data_errors, keep, release, scalar
from tropism.signals.pairs import capped, to_pairs
from tropism.signals.rules import GapRule, ShpRule, VoteRule
from tropism.signals.stream import GroupStream, Weight

__all__ = ["SPLIT_KEYS", "GapRule", "ShpRule", "VoteColumns", "VoteRule", "Votes", "votes_to_groups"]

SPLIT_KEYS = "keys split because they carry several prompts"
NO_EDGE = "responses without an edge"
OVER_CAP = "pairs over the cap"

_NUM_EXAMPLES = 5


@dataclass(frozen=True)
class Votes:
    """Preference groups made of votes.

    Args:
        groups: in the order of their ids; every iteration reads the texts again, so nothing is held in memory.
        card: what became of every row, and what could be mistaken for taste.
    """

    groups: Iterable[PreferenceGroup]
    card: DataCard


def votes_to_groups(
    table: Table,
    columns: VoteColumns,
    rule: VoteRule,
    *,
    cap: int | None = None,
    weight: Weight = "one",
    skip_bad: bool = False,
    source: str = "",
) -> Votes:
    """Make preference groups of answers that people voted on.

    The order of the rows has no effect. Equal responses to a prompt count once, with the highest score. A response
    without an edge stays in its group; a thread without an edge is dropped and counted.

    Args:
        table: one row per answer, from `open_file` or of your own.
        columns: the names of its columns.
        rule: which pairs are preferences.
        cap: most edges of a thread, those with the largest gap; None keeps all.
        weight: `one`, or `gap` for the winner's lead in votes.
        skip_bad: True drops and counts rows whose score or time cannot be read, which is an error otherwise.
        source: the name of the data, for the groups and the card.

    Raises:
        ConfigError: for a rule that needs a time where no column holds it, or a cap below 1.
        DataError: for a row that cannot be read, or where no edge is left.
    """
    _check_settings(columns, rule, cap)
    if ROW not in table.columns:
        table = table.mutate(**{ROW: ibis.row_number() + 1})
    with data_errors(source):
        made = _make(table, columns, rule, cap=cap, skip_bad=skip_bad)
        account = _account(made)
        if not account.edges:
            raise _no_edge(account, made.answers, rule, source)
        card = DataCard(
            source=source,
            rule=_describe(rule, cap, weight),
            account=account,
            confounds=confounds(made.edges, made.kept, with_time=bool(columns.time), with_author=bool(columns.author)),
        )
        release(made.rows, made.used, made.answers, made.threads)
    return Votes(GroupStream(table, columns, made.kept, made.edges, made.split, weight=weight, source=source), card)


class _Made(NamedTuple):
    """The tables on the way from rows to groups, computed."""

    rows: Table
    """Every record of the file."""
    used: Table
    """Those that can be used."""
    answers: Table
    """Those that are no repetition."""
    edges: Table
    threads: Table
    """Those that have an edge."""
    kept: Table
    """The answers of such threads."""
    split: Table
    """Keys that carry several prompts."""


def _make(table: Table, columns: VoteColumns, rule: VoteRule, *, cap: int | None, skip_bad: bool) -> _Made:
    rows = keep(read_rows(table, columns, needs_time=rule.needs_time))
    if not skip_bad:
        refuse_bad_rows(rows, table, columns)
    used = keep(usable(rows))
    answers = keep(to_answers(used))
    edges = keep(capped(to_pairs(answers, rule), cap))
    threads = keep(edges.group_by("thread").agg(num_pairs=edges.num_pairs.max()))
    return _Made(
        rows, used, answers, edges, threads, keep(answers.semi_join(threads, "thread")), keep(split_keys(answers))
    )


def _check_settings(columns: VoteColumns, rule: VoteRule, cap: int | None) -> None:
    if rule.needs_time and columns.time is None:
        raise ConfigError(
            f'the rule "{rule}" compares when answers were written, but no column holds that.',
            remedy="Name the column with --time.",
        )
    if cap is not None and cap < 1:
        raise ConfigError(f"--cap must be at least 1, not {cap}.", remedy="Leave it away to keep every pair.")


def _describe(rule: VoteRule, cap: int | None, weight: Weight) -> str:
    """The rule and the settings that matter beside it, for the card."""
    parts = [str(rule)]
    if cap is not None:
        parts.append(f"at most {cap} edge{'s' if cap > 1 else ''} of a thread, the largest gaps first")
    if weight == "gap":
        parts.append("an edge weighs its gap")
    return "; ".join(parts)


def _account(made: _Made) -> Account:
    """Count every row, and name a few of each kind."""
    fates = _fates(made)
    counts = fates.group_by("reason").agg(count=fates.count()).to_pyarrow().to_pylist()
    dropped = {one["reason"]: one["count"] for one in sorted(counts, key=lambda one: (-one["count"], one["reason"]))}
    examples = {
        reason: [f"row {row}" for row in _first(fates.filter(fates.reason == reason), "row")] for reason in dropped
    }
    num_split, num_kept, num_edges = (scalar(table.count()) for table in (made.split, made.kept, made.edges))
    notes = {
        SPLIT_KEYS: num_split,
        NO_EDGE: num_kept - scalar(_in_an_edge(made.edges).count()),
        OVER_CAP: int(scalar(made.threads.num_pairs.sum()) or 0) - num_edges,
    }
    if num_split:
        examples[SPLIT_KEYS] = _first(made.split, "key")
    return Account(
        rows_read=scalar(made.rows.count()),
        rows_used=num_kept,
        dropped=dropped,
        groups=scalar(made.threads.count()),
        responses=num_kept,
        edges=num_edges,
        labels=0,
        notes={note: count for note, count in notes.items() if count},
        examples=examples,
    )


def _fates(made: _Made) -> Table:
    """`row` and `reason` of every row that is not in a group."""
    lost = made.answers.anti_join(made.kept, "row")
    return ibis.union(
        made.rows.filter(made.rows.reason.notnull()).select("row", "reason"),
        made.used.filter(made.used.copy > 0).select("row", reason=ibis.literal(REPEATED)),
        lost.select("row", reason=(lost.size == 1).ifelse(ALONE, NO_PAIR)),
    )


def _first(table: Table, column: str) -> list[str]:
    """The smallest few values of a column."""
    values = table.select(column).order_by(column).limit(_NUM_EXAMPLES).to_pyarrow()[column].to_pylist()
    return [str(value) for value in values]


def _in_an_edge(edges: Table) -> Table:
    return ibis.union(edges.select("thread", place="winner"), edges.select("thread", place="loser"), distinct=True)


def _no_edge(account: Account, answers: Table, rule: VoteRule, source: str) -> DataError:
    """The error for data in which no pair passes the rule."""
    what = source or "the table"
    if not account.rows_read:
        return DataError(f"{what} has no record.", remedy="Give a file with at least one record.")
    several = answers.filter(answers.size > 1)
    threads = several.group_by("thread").agg(gap=several.score.max() - several.score.min())
    num_threads, gap = scalar(threads.count()), scalar(threads.gap.max())
    if not num_threads:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in account.dropped.items())
        return DataError(
            f"no prompt of {what} has two answers that can be used ({account.rows_read} rows: {reasons}).",
            remedy="Name with --group the column that holds the answers to one prompt together, or add answers.",
        )
    return DataError(
        f'no pair passes the rule "{rule}": {what} has {num_threads} '
        f"thread{'s' if num_threads > 1 else ''} with two answers or more, and the largest gap in one is {gap:g}.",
        remedy="Relax the rule, or add votes." if gap > 0 else "Add votes; all answers of a thread have one score.",
    )
