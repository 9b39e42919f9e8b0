"""Expressions for single values that give equal results on every engine: text, numbers, times, hashes, words.

Engines differ in what they read as a number or a time, so texts are held to one pattern before they are cast.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable

import ibis
from ibis.expr.types import BooleanValue, NumericValue, StringValue, Value

from tropism.ingest.value_patterns import (
    BARE_DATE,
    BASIC_TIME,
    BLANKS,
    EXTENDED_TIME,
    FALSE_WORDS,
    INFINITE,
    NUMBER,
    TRUE_WORDS,
)

_FILLED_TEXT = f"[^ {BLANKS}]"
_AROUND = r"^\s|\s$"
_DELETED_TEXT = r"^\s*\[(deleted|removed)\]\s*$"
_HEX = "0123456789abcdef"

_SLACK = 1e-14
"""Share of a number by which rounding may have moved it: 4.3 - 4.0 is less than 0.3 in binary, yet leads by 0.3."""


def filled(value: Value) -> StringValue:
    """Text without blanks around it, or null if nothing is left."""
    text = value.cast("string")
    # stripping is slow compared with a search, and most keys and names have no blanks around them
    return text.re_search(_AROUND).ifelse(text.strip(), text).nullif("")


def is_missing(value: Value) -> BooleanValue:
    """Whether a value is null, or a blank text."""
    kind = value.type()
    if kind.is_floating():
        return value.isnull() & ~value.isnan().fill_null(False)  # to Spark (by Ibis) a NaN is null too
    plain = kind.is_numeric() or kind.is_boolean() or kind.is_temporal()
    return value.isnull() if plain else filled(value).isnull()


def is_filled(text: StringValue) -> BooleanValue:
    """Whether a text holds more than blanks."""
    return text.re_search(_FILLED_TEXT)


def is_deleted(text: StringValue) -> BooleanValue:
    """Whether a text is the mark that a forum leaves in place of a deleted one."""
    return text.re_search(_DELETED_TEXT)


def number(value: Value) -> NumericValue:
    """A number, or what a text spells in digits; null if it is none, NaN if it spells infinity or NaN."""
    if value.type().is_numeric():
        return value.cast("float64")
    if value.type().is_boolean():
        return value.cast("int8").cast("float64")
    text = filled(value)
    spelled = text.re_search(NUMBER).ifelse(text, ibis.null("string")).try_cast("float64")
    return text.lower().isin(INFINITE).ifelse(ibis.literal(float("nan")), spelled)


def is_finite(value: NumericValue) -> BooleanValue:
    """Whether a number is neither NaN nor infinite."""
    return ~(value.isnan() | value.isinf())


def seconds(value: Value) -> NumericValue:
    """Seconds since 1970 of a number, a timestamp, or a text of either kind (UTC unless it names a zone).

    Text may be a number or ISO 8601: a calendar date, then a time of hours, minutes or seconds with or without a
    fraction, then a zone, each as far as it is known; with separators (2026-03-01T10:15:00Z) or, if there is a time,
    without (20260301T101500Z). 24:00 is the next day, a leap second the second that follows it. Null for anything
    else; also for a bare 20260301, which is a date to one reader and a number of seconds to another.
    """
    if value.type().is_numeric():
        return value.cast("float64")
    if value.type().is_timestamp() or value.type().is_date():
        return _once(value.cast("timestamp").cast("string"), _seconds_of)
    return _once(filled(value), _number_or_time)


def _number_or_time(text: StringValue) -> NumericValue:
    """Seconds since 1970 that a text without blanks around it spells."""
    spelled = text.try_cast("float64")
    is_date = (text.length() == 8).ifelse(text.re_search(BARE_DATE), False)
    return ibis.cases(
        (text.re_search(NUMBER), is_date.ifelse(ibis.null("float64"), spelled)),
        (text.re_search("^[0-9]"), _seconds_of(text)),
        (text.lower().isin(INFINITE), ibis.literal(float("nan"))),
        else_=ibis.null("float64"),
    )


def _once(value: StringValue, then: Callable[[StringValue], NumericValue]) -> NumericValue:
    """What a function makes of a value that is computed once, however often the function names it."""
    return ibis.array([value]).map(then)[0]


def leads_by(winner: NumericValue, loser: NumericValue, least: float) -> BooleanValue:
    """Whether one number leads another by so much, as decimals are written and not as binary numbers round them.

    A larger winner or a smaller loser never turns true to false: each side is moved by itself, and keeps its order.
    """
    return (winner + _SLACK * winner.abs()) - (loser - _SLACK * loser.abs()) >= least


def is_times(winner: NumericValue, loser: NumericValue, ratio: float) -> BooleanValue:
    """Whether one number is so many times another or more, as decimals are written; see `leads_by`."""
    return winner + _SLACK * winner.abs() >= ratio * loser


def fingerprint(text: StringValue) -> StringValue:
    """64 bits of a text as hexadecimal digits, the same on every engine."""
    return text.hexdigest("md5").substr(0, 16)


def mix(digits: StringValue) -> NumericValue:
    """The first 24 bits of a fingerprint as a number: engines agree on MD5, but not on a hash that is a number."""
    values = (ibis.literal(_HEX).find(digits.substr(i, 1)) * 16**i for i in range(6))
    # a double holds these and their small multiples exactly; engines disagree on how wide the integer would be
    return functools.reduce(operator.add, values).cast("float64")


def words(text: StringValue) -> NumericValue:
    """How many words a text has, split at blanks."""
    spaced = text.re_search(f"[{BLANKS}]").ifelse(text.translate(BLANKS, " " * len(BLANKS)), text)
    parts = spaced.split(" ")
    return parts.filter(lambda part: part != "").length().cast("int32")


def _seconds_of(text: StringValue) -> NumericValue:
    """Seconds since 1970 of a text in ISO 8601; null if it is none."""
    separated = text.substr(0, 4) + "-" + text.substr(4, 2) + "-" + text.substr(6, 2)
    return ibis.cases(
        (text.re_search(EXTENDED_TIME), _moment(text.substr(0, 10), text.substr(10))),
        (text.re_search(BASIC_TIME), _moment(separated, text.substr(8))),
        else_=ibis.null("float64"),
    )


def _moment(date: StringValue, rest: StringValue) -> NumericValue:
    """Seconds since 1970 of a date, and of the time and the zone behind it; null for a day that no month has."""
    clock = _once(rest.re_extract("^[T ][0-9:.,]+", 0).replace(":", "").replace(",", "."), _seconds_of_day)
    zone = _once(rest.re_extract("[+-][0-9:]+$", 0).replace(":", ""), _offset)
    has_zone = rest.re_search("[+-]")
    return date.try_cast("date").epoch_days().cast("int64") * 86_400 - has_zone.ifelse(zone, 0) + clock


def _seconds_of_day(clock: StringValue) -> NumericValue:
    """Seconds since midnight of `T101500.5`, in which everything but the letter may be missing from the right."""
    minutes = _digits(clock.substr(1, 2)) * 60 + _digits(clock.substr(3, 2))
    return minutes * 60 + clock.substr(5).try_cast("float64").fill_null(0.0)


def _offset(zone: StringValue) -> NumericValue:
    """Seconds by which the clocks of a zone such as `+0530` or `-08` are ahead of UTC."""
    size = _digits(zone.substr(1, 2)) * 3_600 + _digits(zone.substr(3, 2)) * 60
    return (zone.substr(0, 1) == "-").ifelse(-size, size)


def _digits(text: StringValue) -> NumericValue:
    """The number that digits spell; 0 for nothing."""
    return text.try_cast("int64").fill_null(0)


def flag(value: Value) -> BooleanValue:
    """True or false, or the usual words for them; null if it is neither."""
    if value.type().is_boolean():
        return value
    word = filled(value).lower()
    return ibis.cases(
        (word.isin(TRUE_WORDS), True),
        (word.isin(FALSE_WORDS), False),
        else_=ibis.null("boolean"),
    )
