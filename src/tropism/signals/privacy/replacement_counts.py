"""The number of replacements in a private build, for the notes on its card."""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Callable

from ibis import Table

from tropism.signals.engines.engine import rows, scalar
from tropism.signals.privacy import redaction
from tropism.signals.privacy.personal import count_hits, scrub_text

HASHED = "hashed: names of sources that hold personal data"


def replaced_in(table: Table, columns: list[str]) -> dict[str, int]:
    """The number of matches of each kind of personal data in some text columns."""
    found = [redaction.hits(table[name].cast("string")) for name in columns]
    sums = {kind: functools.reduce(operator.add, (one[kind] for one in found)).sum() for kind in found[0]}
    (counts,) = rows(table.aggregate(**sums))
    return {f"replaced: {kind}": int(number or 0) for kind, number in counts.items()}


def hashed_sources(table: Table, columns: list[str]) -> dict[str, int]:
    """The number of source names that hold personal data and are hashed; empty without such columns."""
    if not columns:
        return {}
    names = [table[name].cast("string") for name in columns]
    changed = [(redaction.scrub(name) != name).fill_null(False).cast("int64") for name in names]
    return {HASHED: int(scalar(functools.reduce(operator.add, changed).sum()) or 0)}


def counting_scrub(replaced: Counter[str]) -> Callable[[str], str]:
    """A function that redacts a text and counts the replacements in `replaced`."""

    def scrub(text: str) -> str:
        scrubbed = scrub_text(text)
        if scrubbed != text:
            replaced.update({kind: number for kind, number in count_hits(text).items() if number})
        return scrubbed

    return scrub
