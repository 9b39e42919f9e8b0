"""Single values of a row: what is accepted as text, number, flag, time or key, and why the rest is not.

A CSV file holds text alone, so the text of a number, a flag or a JSON value is accepted for it in every kind of file.
`tropism.signals.engines.expressions` reads whole columns by the same rules.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from tropism.ingest.json_records import REPEATED
from tropism.ingest.rows import NOT_UTF8, TOO_DEEP
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

DEEPEST = 100

_NUMBER, _BARE_DATE = re.compile(NUMBER), re.compile(BARE_DATE)
_EXTENDED_TIME, _BASIC_TIME = re.compile(EXTENDED_TIME), re.compile(BASIC_TIME)
_CLOCK, _ZONE = re.compile("[T ]([0-9:.,]+)"), re.compile("([+-])([0-9:]+)$")
_EPOCH = date(1970, 1, 1)


class Unusable(Exception):  # noqa: N818  (a row that is not used is no error)
    """Why a row is not used: one of a small number of fixed reasons, so that rows can be counted by it."""


def text(value: object, name: str) -> str:
    """A value that must be text with something in it."""
    if not isinstance(value, str):
        raise wrong(value, name, "is not text")
    if not value.strip():
        raise Unusable(f"{name!r} is empty")
    return encodable(value)


def encodable(value: str) -> str:
    """Text that can be written as UTF-8: JSON can spell halves of characters, which cannot."""
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise Unusable(NOT_UTF8) from None
    return value


def number(value: object, name: str) -> float:
    """A value that must be a finite number, or the text of one."""
    if isinstance(value, str):
        word = filled(value)
        if not word:
            raise Unusable(f"{name!r} is missing")
        if word.lower() in INFINITE:
            raise Unusable(f"{name!r} is not finite")
        if not _NUMBER.match(word):
            raise Unusable(f"{name!r} is not a number")
        value = float(word)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(value, name, "is not a number")
    try:
        result = float(value)
    except OverflowError:
        raise Unusable(f"{name!r} is not finite") from None
    if not math.isfinite(result):
        raise Unusable(f"{name!r} is not finite")
    return result


def optional_number(values: Mapping[str, Any], name: str, default: float) -> float:
    """The number in a column, or the default if the row has none."""
    value = values.get(name)
    return default if value is None or value == "" else number(value, name)


def weight(values: Mapping[str, Any]) -> float:
    """The row's `weight`, 1 by default."""
    value = optional_number(values, "weight", 1.0)
    if value < 0:
        raise Unusable("'weight' is negative")
    return value


def rank(value: object) -> int:
    """A value that must be a place in a ranking: a whole number, 0 or more."""
    place = number(value, "rank")
    if place != int(place) or not 0 <= place < 2**31:
        raise Unusable("'rank' is not a whole number of 0 or more")
    return int(place)


def flag(value: object, name: str) -> bool:
    """A value that must be true or false, or a usual word for one of them."""
    word = filled(str(value)).lower() if isinstance(value, bool | int | float | str) else ""
    if word in TRUE_WORDS:
        return True
    if word not in FALSE_WORDS:
        raise wrong(value, name, "is not true or false")
    return False


def time(value: object) -> float | None:
    """Seconds since 1970 of a number, or of a text that spells one or ISO 8601 (UTC if it names no zone).

    Example:
        >>> time("1970-01-02T00:00:00.5"), time("1970-01-01T01:00+01:00"), time("60"), time(None)
        (86400.5, 0.0, 60.0, None)
    """
    if value is None:
        return None
    if not isinstance(value, str):
        return number(value, "time")
    word = filled(value)
    if _NUMBER.match(word) and not _BARE_DATE.match(word):
        return number(word, "time")
    seconds = _seconds(word)
    if seconds is None:
        raise Unusable("'time' cannot be read")
    return seconds


