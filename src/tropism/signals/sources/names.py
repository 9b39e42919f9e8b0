"""Which fields of a foreign record are the prompt and the responses, and which response a label or a question means.

Labelling tools let everyone name things as they like. What is found by name here can be said with `Fields` instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from tropism.ingest import Unusable, row_values
from tropism.signals.sources.feedback_rows import Aside, Feedback, Refused

PROMPTS = ("prompt", "instruction", "question", "query", "input", "context", "chat", "conversation", "caption", "text")
"""Names of a prompt."""

PARTS = ("system", "system prompt", "title", "body", "post", "document", "passage", "background")
"""Names of further parts of a prompt."""

Meaning: TypeAlias = int | Literal["tie", "both_bad", "skip"]
"""What a label means: the response of an index, or none."""

_STEMS = "response|completion|generation|answer|output|reply|candidate|option|text|model|image|item"
_RESPONSE = re.compile(rf"(?:{_STEMS})s?[ _-]*([0-9]+|[a-z])?|chosen|rejected", re.IGNORECASE)
_LONGEST_TOLD = 40
_MOST_NAMED = 20
"""Most reasons that name fields."""
_NAMING = re.compile(": fields? '|: fields? \"")
_FILLERS = frozenset(
    f"{_STEMS}|is|the|best|better|much|slightly|preferred|prefer|i|chatbot|assistant|wins|winner|are".split("|")
)
_POSITIONS = (("a", "1", "one", "first", "left"), ("b", "2", "two", "second", "right"))
_OTHERS: dict[str, Meaning] = {
    **dict.fromkeys(("tie", "equal", "same", "draw", "both", "both good", "equally good", "both equally good"), "tie"),
    **dict.fromkeys(("neither", "none", "both bad", "equally bad", "both equally bad"), "both_bad"),
    **dict.fromkeys(("skip", "unsure", "not sure", "unclear", "cannot tell"), "skip"),
}


class Fields(NamedTuple):
    """Names of the fields of a record; what is not given is found by name.

    Args:
        prompt: the prompt's.
        responses: those of the responses, in order: the first is a, left, or 1.
    """

    prompt: str | None = None
    responses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Questions:
    """Which questions' choices and rankings count, and which were answered so.

    Args:
        named: those that count; None takes all.
        found: question to `choices` or `rankings`, of all that were answered; filled while a file is read.
    """

    named: Collection[str] | None = None
    found: dict[str, str] = field(default_factory=dict)

    def takes(self, question: str, kind: Literal["choices", "rankings"]) -> bool:
        """Whether an answer counts; its question is remembered."""
        self.found.setdefault(question, kind)
        return self.named is None or question in self.named


class Shown(NamedTuple):
    """What an annotator saw: the prompt, and the responses with their names in order."""

    prompt: row_values.Text
    names: tuple[str, ...]
    responses: tuple[row_values.Text, ...]

    def pair(self) -> tuple[row_values.Text, row_values.Text]:
        """Both responses of a pair."""
        if len(self.responses) != 2:
            raise Unusable("a choice that is not between two responses")
        first, second = self.responses
        if first.is_json != second.is_json:
            raise Unusable("responses of different forms")
        return first, second

    def rated(self, place: int) -> tuple[str, str]:
        """The prompt and one response as plain text."""
        response = self.responses[place]
        if self.prompt.is_json or response.is_json:
            raise Unusable("a rating of a dialogue")
        return self.prompt.text, response.text


def shown_in(values: Mapping[str, Any], fields: Fields) -> Shown:
    """The prompt and the responses of a record.

    Example:
        >>> shown_in({"instruction": "Hi", "response-2": "B", "response-1": "A"}, Fields()).names
        ('response-1', 'response-2')
    """
    names = _responses(values, fields)
    if not names:
        raise Unusable("no field of a response")
    responses = tuple(row_values.text_or_turns(values.get(name), "response") for name in names)
    return Shown(prompt_in(values, fields), names, responses)


def prompt_in(values: Mapping[str, Any], fields: Fields) -> row_values.Text:
    """The prompt of a record: all its parts that have the name of one, in the record's order.

    Example:
        >>> prompt_in({"instruction": "To German:", "input": "Hello", "response": "Hallo"}, Fields()).text
        'To German:\\n\\nHello'
    """
    if fields.prompt is not None:
        return row_values.text_or_turns(values.get(fields.prompt), "prompt")
    responses = _responses(values, fields)
    return joined(
        {
            name: value
            for name, value in values.items()
            if _plain(name) in (*PROMPTS, *PARTS) and name not in responses and isinstance(value, str | list) and value
        }
    )


def joined(parts: Mapping[str, object]) -> row_values.Text:
    """The parts of a prompt, by their names, as one text with blank lines between them, or the turns of a dialogue."""
    if not parts:
        raise Unusable("no field of a prompt")
    contents = [row_values.text_or_turns(value, "prompt") for value in parts.values()]
    if len(contents) == 1:
        return contents[0]
    if any(content.is_json for content in contents):
        raise Unusable(f"a prompt of turns and text: {told(parts)}")
    return row_values.Text("\n\n".join(content.text for content in contents))


def told(names: Iterable[str]) -> str:
    """Names of fields for a reason: a few at most, and of a long one the beginning."""
    listed = [name if len(name) <= _LONGEST_TOLD else f"{name[:_LONGEST_TOLD]}…" for name in names]
    more = f" and {len(listed) - 4} more" if len(listed) > 4 else ""
    return "field " * (len(listed) == 1) + "fields " * (len(listed) > 1) + ", ".join(map(repr, listed[:4])) + more


def few_reasons(rows: Iterable[Feedback | Aside | Refused], *, private: bool) -> Iterator[Feedback | Aside | Refused]:
    """The rows of a reader with reasons that can be counted, though files name their fields as they like.

    Args:
        rows: from a reader.
        private: True takes the names of fields out of reasons, because a field may be named after a person.

    Yields:
        The rows; refusals beyond the first reasons that name fields have one reason together.

    Example:
        >>> refused = Refused(1, "a prompt with more than text: field 'Jane Doe'")
        >>> [row.reason for row in few_reasons([refused], private=True)]
        ['a prompt with more than text (its fields are not named in a private build)']
    """
    seen: set[str] = set()
    for row in rows:
        if not isinstance(row, Refused) or not (named := _NAMING.search(row.reason)):
            yield row
        elif private:
            yield row._replace(reason=f"{row.reason[: named.start()]} (its fields are not named in a private build)")
        elif row.reason in seen or len(seen) < _MOST_NAMED:
            seen.add(row.reason)
            yield row
        else:
            yield row._replace(reason=f"{row.reason[: named.start()]}: other fields")


def meaning(label: object, names: Sequence[str]) -> Meaning:
    """The response that a label means, by its name, its suffix, or its position among two.

    Example:
        >>> [meaning(one, ["response_a", "response_b"]) for one in ("response-B", "A is better", "left", "Both bad")]
        [1, 0, 0, 'both_bad']
    """
    if not isinstance(label, str):
        raise Unusable("an answer that names no response")
    plain = _plain(label)
    whole = [_plain(name) for name in names]
    if whole.count(plain) == 1:
        return whole.index(plain)
    core = " ".join(word for word in plain.split() if word not in _FILLERS)
    suffixes = [name.split()[-1] if name else "" for name in whole]
    if suffixes.count(core) == 1:
        return suffixes.index(core)
    for place, words in enumerate(_POSITIONS):
        if len(names) == 2 and core in words:
            return place
    if core in _OTHERS:
        return _OTHERS[core]
    raise Unusable("an answer that names no response")


def rated_by(question: str, names: Sequence[str]) -> tuple[int, str]:
    """The response that a question about one asks for, and the aspect: what is left of its name.

    Example:
        >>> rated_by("helpfulness_response_2", ["response_1", "response_2"])
        (1, 'helpfulness')
    """
    if len(names) == 1:
        return 0, question
    plain = _plain(question)
    for place, name in enumerate(map(_plain, names)):
        for end in (name, name.split()[-1] if name else ""):
            if end and sum(_plain(one).endswith(end) for one in names) == 1 and f" {plain}".endswith(f" {end}"):
                words = [word for word in plain.removesuffix(end).split() if word not in _FILLERS]
                return place, " ".join(words) or "rating"
    raise Unusable("a rating that names no response")


def _responses(values: Mapping[str, Any], fields: Fields) -> tuple[str, ...]:
    """The names of the responses, in order; a `text` is the prompt if nothing else is."""
    prompt = fields.prompt or next((name for name in PROMPTS if values.get(name) is not None), None)
    found = (name for name in values if name != prompt and _RESPONSE.fullmatch(name))
    return fields.responses or tuple(sorted(found, key=_order))


def _plain(name: str) -> str:
    """A name in lower case, its words and numbers apart: `Response-1` and `response1` are one."""
    return " ".join(re.findall(r"[a-z]+|[0-9]+", name.lower()))


def _order(name: str) -> tuple[bool, int, str]:
    """Responses in the order of their suffixes: 2 comes before 10, chosen before rejected."""
    words = _plain(name).split()
    return (not words[-1].isdigit(), int(words[-1]), "") if words[-1].isdigit() else (True, 0, " ".join(words))
