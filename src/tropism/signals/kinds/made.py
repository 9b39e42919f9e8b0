"""What every kind of signal ends in: groups, and a card that says what became of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import ibis
import pyarrow as pa
from ibis import Table

from tropism.errors import ConfigError, DataError
from tropism.records import Account, DataCard, Estimate, Matrix
from tropism.signals.engines.engine import count, keep, release, rows, scalar
from tropism.signals.engines.group_stream import GroupStream, Threads
from tropism.signals.kinds.answers import ALONE, NO_PAIR
from tropism.signals.kinds.rules import VoteRule
from tropism.signals.statistics.confounds import confounds

Weight: TypeAlias = Literal["one", "gap"]

SPLIT_KEYS = "keys split because they carry several prompts"
NO_EDGE = "responses without an edge"
OVER_CAP = "pairs over the cap"

_NUM_EXAMPLES = 5


@dataclass(frozen=True)
class Built:
    """Preference groups made of a signal.

    Args:
        groups: in the order of their ids; every iteration reads the texts again, so nothing is held in memory.
        card: what became of every row, and what could be mistaken for taste.
    """

    groups: GroupStream
    card: DataCard


@dataclass(frozen=True)
class Made:
    """The tables on the way from rows to groups, computed.

    Args:
        refused: row and reason of every record that cannot be used.
        num_rows: how many records there were.
        members: row, thread and size of the thread, of every record that can be used.
        threads: answers, edges, labels and texts; answers of lost threads are left out already.
        lost: other rows that are not used: row, reason; None where there are none.
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


def built(made: Made, *, source: str, rule: str, with_time: bool, with_author: bool) -> Built:
    """Groups and card of finished tables; tables that only the account needs are released."""
    account = account_of(made)
    threads = made.threads
    found: dict[str, Estimate] = {}
    if account.edges:
        found = confounds(threads.edges, threads.answers, with_time=with_time, with_author=with_author)
    card = DataCard(
        source=source, rule=rule, account=account, confounds=found | dict(made.confounds), tables=list(made.tables)
    )
    release(made.refused)
    return Built(GroupStream(threads, source=source), card)


def of_threads(answers: Table, judged: Table) -> Table:
    """The answers of threads that have an edge or a label in a table, computed."""
    return keep(answers.semi_join(judged.select("thread"), "thread"))


def weighted(pairs: Table, *, weight: Weight, margin: Weight | Literal["none"] = "none") -> Table:
    """Edges with `weight` and `margin` as they were asked for; a tie weighs 1 and has no margin."""
    tied = pairs.prob == 0.5
    gap = pairs.gap.cast("float64")
    return pairs.mutate(
        weight=tied.ifelse(1.0, gap) if weight == "gap" else ibis.literal(1.0),
        margin=gap if margin == "gap" else ibis.literal(0.0),
    )


def check_cap(cap: int | None) -> None:
    """Refuse a cap that leaves nothing."""
    if cap is not None and cap < 1:
        raise ConfigError(f"--cap must be at least 1, not {cap}.", remedy="Leave it away to keep every pair.")


def check_time(rule: VoteRule, time: str | None) -> None:
    """Refuse a rule over times that no column holds."""
    if rule.needs_time and time is None:
        raise ConfigError(
            f'the rule "{rule}" compares when answers were written, but no column holds that.',
            remedy="Name the column with --time.",
        )


def describe(rule: object, *, cap: int | None = None, weight: str = "one", margin: str = "none") -> str:
    """The rule and the settings that matter beside it, for the card."""
    parts = [str(rule)]
    if cap is not None:
        parts.append(f"at most {cap} edge{'s' if cap > 1 else ''} of a thread, the largest gaps first")
    if weight == "gap":
        parts.append("an edge weighs its gap")
    if margin == "gap":
        parts.append("an edge's margin is its gap")
    return "; ".join(parts)


