"""The same answer in another style: layout and tone change, the facts stay, and that is checked."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence

Style = Callable[[str, random.Random], str]
"""From a text and a source of chance to the text in a style; chance picks between wordings of one style."""

SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
NAME = re.compile(r"(?<=[a-z0-9,;] )[A-Z][\w'’-]*")
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")

PREAMBLES = ("Sure, here is the answer.", "Good question.", "Happy to help with that.", "Let me explain this.")
CODAS = ("Hope that helps!", "Let me know if anything is unclear.", "Feel free to ask more.", "That should be all.")
POLITE_STARTS = ("Thank you for asking.", "If you please, allow me to answer.", "With pleasure.")
POLITE_ENDS = ("Kind regards.", "Thank you for your patience.", "It was a pleasure to help.")
HEADINGS = ("Answer", "Summary", "In short")
KEYS = ("answer", "text", "reply")
MARKS = ("-", "*", "•")


def plain(text: str, rng: random.Random) -> str:
    """The text as it is."""
    return text


def bullets(text: str, rng: random.Random) -> str:
    """Each sentence an item of a list.

    Example:
        >>> print(bullets("Oil it. Then wait.", random.Random(0)))
        * Oil it.
        * Then wait.
    """
    mark = rng.choice(MARKS)
    return "\n".join(f"{mark} {sentence}" for sentence in sentences(text))


def preamble(text: str, rng: random.Random) -> str:
    """A sentence in front that says nothing."""
    return f"{rng.choice(PREAMBLES)} {text}"


def coda(text: str, rng: random.Random) -> str:
    """A sentence at the end that says nothing."""
    return f"{text} {rng.choice(CODAS)}"


def polite(text: str, rng: random.Random) -> str:
    """Courtesies around it."""
    return f"{rng.choice(POLITE_STARTS)} {text} {rng.choice(POLITE_ENDS)}"


def heading(text: str, rng: random.Random) -> str:
    """A Markdown heading above it."""
    return f"{'#' * rng.choice((1, 2, 3))} {rng.choice(HEADINGS)}\n\n{text}"


def _json_wrapper(text: str, rng: random.Random) -> str:
    """The text as the only value of a JSON object."""
    return json.dumps({rng.choice(KEYS): text}, ensure_ascii=False)


STYLES: dict[str, Style] = {
    "plain": plain,
    "bullets": bullets,
    "preamble": preamble,
    "coda": coda,
    "polite": polite,
    "heading": heading,
    "json": _json_wrapper,
}
"""`plain` stands first: the others are measured from it."""


def restyled(text: str, *, styles: Sequence[str], draws: int, seed: int | str) -> dict[str, tuple[str, ...]] | None:
    """A text in several styles, each drawn several times.

    Args:
        text: prose.
        styles: names in `STYLES`.
        draws: wordings of each style; some may be equal.
        seed: of the choice of wordings.

    Returns:
        Style to texts; None where a style would change the facts, so that the text cannot serve.

    Example:
        >>> restyled("It has 8 legs.", styles=["plain", "coda"], draws=1, seed=0)
        {'plain': ('It has 8 legs.',), 'coda': ('It has 8 legs. That should be all.',)}
    """
    found = {}
    for style in styles:
        rng = random.Random(f"{seed}/{style}")
        found[style] = tuple(STYLES[style](text, rng) for _ in range(draws))
        if not all(keeps_facts(text, one) for one in found[style]):
            return None
    return found


def keeps_facts(text: str, other: str) -> bool:
    """Whether a restyled text says what the text says: its words in order, and no number or name beside.

    Args:
        text: the facts.
        other: the same in another style.

    Example:
        >>> keeps_facts("It has 8 legs.", "Sure! It has 8 legs."), keeps_facts("It has 8 legs.", "It has 6 legs.")
        (True, False)
    """
    later = iter(words(other))
    in_order = all(word in later for word in words(text))
    return in_order and facts(other) <= facts(text)


def facts(text: str) -> set[str]:
    """Numbers, and capitalised words inside a sentence.

    Example:
        >>> sorted(facts("In Rome, Anna paid 3.50 for it."))
        ['3.50', 'Anna', 'Rome']
    """
    return {*NUMBER.findall(text), *(name for name in NAME.findall(text) if name != "I")}


def words(text: str) -> list[str]:
    """The words of a text in small letters.

    Example:
        >>> words("Don't - it's 8!")
        ["don't", "it's", '8']
    """
    return WORD.findall(text.lower())


def sentences(text: str) -> list[str]:
    """The sentences of a text, by their full stops and line ends.

    Example:
        >>> sentences("Oil it. Wait!\\nGo")
        ['Oil it.', 'Wait!', 'Go']
    """
    parts = (part.strip() for line in text.splitlines() for part in SENTENCE_END.split(line))
    return [part for part in parts if part]
