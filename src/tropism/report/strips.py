"""Small multiples: a panel for each measure, in it a strip for each model with its value, interval and the base."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from tropism.records import Estimate
from tropism.report.entries import Entry, by_measure
from tropism.report.looks import Look
from tropism.report.metrics import Kind, Metric
from tropism.report.numbers import Unit, compact, interval_text, plain, value_text

HEIGHT = 20
PADDING = 0.06
"""Share of the scale that is left free at both ends."""
LEAST_SPAN = {"share": 0.02, "number": 1e-9}
"""A scale is never narrower: no noise is blown up to fill a strip."""


class Scale(NamedTuple):
    """The stretch of values that a panel's strips show."""

    low: float
    high: float

    def at(self, value: float) -> str:
        """Where a value lies, in percent of the width; a value outside lies at the end."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(1.0, max(0.0, share)):.1f}%"


class Strip(NamedTuple):
    """One model's line in a panel."""

    look: Look
    drawing: Markup
    value: str
    kind: Kind


class StripPanel(NamedTuple):
    """One measure over all models.

    Args:
        title: the measure.
        wanted: which way people want it to go, in a word.
        strips: the models.
        low, high: the ends of the scale, as text.
        base: the base's value as text; empty where models have bases of their own or none.
    """

    title: str
    wanted: str
    strips: list[Strip]
    low: str
    high: str
    base: str


class Glance(NamedTuple):
    """All panels: measures with a direction, others that changed, and how many with a direction stood still."""

    judged: list[StripPanel]
    others: list[StripPanel]
    num_still: int


WANTED = {"higher": "higher is better", "lower": "lower is better", "neither": ""}


def glance_of(entries: Sequence[Entry], looks: Mapping[str, Look]) -> Glance:
    """A panel for each measure that surely moved in some model, and the number of the others."""
    judged: list[StripPanel] = []
    others: list[StripPanel] = []
    num_still = 0
    for group in by_measure(entries).values():
        compared = [entry for entry in group if entry.row.kind != "note"]
        panel = panel_of(compared, looks) if any(entry.row.kind != "unclear" for entry in compared) else None
        if panel:
            (judged if compared[0].is_judged else others).append(panel)
        elif compared and compared[0].is_judged:
            num_still += 1
    return Glance(judged, others, num_still)


def panel_of(group: Sequence[Entry], looks: Mapping[str, Look]) -> StripPanel | None:
    """The panel of one measure; None where no number is finite."""
    metric = group[0].row.metric
    befores = [entry.row.before for entry in group if entry.row.before]
    scale = scale_of([*(entry.row.after for entry in group), *befores], metric)
    if scale is None:
        return None
    strips = [
        Strip(
            looks[entry.model],
            strip(entry, looks[entry.model], scale),
            value_text(entry.row.after, metric.unit),
            entry.row.kind,
        )
        for entry in group
    ]
    same = len({before.value for before in befores}) == 1 and len(befores) == len(group)
    base = value_text(befores[0], metric.unit) if same else ""
    low, high = (_end(bound, metric.unit) for bound in scale)
    return StripPanel(metric.label, WANTED[metric.better], strips, low, high, base)


def scale_of(estimates: Sequence[Estimate], metric: Metric) -> Scale | None:
    """A scale that holds all intervals and the value that means "no difference"; None where none is finite.

    Example:
        >>> scale = scale_of([Estimate(value=0.5, low=0.4, high=0.6, n=9)], Metric("x", "share", "neither", ""))
        >>> round(scale.low, 3), round(scale.high, 3)
        (0.388, 0.612)
    """
    bounds = [bound for one in estimates for bound in (one.low, one.value, one.high) if math.isfinite(bound)]
    if not bounds:
        return None
    bounds += [] if metric.baseline is None else [metric.baseline]
    low, high = min(bounds), max(bounds)
    span = max(high - low, LEAST_SPAN[metric.unit], 1e-6 * max(abs(low), abs(high)))
    middle = (low + high) / 2
    scale = Scale(middle - span * (0.5 + PADDING), middle + span * (0.5 + PADDING))
    floor = 0.0 if low >= 0 else scale.low
    ceiling = 1.0 if metric.unit == "share" and high <= 1 else scale.high
    return Scale(max(floor, scale.low), min(ceiling, scale.high))


def strip(entry: Entry, look: Look, scale: Scale) -> Markup:
    """One strip as SVG that stretches with its place: the base's band and line, the interval, the mark."""
    row, middle = entry.row, HEIGHT // 2
    parts = [f'<line class="axis" x1="0" x2="100%" y1="{middle}" y2="{middle}"/>']
    if row.metric.baseline is not None:
        place = scale.at(row.metric.baseline)
        parts.append(f'<line class="still" x1="{place}" x2="{place}" y1="1" y2="{HEIGHT - 1}"/>')
    if row.before is not None and math.isfinite(row.before.value):
        parts.append(_base(row.before, scale))
    if math.isfinite(row.after.low) and math.isfinite(row.after.high):
        ends = f'x1="{scale.at(row.after.low)}" x2="{scale.at(row.after.high)}"'
        parts.append(f'<line class="interval {look.colour}" {ends} y1="{middle}" y2="{middle}"/>')
    if math.isfinite(row.after.value):
        mark = f'<svg class="{look.colour}" x="{scale.at(row.after.value)}" y="{middle}">{look.shape}</svg>'
        parts.append(mark)
    label = escape(f"{look.name}: {in_words(row.after, row.metric.unit)}")
    if row.before is not None:
        label += escape(f"; base: {in_words(row.before, row.metric.unit)}")
    return Markup(  # noqa: S704  (numbers and our own shapes; the label is escaped)
        f'<svg class="strip" role="img" aria-label="{label}" height="{HEIGHT}">{"".join(parts)}</svg>'
    )


def in_words(estimate: Estimate, unit: Unit) -> str:
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
