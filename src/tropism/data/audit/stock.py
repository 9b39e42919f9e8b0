"""Finds texts that win or lose for many prompts: a refusal template, a constant, an error message."""

from __future__ import annotations

from array import array

import numpy as np

from tropism.data.audit.audited_rows import AuditedRow
from tropism.data.audit.findings import Ledger
from tropism.data.audit.row_texts import RowText, number_of
from tropism.groups import PreferenceGroup

FEWEST_PROMPTS = 5
SHARE_OF_PROMPTS = 0.01
"""A text is stock under at least five prompts, and at least one in a hundred."""
SHOWN = 40


class StockTexts:
    """Counts under how many prompts a text wins and loses, 24 bytes for each side of each comparison."""

    def __init__(self) -> None:
        self._sides = {"stock-winners": array("q"), "stock-losers": array("q")}
        self._shown: dict[int, str] = {}
        self._prompts: set[int] = set()

    def add(self, unit: AuditedRow, group: PreferenceGroup, text: RowText) -> None:
        """Take a row's comparisons; ties are none."""
        prompt = number_of(text.prompt)
        for edge in group.edges:
            if edge.prob > 0.5:
                self._prompts.add(prompt)
                for check, index in (("stock-winners", edge.winner), ("stock-losers", edge.loser)):
                    key = number_of(text.answers[index])
                    self._sides[check].extend((key, prompt, unit.place.ordinal))
                    self._shown[key] = text.answers[index][:SHOWN] if key in self._shown else ""

    def report(self, ledger: Ledger) -> None:
        """Say which texts are stock."""
        ledger.totals["comparisons"] = len(self._sides["stock-losers"]) // 3
        fewest = max(FEWEST_PROMPTS, SHARE_OF_PROMPTS * len(self._prompts))
        for check, numbers in self._sides.items():
            table = np.array(numbers, dtype=np.int64).reshape(-1, 3)
            distinct = np.unique(table[:, :2], axis=0)
            keys, num_prompts = np.unique(distinct[:, 0], return_counts=True)
            stock = keys[num_prompts >= fewest]
            for key, _, ordinal in table[np.isin(table[:, 0], stock)].tolist():
                ledger.found(check, ledger.place(ordinal), detail=repr(self._shown[key]))
