"""What an audit found, in which rows, and what would fix it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from tropism.data.audit.check import Severity
from tropism.data.audit.contract import CHECKS

NUM_EXAMPLES = 3


class RowPlace(NamedTuple):
    """A row: its position among all rows that are audited, and what a reader calls it."""

    ordinal: int
    id: str


@dataclass(frozen=True)
class AuditFinding:
    """One check that found something.

    Args:
        check: its name, a row of the contract.
        severity: `error`, `warning` or `note`.
        count: how many of `of` it found.
        n: how many of them were looked at.
        of: what is counted, in the plural.
        examples: the ids of up to three rows.
        says: what was found, as a sentence.
        remedy: what to do.
        fix: what `--fix` does; empty where it does nothing.
        interval: of `share` at 95 % where pairs were probed as a sample; None where all were counted.
    """

    check: str
    severity: Severity
    count: int
    n: int
    of: str
    examples: tuple[str, ...]
    says: str
    remedy: str
    fix: str
    interval: tuple[float, float] | None = None

    @property
    def share(self) -> float:
        """Count over n."""
        return self.count / self.n


@dataclass
class Repairs:
    """What `--fix` would leave out, and why: the name of the check, by the row's ordinal.

    Args:
        rows: whole rows.
        responses: of a row, by index.
        edges: of a row, by index.
        labels: of a row, by index.
    """

    rows: dict[int, str] = field(default_factory=dict)
    responses: dict[int, dict[int, str]] = field(default_factory=dict)
    edges: dict[int, dict[int, str]] = field(default_factory=dict)
    labels: dict[int, dict[int, str]] = field(default_factory=dict)


class Ledger:
    """Collects findings while rows go by.

    Args:
        skip: checks to leave out.
    """

    def __init__(self, skip: frozenset[str] = frozenset()) -> None:
        self.skip = skip
        self.totals: Counter[str] = Counter()
        self.details: dict[str, Counter[str]] = {}
        self.repairs = Repairs()
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._ids: dict[int, str] = {}

    def register(self, place: RowPlace) -> None:
        """Remember what a row is called, so that a check needs only its ordinal."""
        self._ids[place.ordinal] = place.id

    def place(self, ordinal: int) -> RowPlace:
        """The row with this ordinal."""
        return RowPlace(ordinal, self._ids[ordinal])

    def found(self, check: str, place: RowPlace, *, detail: str = "") -> None:
        """Count something that nothing but a person can put right."""
        if check in self.skip:
            return
        self._counts[check] += 1
        examples = self._examples.setdefault(check, [])
        if len(examples) < NUM_EXAMPLES and place.id not in examples:
            examples.append(place.id)
        if detail:
            self.details.setdefault(check, Counter())[detail] += 1

    def drop_row(self, check: str, place: RowPlace) -> None:
        """Have a row left out."""
        if check not in self.skip:
            self.repairs.rows.setdefault(place.ordinal, check)

    def drop_response(self, check: str, place: RowPlace, index: int) -> None:
        """Have a response left out, and what is said of it."""
        if check not in self.skip:
            self.repairs.responses.setdefault(place.ordinal, {}).setdefault(index, check)

    def drop_edge(self, check: str, place: RowPlace, index: int) -> None:
        """Have a comparison left out."""
        if check not in self.skip:
            self.repairs.edges.setdefault(place.ordinal, {}).setdefault(index, check)

    def drop_label(self, check: str, place: RowPlace, index: int) -> None:
        """Have a label left out."""
        if check not in self.skip:
            self.repairs.labels.setdefault(place.ordinal, {}).setdefault(index, check)

    def findings(self) -> list[AuditFinding]:
        """All that was counted, as findings."""
        return [self._finding(check) for check in CHECKS if self._counts[check]]

    def _finding(self, check: str) -> AuditFinding:
        """One check's count as a finding."""
        entry, count = CHECKS[check], self._counts[check]
        n = max(self.totals[entry.of], count)
        details = "; ".join(
            f"{detail}: {times:,}" for detail, times in self.details.get(check, Counter()).most_common(3)
        )
        says = entry.says.format(detail=details) if "{detail}" in entry.says else entry.says
        return AuditFinding(
            check,
            entry.severity_at(count / n),
            count,
            n,
            entry.of,
            tuple(self._examples[check]),
            f"{says} ({details})" if details and "{detail}" not in entry.says else says,
            entry.remedy,
            entry.fix,
        )
