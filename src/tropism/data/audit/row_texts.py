"""The normal form of a row's texts, their words, and sequences of words, to find equal and nearly equal texts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from tropism.groups import Content, PreferenceGroup
from tropism.metrics.near_duplicates import Runs, runs_of

MOST_WORDS = 20_000
"""Words of a text that are looked at for near-duplicates."""

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")
"""A word, a mark, or one letter of a script that sets no blanks between words."""


@dataclass(frozen=True)
class RowText:
    """The words of a row, in normal form.

    Args:
        prompt: all prompts.
        answers: each response.
        prompt_runs: the runs of five words of the prompt.
        answer_runs: the runs of five words of each response.
    """

    prompt: str
    answers: tuple[str, ...]
    prompt_runs: Runs
    answer_runs: tuple[Runs, ...]


def row_text(group: PreferenceGroup) -> RowText:
    """The words of a group; where it has no prompt, its first response stands in for it."""
    answers = tuple(normal(spoken(response.content)) for response in group.responses)
    prompt = normal("\n".join(spoken(prompt) for prompt in group.prompts))
    prompt = prompt or answers[0]
    return RowText(prompt, answers, runs(prompt), tuple(map(runs, answers)))


def normal(text: str) -> str:
    """A text that is equal where two texts differ in case, blanks or the writing of the same letters only.

    Example:
        >>> normal("The  Sky\\n is BLUE ")
        'the sky is blue'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words(text: str) -> list[str]:
    """The words and marks of a text.

    Example:
        >>> words("It's 3 o'clock."), words("猫 is cat")
        (['It', "'", 's', '3', 'o', "'", 'clock', '.'], ['猫', 'is', 'cat'])
    """
    return WORD.findall(text)


def runs(text: str) -> Runs:
    """The runs of five words of a text in normal form; all of it where it is shorter. Texts without words are alike.

    Example:
        >>> [len(runs(text)) for text in ("a b c d e f", "a b", "")]
        [2, 1, 1]
    """
    return runs_of(words(text)[:MOST_WORDS] or [""])


def spoken(content: Content) -> str:
    """All words of a content: of a dialogue, every turn's with the role before it."""
    if content is None:
        return ""
    if isinstance(content, str | int):
        return str(content)
    turns = [said(message.get("content")) for message in content]
    if len(turns) == 1:
        return turns[0]
    return "\n".join(f"{message.get('role', '')}: {turn}" for message, turn in zip(content, turns, strict=True))


def said(words_or_parts: object) -> str:
    r"""The words of one turn: text, or the text parts of a list; of its images, the names.

    Example:
        >>> said([{"type": "text", "text": "See"}, {"type": "image", "image": "cat.png"}])
        'See\n[image cat.png]'
    """
    if isinstance(words_or_parts, str):
        return words_or_parts
    if not isinstance(words_or_parts, list | tuple):
        return ""
    parts = [part for part in words_or_parts if isinstance(part, Mapping)]
    told = [*(part["text"] for part in parts if isinstance(part.get("text"), str))]
    return "\n".join([*told, *(f"[image {name}]" for part in parts for name in image_names(part))])


def image_names(part: Mapping[str, object]) -> list[str]:
    """The path or address of the image that a part of a turn names, if it is one."""
    if not str(part.get("type", "")).startswith("image"):
        return []
    named = next((part[key] for key in ("image", "image_url", "path", "url") if part.get(key)), None)
    if isinstance(named, Mapping):
        named = named.get("path") or named.get("url")
    return [named] if isinstance(named, str) and named else []


def number_of(key: str) -> int:
    """A signed 64-bit number that stands for a text, the same on every machine."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)
