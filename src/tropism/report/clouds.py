"""Figures of single items: where winners and losers went, where styles and contents lie, how margins are spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tropism.records import EvalResult
from tropism.report.looks import MARKS, Look
from tropism.report.numbers import SPACE, plain
from tropism.report.plots import Plot, PlotGroup, margin_histogram
from tropism.report.svg import INK, MODELS, colour_of, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 300
"""More points than this are thinned, evenly; they would only hide one another."""
WIDTH, HEIGHT = 250, 240
MOST_UNLIKE = 4
"""How many times farther one model may have moved for all to share their axes."""


PALETTE = ("before", *MODELS)
"""Colours of styles."""
DISPLACEMENT = (
    "One dot is a held-out pair. Up is how much likelier the preferred answer became, right the same of the rejected "
    "one. Above the dashed line the preferred one moved ahead. Dots at the lower left lost both, to answers that "
    "nobody compared. Mind the axes: models that moved unlike far have scales of their own."
)
MARGINS = (
    "One bar counts held-out pairs by how far training moved the preferred answer ahead of the rejected one; below "
    "zero the model moved the wrong way. The farthest one percent is drawn in the outermost bars."
)
STYLES = (
    "One mark is one answer in one style, placed by the two widest directions of the model\u2019s states. Where marks "
    "of a kind gather, the model sees the form first; where they mix, it sees the content."
)


class Place(NamedTuple):
    """A point of a cloud."""

    x: float
    y: float


class Span(NamedTuple):
    """The stretch of both axes that all models' clouds of one kind share."""

    low: float
    high: float


def clouds_of(results: Sequence[EvalResult], looks: Mapping[str, Look], *, name: str) -> list[PlotGroup]:
    """The figures that results of one eval have series for.

    Args:
        results: of one eval.
        looks: of the models.
        name: prefix of the ids in the figures.
    """
    groups = (
        PlotGroup("Preferred against rejected answers", DISPLACEMENT, (), displacement_clouds(results, looks, name)),
        PlotGroup("Margins on held-out pairs", MARGINS, (), margin_histograms(results, looks, name)),
        PlotGroup("Styles and contents", STYLES, style_looks(results), style_clouds(results, looks, name)),
    )
    return [group for group in groups if group.plots]


