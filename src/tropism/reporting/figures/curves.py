"""Training curves: what the logs of one or several models' stages say over the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tropism.records import StepLog
from tropism.reporting.figures.plots import Plot
from tropism.reporting.figures.svg import INK, colour_of, draw
from tropism.reporting.model_styles import ModelStyle
from tropism.reporting.numbers import compact

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 240
"""A longer log is drawn as means of neighbouring steps."""
FEWEST_FOR_MEAN = 40
"""A shorter line has no moving average."""
PERCENT_TICKS = ([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])


class Panel(NamedTuple):
    """What a curve figure shows.

    Args:
        title: of the figure.
        keys: keys of the log with their labels; the second one is drawn dashed.
        reading: how to read it.
        percent: whether the values are shares.
        baseline: a value to draw a line at.
        noisy: whether a long line gets a moving average.
    """

    title: str
    keys: tuple[tuple[str, str], ...]
    reading: str
    percent: bool = False
    baseline: float | None = None
    noisy: bool = True


PANELS = (
    Panel("Loss", (("loss", ""),), "What training minimises. Losses of different methods have different scales."),
    Panel(
        "Pair accuracy",
        (("pair_accuracy", ""),),
        "Share of training pairs that the model orders as people did. The line at 50 % is a coin toss.",
        percent=True,
        baseline=0.5,
    ),
    Panel(
        "Margin",
        (("margin", ""),),
        "How much more training has raised preferred answers than rejected ones, in nats. Above 0 is right.",
        baseline=0.0,
    ),
    Panel(
        "Change against the reference",
        (("winners_logp_change", "preferred answers"), ("losers_logp_change", "rejected answers")),
        "How much more (above 0) or less (below 0) likely the answers became, in nats per answer. Training rewards the "
        "gap between the lines. If both fall, the probability goes to answers outside the data.",
        baseline=0.0,
    ),
    Panel(
        "Log-probability",
        (("winners_logp", "preferred answers"), ("losers_logp", "rejected answers")),
        "How likely the model finds each kind of answer, in nats per answer. Longer answers are less likely, so "
        "compare a line with its own beginning.",
    ),
    Panel(
        "Drift per token",
        (("reference_gap", ""),),
        "Change against the reference over all answers, in nats per token.",
        baseline=0.0,
    ),
    Panel(
        "Gradient norm",
        (("grad_norm", ""),),
        "How strongly each step changes the model. Sudden peaks are a sign of unstable training.",
    ),
    Panel("Learning rate", (("learning_rate", ""),), "Size of the steps, as the recipe sets it.", noisy=False),
    Panel(
        "Length of training answers",
        (("winner_length", "preferred answers"), ("loser_length", "rejected answers")),
        "In tokens. If one kind is longer, the model may learn length.",
    ),
)


class Series(NamedTuple):
    """One line: steps and values, thinned for drawing, and the first and last value as they were logged."""

    steps: list[float]
    values: list[float]
    first: float
    last: float


class Line(NamedTuple):
    """A line of a figure: its model, the label of its key, and whether it is dashed."""

    model: ModelStyle
    label: str
    is_dashed: bool
    series: Series


def curve_figures(logs: Mapping[str, Sequence[StepLog]], models: Mapping[str, ModelStyle], *, name: str) -> list[Plot]:
    """A figure for every panel that some log has values for, with a line for each model and key.

    Args:
        logs: of one stage of each model, by the model's name.
        models: their styles.
        name: prefix of the ids in the figures.
    """
    plots = []
    for panel in PANELS:
        lines = [
            Line(models[model], label, place > 0, found)
            for model, log in logs.items()
            for place, (key, label) in enumerate(panel.keys)
            if (found := series(log, key))
        ]
        if lines:
            plots.append(_figure(panel, lines, name=f"{name}-{panel.keys[0][0].replace('_', '-')}"))
    return plots


def series(log: Sequence[StepLog], key: str) -> Series | None:
    """The finite values of one key, as at most `MOST_POINTS` means; None if there is none."""
    points = [(line.step, line.values[key]) for line in log if math.isfinite(line.values.get(key, math.nan))]
    if not points:
        return None
    block = math.ceil(len(points) / MOST_POINTS)
    parts = [points[i : i + block] for i in range(0, len(points), block)]
    steps, values = ([sum(point[axis] for point in part) / len(part) for part in parts] for axis in (0, 1))
    return Series(steps, values, points[0][1], points[-1][1])


def _smooth(values: Sequence[float]) -> list[float]:
    """A moving average over about a tenth of the values, one-sided at both ends.

    Example:
        >>> _smooth([0.0, 3.0, 0.0])
        [0.0, 3.0, 0.0]
    """
    reach = len(values) // 20
    parts = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [sum(part) / len(part) for part in parts]


def _figure(panel: Panel, lines: Sequence[Line], *, name: str) -> Plot:
    """One panel."""
    models = tuple(dict.fromkeys(line.model for line in lines))

    def paint(axes: Axes) -> None:
        if panel.baseline is not None:
            axes.axhline(panel.baseline, color=INK, linewidth=1, dashes=(3, 3))
        for line in lines:
            _draw_line(axes, line, mean=panel.noisy and len(line.series.values) >= FEWEST_FOR_MEAN)
        _axes(axes, panel, sorted({step for line in lines for step in line.series.steps}))

    says = [
        " ".join(part for part in (str(line.model.number) if len(models) > 1 else "", line.label) if part)
        + f" {compact(line.series.first)} at first, {compact(line.series.last)} at last"
        for line in lines
    ]
    label = f"{panel.title} over training steps: {'; '.join(one.strip() for one in says)}."
    legend = tuple(dict.fromkeys((line.label, "dashed" if line.is_dashed else "") for line in lines if line.label))
    svg = draw(paint, name=name, label=label, width=320, height=210)
    return Plot(panel.title, svg, panel.reading, legend, models if len(models) > 1 else ())


def _draw_line(axes: Axes, line: Line, *, mean: bool) -> None:
    """One line with its moving average; a single value is a point."""
    colour, style = colour_of(line.model.colour), "--" if line.is_dashed else "-"
    steps, values = line.series.steps, line.series.values
    if mean:
        axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.3)
        values = _smooth(values)
    axes.plot(steps, values, color=colour, linewidth=1.8, linestyle=style)
    axes.plot(steps[-1:], values[-1:], color=colour, marker=line.model.mark, markersize=5, linestyle="none")


def _axes(axes: Axes, panel: Panel, steps: Sequence[float]) -> None:
    """Whole steps below, even if there is only one; the panel's scale on the left."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if len(steps) == 1:
        axes.set_xticks(steps)
    axes.set_xlabel("step", labelpad=2)
    if panel.percent:
        axes.set_ylim(0, 1.02)
        axes.set_yticks(*PERCENT_TICKS)
    else:
        axes.locator_params(axis="y", nbins=5)
