"""How well length, style or single words predict the winner."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tropism.data.audit.audited_rows import AuditedRow
from tropism.data.audit.check import Severity
from tropism.data.audit.contract import CHECKS
from tropism.data.audit.findings import NUM_EXAMPLES, AuditFinding, Ledger, RowPlace
from tropism.data.audit.row_texts import normal, number_of, spoken, words
from tropism.data.audit.separability import held_out_margins
from tropism.data.group_keys import group_key
from tropism.groups import PreferenceGroup
from tropism.metrics.bootstrap import wilson

MOST_PROBED = 5_000
FEWEST_PROBED = 50
FEWEST_DIFFERING = 20
MIN_COVERAGE = 0.05
"""A style that fewer of the pairs than this differ in is no way through the data."""
CERTAIN, STRONG = 0.55, 0.65
"""Where the whole interval lies beyond the first it is a note, beyond the second a warning."""
SEPARABLE, SURELY_SEPARABLE = 0.95, 0.9
"""Accuracy of a model of words, and the least lower bound of its interval, that make it a warning."""

BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+\S", re.MULTILINE)
MARKDOWN = re.compile(r"^#{1,6} \S|\*\*\S|`\S|^\|.*\|$", re.MULTILINE)
REFUSAL = re.compile(
    r"\bI(?:['’]m| am)(?: so| very| really)? sorry,? but\b"
    r"|\bI (?:can(?:no|['’])?t|won['’]t|am (?:un|not )able to)"
    r" (?:help|assist|do that|provide|answer|comply|give)\b"
    r"|\bas an AI\b",
    re.IGNORECASE,
)
STYLES: dict[str, Callable[[str], bool]] = {
    "shortcut-bullets": lambda text: bool(BULLET.search(text)),
    "shortcut-markdown": lambda text: bool(MARKDOWN.search(text)),
    "shortcut-exclamation": lambda text: "!" in text,
    "shortcut-refusal": lambda text: bool(REFUSAL.search(text)),
}


class ProbedPair(NamedTuple):
    """One comparison."""

    place: RowPlace
    prompt: int
    winner: str
    loser: str


class Shortcuts:
    """Takes one comparison of each of up to 5,000 prompts, and says what tells its winner.

    Which prompts, and which comparison of a prompt, hashes decide: so probes are independent of each other, and the
    order of the rows changes nothing.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[int, ProbedPair]] = {}
        self._last: list[int] = []

    def add(self, unit: AuditedRow, group: PreferenceGroup) -> None:
        """Take a row's comparisons; ties, and texts compared with themselves, are none."""
        prompt = number_of(group_key(group))
        for edge in group.edges:
            winner, loser = (spoken(group.responses[index].content) for index in (edge.winner, edge.loser))
            if edge.prob > 0.5 and winner != loser:
                self._keep(ProbedPair(unit.place, prompt, winner, loser))

    def findings(self, ledger: Ledger) -> Iterator[AuditFinding]:
        """What tells winners from losers; nothing where there are fewer than fifty prompts."""
        probes = [probe for _, probe in sorted(self._kept.values(), key=lambda kept: kept[1].place)]
        if len(probes) < FEWEST_PROBED:
            return
        for check in CHECKS:
            if check in ledger.skip:
                continue
            if check == "shortcut-length":
                lengths = [(len(words(probe.winner)), len(words(probe.loser))) for probe in probes]
                yield from _lopsided(check, probes, lengths, ("longer", "shorter"))
            elif check in STYLES:
                held = [(STYLES[check](probe.winner), STYLES[check](probe.loser)) for probe in probes]
                yield from _lopsided(
                    check, probes, held, ("Winners more often than losers", "Losers more often than winners")
                )
            elif check == "separable-by-words":
                yield from _separable(check, probes, lambda text: frozenset(words(text)))
            elif check == "separable-by-first-word":
                yield from _separable(check, probes, lambda text: frozenset(words(text)[:1]))

    @property
    def num_probed(self) -> int:
        """Number of prompts with a comparison, 5,000 at most."""
        return len(self._kept)

    def _keep(self, probe: ProbedPair) -> None:
        """Keep a comparison where its prompt's hash is among the least, and its own is the least of its prompt."""
        rank = number_of(f"{probe.winner}\x1f{probe.loser}")
        if probe.prompt in self._kept:
            if rank < self._kept[probe.prompt][0]:
                self._kept[probe.prompt] = (rank, probe)
            return
        if len(self._kept) < MOST_PROBED:
            heapq.heappush(self._last, -probe.prompt)
        elif probe.prompt < -self._last[0]:
            del self._kept[-heapq.heapreplace(self._last, -probe.prompt)]
        else:
            return
        self._kept[probe.prompt] = (rank, probe)


def _lopsided(
    check: str, probes: list[ProbedPair], sides: Sequence[tuple[float, float]], directions: tuple[str, str]
) -> Iterator[AuditFinding]:
    """A feature that winners have more often than losers, or the other way round."""
    more = [probe for probe, (winner, loser) in zip(probes, sides, strict=True) if winner > loser]
    less = [probe for probe, (winner, loser) in zip(probes, sides, strict=True) if winner < loser]
    found, n = max(more, less, key=len), len(more) + len(less)
    if n < max(FEWEST_DIFFERING, MIN_COVERAGE * len(probes)):
        return
    interval = wilson(len(found) / n, n)
    if interval[0] > CERTAIN:
        says = CHECKS[check].says.format(direction=directions[found is less])
        yield _finding(check, found, n, interval, says, "warning" if interval[0] > STRONG else "note")


def _separable(
    check: str, probes: list[ProbedPair], features: Callable[[str], frozenset[str]]
) -> Iterator[AuditFinding]:
    """Winners that a model of words tells from losers."""
    winners, losers = (
        [features(normal(text)) for text in texts] for texts in zip(*(probe[2:] for probe in probes), strict=True)
    )
    margins = held_out_margins(winners, losers, [probe.prompt & 1 for probe in probes])
    found = [probe for probe, margin in zip(probes, margins, strict=True) if margin > 0]
    interval = wilson(len(found) / len(probes), len(probes))
    if len(found) > SEPARABLE * len(probes) and interval[0] > SURELY_SEPARABLE:
        yield _finding(check, found, len(probes), interval, CHECKS[check].says, CHECKS[check].severity)


def _finding(
    check: str, found: list[ProbedPair], n: int, interval: tuple[float, float], says: str, severity: Severity
) -> AuditFinding:
    """What was probed, as a finding."""
    entry = CHECKS[check]
    examples = tuple(probe.place.id for probe in found[:NUM_EXAMPLES])
    return AuditFinding(check, severity, len(found), n, entry.of, examples, says, entry.remedy, entry.fix, interval)
