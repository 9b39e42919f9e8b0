"""Rows of votes become answers in threads; every row that does not is named with its reason.

A thread is one key and one prompt. The text of prompts and responses stays in the file: here they are hashes, so
that millions of comments fit in memory. Orders come from values (time, hash), never from the order of the rows.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

import ibis
from ibis import Table
from ibis.expr.types import NumericValue, StringValue, Value

from tropism.errors import ConfigError, DataError
from tropism.signals.engines import ROW, scalar

REPEATED = "repeated response"
ALONE = "only answer to its prompt"
NO_PAIR = "no pair of its thread passes the rule"

_DELETED = ("[deleted]", "[removed]")
_DELETED_TEXT = r"^\s*\[(deleted|removed)\]\s*$"
_BLANKS = "\t\n\v\f\r\u00a0"
_FILLED_TEXT = f"[^ {_BLANKS}]"
_BAD = {
    "score is not a number": ("score", "a number"),
    "score is not finite": ("score", "a finite number"),
    "time cannot be read": ("time", "a time (ISO 8601, or seconds since 1970)"),
}


@dataclass(frozen=True)
class VoteColumns:
    """The columns of a table of votes.

    Args:
        prompt: the text that was answered.
        response: the text of the answer.
        score: its votes, up minus down.
        group: the key of the thread; without it, answers to one prompt text belong together.
        time: when the answer was written: ISO 8601 (UTC where it names no zone) or seconds since 1970.
        author: who wrote it.

    Raises:
        ConfigError: where one column is given twice.
    """

    prompt: str
    response: str
    score: str
    group: str | None = None
    time: str | None = None
    author: str | None = None

    def __post_init__(self) -> None:
        roles: dict[str, str] = {}
        for role, name in self.given().items():
            if name in roles:
                raise ConfigError(
                    f"--{roles[name]} and --{role} both name the column {name!r}.",
                    remedy=f"Give --{role} a column of its own or, where it may, leave it away.",
                )
            roles[name] = role

    def given(self) -> dict[str, str]:
        """The roles that have a column, in the order of the fields."""
        roles = {role: getattr(self, role) for role in self.__dataclass_fields__}
        return {role: name for role, name in roles.items() if name is not None}


def read_rows(table: Table, columns: VoteColumns, *, needs_time: bool) -> Table:
    """One lean row per record: hashes, numbers, and in `reason` why it cannot be used (null where it can).

    Columns: row, key, prompt_id, response_id, score, time (seconds), author, words, reason.
    """
    raw = table.select(row=table[ROW], **{role: table[name] for role, name in columns.given().items()})
    text = raw.mutate(
        prompt=raw.prompt.cast("string"),
        response=raw.response.cast("string"),
        key=_filled(raw.group) if columns.group else raw.prompt.cast("string"),
        score_text=_filled(raw.score),
        score=_number(raw.score),
        time_text=_filled(raw.time) if columns.time else ibis.null("string"),
        time=_seconds(raw.time) if columns.time else ibis.null("float64"),
        author=_author(raw.author) if columns.author else ibis.null("string"),
    )
    return text.select(
        "row",
        key=text.key if columns.group else _fingerprint(text.key),
        prompt_id=_fingerprint(text.prompt),
        response_id=_fingerprint(text.response),
        score=text.score,
        time=text.time,
        author=text.author,
        words=_words(text.response),
        reason=_reason(text, needs_time=needs_time),
    )


def refuse_bad_rows(rows: Table, table: Table, columns: VoteColumns) -> None:
    """Stop at the first score or time that cannot be read.

    Raises:
        DataError: naming the row, its value and the column, and how many rows are like it.
    """
    bad = rows.filter(rows.reason.isin(list(_BAD)))
    first = bad.order_by("row").limit(1).to_pyarrow().to_pylist()
    if not first:
        return
    row, reason = first[0]["row"], first[0]["reason"]
    role, expected = _BAD[reason]
    name = columns.given()[role]
    value = table.filter(table[ROW] == row)[name].cast("string").to_pyarrow()[0].as_py()
    count = scalar(bad.filter(bad.reason == reason).count())
    raise DataError(
        f"row {row}: column {name!r} must hold {expected}, not {value!r} ({count} such row{'s' if count > 1 else ''}).",
        remedy="Correct it, or drop and count such rows with --skip-bad.",
    )


def usable(rows: Table) -> Table:
    """The rows that can be used, with `copy` 0 for one of several equal responses to a prompt: the best scored.

    Ties go to the earliest, then to the author's name.
    """
    good = rows.filter(rows.reason.isnull())
    best_first = ibis.window(
        group_by=[good.key, good.prompt_id, good.response_id],
        order_by=[
            ibis.desc(good.score),
            good.time.isnull(),
            good.time,
            good.author.isnull(),
            good.author,
            good.row,
        ],
    )
    return good.mutate(copy=ibis.row_number().over(best_first))


def to_answers(rows: Table) -> Table:
    """Distinct answers: `thread` (a number without meaning), its `size`, `place` in it from 0, and the hash `mix`."""
    once = rows.filter(rows.copy == 0)
    thread = ibis.window(group_by=[once.key, once.prompt_id])
    in_time = ibis.window(
        group_by=[once.key, once.prompt_id], order_by=[once.time.isnull(), once.time, once.response_id]
    )
    return once.select(
        "row",
        "key",
        "prompt_id",
        "response_id",
        "score",
        "time",
        "author",
        "words",
        thread=once.row.min().over(thread),
        place=ibis.row_number().over(in_time).cast("int32"),
        size=once.row.count().over(thread),
        mix=_mix(once.response_id),
    )


def split_keys(answers: Table) -> Table:
    """The keys (`key`) that carry more than one prompt."""
    counts = answers.group_by("key").agg(prompts=answers.prompt_id.nunique())
    return counts.filter(counts.prompts > 1).select("key")


def _filled(value: Value) -> StringValue:
    """Text without blanks around it, or null where nothing is left."""
    return value.cast("string").strip().nullif("")


def _number(value: Value) -> NumericValue:
    return value.cast("float64") if value.type().is_numeric() else _filled(value).try_cast("float64")


def _seconds(value: Value) -> NumericValue:
    """Seconds since 1970 of a number, a timestamp, or a text of either kind; null where it is none."""
    if value.type().is_numeric():
        return value.cast("float64")
    text = value.cast("string").strip()
    is_stamp = value.type().is_timestamp() or value.type().is_date()
    zoned = value.cast("timestamp('UTC')") if is_stamp else text.try_cast("timestamp('UTC')")
    stamp = zoned.cast("timestamp")
    seconds = stamp.epoch_seconds().floor() + stamp.microsecond() / 1e6
    return seconds if is_stamp else ibis.coalesce(text.try_cast("float64"), seconds)


def _author(value: Value) -> StringValue:
    name = _filled(value)
    return name.isin(_DELETED).ifelse(ibis.null("string"), name)


def _fingerprint(text: StringValue) -> StringValue:
    """64 bits of a text, the same on every engine."""
    return text.hexdigest("md5").substr(0, 16)


def _mix(fingerprint: StringValue) -> NumericValue:
    """The first 24 bits of a fingerprint as a number: engines agree on MD5, but not on a hash that is a number."""
    digits = (ibis.literal("0123456789abcdef").find(fingerprint.substr(i, 1)) * 16**i for i in range(6))
    return functools.reduce(operator.add, digits).cast("int64")


def _words(text: StringValue) -> NumericValue:
    spaced = text.re_search(f"[{_BLANKS}]").ifelse(text.translate(_BLANKS, " " * len(_BLANKS)), text)
    parts = spaced.split(" ")
    return parts.filter(lambda part: part != "").length().cast("int32")


def _reason(text: Table, *, needs_time: bool) -> StringValue:
    """The first reason that holds; a row has one."""
    no_time = text.time_text.isnull() if needs_time else ibis.literal(False)
    return ibis.cases(
        (text.prompt.isnull() | ~text.prompt.re_search(_FILLED_TEXT), "empty prompt"),
        (text.prompt.re_search(_DELETED_TEXT), "deleted prompt"),
        (text.response.isnull() | ~text.response.re_search(_FILLED_TEXT), "empty response"),
        (text.response.re_search(_DELETED_TEXT), "deleted response"),
        (text.key.isnull(), "empty group key"),
        (text.score_text.isnull(), "missing score"),
        (text.score.isnull(), "score is not a number"),
        (text.score.isnan() | text.score.isinf(), "score is not finite"),
        (no_time, "missing time"),
        (
            text.time_text.notnull() & (text.time.isnull() | text.time.isnan() | text.time.isinf()),
            "time cannot be read",
        ),
        else_=ibis.null("string"),
    )
