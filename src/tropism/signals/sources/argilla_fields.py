"""Which fields of an Argilla record are the prompt and which are the responses.

Annotators see all fields of a record together, so all text that is no response belongs to the prompt. A record of which
that cannot be told is refused with the fields' names: half a prompt would teach something that was not judged.

| field | is |
|---|---|
| what a label or a ranking names in full | a response |
| `response-1`, `answer_b`, `chosen`, ...; one `response`, `output`, ... if none is numbered | a response |
| if there is none of these: what rating questions end in; `text_1`, `item_2`, `model_a`, ... | a response |
| `model`, `model_a`, `generator_1`, ... beside responses, of one short line | passed over: it says who wrote them |
| any other text, in the order of the record | a part of the prompt, joined by a blank line |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tropism.ingest import Unusable, row_values
from tropism.signals.sources.names import PARTS, PROMPTS, Fields, Shown, joined, told

_SUFFIX = r"[ _-]*([0-9]+|[a-z])"
_STRONG = "response|completion|generation|answer|output|reply|candidate|option"
_NUMBERED = re.compile(rf"(?:{_STRONG})s?{_SUFFIX}|chosen|rejected", re.IGNORECASE)
_LONE = re.compile(rf"(?:{_STRONG})s?", re.IGNORECASE)
_WEAK = [re.compile(rf"(?:{stems})s?{_SUFFIX}", re.IGNORECASE) for stems in ("text|item|image", "model")]
_WRITER = re.compile(rf"(?:model|generator)s?(?:{_SUFFIX})?", re.IGNORECASE)
_LONGEST_WRITER = 100
_IMAGE = re.compile(r"(?:https?://|data:image/)", re.IGNORECASE)
_KNOWN_PROMPTS = frozenset([*PROMPTS, *PARTS, "user", "task"])
"""Names under which a flat export, which has fields and metadata in one, may hold a part of the prompt."""


class Question(NamedTuple):
    """A question and what was answered to it."""

    name: str
    value: object


def shown_of(values: Mapping[str, Any], questions: Sequence[Question], fields: Fields, *, is_flat: bool) -> Shown:
    """The prompt and the responses of a record.

    Args:
        values: its fields, in the order of the record; in a flat export with its metadata.
        questions: its questions with their answers, which may name responses.
        fields: the names of the prompt and of the responses, if they are known.
        is_flat: whether `values` may hold metadata, too.

    Raises:
        Unusable: if the record lacks either, or does not say which field is what.

    Example:
        >>> said = {"instruction": "To German:", "input": "Hello", "response-2": "B", "response-1": "A"}
        >>> shown = shown_of(said, [], Fields(), is_flat=False)
        >>> shown.prompt.text, shown.names
        ('To German:\\n\\nHello', ('response-1', 'response-2'))
    """
    filled = {name: value for name, value in values.items() if value is not None and value != ""}
    names = fields.responses or _responses(filled, questions)
    if not names:
        raise Unusable("no field of a response")
    if fields.prompt is not None:
        prompt = row_values.text_or_turns(values.get(fields.prompt), "prompt")
    else:
        rest = {name: value for name, value in filled.items() if name not in names and not _is_writer(name, value)}
        prompt = _prompt(rest, is_flat=is_flat)
    return Shown(prompt, names, tuple(row_values.text_or_turns(values.get(name), "response") for name in names))


def _responses(filled: Mapping[str, Any], questions: Sequence[Question]) -> tuple[str, ...]:
    """The names of the responses, in the order of their suffixes."""
    labels = set(_labels(questions))
    named = [name for name in filled if name in labels and not _is_prompt(name)]
    numbered = [name for name in filled if _NUMBERED.fullmatch(name)]
    lone = [name for name in filled if _LONE.fullmatch(name)]
    if numbered or lone:
        if unclear := [name for name in lone if name not in named and len({*numbered, *named, *lone}) > 1]:
            raise Unusable(f"unclear whether a response or a part of the prompt: {told(unclear)}")
        return tuple(sorted({*named, *numbered, *lone}, key=_order))
    asked = [name for name in filled if name in named or (not _is_prompt(name) and _is_rated(name, questions))]
    if asked:
        if unclear := [name for name, value in filled.items() if name not in asked and _may_be_response(name, value)]:
            raise Unusable(f"unclear whether a response or a part of the prompt: {told(unclear)}")
        return tuple(asked)
    for pattern in _WEAK:
        found = [name for name in filled if pattern.fullmatch(name)]
        if len(found) > 1:
            return tuple(sorted(found, key=_order))
    others = filled.keys() - {"text"}
    return ("text",) if "text" in filled and len(others) == 1 and all(map(_is_prompt, others)) else ()


def _may_be_response(name: str, value: object) -> bool:
    """Whether a field that nothing names could be a response all the same."""
    return isinstance(value, str) and not _is_prompt(name) and not _is_writer(name, value)


def _is_writer(name: str, value: object) -> bool:
    """Whether a field says who wrote a response."""
    is_line = isinstance(value, str) and len(value) <= _LONGEST_WRITER and value.isprintable()
    return is_line and _WRITER.fullmatch(name) is not None


def _prompt(rest: Mapping[str, Any], *, is_flat: bool) -> row_values.Text:
    """Every part of the prompt, joined."""
    if is_flat:
        rest = {name: value for name, value in rest.items() if isinstance(value, str | list)}
        if unclear := [name for name in rest if not _is_prompt(name)]:
            raise Unusable(f"unclear whether metadata or a part of the prompt: {told(unclear)}")
    for name, value in rest.items():
        if isinstance(value, dict) or (isinstance(value, str) and _IMAGE.match(value) and "image" in name.lower()):
            raise Unusable(f"a prompt with more than text: {told([name])}")
    return joined(rest)


def _labels(questions: Iterable[Question]) -> Iterator[str]:
    """Every text that an answer gives as its label, or puts in a ranking."""
    for question in questions:
        listed = question.value if isinstance(question.value, list) else [question.value]
        values = (one.get("value") if isinstance(one, dict) else one for one in listed)
        yield from (value for value in values if isinstance(value, str))


def _is_rated(name: str, questions: Iterable[Question]) -> bool:
    """Whether a question that was answered by a number ends in a field's name."""
    return any(
        isinstance(question.value, int | float) and f" {_plain(question.name)}".endswith(f" {_plain(name)}")
        for question in questions
    )


def _is_prompt(name: str) -> bool:
    """Whether a name is one that prompts have."""
    return _plain(name) in _KNOWN_PROMPTS


def _plain(name: str) -> str:
    """A name in lower case, its words and numbers apart."""
    return " ".join(re.findall(r"[a-z]+|[0-9]+", name.lower()))


def _order(name: str) -> tuple[bool, int, str]:
    """2 comes before 10, and numbers before names."""
    plain = _plain(name)
    last = plain.split()[-1]
    return (False, int(last), plain) if last.isdigit() else (True, 0, plain)
