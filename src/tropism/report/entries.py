"""One measure of one model beside what it is compared with, whether a suite or a run's own evaluation tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tropism.records import Comparison, SuiteRun
from tropism.report.dossier import Dossier, TrainedRun
from tropism.report.metrics import Kind, Row, rows_of
from tropism.report.suite_words import measure_of, metric_named

RUNS_OWN = ""
"""The eval of measures that a run's own evaluation holds."""


class Entry(NamedTuple):
    """A measure of a model.

    Args:
        eval: which eval tells it; `RUNS_OWN` for a run's own evaluation.
        model: whose.
        row: what was measured before and after, and which way it moved. The change is paired where a suite tells it.
        p_adjusted: corrected by Holm's method over the model's tests; None where there is no test.
    """

    eval: str
    model: str
    row: Row
    p_adjusted: float | None = None

    @property
    def is_judged(self) -> bool:
        """Whether people want it to go one way, and there is something to compare with."""
        return self.row.metric.better != "neither" and self.row.kind != "note"


def entries_of(dossier: Dossier) -> list[Entry]:
    """Every measure of every model: the suite's, and those of runs that the suite did not measure."""
    found = suite_entries(dossier.suite) if dossier.suite else []
    measured = {model.name for model in dossier.suite.models} if dossier.suite else set()
    return found + [entry for run in dossier.runs if run.name not in measured for entry in run_entries(run)]


def suite_entries(suite: SuiteRun) -> list[Entry]:
    """The comparisons of a suite, then what it measured and could not compare."""
    found = [
        Entry(
            one.eval,
            one.model,
            Row(one.metric, measure_of(one), one.before, one.after, one.difference, _kind(one)),
            one.p_adjusted,
        )
        for one in suite.comparisons
    ]
    compared = {(one.eval, one.metric, model) for one in suite.comparisons for model in (one.model, suite.base)}
    return found + [
        Entry(result.eval, result.model, Row(name, metric_named(result.eval, name), None, estimate, None, "note"))
        for result in suite.results
        for name, estimate in result.metrics.items()
        if (result.eval, name, result.model) not in compared
    ]


def run_entries(run: TrainedRun) -> list[Entry]:
    """What a run's own evaluation says."""
    evaluation = run.run.evaluation
    return [Entry(RUNS_OWN, run.name, row) for row in rows_of(evaluation.metrics if evaluation else {})]


def by_measure(entries: Sequence[Entry]) -> Mapping[tuple[str, str], list[Entry]]:
    """Entries of one measure together, in the order of the first."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        found.setdefault((entry.eval, entry.row.name), []).append(entry)
    return found


def evals_in(entries: Sequence[Entry]) -> list[str]:
    """The evals, in their order."""
    return list(dict.fromkeys(entry.eval for entry in entries))


def _kind(comparison: Comparison) -> Kind:
    """The record's verdict in the words of this package."""
    verdict = comparison.verdict
    return "unclear" if verdict == "unsure" else verdict
