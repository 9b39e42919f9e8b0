"""The evidence of each eval: its numbers, figures and tables, and what a reader must know."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tropism.records import EvalResult, EvalWords
from tropism.reporting.figures.plots import PlotGroup
from tropism.reporting.figures.scatter_figures import scatter_figures
from tropism.reporting.measured_changes import MeasuredChange, by_eval
from tropism.reporting.model_styles import ModelStyle
from tropism.reporting.page_records import PageRecords
from tropism.reporting.sections.change_tables import MeasureLines, measure_lines
from tropism.reporting.sections.matrices import MatrixGroup, matrix_groups


class Remark(NamedTuple):
    """A sentence that a reader must know, and the models that it is about; empty if it is about all of them."""

    sentence: str
    models: tuple[str, ...]


class EvalView(NamedTuple):
    """One eval as the page shows it.

    Args:
        anchor: id of its section.
        words: what it asks.
        num_better, num_worse: how many measures of its models moved which way.
        measures: its numbers; those that are compared, then those without a base.
        figures: its figures.
        groups: its tables of estimates.
        remarks: what a reader must know, and what could not be measured.
    """

    anchor: str
    words: EvalWords
    num_better: int
    num_worse: int
    measures: list[MeasureLines]
    figures: list[PlotGroup]
    groups: list[MatrixGroup]
    remarks: list[Remark]


def evals_of(
    changes: Sequence[MeasuredChange], models: Mapping[str, ModelStyle], records: PageRecords
) -> list[EvalView]:
    """Every eval with what it found, in the order in which the suites ran them."""
    views: list[EvalView] = []
    for name, own in by_eval(changes).items():
        words = records.words_of(name)
        results = _results_of(name, records)
        shown = [result for result in results if models[result.model].number or not words.base_is_zero]
        anchor = f"eval-{len(views)}-{re.sub(r'[^a-z0-9]+', '-', name.lower())[:40]}"
        views.append(
            EvalView(
                anchor,
                words,
                sum(change.verdict == "better" for change in own),
                sum(change.verdict == "worse" for change in own),
                measure_lines(own, models, changes),
                scatter_figures(shown, models, name=anchor),
                matrix_groups(shown, models, records),
                remarks_of(results, records.bases),
            )
        )
    return views


def _results_of(eval_name: str, records: PageRecords) -> list[EvalResult]:
    """The results of one eval; a base that several suites share has those of the first."""
    found = {
        result.model: result
        for suite in reversed(records.suites)
        for result in suite.results
        if result.eval == eval_name
    }  # fmt: skip
    order = [*records.bases, *records.models]
    return sorted(found.values(), key=lambda result: order.index(result.model))


def remarks_of(results: Sequence[EvalResult], bases: Collection[str]) -> list[Remark]:
    """Notes, and items that could not be measured; what holds for every model, the bases aside, is said once."""
    about: dict[str, list[str]] = {}
    for result in results:
        for note in result.notes:
            about.setdefault(note, []).append(result.model)
        for reason, count in result.skipped.items():
            about.setdefault(f"Not measured: {count:,} {reason}.", []).append(result.model)
    every = {result.model for result in results if result.model not in bases}
    return [
        Remark(sentence, () if every <= set(models) and len(results) > 1 else tuple(models))
        for sentence, models in about.items()
    ]
