"""A group's identity: what makes two rows rows of one group, and what every split and draw is a hash of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tropism.groups import Content, PreferenceGroup, content_key

PROMPT_EXTRAS = ("tools", "chat_template_kwargs")
"""The keys of `extra` that a chat template turns into a part of the prompt."""


def prompt_key(prompts: Sequence[Content], extra: Mapping[str, Any], first_response: Content = None) -> str:
    """A text that is equal exactly where two groups ask the same thing.

    Args:
        prompts: the prompts of the group.
        extra: of which `tools` and `chat_template_kwargs` belong to the prompt.
        first_response: stands in for the prompt where every prompt is empty, so that texts without a prompt
            do not become one group.

    Example:
        >>> prompt_key(["Hi"], {"levels": 3}) == prompt_key(["Hi"], {})
        True
        >>> prompt_key([""], {}, "one text") == prompt_key([""], {}, "another text")
        False
    """
    parts = [content_key(prompt) for prompt in prompts]
    parts += [
        json.dumps([name, extra[name]], sort_keys=True, default=dict) for name in PROMPT_EXTRAS if extra.get(name)
    ]
    if all(prompt in ("", (), None) for prompt in prompts):
        parts.append(content_key(first_response))
    return "\x1f".join(parts)


def group_key(group: PreferenceGroup) -> str:
    """The prompt key of a finished group."""
    return prompt_key(group.prompts, group.extra, group.responses[0].content)


def short_hash(key: str) -> str:
    """Sixteen hexadecimal digits that stand for a key, the same on every machine.

    Example:
        >>> short_hash("a")
        'ca978112ca1bbdca'
    """
    return hashlib.sha256(key.encode("utf-8")).hexdigest()[:16]


def unit_hash(key: str, *, purpose: str) -> float:
    """A number in [0, 1) that stands for a key; another purpose gives an independent number.

    Example:
        >>> round(unit_hash("a", purpose="split"), 3) == round(unit_hash("a", purpose="fraction"), 3)
        False
    """
    digest = hashlib.sha256(f"{purpose}\x1f{key}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
