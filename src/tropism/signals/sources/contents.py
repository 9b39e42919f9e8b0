"""Contents as JSON text: the words in them, and the same content with every word changed by a function."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_WORD = re.compile("[A-Za-z_]*")
_SPEAKER = ("name", "id", "user", "user_id", "username", "author", "author_id", "email")
"""What a turn may say of who wrote it."""
_MACHINES = ("tool", "function", "system", "developer")


def cleaned(text: str, clean: Callable[[str], str], *, is_json: bool) -> str:
    """A text, or the JSON text of a dialogue, with every text in it changed: contents, names, ids, and keys.

    Roles, types and keys of one word stay. Who is named as the writer of a turn, in whatever form, is handed on as a
    mention (`@_jo`), so that a function which looks for personal data finds it; tools keep their names.

    Args:
        text: as a reader gives it.
        clean: from a text to what takes its place.
        is_json: whether the text is JSON.

    Example:
        >>> cleaned('[{"role": "user", "content": "hi"}]', str.upper, is_json=True)
        '[{"role": "user", "content": "HI"}]'
    """
    if not is_json:
        return clean(text)
    return json.dumps(_changed(json.loads(text), clean), ensure_ascii=False)


def words_of(text: str, *, is_json: bool) -> str:
    """What a content says: the last turn of a dialogue, in one text.

    Example:
        >>> words_of('[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]', is_json=True)
        'Hello'
    """
    if not is_json:
        return text
    value = json.loads(text)
    while isinstance(value, list) and value:
        value = value[-1]
    if isinstance(value, dict):
        value = value.get("content") or value.get("text") or ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _changed(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_changed(item, clean) for item in value]
    if isinstance(value, dict):
        is_turn = value.get("role") is not None and value["role"] not in _MACHINES
        changed: dict[str, Any] = {}
        for key, item in value.items():
            told = _key(key, changed, clean)
            if key in ("role", "type") and isinstance(item, str) and _WORD.fullmatch(item):
                changed[told] = item
            elif is_turn and key in _SPEAKER and _names(item):
                changed[told] = clean("@_" + re.sub("[^A-Za-z0-9_]", "_", str(item))[:29])
            else:
                changed[told] = _changed(item, clean)
        return changed
    return value


def _names(value: object) -> bool:
    """Whether a value can be a name or an id."""
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _key(key: str, taken: dict[str, Any], clean: Callable[[str], str]) -> str:
    """A key, changed if it is more than a word; with a number if two become one."""
    told = key if _WORD.fullmatch(key) else clean(key)
    return told if told not in taken else f"{told} {len(taken)}"
