"""Figures of single items: changes of winners against losers, margins, and states by style."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tropism.records import EvalResult
from tropism.reporting.figures.plots import Plot, PlotGroup, margin_histogram
from tropism.reporting.figures.svg import INK, MODELS, colour_of, draw
from tropism.reporting.model_styles import MARKS, ModelStyle
from tropism.reporting.numbers import SPACE, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 300
"""If there are more points, an even selection of them is drawn."""
WIDTH, HEIGHT = 250, 240
MOST_SPREAD = 4
"""All models share their axes unless one moved more than this many times as far as another."""

PALETTE = ("before", *MODELS)
"""Colours of the answers' styles."""
DISPLACEMENT = (
    "One dot is a held-out pair: its height is how much likelier the preferred answer became, its horizontal position "
    "the same for the rejected one. Above the dashed line the preferred answer gained more. At the lower left both "
    "fell, and the probability went to answers outside the data. Models that moved very differently far have "
    "different scales."
)
MARGINS = (
    "One bar counts held-out pairs by how much more training raised the preferred answer than the rejected one; below "
    "zero the model moved the wrong way. The outermost bars include the farthest one percent."
)
STYLES = (
    "One mark is one answer in one style, at its place along the two widest directions of the model\u2019s states. If "
    "marks of a kind cluster, style dominates the states; if they mix, content does."
)


class ScatterPoint(NamedTuple):
    """A point of a scatter plot."""

    x: float
    y: float


class AxisRange(NamedTuple):
    """The range of both axes of a scatter plot."""

    low: float
    high: float


def scatter_figures(results: Sequence[EvalResult], models: Mapping[str, ModelStyle], *, name: str) -> list[PlotGroup]:
    """The figures that the series of one eval's results allow.

    Args:
        results: of one eval.
        models: their styles.
        name: prefix of the ids in the figures.
    """
    groups = (
        PlotGroup("Preferred against rejected answers", DISPLACEMENT, _displacement_scatters(results, models, name)),
        PlotGroup("Margins on held-out pairs", MARGINS, _margin_histograms(results, models, name)),
        PlotGroup("Styles and contents", STYLES, _state_scatters(results, models, name), _answer_style_marks(results)),
    )
    return [group for group in groups if group.plots]


