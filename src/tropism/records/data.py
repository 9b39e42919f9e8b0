"""The account of a file's rows, and the data card with possible confounders."""

from __future__ import annotations

from pydantic import Field, model_validator

from tropism.records.record import Estimate, Matrix, Record


class Account(Record):
    """The counts of rows read, dropped and used, which add up.

    `rows_read` = `rows_used` + the sum of `dropped`. A row is one record of the file: a comment, a pair, a label.
    """

    rows_read: int
    rows_used: int
    dropped: dict[str, int] = Field(default_factory=dict)
    groups: int
    responses: int
    edges: int
    labels: int
    ties: int = 0
    notes: dict[str, int] = Field(default_factory=dict)
    """Counts of changes without a drop, such as keys that were split."""
    examples: dict[str, list[str]] = Field(default_factory=dict)
    """Up to a few row numbers or keys for each reason in `dropped` and `notes`."""

    @model_validator(mode="after")
    def _adds_up(self) -> Account:
        assert self.rows_read == self.rows_used + sum(self.dropped.values()), f"the account does not add up: {self}"
        return self


class DataCard(Record):
    """The origin of preference data, the account of its rows, and possible confounders."""

    source: str
    rule: str = ""
    account: Account
    confounds: dict[str, Estimate] = Field(default_factory=dict)
    tables: list[Matrix] = Field(default_factory=list)
    """Further results of a kind of signal, such as strengths of models."""
    pairs_per_thread: dict[str, float] = Field(default_factory=dict)
    """How edges are spread over threads: mean, median, most, and the share of the 1 % with the most edges."""
