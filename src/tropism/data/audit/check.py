"""One check: its severity, sentence, remedy and automatic repair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning", "note"]
Needs: TypeAlias = Literal["nothing", "a model", "an evaluation side", "enough pairs"]

SMALL_SHARE = 0.01
"""Below this share, a fault that training tolerates is a note."""


@dataclass(frozen=True)
class AuditCheck:
    """One thing that can be wrong.

    Args:
        severity: an `error` invalidates training or its evaluation, a `warning` biases them, a `note` is information.
        of: what is counted, in the plural.
        says: what was found, as a sentence.
        remedy: what to do about it.
        fix: what a repair does; empty if only a person can fix it.
        needs: what the check needs to run.
        note_below: the share under which a warning is only a note.
    """

    severity: Severity
    of: str
    says: str
    remedy: str
    fix: str = ""
    needs: Needs = "nothing"
    note_below: float = 0.0

    def severity_at(self, share: float) -> Severity:
        """The severity of a finding of this share."""
        return "note" if self.severity == "warning" and share < self.note_below else self.severity
