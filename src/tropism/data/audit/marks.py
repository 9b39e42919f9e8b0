"""Finds and escapes marks of chat templates in texts, which could forge a turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tropism.groups import Content, PreferenceGroup

KNOWN_MARKS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "\n\nHuman:",
    "\n\nAssistant:",
)
"""Marks of templates in wide use: ChatML, Llama 2 and 3, Phi and Zephyr, Gemma, Mistral, and plain dialogues."""

ROUNDS = 3
"""Escaping is repeated in case that a blank completes another mark; what is left then stays a finding."""


def marks_in(group: PreferenceGroup, marks: Iterable[str]) -> list[str]:
    """The marks that stand in any text of a group, in the order given."""
    texts = [text for content in contents(group) for text in _texts_of(content)]
    return [mark for mark in marks if any(mark in text for text in texts)]


def escaped(group: PreferenceGroup, marks: Iterable[str]) -> PreferenceGroup:
    """The group with a blank after the first letter of every mark in its texts, visible and reversible.

    Example:
        >>> from tropism.groups import Response
        >>> group = PreferenceGroup("g", ("Say <|end|> now",), (Response("a", "ok"),))
        >>> escaped(group, ["<|end|>"]).prompts
        ('Say < |end|> now',)
    """
    names = tuple(marks)
    return replace(
        group,
        prompts=tuple(_escaped(prompt, names) for prompt in group.prompts),
        responses=tuple(replace(response, content=_escaped(response.content, names)) for response in group.responses),
    )


def contents(group: PreferenceGroup) -> Iterator[Content]:
    """Prompts and responses."""
    yield from group.prompts
    yield from (response.content for response in group.responses)


def _texts_of(value: object) -> Iterator[str]:
    """Every text in a content, however deep; names of keys are not texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts_of(item)


def _escaped(value: Any, marks: tuple[str, ...]) -> Any:
    """A content with its texts escaped."""
    if isinstance(value, str):
        for _ in range(ROUNDS):
            for mark in marks:
                value = value.replace(mark, f"{mark[:1]} {mark[1:]}")
        return value
    if isinstance(value, Mapping):
        return {name: _escaped(item, marks) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_escaped(item, marks) for item in value)
    return value
