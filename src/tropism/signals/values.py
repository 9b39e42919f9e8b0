"""Single values of a table in expressions that mean the same on every engine: text, numbers, times, hashes, words.

Engines differ in what they read as a number or a time, so texts are held to one pattern before they are cast.
"""

from __future__ import annotations

import functools
import operator

import ibis
from ibis.expr.types import BooleanValue, NumericValue, StringValue, Value

BLANKS = "\t\n\v\f\r\u00a0"
_FILLED_TEXT = f"[^ {BLANKS}]"
_AROUND = r"^\s|\s$"
_DELETED_TEXT = r"^\s*\[(deleted|removed)\]\s*$"
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_INFINITE = ("inf", "+inf", "-inf", "infinity", "+infinity", "-infinity", "nan", "+nan", "-nan")
_STAMP = (
    r"^([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"([T ]([01][0-9]|2[0-3]):([0-5][0-9])(:([0-5][0-9])(\.([0-9]+))?)?)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})?$"
)
_HEX = "0123456789abcdef"


def filled(value: Value) -> StringValue:
    """Text without blanks around it, or null where nothing is left."""
    text = value.cast("string")
    # to strip is slow beside to look: most keys and names have no blanks around them
    return text.re_search(_AROUND).ifelse(text.strip(), text).nullif("")


def is_missing(value: Value) -> BooleanValue:
    """Whether a value is null, or a text of nothing but blanks."""
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
    """A number, or what a text spells in digits; null where it is none, NaN where it spells infinity or NaN."""
    if value.type().is_numeric():
        return value.cast("float64")
    if value.type().is_boolean():
        return value.cast("int8").cast("float64")
    text = filled(value)
    spelled = text.re_search(_NUMBER).ifelse(text, ibis.null("string")).try_cast("float64")
    return text.lower().isin(_INFINITE).ifelse(ibis.literal(float("nan")), spelled)


def is_finite(value: NumericValue) -> BooleanValue:
    """Whether a number is neither NaN nor infinite."""
    return ~(value.isnan() | value.isinf())


def seconds(value: Value) -> NumericValue:
    """Seconds since 1970 of a number, a timestamp, or a text of either kind (UTC unless it names a zone)."""
    if value.type().is_numeric():
        return value.cast("float64")
    if value.type().is_timestamp() or value.type().is_date():
        return _seconds_of(value.cast("timestamp").cast("string"))
    text = value.cast("string").strip()
    return ibis.coalesce(number(text), _seconds_of(text))


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
    """Seconds since 1970 of a text in ISO 8601; null where it is none.

    Days are counted as in Howard Hinnant's `days_from_civil` (public domain): the year begins in March.
    """
    is_stamp = text.re_search(_STAMP)
    stamp = is_stamp.ifelse(text, ibis.null("string"))

    def part(start: int, length: int) -> NumericValue:
        digits = stamp.substr(start, length)
        return digits.re_search("^[0-9]+$").ifelse(digits, ibis.literal("0")).cast("int64")

    year, month, day = part(0, 4), part(5, 2), part(8, 2)
    has_time = stamp.re_search("^.{10}[T ]")
    has_seconds = stamp.re_search("^.{16}:")
    shifted = (month <= 2).ifelse(year - 1, year)
    era = (shifted / 400).floor().cast("int64")
    year_of_era = shifted - era * 400
    from_march = (month > 2).ifelse(month - 3, month + 9)
    day_of_year = ((153 * from_march + 2) / 5).floor().cast("int64") + day - 1
    leap_days = (year_of_era / 4).floor().cast("int64") - (year_of_era / 100).floor().cast("int64")
    days = era * 146_097 + year_of_era * 365 + leap_days + day_of_year - 719_468
    clock = has_time.ifelse(part(11, 2) * 3600 + part(14, 2) * 60, 0) + has_seconds.ifelse(part(17, 2), 0)
    fraction = stamp.re_extract(r"^.{19}\.([0-9]+)", 1)
    fraction = (fraction != "").ifelse(ibis.literal("0.").concat(fraction), ibis.literal("0")).cast("float64")
    sign_text = stamp.re_extract(r"^.{16}.*([+-])[0-9]{2}:?([0-9]{2})?$", 1)
    hours = stamp.re_extract(r"^.{16}.*[+-]([0-9]{2}):?([0-9]{2})?$", 1)
    minutes = stamp.re_extract(r"^.{16}.*[+-][0-9]{2}:?([0-9]{2})$", 1)
    offset = _digits(hours) * 3600 + _digits(minutes) * 60
    sign = (sign_text == "-").ifelse(-1, 1)
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    month_days = ibis.cases((month == 2, leap.ifelse(29, 28)), (month.isin([4, 6, 9, 11]), 30), else_=31)
    total = days * 86_400 + clock - sign * offset + fraction
    return (is_stamp & (day <= month_days)).ifelse(total.cast("float64"), ibis.null("float64"))


def _digits(text: StringValue) -> NumericValue:
    """The number that one or more digits spell; 0 for nothing."""
    return (text == "").ifelse(ibis.literal("0"), text).cast("int64")


def flag(value: Value) -> BooleanValue:
    """True or false, or the usual words for them; null where it is neither."""
    if value.type().is_boolean():
        return value
    word = filled(value).lower()
    return ibis.cases(
        (word.isin(["true", "1", "1.0", "yes", "y", "t"]), True),
        (word.isin(["false", "0", "0.0", "no", "n", "f"]), False),
        else_=ibis.null("boolean"),
    )
