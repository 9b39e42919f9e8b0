"""Single values of a foreign record: what is accepted as text, number, time or key, and why the rest is not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tropism.signals.sources.record_files import NOT_UTF8

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DEEPEST = 100


class Unusable(Exception):  # noqa: N818  (a record that is left out is no error)
    """Why a record is left out: one of a small number of fixed reasons."""

    @property
    def reason(self) -> str:
        """The reason, as it is counted."""
        return str(self.args[0])


def text_of(value: object, name: str) -> str:
    """A value that must be text with something in it."""
    if value is None:
        raise Unusable(f"missing {name}")
    if not isinstance(value, str):
        raise Unusable(f"{name} is not text")
    if not value.strip():
        raise Unusable(f"empty {name}")
    return encodable(value)


def encodable(value: str) -> str:
    """Text that can be written as UTF-8: JSON can spell halves of characters, which cannot."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Unusable(NOT_UTF8) from None
    return value


def number_of(value: object, name: str) -> float:
    """A value that must be a finite number."""
    if value is None:
        raise Unusable(f"missing {name}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unusable(f"{name} is not a number")
    try:
        number = float(value)
    except OverflowError:
        raise Unusable(f"{name} is not finite") from None
    if not math.isfinite(number):
        raise Unusable(f"{name} is not finite")
    return number


def rank_of(value: object) -> int:
    """A value that must be a place in a ranking: a whole number, 0 or more."""
    number = number_of(value, "rank")
    if number != int(number) or not 0 <= number < 2**31:
        raise Unusable("rank is not a whole number of 0 or more")
    return int(number)


def time_of(value: object) -> float | None:
    """Seconds since 1970 of ISO 8601 (UTC where it names no zone) or of a number; None where there is none.

    Example:
        >>> time_of("1970-01-02T00:00:00.5"), time_of("1970-01-01T01:00+01:00"), time_of(None)
        (86400.5, 0.0, None)
    """
    if value is None:
        return None
    if not isinstance(value, str):
        return number_of(value, "time")
    try:
        moment = datetime.fromisoformat(value.strip())
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        raise Unusable("time cannot be read") from None


def key_of(value: object) -> str | None:
    """A key as text: of text or of a whole number; None for anything else, and for blanks.

    Example:
        >>> key_of(7), key_of(" a "), key_of(""), key_of(True)
        ('7', 'a', None, None)
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        return encodable(str(value).strip()) or None
    except (ValueError, Unusable):
        return None


def object_of(value: object, name: str) -> Mapping[str, Any]:
    """A value that must be an object."""
    if value is None:
        raise Unusable(f"missing {name}")
    if not isinstance(value, dict):
        raise Unusable(f"{name} is not an object")
    return value


def list_of(value: object, name: str) -> list[Any]:
    """A value that must be a list."""
    if value is None:
        raise Unusable(f"missing {name}")
    if not isinstance(value, list):
        raise Unusable(f"{name} is not a list")
    return value


class Content(NamedTuple):
    """Plain text, or the JSON text of the turns of a dialogue."""

    text: str
    is_json: bool = False


def content_of(value: object, name: str) -> Content:
    """A value that must be text with something in it, or a list of turns."""
    if not isinstance(value, list):
        return Content(text_of(value, name))
    if not value or not all(isinstance(turn, dict) and "role" in turn and "content" in turn for turn in value):
        raise Unusable(f"{name} is neither text nor turns of a dialogue")
    return Content(json_text(value), is_json=True)


def json_text(value: object) -> str:
    """A value as JSON text that can be read back: no NaN, no halves of characters, not nested without end."""
    _check_depth(value)
    try:
        return encodable(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (ValueError, TypeError):
        raise Unusable("a value that JSON cannot hold") from None


def _check_depth(value: object) -> None:
    """Refuse what is nested deeper than any dialogue."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise Unusable("nested too deeply")
