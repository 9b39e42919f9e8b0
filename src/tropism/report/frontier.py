"""What a reward costs in divergence: models and checkpoints by how far they moved and what they gained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tropism.records import Estimate, Probe
from tropism.report.dossier import Dossier
from tropism.report.entries import RUNS_OWN, Entry
from tropism.report.looks import Look
from tropism.report.metrics import metric_of
from tropism.report.numbers import Unit, interval_text, plain, value_text
from tropism.report.plots import Plot
from tropism.report.svg import AFTER, BEFORE, INK, colour_of, draw

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


class Reward(NamedTuple):
    """What may be bought with divergence: names of both in an eval, the reward in words, and the start's reward."""

    eval_reward: tuple[str, str]
    eval_kl: tuple[str, str]
    title: str
    unit: Unit
    at_start: float | None


REWARDS = (
    Reward(("win_rate", "rate"), ("drift", "kl"), "Win rate", "share", 0.5),
    Reward(("preference", "pair_accuracy"), ("drift", "kl"), "Pair accuracy", "share", 0.5),
    Reward(("win_rate", "judge_score"), ("drift", "kl"), "Judge\u2019s score", "number", None),
    Reward((RUNS_OWN, "win_rate"), (RUNS_OWN, "kl"), "Win rate", "share", 0.5),
    Reward((RUNS_OWN, "pair_accuracy"), (RUNS_OWN, "kl"), "Pair accuracy", "share", 0.5),
    Reward((RUNS_OWN, "judge_score"), (RUNS_OWN, "kl"), "Judge\u2019s score", "number", None),
)
TICKS = (0, 0.1, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10000, 100000)
"""Of the axis of divergence, whose scale is its square root, after Gao et al. 2022, arXiv:2210.10760, section 3."""
MOST_FRONTIERS = 2
"""Of the rewards, the first that several models have."""


class Point(NamedTuple):
    """Where a model or a checkpoint stands."""

    look: Look | None
    kl: Estimate
    reward: Estimate
    step: int | None = None
    is_kept: bool = False


class PointLine(NamedTuple):
    """A point as text."""

    look: Look | None
    step: str
    kl: str
    kl_interval: str
    reward: str
    reward_interval: str
    num_samples: str
    is_best: bool


class Frontier(NamedTuple):
    """A figure with the table of its numbers; `reward` is the column's title."""

    plot: Plot
    reward: str
    lines: list[PointLine]


def frontiers_of(entries: Sequence[Entry], looks: Mapping[str, Look], dossier: Dossier) -> list[Frontier]:
    """The frontiers over models, then that over the checkpoints of their last stages."""
    found: list[Frontier] = []
    for place, reward in enumerate(REWARDS):
        points = points_of(entries, looks, reward)
        if len(points) > 1 and len(found) < MOST_FRONTIERS:
            one = over_models(points, reward, name=f"frontier{place}")
            found.append(one if not found else one._replace(plot=one.plot._replace(reading="")))
    paths = {
        run.name: checkpoint_points(run.run.stages[-1].probes, looks[run.name], run.run.stages[-1].chosen_step)
        for run in dossier.runs
        if run.run.stages
    }
    checkpoints = [points for points in paths.values() if len(points) > 2]
    return found + ([over_checkpoints(checkpoints, name="checkpoints")] if checkpoints else [])


def run_frontier(probes: Sequence[Probe], chosen: int | None, *, name: str) -> Frontier | None:
    """The frontier over one stage's checkpoints; None where too little was probed."""
    points = checkpoint_points(probes, None, chosen)
    return over_checkpoints([points], name=name) if len(points) > 2 else None


def points_of(entries: Sequence[Entry], looks: Mapping[str, Look], reward: Reward) -> list[Point]:
    """The models that have both numbers; the base is where divergence is nothing."""
    known = {((entry.eval, entry.row.name), entry.model): entry.row.after for entry in entries}
    return [
        Point(look, known[reward.eval_kl, name], known[reward.eval_reward, name])
        for name, look in looks.items()
        if all((key, name) in known for key in (reward.eval_kl, reward.eval_reward))
    ]


def checkpoint_points(probes: Sequence[Probe], look: Look | None, chosen: int | None) -> list[Point]:
    """The probes that measured both numbers."""
    return [
        Point(look, probe.metrics["kl"], probe.metrics["pair_accuracy"], probe.step, probe.step == chosen)
        for probe in probes
        if {"kl", "pair_accuracy"} <= probe.metrics.keys()
    ]


def best_of(points: Sequence[Point]) -> list[Point]:
    """The points that none beats at no more divergence, by their values alone; in the order of divergence.

    Example:
        >>> one = lambda value: Estimate(value=value, low=value, high=value, n=9)
        >>> found = best_of([Point(None, one(kl), one(reward)) for kl, reward in ((1, 0.6), (2, 0.5), (3, 0.7))])
        >>> [point.kl.value for point in found]
        [1.0, 3.0]
    """
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.kl.value, -point.reward.value)):
        if not best or point.reward.value > best[-1].reward.value:
            best.append(point)
    return best


