"""Runs all checks over all rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tropism.data.audit.audited_rows import AuditedRow, AuditSources, read_units
from tropism.data.audit.contract import CHECKS
from tropism.data.audit.contradictions import RowVerdicts
from tropism.data.audit.duplicates import DuplicateRows
from tropism.data.audit.findings import AuditFinding, Ledger, Repairs
from tropism.data.audit.leakage import LeaksFrom, PromptLeaks
from tropism.data.audit.marks import KNOWN_MARKS
from tropism.data.audit.row_faults import check_problem, check_row
from tropism.data.audit.row_texts import row_text
from tropism.data.audit.shortcuts import FEWEST_PROBED, Shortcuts
from tropism.data.audit.stock import StockTexts
from tropism.data.audit.token_faults import Tokens, check_tokens
from tropism.errors import ConfigError
from tropism.groups import PreferenceGroup


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Args:
        findings: errors first, then warnings, then notes.
        not_run: skipped check to reason.
        num_rows: rows read.
        num_unreadable: rows that cannot be read.
        num_prompts: different prompts.
        num_responses: responses, summed over rows.
        num_edges: number of comparisons.
        num_labels: number of labels.
        repairs: what a repair would remove.
        marks: what a repair would escape.
    """

    findings: tuple[AuditFinding, ...]
    not_run: dict[str, str]
    num_rows: int
    num_unreadable: int
    num_prompts: int
    num_responses: int
    num_edges: int
    num_labels: int
    repairs: Repairs
    marks: tuple[str, ...]

    def count(self, severity: str) -> int:
        """Number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def passes(self, *, strict: bool) -> bool:
        """Whether there is no error and, if strict, no warning."""
        return not self.count("error") and not (strict and self.count("warning"))


def audit(
    sources: AuditSources,
    *,
    tokens: Tokens | None = None,
    skip: frozenset[str] = frozenset(),
    leaks_from: LeaksFrom = "train",
    progress: Callable[[int], None] | None = None,
) -> Audit:
    """Check data against the contract that training assumes.

    Args:
        sources: the files.
        tokens: the model; without it, checks that need one do not run.
        skip: names of checks to omit.
        leaks_from: the side from which a repair removes leaked prompts.
        progress: called after each row with the number of rows so far.

    Raises:
        ConfigError: for an unknown name in `skip`.
        DataError: if a file is missing, empty, or of an unknown form.
    """
    unknown = sorted(skip - CHECKS.keys())
    if unknown:
        raise ConfigError(f"unknown check {unknown[0]!r} in `skip`.", remedy=f"Available: {', '.join(CHECKS)}.")
    survey = _Survey(Ledger(skip), tokens)
    for unit in read_units(sources):
        survey.add(unit)
        if progress:
            progress(survey.counts["rows"])
    return survey.result(leaks_from)


class _Survey:
    """The state of an audit while it reads rows."""

    def __init__(self, ledger: Ledger, tokens: Tokens | None) -> None:
        self.ledger = ledger
        self.tokens = tokens
        self.counts: Counter[str] = Counter()
        self.rows = DuplicateRows()
        self.prompts = PromptLeaks()
        self.verdicts = RowVerdicts()
        self.stock = StockTexts()
        self.shortcuts = Shortcuts()
        self._has_evaluation = False

    def add(self, unit: AuditedRow) -> None:
        """Add a row."""
        self.ledger.register(unit.place)
        self.counts["rows"] += 1
        if unit.group is None:
            self.counts["unreadable"] += 1
            check_problem(self.ledger, unit)
            return
        self._has_evaluation |= unit.side == "eval"
        self._add_group(unit, unit.group)

    def result(self, leaks_from: LeaksFrom) -> Audit:
        """The result."""
        ledger = self.ledger
        ledger.totals["rows"] = self.counts["rows"]
        for collector in (self.verdicts, self.stock, self.rows):
            collector.report(ledger)
        self.prompts.report(ledger, leaks_from=leaks_from)
        findings = [*ledger.findings(), *self.shortcuts.findings(ledger)]
        order = list(CHECKS)
        findings.sort(key=lambda found: (SEVERITIES.index(found.severity), order.index(found.check)))
        counts = self.counts
        return Audit(
            tuple(findings), self._not_run(), counts["rows"], counts["unreadable"], ledger.totals["prompts"],
            counts["responses"], counts["edges"], counts["labels"], ledger.repairs,
            self._marks(),
        )  # fmt: skip

    def _add_group(self, unit: AuditedRow, group: PreferenceGroup) -> None:
        """Add a readable row."""
        ledger, text = self.ledger, row_text(group)
        self.counts.update(responses=len(group.responses), edges=len(group.edges), labels=len(group.labels))
        check_row(ledger, unit, group, text, special_texts=self.tokens.special_texts if self.tokens else ())
        self.rows.add(ledger, unit, group, text)
        self.prompts.add(unit, group, text)
        self.verdicts.add(unit, group)
        self.stock.add(unit, group, text)
        self.shortcuts.add(unit, group)
        if self.tokens:
            facts = self.tokens.facts(group)
            check_tokens(ledger, unit, group, facts, num_embeddings=self.tokens.num_embeddings)

    def _marks(self) -> tuple[str, ...]:
        """The marks that a repair escapes."""
        special = self.tokens.special_texts if self.tokens else ()
        known = tuple(mark for mark in KNOWN_MARKS if mark not in special)
        return (*special, *known) if "turn-marks" not in self.ledger.skip else special

    def _not_run(self) -> dict[str, str]:
        """Checks whose needs were not met, with the reason."""
        lacking = {
            "a model": "" if self.tokens else "no --model",
            "an evaluation side": "" if self._has_evaluation else "no --eval, and no row says split: eval",
            "enough pairs": ""
            if self.shortcuts.num_probed >= FEWEST_PROBED
            else f"fewer than {FEWEST_PROBED} prompts with a comparison",
        }
        reasons = {name: lacking.get(check.needs, "") for name, check in CHECKS.items()}
        reasons |= dict.fromkeys(self.ledger.skip, "--skip")
        return {name: reason for name, reason in reasons.items() if reason}


SEVERITIES = ("error", "warning", "note")
