"""Small multiples: a panel for each metric with a line for each model: its value, its interval and the base's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from tropism.records import Estimate, Measure
from tropism.reporting.measured_changes import MeasuredChange, MoveVerdict, by_measure
from tropism.reporting.model_styles import ModelStyle
from tropism.reporting.numbers import Unit, compact, interval_text, plain, value_text
from tropism.visible import visible_text

HEIGHT = 20
PADDING = 0.06
"""Share of the scale that is left free at both ends."""
LEAST_SPAN = {"share": 0.02, "number": 1e-9}
"""A scale is never narrower, so that noise does not fill it."""
WANTED = {"higher": "higher is better", "lower": "lower is better", "neither": ""}


class Scale(NamedTuple):
    """The range of values that a panel shows."""

    low: float
    high: float

    def at(self, value: float) -> str:
        """Where a value is, in percent of the width; a value outside is at the end."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(1.0, max(0.0, share)):.1f}%"


class ModelStrip(NamedTuple):
    """One model's line in a panel."""

    model: ModelStyle
    drawing: Markup
    value: str
    verdict: MoveVerdict


class MeasurePanel(NamedTuple):
    """One metric over all models.

    Args:
        title: the metric.
        wanted: its direction in words.
        strips: the models.
        low, high: the ends of the scale, as text.
        base: the base's value as text; empty if the models have different bases or none.
    """

    title: str
    wanted: str
    strips: list[ModelStrip]
    low: str
    high: str
    base: str


class Overview(NamedTuple):
    """All panels: metrics with a direction, others that changed, and how many with a direction did not move."""

    judged: list[MeasurePanel]
    others: list[MeasurePanel]
    num_still: int


def overview_of(changes: Sequence[MeasuredChange], models: Mapping[str, ModelStyle]) -> Overview:
    """A panel for each metric that moved in some model, and the number of the others."""
    judged: list[MeasurePanel] = []
    others: list[MeasurePanel] = []
    num_still = 0
    for group in by_measure(changes).values():
        compared = [change for change in group if change.verdict != "note"]
        panel = panel_of(compared, models) if any(change.verdict != "unsure" for change in compared) else None
        if panel:
            (judged if compared[0].is_judged else others).append(panel)
        elif compared and compared[0].is_judged:
            num_still += 1
    return Overview(judged, others, num_still)


def panel_of(group: Sequence[MeasuredChange], models: Mapping[str, ModelStyle]) -> MeasurePanel | None:
    """The panel of one metric; None if no number is finite."""
    measure = group[0].measure
    befores = [change.before for change in group if change.before]
    scale = scale_of([*(change.after for change in group), *befores], measure)
    if scale is None:
        return None
    strips = [
        ModelStrip(
            models[change.model],
            strip(change, models[change.model], scale),
            value_text(change.after, measure.unit),
            change.verdict,
        )
        for change in group
    ]
    same = len({before.value for before in befores}) == 1 and len(befores) == len(group)
    base = value_text(befores[0], measure.unit) if same else ""
    low, high = (_end(bound, measure.unit) for bound in scale)
    return MeasurePanel(measure.label, WANTED[measure.better], strips, low, high, base)


def scale_of(estimates: Sequence[Estimate], measure: Measure) -> Scale | None:
    """A scale that contains all intervals and the value that means "no difference"; None if none is finite.

    Example:
        >>> scale = scale_of([Estimate(value=0.5, low=0.4, high=0.6, n=9)], Measure(label="x", unit="share"))
        >>> round(scale.low, 3), round(scale.high, 3)
        (0.388, 0.612)
    """
    bounds = [bound for one in estimates for bound in (one.low, one.value, one.high) if math.isfinite(bound)]
    if not bounds:
        return None
    if measure.unit == "share":
        bounds = [min(1.0, max(0.0, bound)) for bound in bounds]
    bounds += [] if measure.baseline is None else [measure.baseline]
    low, high = min(bounds), max(bounds)
    span = max(high - low, LEAST_SPAN[measure.unit], 1e-6 * max(abs(low), abs(high)))
    middle = (low + high) / 2
    scale = Scale(middle - span * (0.5 + PADDING), middle + span * (0.5 + PADDING))
    floor = 0.0 if low >= 0 else scale.low
    ceiling = 1.0 if measure.unit == "share" else scale.high
    return Scale(max(floor, scale.low), min(ceiling, scale.high))


def strip(change: MeasuredChange, model: ModelStyle, scale: Scale) -> Markup:
    """One line as SVG of the width that the page gives it: the base's interval and value, the model's, the mark."""
    measure, before, after, middle = change.measure, change.before, change.after, HEIGHT // 2
    parts = [f'<line class="axis" x1="0" x2="100%" y1="{middle}" y2="{middle}"/>']
    if measure.baseline is not None:
        place = scale.at(measure.baseline)
        parts.append(f'<line class="still" x1="{place}" x2="{place}" y1="1" y2="{HEIGHT - 1}"/>')
    if before is not None and math.isfinite(before.value):
        parts.append(_base(before, scale))
    if math.isfinite(after.low) and math.isfinite(after.high):
        ends = f'x1="{scale.at(after.low)}" x2="{scale.at(after.high)}"'
        parts.append(f'<line class="interval {model.colour}" {ends} y1="{middle}" y2="{middle}"/>')
    if math.isfinite(after.value):
        parts.append(f'<svg class="{model.colour}" x="{scale.at(after.value)}" y="{middle}">{model.shape}</svg>')
    label = f"{model.name}: {_in_words(after, measure.unit)}"
    if before is not None:
        label += f"; base: {_in_words(before, measure.unit)}"
    return Markup(  # noqa: S704  (numbers and our own shapes; the label is escaped)
        f'<svg class="strip" role="img" aria-label="{escape(visible_text(label))}" height="{HEIGHT}">'
        f"{''.join(parts)}</svg>"
    )


def _in_words(estimate: Estimate, unit: Unit) -> str:
    """A value with interval and number of samples."""
    return f"{value_text(estimate, unit)} {interval_text(estimate, unit)}, n = {estimate.n:,}"


def _base(before: Estimate, scale: Scale) -> str:
    """The base's interval as a band and its value as an upright line."""
    place = scale.at(before.value)
    line = f'<line class="base" x1="{place}" x2="{place}" y1="1" y2="{HEIGHT - 1}"/>'
    if not (math.isfinite(before.low) and math.isfinite(before.high)):
        return line
    low, high = (float(scale.at(bound).removesuffix("%")) for bound in (before.low, before.high))
    return f'<rect class="band" x="{low:.1f}%" width="{high - low:.1f}%" y="1" height="{HEIGHT - 2}"/>{line}'


def _end(bound: float, unit: Unit) -> str:
    """An end of a scale as text."""
    return f"{plain(100 * bound, 0)}\u00a0%" if unit == "share" else compact(bound)
