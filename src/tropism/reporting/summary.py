"""The end of a command in the terminal: the verdict and the measures of the report's first screen, in a few lines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from tropism.reporting.measured_changes import changes_of
from tropism.reporting.model_styles import styles_of
from tropism.reporting.numbers import inside, interval_text, value_text
from tropism.reporting.page_records import gather
from tropism.reporting.sections.change_tables import ChangeLine, best_rule, change_line
from tropism.reporting.sections.model_verdicts import model_verdicts
from tropism.reporting.verdict import counts_in_words, headline, key_changes

WIDTH = 80
"""Columns of the narrowest terminal that is expected."""
NAME_WIDTH = 30
"""Columns of a measure's name."""


def summary_lines(paths: Sequence[Path]) -> list[str]:
    """What finished runs or an evaluation came to, at most eleven lines for a single model.

    Args:
        paths: folders of runs, an evaluation, a sweep or rounds.

    Returns:
        The verdict, then a line for each of a few measures: before, after, the change with its 95 % interval.

    Raises:
        DataError: if a folder holds no finished record.
    """
    records = gather(paths)
    models = styles_of(records.models, bases=records.bases)
    changes = changes_of(records)
    verdicts = model_verdicts(changes, models, records)
    lines = textwrap.wrap(headline(verdicts, changes, records), WIDTH)
    keys = key_changes(changes, records)
    if keys:
        lines += ["", f"{'':{NAME_WIDTH}}{'before':>9}{'after':>9}  change, 95 % interval"]
    for change in keys:
        name = change.measure.label if len(records.models) == 1 else f"{change.model}: {change.measure.label}"
        lines.append(_row(name, change_line(change, models[change.model], changes)))
        rule = best_rule(change, changes) if change.metric == "pair_accuracy" else None
        if rule:
            value = f"{value_text(rule.after, 'share')} {interval_text(rule.after, 'share')}"
            lines.append(f"  on the same pairs, {inside(rule.measure.label)} reaches {value}")
    lines += textwrap.wrap(counts_in_words(verdicts), WIDTH)
    return lines


def _row(name: str, line: ChangeLine) -> str:
    """One measure in one line."""
    before = line.before.value if line.before else ""
    change = f"{line.change.value} {line.change.interval}" if line.change else ""
    verdict = f"  {line.verdict}" if line.verdict in ("better", "worse") else ""
    label = textwrap.shorten(name, NAME_WIDTH - 1, placeholder="...")
    return f"{label:{NAME_WIDTH}}{before:>9}{line.after.value:>9}  {change}{verdict}".rstrip()
