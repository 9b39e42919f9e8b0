"""Measured changes as lines of text: before, after, the change with its interval, and what may be claimed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tropism.records import Estimate, Measure
from tropism.reporting.figures.small_multiples import WANTED
from tropism.reporting.measured_changes import MeasuredChange, MoveVerdict, by_measure, tally_of
from tropism.reporting.model_styles import ModelStyle
from tropism.reporting.numbers import (
    MISSING,
    Unit,
    change_text,
    decimals_of,
    inside,
    interval_text,
    p_text,
    value_text,
)

OUTCOMES: dict[MoveVerdict, str] = {
    "better": "better",
    "worse": "worse",
    "unsure": "no clear difference",
    "changed": "changed",
    "note": MISSING,
}
TRIVIAL_RULE = "rule_"
"""Metrics with this prefix are pair accuracies of trivial rules, on the same pairs as the eval's own."""


class Cell(NamedTuple):
    """A value with its interval, as text."""

    value: str
    interval: str


class ChangeLine(NamedTuple):
    """One model's line; `before` and `change` are None if there is no base to compare with."""

    model: ModelStyle
    before: Cell | None
    after: Cell
    change: Cell | None
    p_adjusted: str
    samples: str
    verdict: MoveVerdict
    outcome: str


class MeasureLines(NamedTuple):
    """A metric with a line for each model; `rules` says what trivial rules reach on the same pairs."""

    label: str
    wanted: str
    meaning: str
    rules: str
    lines: list[ChangeLine]


def measure_lines(
    changes: Sequence[MeasuredChange], models: Mapping[str, ModelStyle], every: Sequence[MeasuredChange]
) -> list[MeasureLines]:
    """Every metric with its models' lines.

    Args:
        changes: the ones to show.
        models: their styles.
        every: all changes of the page, of which wins and trivial rules are told.
    """
    return [
        MeasureLines(
            group[0].measure.label,
            WANTED[group[0].measure.better],
            group[0].measure.meaning,
            _rules_text(group[0], every),
            [
                change_line(change, models[change.model], every)
                for change in sorted(group, key=lambda change: models[change.model].number)
            ],
        )
        for group in by_measure(changes).values()
    ]


def change_line(change: MeasuredChange, model: ModelStyle, every: Sequence[MeasuredChange]) -> ChangeLine:
    """One change as text; before, after and change have the digits that the model's own interval supports."""
    unit, signed = change.measure.unit, change.measure.baseline == 0
    digits = 1 if unit == "share" else decimals_of(change.after)
    outcome = "the model hardly moved" if change.is_sign else OUTCOMES[change.verdict]
    return ChangeLine(
        model,
        _before_cell(change.before, unit, digits, signed=signed) if change.before else None,
        value_cell(change.after, change.measure, digits),
        Cell(*change_text(change.difference, unit, decimals=digits)) if change.difference else None,
        p_text(change.p_adjusted),
        _samples_text(change, every),
        change.verdict,
        outcome,
    )


def value_cell(estimate: Estimate, measure: Measure, digits: int | None = None) -> Cell:
    """An estimate with its interval; a metric around zero shows its sign."""
    unit, signed = measure.unit, measure.baseline == 0
    return Cell(
        value_text(estimate, unit, decimals=digits, signed=signed),
        interval_text(estimate, unit, decimals=digits, signed=signed),
    )


def _before_cell(estimate: Estimate, unit: Unit, digits: int, *, signed: bool) -> Cell:
    """A base's estimate; one that is exact at the shown digits, as it is by definition, needs no interval."""
    value = value_text(estimate, unit, decimals=digits, signed=signed)
    bounds = (estimate.model_copy(update={"value": bound}) for bound in (estimate.low, estimate.high))
    is_exact = all(value_text(bound, unit, decimals=digits, signed=signed) == value for bound in bounds)
    return Cell(value, "" if is_exact else interval_text(estimate, unit, decimals=digits, signed=signed))


def _samples_text(change: MeasuredChange, every: Sequence[MeasuredChange]) -> str:
    """The number of samples; of a win rate, how many won, tied and lost."""
    tally = tally_of(every, change.model) if change.key == "win_rate.rate" else None
    if tally:
        return str(tally)
    counts = [change.before.n] if change.before else []
    return " / ".join(dict.fromkeys(f"{count:,}" for count in (*counts, change.after.n)))


def _rules_text(change: MeasuredChange, every: Sequence[MeasuredChange]) -> str:
    """What trivial rules reach on the pairs of a pair accuracy; empty if none was measured."""
    if change.metric != "pair_accuracy":
        return ""
    return "; ".join(
        f"{inside(one.measure.label)} reaches {value_text(one.after, 'share')} {interval_text(one.after, 'share')}"
        for one in _rules_beside(change, every)
    )


def _rules_beside(accuracy: MeasuredChange, every: Sequence[MeasuredChange]) -> list[MeasuredChange]:
    """The trivial rules that were measured on the pairs of a pair accuracy."""
    return [
        one
        for one in every
        if one.eval == accuracy.eval and one.model == accuracy.model and one.metric.startswith(TRIVIAL_RULE)
    ]


def best_rule(accuracy: MeasuredChange, every: Sequence[MeasuredChange]) -> MeasuredChange | None:
    """The trivial rule that orders most of the pairs of a pair accuracy as people did."""
    return max(_rules_beside(accuracy, every), key=lambda rule: rule.after.value, default=None)
