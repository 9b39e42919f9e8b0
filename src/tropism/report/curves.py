"""What a stage's log says over time: training curves, and where the probability of winners and losers went."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from markupsafe import Markup

from tropism.records import StepLog
from tropism.report.numbers import compact
from tropism.report.plots import Plot
from tropism.report.svg import AFTER, BEFORE, INK, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Of = TypeVar("Of")
"""What a line is of: its label, or the look of a run."""

MOST_POINTS = 240
"""A longer log is shown as means of neighbouring steps."""

FEWEST_FOR_MEAN = 40
"""A shorter line has no running mean."""


class Panel(NamedTuple):
    """What a curve figure shows: the keys of the log, in its words."""

    title: str
    keys: tuple[tuple[str, str], ...]
    reading: str
    percent: bool = False
    baseline: float | None = None
    noisy: bool = True


TRAINING = (
    Panel("Loss", (("loss", ""),), "What training pushes down. It should fall, fast at first, and then level off."),
    Panel(
        "Pair accuracy",
        (("pair_accuracy", ""),),
        "How often the model sides with people on the pairs it is training on. The line at 50 % is a coin toss.",
        percent=True,
        baseline=0.5,
    ),
    Panel(
        "Margin",
        (("margin", ""),),
        "How far training has moved preferred answers ahead of rejected ones, in nats. Above 0 is the right side.",
        baseline=0.0,
    ),
    Panel(
        "Gradient norm",
        (("grad_norm", ""),),
        "How hard each step pulls at the model. Sudden peaks are a sign of unstable training.",
    ),
    Panel(
        "Learning rate",
        (("learning_rate", ""),),
        "How large a step is allowed to be. It follows the plan of the recipe.",
        noisy=False,
    ),
    Panel(
        "Length of the answers it learns from",
        (("winner_length", "preferred answers"), ("loser_length", "rejected answers")),
        "In tokens, which are pieces of words. Where one kind is longer, the model may learn length instead of taste.",
    ),
)

DISPLACEMENT = (
    Panel(
        "Change against the reference",
        (("winners_logp_change", "preferred answers"), ("losers_logp_change", "rejected answers")),
        "How much more (above 0) or less (below 0) likely the answers became, in nats per answer. The gap between the "
        "lines is what training rewards. Where both fall, the model gives up the preferred answers too, and the "
        "probability goes to answers that nobody has compared.",
        baseline=0.0,
    ),
    Panel(
        "Log-probability itself",
        (("winners_logp", "preferred answers"), ("losers_logp", "rejected answers")),
        "How likely the model finds each kind of answer, in nats per answer. Longer answers are less likely, so "
        "compare a line with its own beginning.",
    ),
    Panel(
        "Drift per token",
        (("reference_gap", ""),),
        "How far the model has moved from the reference on these answers, in nats per token. A line that runs away "
        "from 0 means that it is leaving what it knew.",
        baseline=0.0,
    ),
)


class Series(NamedTuple):
    """One line: steps and values, thinned for drawing, and the last value as it was logged."""

    steps: list[float]
    values: list[float]
    first: float
    last: float


def training_plots(log: Sequence[StepLog], *, name: str) -> list[Plot]:
    """The curves of one stage, as far as its log has them."""
    return _drawn(TRAINING, log, name=name)


def displacement_plots(log: Sequence[StepLog], *, name: str) -> list[Plot]:
    """Where the probability of winners and losers went in one stage."""
    return _drawn(DISPLACEMENT, log, name=name)


def series(log: Sequence[StepLog], key: str) -> Series | None:
    """The finite values of one key, as at most `MOST_POINTS` means; None where there is none."""
    points = [(line.step, line.values[key]) for line in log if math.isfinite(line.values.get(key, math.nan))]
    if not points:
        return None
    block = _block(len(points))
    parts = [points[i : i + block] for i in range(0, len(points), block)]
    steps, values = ([sum(point[axis] for point in part) / len(part) for part in parts] for axis in (0, 1))
    return Series(steps, values, points[0][1], points[-1][1])


def over_steps(
    panel: Panel, lines: Mapping[Of, Series], paint: Callable[[Axes, Of, Series], None], *, name: str, label: str
) -> Markup:
    """One panel: its baseline, its lines, and the axes that every panel over training steps has.

    Args:
        panel: what is shown.
        lines: each with what it is of.
        paint: draws one of them.
        name: prefix of the ids inside, different for every figure of a page.
        label: what the figure shows, for those who cannot see it.
    """

    def paint_all(axes: Axes) -> None:
        if panel.baseline is not None:
            axes.axhline(panel.baseline, color=INK, linewidth=1, dashes=(3, 3))
        for of, line in lines.items():
            paint(axes, of, line)
        _axes(axes, panel, sorted({step for line in lines.values() for step in line.steps}))

    return draw(paint_all, name=name, label=label, width=320, height=210)


def line_note(log: Sequence[StepLog]) -> str:
    """What the thin and the thick lines of a stage's curves are; nothing where the log is short."""
    block = _block(len(log))
    if len(log) < FEWEST_FOR_MEAN:
        return ""
    thin = "what was logged" if block == 1 else f"the mean of every {block} logged steps"
    return f"Where there are two lines of one colour, the thin one is {thin}, the thick one its running mean."