def over_models(points: Sequence[Point], reward: Reward, *, name: str) -> Frontier:
    """One point for each model, with both intervals and the line through those that none beats."""
    start = [] if reward.at_start is None else [Point(None, _exact(0.0), _exact(reward.at_start))]
    best = best_of([*start, *points])

    def paint(axes: Axes) -> None:
        if reward.at_start is not None:
            axes.plot([0], [reward.at_start], color=BEFORE, marker="o", markersize=6)
            axes.annotate("start", (0, reward.at_start), (7, -4), textcoords="offset points", va="top")
        places = [(point.kl.value, point.reward.value) for point in best]
        axes.plot(*zip(*places, strict=True), color=INK, linewidth=1, dashes=(3, 3))
        for point in points:
            _crossed_point(axes, point, colour_of(point.look.colour) if point.look else AFTER)
        _both_axes(axes, reward.unit)

    says = "; ".join(
        f"number {point.look.number if point.look else 0} at {plain(point.kl.value, 1)} nats and "
        f"{value_text(point.reward, reward.unit)}"
        for point in points
    )
    reading = (
        "Right is farther from the start, up is more of what was wanted; crosses are 95 % intervals. The dashed line "
        "joins the models that none beats at less divergence (bold in the table). A model below it paid for nothing."
    )
    looks = tuple(point.look for point in points if point.look)
    label = f"{reward.title} against divergence: {says}."
    svg = draw(paint, name=name, label=label, width=400, height=280)
    lines = [_line(point, reward.unit, is_best=point in best) for point in points]
    return Frontier(Plot(f"{reward.title} against KL", svg, reading, looks=looks), reward.title, lines)


def over_checkpoints(paths: Sequence[Sequence[Point]], *, name: str) -> Frontier:
    """A line for each run through its checkpoints, from the start on."""

    def paint(axes: Axes) -> None:
        axes.axhline(0.5, color=INK, linewidth=1, dashes=(3, 3))
        for points in paths:
            look = points[0].look
            colour, mark, dash = (colour_of(look.colour), look.mark, look.dash) if look else (AFTER, "o", "-")
            x, y = [point.kl.value for point in points], [point.reward.value for point in points]
            axes.plot(x, y, color=colour, linewidth=1.4, linestyle=dash, marker=mark, markersize=4)
            for point in points:
                _bars(axes, point, colour, width=1)
            last = next((point for point in points if point.is_kept), points[-1])
            says = str(look.number) if look else f"step {last.step}"
            place = (last.kl.value, last.reward.value)
            axes.annotate(says, place, (7, 5), textcoords="offset points", color=colour, weight="bold")
        _both_axes(axes, "share")

    says = "; ".join(
        f"{_whose(points)}{value_text(points[-1].reward, 'share')} at {plain(points[-1].kl.value, 1)} nats after "
        f"step {points[-1].step}"
        for points in paths
    )
    reading = (
        "Each mark is a checkpoint, measured on a few held-out pairs and prompts while training ran; the number stands "
        "at the one that was kept. A line that goes right without going up moves away from the start and gains nothing."
    )
    looks = tuple(points[0].look for points in paths if points[0].look)
    label = f"Pair accuracy against divergence over checkpoints: {says}."
    svg = draw(paint, name=name, label=label, width=400, height=280)
    lines = [_line(point, "share", is_best=point.is_kept) for points in paths for point in points]
    return Frontier(Plot("Pair accuracy against KL while training", svg, reading, looks=looks), "Pair accuracy", lines)


def _crossed_point(axes: Axes, point: Point, colour: str) -> None:
    """A mark with both intervals, and its model's number beside it."""
    _bars(axes, point, colour)
    mark = point.look.mark if point.look else "o"
    axes.plot([point.kl.value], [point.reward.value], color=colour, marker=mark, markersize=7)
    if point.look and point.look.number:
        place = (point.kl.value, point.reward.value)
        axes.annotate(str(point.look.number), place, (7, 5), textcoords="offset points", color=colour, weight="bold")


def _bars(axes: Axes, point: Point, colour: str, *, width: float = 2) -> None:
    """The intervals of both numbers, as far as they are finite."""
    kl, reward = point.kl, point.reward
    if math.isfinite(kl.low) and math.isfinite(kl.high):
        axes.plot([max(0.0, kl.low), kl.high], [reward.value] * 2, color=colour, linewidth=width, alpha=0.35)
    if math.isfinite(reward.low) and math.isfinite(reward.high):
        axes.plot([kl.value] * 2, [reward.low, reward.high], color=colour, linewidth=width, alpha=0.35)


def _both_axes(axes: Axes, unit: Unit) -> None:
    """Numbers on both axes, in percent where the reward is a share."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
    if unit == "share":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    farthest = max(axes.get_xlim()[1], 1.0)
    axes.set_xscale("function", functions=(_root, _square))
    ticks = [tick for tick in TICKS if tick <= farthest]
    shown = [tick for tick in ticks if tick == 0 or tick >= farthest / 60]
    axes.set_xticks(shown, [f"{tick:,g}" for tick in shown])
    axes.minorticks_off()
    axes.set_xlabel("KL from the start, nats per answer (root scale)", labelpad=2)
    axes.margins(0.1)
    axes.set_xlim(-0.0005 * farthest, 1.12 * farthest)


def _root(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square roots; below zero, of the size."""
    import numpy as np

    return np.sign(values) * np.sqrt(np.abs(values))


def _square(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The way back."""
    import numpy as np

    return np.sign(values) * np.square(values)


def _exact(value: float) -> Estimate:
    """What is so by definition."""
    return Estimate(value=value, low=value, high=value, n=0)


def _whose(points: Sequence[Point]) -> str:
    """Whose checkpoints they are, by number."""
    look = points[0].look
    return f"number {look.number} " if look else ""


def _line(point: Point, unit: Unit, *, is_best: bool) -> PointLine:
    """A point as a line of the table."""
    counts = dict.fromkeys(f"{one.n:,}" for one in (point.kl, point.reward))
    return PointLine(
        point.look,
        "" if point.step is None else f"{point.step:,}",
        value_text(point.kl, metric_of("kl").unit),
        interval_text(point.kl, "number"),
        value_text(point.reward, unit),
        interval_text(point.reward, unit),
        " / ".join(counts),
        is_best,
    )
