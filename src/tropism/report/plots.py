"""The figures of an evaluation, each with a title, a legend and a line on how to read it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from tropism.report.looks import Look
from tropism.report.metrics import METRICS, Row
from tropism.report.numbers import SPACE
from tropism.report.svg import AFTER, BEFORE, INK, LINE, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Plot(NamedTuple):
    """A figure in the page.

    Args:
        title: what is drawn.
        svg: the drawing.
        reading: how to read it, for someone who never trained a model; empty where its group says it.
        legend: label and colour (`after`, `before`) of each line, where there are several.
        looks: the models in it, where it is about several.
        owner: the model that all of it is about, where a page has several.
        says: what it shows, in a sentence.
    """

    title: str
    svg: Markup
    reading: str
    legend: tuple[tuple[str, str], ...] = ()
    looks: tuple[Look, ...] = ()
    owner: Look | None = None
    says: str = ""


class PlotGroup(NamedTuple):
    """The same figure of several models, with what holds for all of them said once."""

    title: str
    reading: str
    looks: tuple[Look, ...]
    plots: list[Plot]


def margin_histogram(
    margins: Sequence[float], *, name: str = "margins", width: int = 400, height: int = 240
) -> Plot | None:
    """How far the tuned model puts winners ahead of losers on held-out pairs; None without any."""
    import numpy as np

    values = np.array([margin for margin in margins if math.isfinite(margin)])
    if not len(values):
        return None
    low, high = (float(bound) for bound in np.quantile(values, [0.005, 0.995]))
    step = _round_width(max(high, 0.0) - min(low, 0.0))
    first, last = math.floor(min(low, 0.0) / step), math.floor(max(high, 0.0) / step) + 1
    places = np.clip(np.floor(values / step).astype(int), first, last - 1)
    counts = np.bincount(places - first, minlength=last - first)
    starts = np.arange(first, last) * step
    below, above = (f"{100 * float(share):.0f}{SPACE}%" for share in ((values < 0).mean(), (values > 0).mean()))

    def paint(axes: Axes) -> None:
        colours = [BEFORE if start < 0 else AFTER for start in starts]
        axes.bar(starts, counts, width=0.86 * step, align="edge", color=colours)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_ylim(0, 1.22 * counts.max())
        axes.locator_params(axis="y", nbins=4, integer=True)
        where = ("data", "axes fraction")
        for text, shift, side, colour in (
            (f"{below} below zero", -8, "right", BEFORE),
            (f"{above} above", 8, "left", AFTER),
        ):
            axes.annotate(text, (0, 1), (shift, 0), where, "offset points", color=colour, va="top", ha=side)
        room = 0.3 * (last - first) * step
        axes.set_xlim(min(first * step, -room), max(last * step, room))
        axes.set_xlabel("margin, nats", labelpad=2)

    label = f"Histogram of {len(values):,} held-out margins: {below} lie below zero, {above} above."
    reading = (
        f"One bar counts held-out pairs by how far training moved the preferred answer ahead of the rejected one. "
        f"{below} of {len(values):,} lie below zero: there the model moved the wrong way. "
        f"The farthest one percent is drawn in the outermost bars."
    )
    svg = draw(paint, name=name, label=label, width=width, height=height)
    return Plot("Margins on held-out pairs", svg, reading)


def _round_width(span: float) -> float:
    """A round bin width that cuts the span into about thirty bars."""
    if span <= 0:
        return 1.0
    rough = span / 30
    unit = 10.0 ** math.floor(math.log10(rough))
    return next(unit * factor for factor in (1, 2, 2.5, 5, 10, 20) if unit * factor >= rough)


def share_intervals(rows: Sequence[Row]) -> Plot | None:
    """The metrics that are shares, as dots on bars that span their 95 % intervals; None without any."""
    shares = [row for row in rows if row.metric.unit == "share" and row.name in METRICS]
    if not shares:
        return None

    def paint(axes: Axes) -> None:
        axes.grid(visible=False)
        axes.set_yticks([])
        for place, row in enumerate(reversed(shares)):
            axes.axhline(place, color=LINE, linewidth=0.8)
            axes.text(0, place + 0.3, row.metric.label)
            both = [(row.after, AFTER, 0.0 if row.before is None else -0.1)]
            both += [] if row.before is None else [(row.before, BEFORE, 0.1)]
            for estimate, colour, shift in both:
                bounds = [estimate.low, estimate.high]
                axes.plot(bounds, [place + shift] * 2, color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
                axes.plot([estimate.value], [place + shift], color=colour, marker="o", markersize=7)
            if row.metric.baseline is not None:
                axes.plot([row.metric.baseline] * 2, [place - 0.28, place + 0.28], color=INK, linewidth=1.2)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.5, len(shares) - 0.35)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])

    label = "Shares with 95 % intervals: " + "; ".join(
        f"{row.metric.label} {100 * row.after.value:.1f} %"
        + (f", before {100 * row.before.value:.1f} %" if row.before else "")
        for row in shares
    )
    reading = (
        "A dot is the measured share; the bar around it holds the true one 19 times out of 20. A short upright line, "
        "where there is one, marks \u201cno difference\u201d: a bar that touches it proves nothing."
    )
    legend: tuple[tuple[str, str], ...] = (("after", "after"),)
    legend += (("before", "before"),) if any(row.before for row in shares) else ()
    svg = draw(paint, name="shares", label=label + ".", width=400, height=56 + 46 * len(shares), left=10)
    return Plot("Shares at a glance", svg, reading, legend)
