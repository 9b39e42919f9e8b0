"""Which rows a build excludes on request: by marks, author, place in the thread, length and age.

The results are equal on DuckDB and on Spark. What is not requested costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

import ibis
from ibis import Table
from ibis.expr.types import BooleanValue, StringValue, Value

from tropism.errors import ConfigError
from tropism.signals.engines import expressions
from tropism.signals.engines.engine import scalar
from tropism.signals.kinds.columns import SignalColumns, refuse_shared
from tropism.signals.privacy import redaction

_DAY_SECONDS = 86_400
_SPECIAL = "special"
"""A value of Reddit's `distinguished`, besides `moderator` and `admin`."""


@dataclass(frozen=True)
class Exclusions:
    """Rows to exclude although they could be used.

    Args:
        marks: columns of marks; a row that one of them marks is excluded. See `is_marked`.
        asker: column of who asked; excludes answers by the asker.
        parent: column of what an answer replies to; excludes replies to anything but the thread itself.
        known_authors: exclude answers whose author is missing or deleted.
        min_words, max_words: fewest and most words of an answer; None for no limit.
        settled_days: age below which an answer's votes are not settled; None keeps answers of any age.
        as_of: when the votes were counted, in seconds since 1970; None is the newest time of the data.

    Raises:
        ConfigError: for a number out of range, or a setting without effect.
    """

    marks: tuple[str, ...] = ()
    asker: str | None = None
    parent: str | None = None
    known_authors: bool = False
    min_words: int | None = None
    max_words: int | None = None
    settled_days: float | None = None
    as_of: float | None = None

    def __post_init__(self) -> None:
        for name in self.marks:
            if self.marks.count(name) > 1:
                raise ConfigError(f"`marks` names the column {name!r} twice.", remedy="Name it once.")
        least = self.min_words if self.min_words is not None else 1
        if least < 1:
            raise ConfigError(f"`min_words` must be at least 1, got {least}.", remedy="Omit it to keep every answer.")
        if self.max_words is not None and self.max_words < least:
            raise ConfigError(
                f"`max_words` must be at least {least}, got {self.max_words}.", remedy="Raise or omit `max_words`."
            )
        if self.settled_days is not None and not 0 < self.settled_days < math.inf:
            raise ConfigError(
                f"`settled_days` must be a number of days above 0, got {self.settled_days}.",
                remedy="Use 7, for example.",
            )
        if self.as_of is not None and self.settled_days is None:
            raise ConfigError("`as_of` has no effect without `settled_days`.", remedy="Set `settled_days` to 7 days.")

    def roles(self) -> dict[str, str]:
        """Role to column, of what is read of a row in addition to the roles of its kind."""
        named = {"asker": self.asker, "parent": self.parent}
        marks = {f"mark {place}": name for place, name in enumerate(self.marks)}
        return {role: name for role, name in named.items() if name is not None} | marks

    def check(self, columns: SignalColumns) -> None:
        """Refuse what has no effect with the given columns.

        Raises:
            ConfigError: naming the parameter and the one that it needs.
        """
        given = columns.given()
        needs = {
            "asker": (self.asker is not None, "author"),
            "known_authors": (self.known_authors, "author"),
            "parent": (self.parent is not None, "group"),
            "settled_days": (self.settled_days is not None, "time"),
        }
        for parameter, (is_requested, role) in needs.items():
            if is_requested and role not in given:
                is_role = role in {field.name for field in fields(columns)}
                remedy = f"Name the column with `{role}`." if is_role else "Omit it."
                raise ConfigError(f"`{parameter}` has no effect without `{role}`.", remedy=remedy)
        people = {"asker": self.asker, "parent": self.parent}
        refuse_shared({**given, **{role: name for role, name in people.items() if name is not None}})

    def dated(self, table: Table, given: Mapping[str, str]) -> Exclusions:
        """The same, with the newest time of the data as `as_of` if age matters and no day is given."""
        if self.settled_days is None or self.as_of is not None:
            return self
        times = table.select(time=expressions.seconds(table[given["time"]]))
        newest = scalar(times.filter(expressions.is_finite(times.time)).time.max())
        return self if newest is None else replace(self, as_of=float(newest))

    def reasons(self, text: Table, responses: Iterable[str] = ("response",)) -> list[tuple[BooleanValue, str]]:
        """Conditions under which a row is excluded, each with its reason; empty if nothing is requested.

        Args:
            text: a row's texts under the names of their roles, with `roles`; `author` is null if it was deleted, and
                `time` is in seconds.
            responses: the roles of its answers.
        """
        reasons = []
        for place, name in enumerate(self.marks):
            marked = is_marked(text[f"mark {place}"])
            reasons.append((marked.isnull(), f"mark {name} is not true or false"))
            reasons.append((marked, f"marked {name}"))
        if self.asker is not None:
            reasons.append((text.author == expressions.filled(text.asker), "written by the asker"))
        if self.known_authors:
            is_gone = text.author.isnull() | redaction.is_deleted(text.author, ibis.literal(""))
            reasons.append((is_gone, "author is missing or deleted"))
        if self.parent is not None:
            reasons.append(
                (expressions.filled(text.parent) != expressions.filled(text.group), "reply to another answer")
            )
        reasons += [reason for role in responses for reason in self._by_length(text[role])]
        if self.as_of is not None and self.settled_days is not None:
            youngest = self.as_of - self.settled_days * _DAY_SECONDS
            reasons.append((expressions.is_finite(text.time) & (text.time > youngest), self._too_young()))
        return reasons

    def column_names(self) -> dict[str, str]:
        """The columns of marks, by the words that an error calls them."""
        return {f"mark {name}": name for name in self.marks}

    def __str__(self) -> str:
        """What is excluded, in words for the card; empty if nothing is requested."""
        reasons = [f"marked {name}" for name in self.marks]
        reasons += ["written by the asker"] if self.asker is not None else []
        reasons += ["author missing or deleted"] if self.known_authors else []
        reasons += ["replies to another answer"] if self.parent is not None else []
        reasons += [f"fewer than {self.min_words} words"] if self.min_words is not None else []
        reasons += [f"more than {self.max_words} words"] if self.max_words is not None else []
        reasons += [self._too_young()] if self.as_of is not None else []
        return f"; excluded: {', '.join(reasons)}" if reasons else ""

    def _by_length(self, response: StringValue) -> list[tuple[BooleanValue, str]]:
        limits = []
        if self.min_words is not None:
            limits.append(
                (expressions.words(response) < self.min_words, f"response has fewer than {self.min_words} words")
            )
        if self.max_words is not None:
            limits.append(
                (expressions.words(response) > self.max_words, f"response has more than {self.max_words} words")
            )
        return limits

    def _too_young(self) -> str:
        assert self.as_of is not None, "dated() has set the day"
        unit = "day" if self.settled_days == 1 else "days"
        return f"younger than {self.settled_days:g} {unit} on {_stamp(self.as_of)}"


def is_marked(value: Value) -> BooleanValue:
    """Whether a value marks its row; null if it can be read neither as a mark nor as its absence.

    A mark is true, a number other than 0 (such as the time of an edit), or one of `yes`, `moderator`, `admin`,
    `special` and similar words; a missing value, false, 0 and `no` are no marks.
    """
    if value.type().is_boolean():
        return value.fill_null(False)
    number = expressions.number(value)
    counted = expressions.is_finite(number).ifelse(number != 0, ibis.null("boolean"))
    said = counted if value.type().is_numeric() else ibis.coalesce(_said(value), counted)
    return expressions.is_missing(value).ifelse(False, said)


def _said(value: Value) -> BooleanValue:
    """Whether a text marks its row, if it is one of the usual words; else null."""
    is_special = expressions.filled(value).lower() == _SPECIAL
    return (redaction.is_moderator(value) | is_special).ifelse(True, expressions.flag(value))


def _stamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, or as a number if they are outside the calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"