def _displacement_scatters(results: Sequence[EvalResult], models: Mapping[str, ModelStyle], name: str) -> list[Plot]:
    """Each model's winners and losers, a dot for each held-out pair.

    All share their axes, unless one model moved so much farther that the others would shrink to a dot.
    """
    moved: dict[str, list[ScatterPoint]] = {}
    for result in results:
        if {"winner_change", "loser_change"} <= result.series.keys():
            pairs = zip(result.series["loser_change"], result.series["winner_change"], strict=True)
            moved[result.model] = [ScatterPoint(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]
    own = {model: span for model, points in moved.items() if (span := range_of([one for at in points for one in at]))}
    if not own:
        return []
    shared = AxisRange(min(span.low for span in own.values()), max(span.high for span in own.values()))
    widths = [span.high - span.low for span in own.values()]
    is_shared = max(widths) <= MOST_SPREAD * min(widths)
    return [
        _displacement_scatter(
            moved[model], models[model], shared if is_shared else span, name=f"{name}-scatter{models[model].number}"
        )
        for model, span in own.items()
    ]


def _displacement_scatter(points: Sequence[ScatterPoint], model: ModelStyle, span: AxisRange, *, name: str) -> Plot:
    """One model's pairs, with their shares in a sentence."""

    def paint(axes: Axes) -> None:
        _crossed(axes, span)
        axes.plot([span.low, span.high], [span.low, span.high], color=INK, linewidth=1, dashes=(3, 3))
        _dots(axes, thinned(points), colour_of(model.colour), model.mark)
        axes.set_xlabel("rejected, nats", labelpad=2)
        axes.annotate("preferred, nats", (0.02, 1.0), xycoords="axes fraction", ha="left", va="top", color=INK)
        axes.annotate("both fell", (0.02, 0.02), xycoords="axes fraction", ha="left", va="bottom", color=INK)

    fell = sum(point.y < 0 for point in points) / len(points)
    ahead = sum(point.y > point.x for point in points) / len(points)
    says = (
        f"Of {len(points):,} pairs, the preferred answer gained more than the rejected one in "
        f"{100 * ahead:.0f}{SPACE}% and became less likely in {100 * fell:.0f}{SPACE}%."
    )
    svg = draw(paint, name=name, label=f"Preferred against rejected answers. {says}", width=WIDTH, height=HEIGHT)
    return Plot("", svg, "", owner=model, says=says)


def _margin_histograms(results: Sequence[EvalResult], models: Mapping[str, ModelStyle], name: str) -> list[Plot]:
    """Each model's margins on held-out pairs."""
    plots = []
    for result in results:
        model = models[result.model]
        plot = margin_histogram(result.series.get("margin", ()), model, name=f"{name}-margins{model.number}")
        if plot:
            plots.append(plot)
    return plots


def _state_scatters(results: Sequence[EvalResult], models: Mapping[str, ModelStyle], name: str) -> list[Plot]:
    """Each model's states along their two widest directions, marked by the answer's style."""
    return [
        _state_scatter(points, models[result.model], name=f"{name}-states{models[result.model].number}")
        for result in results
        if (points := _points_by_style(result))
    ]


def _state_scatter(points: Mapping[int, Sequence[ScatterPoint]], model: ModelStyle, *, name: str) -> Plot:
    """One model's states."""

    def paint(axes: Axes) -> None:
        for style, places in sorted(points.items()):
            _dots(axes, thinned(places), colour_of(PALETTE[style % len(PALETTE)]), MARKS[style % len(MARKS)])
        axes.set_xticks([])
        axes.set_yticks([])

    count = sum(map(len, points.values()))
    label = f"{count:,} answers in {len(points)} styles, along the two widest directions of the model\u2019s states."
    svg = draw(paint, name=name, label=label, width=WIDTH, height=HEIGHT, left=14)
    return Plot("", svg, "", owner=model)


def _points_by_style(result: EvalResult) -> dict[int, list[ScatterPoint]]:
    """The states of a result by the answer's style; empty if it has none."""
    points: dict[int, list[ScatterPoint]] = {}
    if {"x", "y", "style"} <= result.series.keys():
        for x, y, style in zip(*(result.series[key] for key in ("x", "y", "style")), strict=True):
            if math.isfinite(x) and math.isfinite(y) and math.isfinite(style):
                points.setdefault(max(0, int(style)), []).append(ScatterPoint(x, y))
    return points


def _answer_style_marks(results: Sequence[EvalResult]) -> tuple[ModelStyle, ...]:
    """The legend of the answers' styles, by the names that the table of distances gives them."""
    styles = sorted({style for result in results for style in _points_by_style(result)})
    tables = (matrix for result in results for matrix in result.matrices if matrix.name == "distance between styles")
    names = next((table.rows for table in tables), [])
    return tuple(
        ModelStyle(
            names[style] if style < len(names) else f"style {style + 1}",
            PALETTE[style % len(PALETTE)],
            MARKS[style % len(MARKS)],
            "-",
            0,
        )
        for style in styles
    )


def range_of(values: Sequence[float]) -> AxisRange | None:
    """A range that contains zero and nearly all values; one percent at either end may be outside.

    Example:
        >>> range_of([float("nan")]) is None
        True
    """
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return None
    edge = len(finite) // 100
    low, high = min(0.0, finite[edge]), max(0.0, finite[-1 - edge])
    room = 0.06 * ((high - low) or 1.0)
    return AxisRange(low - room, high + room)


def thinned(points: Sequence[ScatterPoint]) -> list[ScatterPoint]:
    """At most `MOST_POINTS` of the points, taken at equal steps."""
    step = max(1, math.ceil(len(points) / MOST_POINTS))
    return list(points[::step])


def _dots(axes: Axes, places: Sequence[ScatterPoint], colour: str, mark: str) -> None:
    """Small translucent marks, so that overlapping ones remain visible."""
    axes.plot(*zip(*places, strict=True), color=colour, marker=mark, markersize=3.6, markeredgewidth=0,
              linestyle="none", alpha=0.62)  # fmt: skip


def _crossed(axes: Axes, span: AxisRange) -> None:
    """Both axes with the same range, and lines through zero."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.grid(visible=False)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.axvline(0, color=INK, linewidth=0.8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value, 0 if span.high - span.low > 5 else 2)))
    axes.set_xlim(span.low, span.high)
    axes.set_ylim(span.low, span.high)
