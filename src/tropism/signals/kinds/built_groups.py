"""The result of every kind of signal: groups, and a card that accounts for every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import ibis
import pyarrow as pa
from ibis import Table

from tropism.errors import DataError
from tropism.groups import PreferenceGroup
from tropism.records import Account, DataCard, Estimate, Matrix
from tropism.signals.engines.engine import count, keep, release, rows, scalar
from tropism.signals.engines.group_stream import GroupStream, Threads
from tropism.signals.kinds.answers import ALONE, NO_PAIR
from tropism.signals.statistics.edge_confounders import edge_confounders

SPLIT_KEYS = "keys split because they carry several prompts"
NO_EDGE = "responses without an edge"
OVER_CAP = "pairs over the cap"

_NUM_EXAMPLES = 5


@dataclass(frozen=True)
class BuiltGroups:
    """Preference groups made of feedback; an iterable of `PreferenceGroup`, and a context manager.

    Groups are read from the source again in every iteration, so nothing is held in memory. Temporary files, if there
    are any, are removed by `close`, at the end of a `with` block, or when the groups are not used any more.

    Args:
        groups: in the order of their ids.
        card: what became of every row, and possible confounders.
    """

    groups: GroupStream
    card: DataCard

    def __iter__(self) -> Iterator[PreferenceGroup]:
        return iter(self.groups)

    def __enter__(self) -> BuiltGroups:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove temporary files; the groups cannot be read after that."""
        self.groups.close()


@dataclass(frozen=True)
class AccountTables:
    """The computed tables that say what became of every row.

    Args:
        refused: row and reason of every record that cannot be used.
        num_rows: how many records there were.
        members: row, thread and size of the thread, of every record that can be used.
        threads: answers, edges, labels and texts; answers of threads without a group are removed already.
        lost: row and reason of further rows that are not used; None if there are none.
        notes: counts of what was changed but not dropped.
        confounds, tables: what a kind of signal adds to the card.
    """

    refused: Table
    num_rows: int
    members: Table
    threads: Threads
    lost: Table | None = None
    notes: Mapping[str, int] = field(default_factory=dict)
    confounds: Mapping[str, Estimate] = field(default_factory=dict)
    tables: tuple[Matrix, ...] = ()


def with_card(tables: AccountTables, *, source: str, rule: str, with_time: bool, with_author: bool) -> BuiltGroups:
    """Groups and card of finished tables; tables that only the account needs are released."""
    account = account_of(tables)
    threads = tables.threads
    found: dict[str, Estimate] = {}
    if account.edges:
        found = edge_confounders(threads.edges, threads.answers, with_time=with_time, with_author=with_author)
    card = DataCard(
        source=source, rule=rule, account=account, confounds=found | dict(tables.confounds), tables=list(tables.tables)
    )
    release(tables.refused)
    return BuiltGroups(GroupStream(threads, source=source), card)


def of_threads(answers: Table, judged: Table) -> Table:
    """The answers of threads that have an edge or a label in a table, computed."""
    return keep(answers.semi_join(judged.select("thread"), "thread"))


def nothing_used(account: Account, what: str, *, remedy: str) -> DataError:
    """The error for data of which nothing can be used: what is missing, and why each row was dropped."""
    reasons = ", ".join(f"{number} x {reason}" for reason, number in account.dropped.items())
    return DataError(f"{what} ({account.rows_read} rows: {reasons}).", remedy=remedy)


def nothing_made(account: Account, source: str, *, answers: Table, rule: object) -> DataError:
    """The error for data in which no pair passes the rule; `answers` are all that can be used, with `level`."""
    if not account.rows_read:
        return DataError(f"{source} has no record.", remedy="Give a file with at least one record.")
    several = answers.filter(answers.size > 1)
    threads = several.group_by("thread").agg(gap=several.level.max() - several.level.min())
    num_threads, gap = count(threads), scalar(threads.gap.max())
    if not num_threads:
        return nothing_used(
            account,
            f"no prompt of {source} has two answers that can be used",
            remedy="Name with `group` the column that answers to one prompt have in common, or add answers.",
        )
    return DataError(
        f'no pair passes the rule "{rule}": {source} has {num_threads} '
        f"thread{'s' if num_threads > 1 else ''} with two answers or more, and the largest gap in one is {gap:g}.",
        remedy="Relax the rule, or add votes." if gap > 0 else "Add votes; all answers of a thread have one score.",
    )


