"""The end of a command in the terminal: the verdict and the measures of the report's first screen, in a few lines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from tropism.report.measured_changes import MeasuredChange, changes_of
from tropism.report.model_styles import styles_of
from tropism.report.page_records import gather
from tropism.report.sections.change_tables import change_line
from tropism.report.sections.model_verdicts import model_verdicts
from tropism.report.verdict import counts_in_words, headline, key_changes

WIDTH = 80
"""Columns of the narrowest terminal that is expected."""


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
        lines += ["", f"{'':34}{'before':>9}{'after':>9}  change, 95 % interval"]
    for change in keys:
        line = change_line(change, models[change.model], changes)
        name = change.measure.label if len(records.models) == 1 else f"{change.model}: {change.measure.label}"
        lines.append(_row(name, change, line.before.value if line.before else "", line.after.value, line.change))
    lines += textwrap.wrap(counts_in_words(verdicts), WIDTH)
    return lines


def _row(name: str, change: MeasuredChange, before: str, after: str, moved: object) -> str:
    """One measure in one line."""
    text = f"{getattr(moved, 'value', '')} {getattr(moved, 'interval', '')}".strip()
    shown = f"{text}  {change.verdict}" if change.verdict in ("better", "worse") else text
    return f"{textwrap.shorten(name, 33, placeholder='...'):34}{before:>9}{after:>9}  {shown}".rstrip()