def nothing_used(account: Account, what: str, *, remedy: str) -> DataError:
    """The error for data of which nothing can be used: what there is not, and why each row was left out."""
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
            remedy="Name with --group the column that holds the answers to one prompt together, or add answers.",
        )
    return DataError(
        f'no pair passes the rule "{rule}": {source} has {num_threads} '
        f"thread{'s' if num_threads > 1 else ''} with two answers or more, and the largest gap in one is {gap:g}.",
        remedy="Relax the rule, or add votes." if gap > 0 else "Add votes; all answers of a thread have one score.",
    )


def noted(made: Built, notes: Mapping[str, int]) -> Built:
    """The same groups, with more notes on their card."""
    account = made.card.account
    more = {note: number for note, number in notes.items() if number}
    changed = account.model_copy(update={"notes": {**account.notes, **more}})
    return replace(made, card=made.card.model_copy(update={"account": changed}))


def with_left_out(
    made: Built,
    left_out: Mapping[str, int],
    examples: Mapping[str, list[str]],
    numbers: pa.ChunkedArray | None = None,
) -> Built:
    """The same groups, with the records on their card that a reader left out, and records for rows."""
    account = made.card.account
    told = account.examples
    if numbers is not None:
        told = {reason: [_record(name, numbers) for name in names] for reason, names in told.items()}
    changed = Account(
        **account.model_dump(exclude={"rows_read", "dropped", "examples"}),
        rows_read=account.rows_read + sum(left_out.values()),
        dropped=dict(Counter(account.dropped) + Counter(left_out)),
        examples={**told, **examples},
    )
    return replace(made, card=made.card.model_copy(update={"account": changed}))


def account_of(made: Made) -> Account:
    """Count every row, and name a few of each kind."""
    threads = made.threads
    heads = keep(threads.answers.select("thread").distinct())
    fates = keep(_fates(made, heads))
    counts = rows(fates.group_by("reason").agg(count=fates.count()))
    dropped = {one["reason"]: one["count"] for one in sorted(counts, key=lambda one: (-one["count"], one["reason"]))}
    examples = {
        reason: [f"row {row}" for row in _first(fates.filter(fates.reason == reason), "row")] for reason in dropped
    }
    num_split, num_answers, num_edges = (count(table) for table in (threads.split, threads.answers, threads.edges))
    in_an_edge = ibis.union(
        threads.edges.select("thread", place="winner"), threads.edges.select("thread", place="loser"), distinct=True
    )
    notes = {SPLIT_KEYS: num_split, NO_EDGE: num_answers - count(in_an_edge) if num_edges else 0} | dict(made.notes)
    if num_split:
        examples[SPLIT_KEYS] = _first(threads.split, "key")
    num_groups = count(heads)
    release(heads, fates)
    return Account(
        rows_read=made.num_rows,
        rows_used=made.num_rows - sum(dropped.values()),
        dropped=dropped,
        groups=num_groups,
        responses=num_answers,
        edges=num_edges,
        labels=count(threads.labels) if threads.labels is not None else 0,
        ties=scalar((threads.edges.prob == 0.5).cast("int64").sum()) or 0,
        notes={note: number for note, number in notes.items() if number},
        examples=examples,
    )


def _fates(made: Made, heads: Table) -> Table:
    """`row` and `reason` of every record that is not in a group."""
    lost = made.members.anti_join(heads, "thread")
    tables = [
        made.refused,
        lost.select("row", reason=(lost.size == 1).ifelse(ALONE, NO_PAIR)),
    ]
    if made.lost is not None:
        tables.append(made.lost.select("row", "reason"))
    return ibis.union(*tables)


def _first(table: Table, column: str) -> list[str]:
    """The smallest few values of a column."""
    found: list[Any] = [row[column] for row in rows(table.select(column).order_by(column).limit(_NUM_EXAMPLES))]
    return [str(value) for value in found]


def _record(name: str, numbers: pa.ChunkedArray) -> str:
    """`row 7` of the flat table as the record of the file that it came from."""
    place = name.removeprefix("row ")
    if place == name or not place.isdigit() or not 0 < int(place) <= len(numbers):
        return name
    return f"row {numbers[int(place) - 1].as_py()}"
