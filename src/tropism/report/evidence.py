"""The evidence of each eval: its numbers, its tables, and what a reader must know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tropism.records import EvalResult
from tropism.report.clouds import clouds_of
from tropism.report.dossier import Dossier
from tropism.report.entries import RUNS_OWN, Entry, by_measure, evals_in
from tropism.report.looks import Look
from tropism.report.matrices import MatrixGroup, matrix_groups
from tropism.report.metrics import Row
from tropism.report.numbers import MISSING, decimals_of, plain
from tropism.report.plots import PlotGroup
from tropism.report.strips import WANTED
from tropism.report.suite_words import EvalWords, eval_words
from tropism.report.tables import MetricLine, metric_line


class ModelLine(NamedTuple):
    """One model's numbers on a measure."""

    look: Look
    line: MetricLine
    p_adjusted: str


class MeasureLines(NamedTuple):
    """A measure with a line for each model."""

    label: str
    meaning: str
    wanted: str
    lines: list[ModelLine]


class Remark(NamedTuple):
    """A sentence that a reader must know, and whom it is about; nobody where it is about all models."""

    sentence: str
    models: tuple[str, ...]


class EvalView(NamedTuple):
    """One eval as the page shows it.

    Args:
        anchor: id of its section.
        words: what it asks.
        measures: its numbers; those that are compared, then those that stand alone.
        figures: its figures.
        groups: its tables of estimates.
        remarks: what a reader must know, and what could not be measured.
        is_compared: whether any number has one before it.
        is_tested: whether any number has a test.
    """

    anchor: str
    words: EvalWords
    measures: list[MeasureLines]
    figures: list[PlotGroup]
    groups: list[MatrixGroup]
    remarks: list[Remark]
    is_compared: bool
    is_tested: bool


def evals_of(entries: Sequence[Entry], looks: Mapping[str, Look], dossier: Dossier) -> list[EvalView]:
    """Every eval with what it found, in the order in which the suite ran them."""
    views: list[EvalView] = []
    for name in evals_in(entries):
        own = [entry for entry in entries if entry.eval == name]
        results = [one for one in dossier.suite.results if one.eval == name] if dossier.suite else []
        words = EvalWords("Each run beside its own start", "") if name == RUNS_OWN else eval_words(name)
        base = dossier.suite.base if dossier.suite else ""
        shown = [result for result in results if not (words.base_is_zero and result.model == base)]
        anchor = f"eval-{len(views)}-{re.sub(r'[^a-z0-9]+', '-', name.lower())[:40]}"
        views.append(
            EvalView(
                anchor,
                words,
                measures_of(own, looks),
                clouds_of(shown, looks, name=anchor),
                matrix_groups(shown, looks, base=base),
                remarks_of(results),
                is_compared=any(entry.row.before for entry in own),
                is_tested=any(entry.p_adjusted is not None for entry in own),
            )
        )
    return views


def measures_of(entries: Sequence[Entry], looks: Mapping[str, Look]) -> list[MeasureLines]:
    """Every measure with its models' numbers."""
    found = []
    for group in by_measure(entries).values():
        metric = group[0].row.metric
        lines = [
            ModelLine(looks[entry.model], line_of(entry.row), p_text(entry.p_adjusted))
            for entry in sorted(group, key=lambda entry: looks[entry.model].number)
        ]
        found.append(MeasureLines(metric.label, metric.meaning, WANTED[metric.better], lines))
    return found


def line_of(row: Row) -> MetricLine:
    """A measure's numbers with the digits of the model's own interval: a base may be exact by definition."""
    return metric_line(row, decimals=decimals_of(row.after))


def p_text(p_value: float | None) -> str:
    """A p-value to three digits, never as nothing.

    Example:
        >>> p_text(0.0123), p_text(1e-9), p_text(None)
        ('0.012', '< 0.001', '–')
    """
    if p_value is None:
        return MISSING
    return "< 0.001" if p_value < 0.001 else plain(p_value, 3)


def remarks_of(results: Sequence[EvalResult]) -> list[Remark]:
    """Notes, and items that could not be measured; what holds for every model is said once."""
    about: dict[str, list[str]] = {}
    for result in results:
        for note in result.notes:
            about.setdefault(note, []).append(result.model)
        for reason, count in result.skipped.items():
            about.setdefault(f"Not measured: {count:,} {reason}.", []).append(result.model)
    everybody = {result.model for result in results}
    return [
        Remark(sentence, () if set(models) == everybody and len(everybody) > 1 else tuple(models))
        for sentence, models in about.items()
    ]