def smooth(values: Sequence[float]) -> list[float]:
    """A running mean over about a tenth of the values, one-sided at both ends.

    Example:
        >>> smooth([0.0, 3.0, 0.0])
        [0.0, 3.0, 0.0]
    """
    reach = len(values) // 20
    parts = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [sum(part) / len(part) for part in parts]


def _block(num_points: int) -> int:
    """How many neighbouring steps make one point."""
    return math.ceil(num_points / MOST_POINTS)


def _drawn(panels: Sequence[Panel], log: Sequence[StepLog], *, name: str) -> list[Plot]:
    """The panels that the log has something for."""
    plots = []
    for panel in panels:
        lines = {label: found for key, label in panel.keys if (found := series(log, key))}
        if lines:
            plots.append(_curves(panel, lines, name=f"{name}-{panel.keys[0][0].replace('_', '-')}"))
    return plots


def _curves(panel: Panel, lines: dict[str, Series], *, name: str) -> Plot:
    """One panel of curves over the steps."""
    last_label = panel.keys[-1][1]
    colours = {label: BEFORE if len(panel.keys) > 1 and label == last_label else AFTER for label in lines}

    def paint(axes: Axes, label: str, line: Series) -> None:
        _line(axes, line, colours[label], mean=panel.noisy and len(line.values) >= FEWEST_FOR_MEAN)

    says = [
        f"{label + ' ' if label else ''}{compact(line.first)} at first, {compact(line.last)} at last"
        for label, line in lines.items()
    ]
    label = f"{panel.title} over training steps: {'; '.join(says)}."
    legend = tuple((label, "before" if colours[label] == BEFORE else "after") for label in lines if label)
    return Plot(panel.title, over_steps(panel, lines, paint, name=name, label=label), panel.reading, legend)


def _line(axes: Axes, line: Series, colour: str, *, mean: bool) -> None:
    """One line with its running mean; a single value is a dot. The neutral colour is dashed, for print."""
    style = "--" if colour == BEFORE else "-"
    if len(line.values) == 1:
        axes.plot(line.steps, line.values, color=colour, marker="o", markersize=5)
    elif not mean:
        axes.plot(line.steps, line.values, color=colour, linewidth=1.8, linestyle=style)
    else:
        axes.plot(line.steps, line.values, color=colour, linewidth=0.8, alpha=0.35)
        axes.plot(line.steps, smooth(line.values), color=colour, linewidth=2, linestyle=style)


def _axes(axes: Axes, panel: Panel, steps: Sequence[float]) -> None:
    """Whole steps below, where a single one stands alone; the panel's scale on the left."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if len(steps) == 1:
        axes.set_xticks(steps)
    axes.set_xlabel("step", labelpad=2)
    if panel.percent:
        axes.set_ylim(0, 1.02)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    else:
        axes.locator_params(axis="y", nbins=5)
