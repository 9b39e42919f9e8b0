"""Rows become answers in threads; every row that cannot be used gets a reason.

A thread is one key and one prompt. The texts of prompts and responses stay in the file; here they are hashes, so that
millions of comments fit in memory. Orders come from values (time, hash), never from the order of the rows.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import ibis
from ibis import Table
from ibis.expr.types import BooleanValue, StringValue, Value

from tropism.errors import DataError
from tropism.signals.engines import expressions
from tropism.signals.engines.engine import ROW, count, keep, release, rows, scalar
from tropism.signals.kinds.exclusions import Exclusions
from tropism.signals.privacy.safety_gate import SafetyGate

REPEATED = "repeated response"
UNREAD = "record that holds nothing"
ALONE = "only answer to its prompt"
NO_PAIR = "no pair of its thread passes the rule"
UNREADABLE = {
    "is not a number": "a number",
    "is not finite": "a finite number",
    "cannot be read": "a time (ISO 8601, or seconds since 1970)",
    "is not a thumb": "a thumb (up, down, true, false, 1, 0, -1)",
    "is not a known choice": "a, b, tie, both_bad or skip",
    "is not true or false": "true or false",
}
"""What a value should be, by how its reason ends. Such rows stop a build unless it skips them."""

_DELETED = ("[deleted]", "[removed]")


@dataclass(frozen=True)
class Cleaning:
    """What is done to rows before anything else, and to edges at the end.

    Args:
        scrub: removes personal data from a text; None keeps texts as they are.
        hash_key: replaces a thread's key by a hash; None keeps keys as they are.
        is_bot: whether an author is a bot; None keeps all authors.
        gate: decides which texts no edge may prefer; None lets all pass.
        exclude: which usable rows are excluded.
    """

    scrub: Callable[[StringValue], StringValue] | None = None
    hash_key: Callable[[StringValue], StringValue] | None = None
    is_bot: Callable[[StringValue], BooleanValue] | None = None
    gate: SafetyGate | None = None
    exclude: Exclusions = field(default_factory=Exclusions)


@dataclass(frozen=True)
class RowValues:
    """What a kind of signal reads of a row.

    Args:
        columns: name to value; they become columns of the lean rows.
        reasons: conditions under which the row cannot be used, each with its reason, in order. "Not finite" comes
            before "null", because to Spark (through Ibis) a NaN is null, too.
    """

    columns: Mapping[str, Value]
    reasons: tuple[tuple[BooleanValue, str], ...]


def with_texts(table: Table, given: Mapping[str, str], cleaning: Cleaning, roles: tuple[str, ...]) -> Table:
    """The rows under the names of their roles, with `row`, clean texts (`roles`) and the thread's `key`.

    Without a column for the key, the prompt's fingerprint is the key. The columns of exclusions are kept unchanged.
    """
    named = {**given, **cleaning.exclude.roles()}
    raw = table.select(row=table[ROW], **{role: table[name] for role, name in named.items()})
    texts = {role: raw[role].cast("string") for role in roles}
    if cleaning.scrub:
        texts = {role: cleaning.scrub(text) for role, text in texts.items()}
    clean = raw.mutate(**texts)
    if "group" not in given:
        return clean.mutate(key=expressions.fingerprint(clean.prompt))
    key = expressions.filled(clean.group)
    return clean.mutate(key=cleaning.hash_key(key) if cleaning.hash_key else key)


def read_rows(
    table: Table,
    given: Mapping[str, str],
    measure: Callable[[Table], RowValues],
    *,
    cleaning: Cleaning,
    needs_time: bool = False,
) -> Table:
    """One lean row per record: hashes, numbers, and in `reason` why it cannot be used (null if it can).

    Columns: row, key, prompt_id, response_id, time (seconds), author, length (characters), those of `measure`, reason.
    """
    raw = with_texts(table, given, cleaning, ("prompt", "response"))
    text = raw.mutate(
        no_time=expressions.is_missing(raw.time) if "time" in given else ibis.literal(True),
        time=expressions.seconds(raw.time) if "time" in given else ibis.null("float64"),
        author=_author(raw.author) if "author" in given else ibis.null("string"),
    )
    values = measure(text)
    needs_time |= cleaning.exclude.settled_days is not None
    return text.select(
        "row",
        "key",
        prompt_id=expressions.fingerprint(text.prompt),
        response_id=expressions.fingerprint(text.response),
        time=text.time,
        author=text.author,
        length=text.response.length().cast("int32"),
        **values.columns,
        reason=_reason(text, given, values, cleaning, needs_time=needs_time),
    )


def refuse_bad_rows(lean: Table, table: Table, given: Mapping[str, str]) -> None:
    """Stop at the first value that cannot be read.

    Raises:
        DataError: naming the row, its value and the column, and how many rows are like it.
    """
    known = unreadable(given)
    reasons = [row["reason"] for row in rows(lean.filter(lean.reason.notnull()).select("reason").distinct())]
    bad_reasons = [reason for reason in reasons if reason in known]
    if not bad_reasons:
        return
    bad = lean.filter(lean.reason.isin(bad_reasons))
    first = rows(bad.order_by("row").limit(1))[0]
    row, reason = first["row"], first["reason"]
    name, wanted = known[reason]
    value = scalar(table.filter(table[ROW] == row)[name].cast("string").as_scalar())
    number = count(bad.filter(bad.reason == reason))
    raise DataError(
        f"row {row}: column {name!r} must hold {wanted}, got {value!r} ({number} such row{'s' if number > 1 else ''}).",
        remedy="Correct it, or drop and count such rows with `skip_bad=True`.",
    )


def nothing_said(text: Table, given: Mapping[str, str]) -> BooleanValue:
    """Whether a record has no value at all; this includes lines that cannot be read."""
    return functools.reduce(operator.and_, (text[role].isnull() for role in given))


class ExpectedValue(NamedTuple):
    """A column whose value cannot be read, and what it should hold."""

    column: str
    wanted: str


def unreadable(given: Mapping[str, str]) -> dict[str, ExpectedValue]:
    """Every reason for which the value of a column cannot be read: the name of the role, and an end.

    Args:
        given: role to column, as the classes of columns and `Exclusions.column_names` name them. Several aspects are
            called by their columns, a single one `score`.

    Example:
        >>> unreadable({"prompt_score": "votes"})["prompt score is not a number"]
        ExpectedValue(column='votes', wanted='a number')
    """
    aspects = [role for role in given if role.startswith("score ")]
    named: dict[str, ExpectedValue] = {}
    for role, column in given.items():
        called = role.replace("_", " ")
        if role in aspects:
            called = "score" if len(aspects) == 1 else column
        named |= {f"{called} {end}": ExpectedValue(column, wanted) for end, wanted in UNREADABLE.items()}
    return named


class Threaded(NamedTuple):
    """Rows that can be used, in threads; all computed, so that the lean rows need not be kept.

    Args:
        rows: the lean rows with `thread`, an arbitrary number, instead of key and prompt_id.
        keys: thread, key, prompt_id.
        refused: row and reason of every record that cannot be used.
        num_rows: how many records there were.
    """

    rows: Table
    keys: Table
    refused: Table
    num_rows: int


def in_threads(lean: Table) -> Threaded:
    """Lean rows in threads: one for each key and prompt, by the number of its first row. The lean rows are released."""
    good = lean.filter(lean.reason.isnull()).drop("reason")
    keys = keep(good.group_by(["key", "prompt_id"]).agg(thread=good.row.min()))
    threaded = keep(good.join(keys, ["key", "prompt_id"]).drop("key", "prompt_id"))
    refused = keep(lean.filter(lean.reason.notnull()).select("row", "reason"))
    num_rows = count(lean)
    release(lean)
    return Threaded(threaded, keys, refused, num_rows)


def repeated(threaded: Table, *, best_first: str) -> Table:
    """`row` of every repeated answer of a thread: of several equal ones, the best by a column is kept.

    Ties are decided by the time, then by the author's name.
    """
    counts = threaded.group_by(["thread", "response_id"]).agg(copies=threaded.count())
    several = threaded.semi_join(counts.filter(counts.copies > 1), ["thread", "response_id"])
    order = ibis.window(
        group_by=[several.thread, several.response_id],
        order_by=[
            ibis.desc(several[best_first]),
            several.time.isnull(),
            several.time,
            several.author.isnull(),
            several.author,
            several.row,
        ],
    )
    ranked = several.mutate(copy=ibis.row_number().over(order))
    return ranked.filter(ranked.copy > 0).select("row")


def to_answers(distinct: Table) -> Table:
    """Distinct answers of threads: the `size` of the thread, the `place` in it from 0, and the hash `mix`."""
    sizes = distinct.group_by("thread").agg(size=distinct.count())
    in_time = ibis.window(
        group_by=distinct.thread, order_by=[distinct.time.isnull(), distinct.time, distinct.response_id]
    )
    placed = distinct.mutate(
        place=ibis.row_number().over(in_time).cast("int32"), mix=expressions.mix(distinct.response_id)
    )
    return placed.join(sizes, "thread")


def merged(threaded: Table, **sums: Value) -> Table:
    """One row for each response of a thread, with the given aggregates; `row` is the first of its rows."""
    return threaded.group_by(["thread", "response_id"]).agg(
        row=threaded.row.min(),
        time=threaded.time.min(),
        author=threaded.author.min(),
        length=threaded.length.max(),
        **sums,
    )


def members_of(threaded: Table, answers: Table) -> Table:
    """`row`, `thread` and `size` of every row that went into an answer."""
    sizes = answers.filter(answers.place == 0).select("thread", "size")
    return threaded.select("row", "thread").join(sizes, "thread")


def split_keys(keys: Table) -> Table:
    """The keys (`key`) with more than one prompt."""
    counts = keys.group_by("key").agg(prompts=keys.count())
    return counts.filter(counts.prompts > 1).select("key")


def _author(value: Value) -> StringValue:
    name = expressions.filled(value)
    return name.lower().isin(_DELETED).ifelse(ibis.null("string"), name)


def _reason(
    text: Table, given: Mapping[str, str], values: RowValues, cleaning: Cleaning, *, needs_time: bool
) -> StringValue:
    """The first reason that applies to a row."""
    bots = []
    if cleaning.is_bot and "author" in given:
        bots.append((cleaning.is_bot(text.author).fill_null(False), "author is a bot"))
    return ibis.cases(
        (nothing_said(text, given), UNREAD),
        (text.prompt.isnull() | ~expressions.is_filled(text.prompt), "empty prompt"),
        (expressions.is_deleted(text.prompt), "deleted prompt"),
        (text.response.isnull() | ~expressions.is_filled(text.response), "empty response"),
        (expressions.is_deleted(text.response), "deleted response"),
        *bots,
        *cleaning.exclude.reasons(text),
        (text.key.isnull(), "empty group key"),
        *values.reasons,
        (text.no_time if needs_time else ibis.literal(False), "missing time"),
        (~text.no_time & (text.time.isnull() | ~expressions.is_finite(text.time)), "time cannot be read"),
        else_=ibis.null("string"),
    )
