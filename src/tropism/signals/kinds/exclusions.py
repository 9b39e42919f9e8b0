"""Which rows a build leaves out on request: by marks, author, place in the thread, length and age.

The same on DuckDB and on Spark. What is not asked for costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import ibis
from ibis import Table
from ibis.expr.types import BooleanValue, StringValue, Value

from tropism.errors import ConfigError
from tropism.signals.engines import expressions as values
from tropism.signals.engines.engine import scalar
from tropism.signals.kinds.columns import refuse_shared
from tropism.signals.privacy import redaction as privacy

_DAY_SECONDS = 86_400
_SPECIAL = "special"
"""A third thing that Reddit's `distinguished` may say, beside `moderator` and `admin`."""


@dataclass(frozen=True)
class Exclusions:
    """Rows to leave out.

    Args:
        marks: columns of marks; a row that one of them marks is left out. See `is_marked`.
        asker: column of who asked; an answer by its own asker is left out.
        parent: column of what an answer replies to; one that replies to anything but its thread is left out.
        known_authors: leave out answers whose author is missing or deleted.
        min_words, max_words: fewest and most words of an answer; None asks for none.
        settled_days: age below which an answer's votes are not settled; None keeps answers of any age.
        as_of: when the votes were counted, in seconds since 1970; None is the newest time of the data.

    Raises:
        ConfigError: for a number out of range, or one that has no effect.
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
                raise ConfigError(f"--drop-if names the column {name!r} twice.", remedy="Name it once.")
        least = self.min_words if self.min_words is not None else 1
        if least < 1:
            raise ConfigError(
                f"--min-words must be at least 1, not {least}.", remedy="Leave it away to keep every answer."
            )
        if self.max_words is not None and self.max_words < least:
            raise ConfigError(
                f"--max-words must be at least {least}, not {self.max_words}.", remedy="Raise it, or leave it away."
            )
        if self.settled_days is not None and not 0 < self.settled_days < math.inf:
            raise ConfigError(
                f"--settled must be a number of days above 0, not {self.settled_days}.", remedy="Use 7, say."
            )
        if self.as_of is not None and self.settled_days is None:
            raise ConfigError("--as-of has no effect without --settled.", remedy="Add --settled 7, say.")

    def roles(self) -> dict[str, str]:
        """Role to column, of what is read of a row beside the roles of its kind."""
        named = {"asker": self.asker, "parent": self.parent}
        marks = {f"mark {place}": name for place, name in enumerate(self.marks)}
        return {role: name for role, name in named.items() if name is not None} | marks

    def check(self, given: Mapping[str, str]) -> None:
        """Refuse what has no effect beside the columns given.

        Raises:
            ConfigError: naming the option and the one that it needs.
        """
        needs = {
            "--asker": (self.asker is not None, "author"),
            "--known-authors": (self.known_authors, "author"),
            "--parent": (self.parent is not None, "group"),
            "--settled": (self.settled_days is not None, "time"),
        }
        for option, (is_asked, role) in needs.items():
            if is_asked and role not in given:
                raise ConfigError(f"{option} has no effect without --{role}.", remedy=f"Name a column with --{role}.")
        people = {"asker": self.asker, "parent": self.parent}
        refuse_shared({**given, **{role: name for role, name in people.items() if name is not None}})

    def dated(self, table: Table, given: Mapping[str, str]) -> Exclusions:
        """The same, with the newest time of the data where age matters and no other day is named."""
        if self.settled_days is None or self.as_of is not None:
            return self
        times = table.select(time=values.seconds(table[given["time"]]))
        newest = scalar(times.filter(values.is_finite(times.time)).time.max())
        return self if newest is None else replace(self, as_of=float(newest))

    def reasons(self, text: Table, responses: Iterable[str] = ("response",)) -> list[tuple[BooleanValue, str]]:
        """Conditions under which a row is left out, each with its reason; none of them where nothing is asked.

        Args:
            text: a row's texts under the names of their roles, with `roles`; `author` is null where it was deleted, and
                `time` is in seconds.
            responses: the roles of its answers.
        """
        reasons = []
        for place, name in enumerate(self.marks):
            marked = is_marked(text[f"mark {place}"])
            reasons.append((marked.isnull(), f"mark {name} is not true or false"))
            reasons.append((marked, f"marked {name}"))
        if self.asker is not None:
            reasons.append((text.author == values.filled(text.asker), "written by the asker"))
        if self.known_authors:
            is_gone = text.author.isnull() | privacy.is_deleted(text.author, ibis.literal(""))
            reasons.append((is_gone, "author is missing or deleted"))
        if self.parent is not None:
            reasons.append((values.filled(text.parent) != values.filled(text.group), "reply to another answer"))
        reasons += [reason for role in responses for reason in self._by_length(text[role])]
        if self.as_of is not None and self.settled_days is not None:
            youngest = self.as_of - self.settled_days * _DAY_SECONDS
            reasons.append((values.is_finite(text.time) & (text.time > youngest), self._too_young()))
        return reasons

    def column_names(self) -> dict[str, str]:
        """The columns of marks, by the words that an unreadable one is told in."""
        return {f"mark {name}": name for name in self.marks}

    def __str__(self) -> str:
        """What is left out, in words for the card; nothing where nothing is asked."""
        told = [f"marked {name}" for name in self.marks]
        told += ["written by the asker"] if self.asker is not None else []
        told += ["author missing or deleted"] if self.known_authors else []
        told += ["replies to another answer"] if self.parent is not None else []
        told += [f"fewer than {self.min_words} words"] if self.min_words is not None else []
        told += [f"more than {self.max_words} words"] if self.max_words is not None else []
        told += [self._too_young()] if self.as_of is not None else []
        return f"; left out: {', '.join(told)}" if told else ""

    def _by_length(self, response: StringValue) -> list[tuple[BooleanValue, str]]:
        limits = []
        if self.min_words is not None:
            limits.append((values.words(response) < self.min_words, f"response has fewer than {self.min_words} words"))
        if self.max_words is not None:
            limits.append((values.words(response) > self.max_words, f"response has more than {self.max_words} words"))
        return limits

    def _too_young(self) -> str:
        assert self.as_of is not None, "the day is known by now"
        unit = "day" if self.settled_days == 1 else "days"
        return f"younger than {self.settled_days:g} {unit} on {_stamp(self.as_of)}"


def is_marked(value: Value) -> BooleanValue:
    """Whether a value marks its row; null where it is neither a mark nor none.

    A mark is true, a number other than 0 (such as the time of an edit), or one of `yes`, `moderator`, `admin`,
    `special` and their like; a missing value, false, 0 and `no` are none.
    """
    if value.type().is_boolean():
        return value.fill_null(False)
    number = values.number(value)
    counted = values.is_finite(number).ifelse(number != 0, ibis.null("boolean"))
    said = counted if value.type().is_numeric() else ibis.coalesce(_said(value), counted)
    return values.is_missing(value).ifelse(False, said)


def _said(value: Value) -> BooleanValue:
    """What a text says of its row, where it is one of the usual words."""
    is_special = values.filled(value).lower() == _SPECIAL
    return (privacy.is_moderator(value) | is_special).ifelse(True, values.flag(value))


def _stamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, or as they are where no calendar has them."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"