def key(value: object) -> str | None:
    """A key as text: of text or of a whole number; None for anything else, and for blanks.

    Example:
        >>> key(7), key(" a "), key(""), key(True)
        ('7', 'a', None, None)
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        return encodable(str(value).strip()) or None
    except (ValueError, Unusable):
        return None


def mapping(value: object, name: str) -> Mapping[str, Any]:
    """A value that must be an object."""
    if not isinstance(value, dict):
        raise wrong(value, name, "is not an object")
    return value


def listing(value: object, name: str) -> list[Any]:
    """A value that must be a list."""
    if not isinstance(value, list):
        raise wrong(value, name, "is not a list")
    return value


def decoded(value: object, name: str) -> Any:
    """A list or an object, or what the JSON text of one stands for."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise Unusable(f"{name!r} is not valid JSON") from None


class Text(NamedTuple):
    """Plain text, or the JSON text of the turns of a dialogue."""

    text: str
    is_json: bool = False


def text_or_turns(value: object, name: str) -> Text:
    """A value that must be text with something in it, or a list of turns."""
    if not isinstance(value, list):
        return Text(text(value, name))
    if not value or not all(isinstance(turn, dict) and "role" in turn and "content" in turn for turn in value):
        raise Unusable(f"{name!r} is neither text nor turns of a dialogue")
    return Text(json_text(value), is_json=True)


def json_text(value: object) -> str:
    """A value as JSON text that can be read back."""
    check_json(value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def check_json(value: object, depth: int = 0) -> None:
    """Refuse what could not be written as JSON and read back as it was."""
    if isinstance(value, str):
        encodable(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Unusable("a number that is not finite")
    elif isinstance(value, list | dict):
        if depth == DEEPEST:
            raise Unusable(TOO_DEEP)
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            check_json(item, depth + 1)
    elif value is REPEATED:
        raise Unusable("a name that an object holds twice")
    elif not isinstance(value, int | type(None)):
        raise Unusable("a value that JSON does not know")


def wrong(value: object, name: str, problem: str) -> Unusable:
    """The reason for a value of another type."""
    if value is None:
        return Unusable(f"{name!r} is missing")
    return Unusable(f"{name!r} comes twice in its object" if value is REPEATED else f"{name!r} {problem}")


def plain(value: Any) -> Any:
    """A value of Arrow's without the nulls that its structs add to objects whose keys differ.

    Bytes become text if they are UTF-8, for some writers of Parquet store text as bytes; other bytes stay.

    Example:
        >>> plain({"turns": [b"Hi", {"role": None, "content": b"\\xff"}]})
        {'turns': ['Hi', {'content': b'\\xff'}]}
    """
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if item is not None}
    return [plain(item) for item in value] if isinstance(value, list) else value


def filled(value: str) -> str:
    """Text without blanks around it."""
    return value.strip(f" {BLANKS}")


def _seconds(word: str) -> float | None:
    """Seconds since 1970 of a text in ISO 8601; None if it is none."""
    if _EXTENDED_TIME.match(word):
        day, rest = word[:10], word[10:]
    elif _BASIC_TIME.match(word):
        day, rest = f"{word[:4]}-{word[4:6]}-{word[6:8]}", word[8:]
    else:
        return None
    try:
        days = (date.fromisoformat(day) - _EPOCH).days
    except ValueError:
        return None
    clock, zone = _CLOCK.match(rest), _ZONE.search(rest)
    ahead = 0.0
    if zone:
        ahead = _seconds_of_day(zone[2]) * (-1 if zone[1] == "-" else 1)
    return days * 86_400 - ahead + (_seconds_of_day(clock[1]) if clock else 0.0)


def _seconds_of_day(digits: str) -> float:
    """Seconds of hours, minutes and seconds, of which all but the hours may be missing from the right."""
    digits = digits.replace(":", "").replace(",", ".")
    return int(digits[:2]) * 3_600 + int(digits[2:4] or 0) * 60 + float(digits[4:] or 0)
