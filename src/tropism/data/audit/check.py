"""What a check is: how bad its finding is, what it says, what to do, and whether a program can do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning", "note"]
Needs: TypeAlias = Literal["nothing", "a model", "an evaluation side", "enough pairs"]

SMALL_SHARE = 0.01
"""Below this share a fault that training survives is a note."""


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong.

    Args:
        severity: an `error` spoils training or its evaluation, a `warning` bends them, a `note` is good to know.
        of: what is counted, in the plural.
        says: what was found, as a sentence.
        remedy: what to do about it.
        fix: what `--fix` does about it; empty where only a person can.
        needs: what the check cannot run without.
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
