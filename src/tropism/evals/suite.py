"""The table of evals, and suites: which of them to run, with which settings."""

from __future__ import annotations

from tropism.evals.items import Eval

EVALS: dict[str, Eval] = {}
"""Name to eval. An eval is one file with a function `(Task) -> Measured`, and one row here."""