def displacement_clouds(results: Sequence[EvalResult], looks: Mapping[str, Look], name: str) -> list[Plot]:
    """Each model's winners and losers, a dot for each held-out pair.

    All share their axes, unless one model moved so much farther that the others would be a single blot.
    """
    moved: dict[str, list[Place]] = {}
    for result in results:
        if {"winner_change", "loser_change"} <= result.series.keys():
            pairs = zip(result.series["loser_change"], result.series["winner_change"], strict=True)
            moved[result.model] = [Place(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]
    own = {model: span for model, places in moved.items() if (span := span_of([one for at in places for one in at]))}
    if not own:
        return []
    shared = Span(min(span.low for span in own.values()), max(span.high for span in own.values()))
    widths = [span.high - span.low for span in own.values()]
    is_shared = max(widths) <= MOST_UNLIKE * min(widths)
    return [
        displacement_cloud(
            moved[model], looks[model], shared if is_shared else span, name=f"{name}-cloud{looks[model].number}"
        )
        for model, span in own.items()
    ]


def displacement_cloud(places: Sequence[Place], look: Look, span: Span, *, name: str) -> Plot:
    """One model's cloud, with what it comes to."""

    def paint(axes: Axes) -> None:
        _crossed(axes, span)
        axes.plot([span.low, span.high], [span.low, span.high], color=INK, linewidth=1, dashes=(3, 3))
        _dots(axes, thinned(places), colour_of(look.colour), look.mark)
        axes.set_xlabel("rejected, nats", labelpad=2)
        axes.annotate("preferred, nats", (0.02, 1.0), xycoords="axes fraction", ha="left", va="top", color=INK)
        axes.annotate("both fell", (0.02, 0.02), xycoords="axes fraction", ha="left", va="bottom", color=INK)

    fell = sum(place.y < 0 for place in places) / len(places)
    ahead = sum(place.y > place.x for place in places) / len(places)
    says = (
        f"Of {len(places):,} pairs, the preferred answer moved ahead in {100 * ahead:.0f}{SPACE}% and became less "
        f"likely in {100 * fell:.0f}{SPACE}%."
    )
    svg = draw(paint, name=name, label=f"Preferred against rejected answers. {says}", width=WIDTH, height=HEIGHT)
    return Plot("", svg, "", owner=look, says=says)


def margin_histograms(results: Sequence[EvalResult], looks: Mapping[str, Look], name: str) -> list[Plot]:
    """Each model's margins on held-out pairs."""
    plots = []
    for result in results:
        look = looks[result.model]
        histogram = margin_histogram(
            result.series.get("margin", ()), name=f"{name}-margins{look.number}", width=WIDTH, height=190
        )
        if histogram:
            plots.append(histogram._replace(title="", reading="", owner=look))
    return plots


def style_clouds(results: Sequence[EvalResult], looks: Mapping[str, Look], name: str) -> list[Plot]:
    """Each model's states on their two widest directions, marked by style."""
    plots = []
    for result in results:
        points = styled(result)
        if points:
            plots.append(style_cloud(points, looks[result.model], name=f"{name}-styles{looks[result.model].number}"))
    return plots


def style_cloud(points: Mapping[int, Sequence[Place]], look: Look, *, name: str) -> Plot:
    """One model's states."""

    def paint(axes: Axes) -> None:
        for style, places in sorted(points.items()):
            colour = PALETTE[style % len(PALETTE)]
            _dots(axes, thinned(places), colour_of(colour), MARKS[style % len(MARKS)])
        axes.set_xticks([])
        axes.set_yticks([])

    count = sum(map(len, points.values()))
    label = f"{count:,} answers in {len(points)} styles, on the two widest directions of the model\u2019s states."
    svg = draw(paint, name=name, label=label, width=WIDTH, height=HEIGHT, left=14)
    return Plot("", svg, "", owner=look)


def styled(result: EvalResult) -> dict[int, list[Place]]:
    """The states of a result by style; nothing where it has none."""
    points: dict[int, list[Place]] = {}
    if {"x", "y", "style"} <= result.series.keys():
        for x, y, style in zip(*(result.series[key] for key in ("x", "y", "style")), strict=True):
            if math.isfinite(x) and math.isfinite(y) and math.isfinite(style):
                points.setdefault(max(0, int(style)), []).append(Place(x, y))
    return points


def style_looks(results: Sequence[EvalResult]) -> tuple[Look, ...]:
    """The styles in all of the clouds, by the names that the table of distances gives them."""
    styles = sorted({style for result in results for style in styled(result)})
    tables = (matrix for result in results for matrix in result.matrices if matrix.name == "distance between styles")
    names = next((table.rows for table in tables), [])
    return tuple(
        Look(
            names[style] if style < len(names) else f"style {style + 1}",
            PALETTE[style % len(PALETTE)],
            MARKS[style % len(MARKS)],
            "-",
            0,
        )
        for style in styles
    )


def span_of(values: Sequence[float]) -> Span | None:
    """A stretch that holds nearly all values and zero; a hundredth at either end may lie outside.

    Example:
        >>> span_of([float("nan")]) is None
        True
    """
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return None
    edge = len(finite) // 100
    low, high = min(0.0, finite[edge]), max(0.0, finite[-1 - edge])
    room = 0.06 * ((high - low) or 1.0)
    return Span(low - room, high + room)


def thinned(places: Sequence[Place]) -> list[Place]:
    """At most `MOST_POINTS` of the places, evenly from their order."""
    step = max(1, math.ceil(len(places) / MOST_POINTS))
    return list(places[::step])


def _dots(axes: Axes, places: Sequence[Place], colour: str, mark: str) -> None:
    """Small marks that show where they lie on one another."""
    axes.plot(*zip(*places, strict=True), color=colour, marker=mark, markersize=3.6, markeredgewidth=0,
              linestyle="none", alpha=0.62)  # fmt: skip


def _crossed(axes: Axes, span: Span) -> None:
    """Both axes alike, with lines through zero."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.grid(visible=False)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.axvline(0, color=INK, linewidth=0.8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value, 0 if span.high - span.low > 5 else 2)))
    axes.set_xlim(span.low, span.high)
    axes.set_ylim(span.low, span.high)
