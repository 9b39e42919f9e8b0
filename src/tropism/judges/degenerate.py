"""Degenerate answers: empty, or one thing repeated. They never win, whatever the judge says."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import Literal, TypeAlias

Fault: TypeAlias = Literal["empty", "repeated"]

LEAST_REPEATS = 4
"""A unit that stands fewer times in a row is style, not a loop."""
LEAST_SHARE = 0.5
"""Share of an answer that one loop must fill."""
LEAST_CHARACTERS = 20
"""What is shorter is a short answer, whatever is in it."""
LEAST_WORDS = 12
"""Fewer words than these are looked at as characters: a loop in a script without blanks is one word."""
MOST_UNITS = 1_500
"""Words or characters that are looked at; a loop that begins later has an answer before it."""
LONGEST_UNIT = 60


def fault_of(answer: str) -> Fault | None:
    """Why an answer says nothing, or None where it may say something.

    `empty`: no letter and no digit. `repeated`: units of up to 60 words (of characters, where there are hardly any
    words) that stand four times in a row or more fill half of the answer or more. Case and punctuation do not count.
    An answer that was asked to repeat itself, or to be an emoji, is misjudged.

    Example:
        >>> fault_of(" ... "), fault_of("I like it. " * 9), fault_of("Wait four minutes, then press.")
        ('empty', 'repeated', None)
    """
    words = re.findall(r"\w+", answer.casefold())
    if not words:
        return "empty"
    if len(answer.strip()) < LEAST_CHARACTERS:
        return None
    units: Sequence[Hashable] = words if len(words) >= LEAST_WORDS else list("".join(words))
    return "repeated" if loop_share(units[:MOST_UNITS]) >= LEAST_SHARE else None


def loop_share(units: Sequence[Hashable]) -> float:
    """The largest share of a sequence that units of one length fill by standing at least four times in a row.

    Example:
        >>> loop_share("xyababababab")
        0.8333333333333334
    """
    most = 0
    for period in range(1, min(LONGEST_UNIT, len(units) // LEAST_REPEATS) + 1):
        filled = run = 0
        for place in range(period, len(units) + 1):
            if place < len(units) and units[place] == units[place - period]:
                run += 1
            else:
                filled += run + period if run + period >= LEAST_REPEATS * period else 0
                run = 0
        most = max(most, filled)
    return min(1.0, most / len(units)) if units else 0.0
