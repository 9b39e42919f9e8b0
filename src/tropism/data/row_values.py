"""Single values of a row: what is accepted as text, as a number, as a flag, and why the rest is not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

DEEPEST = 100
NOT_UTF8 = "text that is not valid UTF-8"


class Unusable(Exception):  # noqa: N818  (a row that is left out is no error)
    """Why a row is left out: one of a small number of fixed reasons, so that rows can be counted by it."""


def text(value: object, name: str) -> str:
    """A value that must be text with something in it."""
    if value is None:
        raise Unusable(f"{name!r} is missing")
    if not isinstance(value, str):
        raise Unusable(f"{name!r} is not text")
    if not value.strip():
        raise Unusable(f"{name!r} is empty")
    check_json(value)
    return value


def number(values: Mapping[str, Any], name: str, default: float) -> float:
    """An optional number; the text of one is accepted, because CSV knows nothing else."""
    value = values.get(name)
    if value is None or value == "":
        return default
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unusable(f"{name!r} is not a number")
    try:
        result = float(value)
    except ValueError:
        raise Unusable(f"{name!r} is not a number") from None
    except OverflowError:
        raise Unusable(f"{name!r} is not finite") from None
    if not math.isfinite(result):
        raise Unusable(f"{name!r} is not finite")
    return result


def weight(values: Mapping[str, Any]) -> float:
    """The row's `weight`, 1 by default."""
    value = number(values, "weight", 1.0)
    if value < 0:
        raise Unusable("'weight' is negative")
    return value


def flag(value: object, name: str) -> bool:
    """A value that must be true or false; 0 and 1 and their names are accepted, because CSV knows no booleans."""
    if value is None:
        raise Unusable(f"{name!r} is missing")
    word = str(value).strip().lower() if isinstance(value, bool | int | str) else ""
    if word not in ("true", "1", "false", "0"):
        raise Unusable(f"{name!r} is not true or false")
    return word in ("true", "1")


def decoded(value: object, name: str) -> Any:
    """A list or an object, or what the JSON text of one stands for."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise Unusable(f"{name!r} is not valid JSON") from None


def check_json(value: object, depth: int = 0) -> None:
    """Refuse what could not be written as JSON and read back as it was."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise Unusable(NOT_UTF8) from None
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Unusable("a number that is not finite")
    elif isinstance(value, list | dict):
        if depth == DEEPEST:
            raise Unusable("nested too deeply")
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            check_json(item, depth + 1)
    elif not isinstance(value, int | type(None)):
        raise Unusable("a value that JSON does not know")


def plain(value: Any) -> Any:
    """A value of Arrow's without the nulls that its structs add to objects whose keys differ.

    Bytes become text where they are UTF-8, for some writers of Parquet make bytes of texts; other bytes stay.

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
