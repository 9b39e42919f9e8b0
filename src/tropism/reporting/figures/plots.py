"""What a figure of the page is, and the histogram of margins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from tropism.reporting.figures.svg import BASE, INK, colour_of, draw
from tropism.reporting.model_styles import ModelStyle
from tropism.reporting.numbers import SPACE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Plot(NamedTuple):
    """A figure in the page.

    Args:
        title: what is drawn; empty if its group says it.
        svg: the drawing.
        reading: how to read it, for a reader who never trained a model; empty if its group says it.
        legend: label of each line that is not a model, and whether it is dashed.
        models: the models in it, if it is about several.
        owner: the model that it is about, if the page has several.
        says: what it shows, in a sentence.
    """

    title: str
    svg: Markup
    reading: str
    legend: tuple[tuple[str, str], ...] = ()
    models: tuple[ModelStyle, ...] = ()
    owner: ModelStyle | None = None
    says: str = ""


class PlotGroup(NamedTuple):
    """Figures of one kind, with what holds for all of them said once; `marks` is the legend of their points."""

    title: str
    reading: str
    plots: list[Plot]
    marks: tuple[ModelStyle, ...] = ()


def margin_histogram(margins: Sequence[float], style: ModelStyle, *, name: str) -> Plot | None:
    """How far a model raised winners above losers on held-out pairs; None if no margin is finite."""
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
    colour = colour_of(style.colour)

    def paint(axes: Axes) -> None:
        axes.bar(starts, counts, width=0.86 * step, align="edge", color=[BASE if one < 0 else colour for one in starts])
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_ylim(0, 1.22 * counts.max())
        axes.locator_params(axis="y", nbins=4, integer=True)
        where = ("data", "axes fraction")
        for text, shift, side, shade in (
            (f"{below} below zero", -8, "right", BASE),
            (f"{above} above", 8, "left", colour),
        ):
            axes.annotate(text, (0, 1), (shift, 0), where, "offset points", color=shade, va="top", ha=side)
        room = 0.3 * (last - first) * step
        axes.set_xlim(min(first * step, -room), max(last * step, room))
        axes.set_xlabel("margin, nats", labelpad=2)

    label = f"Histogram of {len(values):,} held-out margins: {below} are below zero, {above} above."
    return Plot("", draw(paint, name=name, label=label, width=320, height=200), "", owner=style)


def _round_width(span: float) -> float:
    """A round bin width that cuts the span into about thirty bars."""
    if span <= 0:
        return 1.0
    rough = span / 30
    unit = 10.0 ** math.floor(math.log10(rough))
    return next(unit * factor for factor in (1, 2, 2.5, 5, 10, 20) if unit * factor >= rough)
