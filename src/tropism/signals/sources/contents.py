"""Contents as JSON text: the words in them, and the same content with every word changed by a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def cleaned(text: str, clean: Callable[[str], str], *, is_json: bool) -> str:
    """A text, or the JSON text of a dialogue, with every text in it changed; roles and keys stay.

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
        kept = ("role", "type", "name", "id", "tool_call_id")
        return {key: item if key in kept else _changed(item, clean) for key, item in value.items()}
    return value