def noted(built: BuiltGroups, notes: Mapping[str, int]) -> BuiltGroups:
    """The same groups, with more notes on their card."""
    account = built.card.account
    more = {note: number for note, number in notes.items() if number}
    changed = account.model_copy(update={"notes": {**account.notes, **more}})
    return replace(built, card=built.card.model_copy(update={"account": changed}))


def with_dropped(
    built: BuiltGroups,
    dropped: Mapping[str, int],
    examples: Mapping[str, list[str]],
    numbers: pa.ChunkedArray | None = None,
) -> BuiltGroups:
    """The same groups, with further dropped records on their card.

    Args:
        built: groups and card.
        dropped: reason to number of records that a reader did not turn into rows.
        examples: a few records for each reason.
        numbers: the record that each row of a flat table comes from; rows on the card are then named by it.
    """
    account = built.card.account
    named = account.examples
    if numbers is not None:
        named = {reason: [_record(name, numbers) for name in names] for reason, names in named.items()}
    changed = Account(
        **account.model_dump(exclude={"rows_read", "dropped", "examples"}),
        rows_read=account.rows_read + sum(dropped.values()),
        dropped=dict(Counter(account.dropped) + Counter(dropped)),
        examples={**named, **examples},
    )
    return replace(built, card=built.card.model_copy(update={"account": changed}))


def account_of(tables: AccountTables) -> Account:
    """Count every row, and name a few of each kind."""
    threads = tables.threads
    heads = keep(threads.answers.select("thread").distinct())
    fates = keep(_fates(tables, heads))
    counts = rows(fates.group_by("reason").agg(count=fates.count()))
    dropped = {one["reason"]: one["count"] for one in sorted(counts, key=lambda one: (-one["count"], one["reason"]))}
    examples = {
        reason: [f"row {row}" for row in _first(fates.filter(fates.reason == reason), "row")] for reason in dropped
    }
    num_split, num_answers, num_edges = (count(table) for table in (threads.split, threads.answers, threads.edges))
    in_an_edge = ibis.union(
        threads.edges.select("thread", place="winner"), threads.edges.select("thread", place="loser"), distinct=True
    )
    notes = {SPLIT_KEYS: num_split, NO_EDGE: num_answers - count(in_an_edge) if num_edges else 0} | dict(tables.notes)
    if num_split:
        examples[SPLIT_KEYS] = _first(threads.split, "key")
    num_groups = count(heads)
    release(heads, fates)
    return Account(
        rows_read=tables.num_rows,
        rows_used=tables.num_rows - sum(dropped.values()),
        dropped=dropped,
        groups=num_groups,
        responses=num_answers,
        edges=num_edges,
        labels=count(threads.labels) if threads.labels is not None else 0,
        ties=scalar((threads.edges.prob == 0.5).cast("int64").sum()) or 0,
        notes={note: number for note, number in notes.items() if number},
        examples=examples,
    )


def _fates(tables: AccountTables, heads: Table) -> Table:
    """`row` and `reason` of every record that is not in a group."""
    without_group = tables.members.anti_join(heads, "thread")
    fates = [
        tables.refused,
        without_group.select("row", reason=(without_group.size == 1).ifelse(ALONE, NO_PAIR)),
    ]
    if tables.lost is not None:
        fates.append(tables.lost.select("row", "reason"))
    return ibis.union(*fates)


def _first(table: Table, column: str) -> list[str]:
    """The smallest few values of a column."""
    found: list[Any] = [row[column] for row in rows(table.select(column).order_by(column).limit(_NUM_EXAMPLES))]
    return [str(value) for value in found]


def _record(name: str, numbers: pa.ChunkedArray) -> str:
    """`row 7` of the flat table as the number of the record in the file that it came from."""
    place = name.removeprefix("row ")
    if place == name or not place.isdigit() or not 0 < int(place) <= len(numbers):
        return name
    return f"row {numbers[int(place) - 1].as_py()}"
