"""What a reward costs in divergence: models and checkpoints by how far they moved and what they gained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tropism.records import Estimate, Measure, Probe
from tropism.reporting.figures.plots import Plot
from tropism.reporting.figures.svg import BASE, INK, colour_of, draw
from tropism.reporting.measured_changes import MeasuredChange
from tropism.reporting.model_styles import ModelStyle
from tropism.reporting.numbers import Unit, interval_text, plain, value_text
from tropism.reporting.page_records import PageRecords, TrainedRun

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

REWARDS = ("win_rate.rate", "preference.pair_accuracy", "win_rate.judge_score")
"""What training is for; a frontier is drawn for the first that several models have."""
DIVERGENCE = "drift.kl"
PROBE_DIVERGENCE, PROBE_ACCURACY = "kl", "pair_accuracy"
"""The same in the probes of checkpoints."""
TICKS = (0, 0.1, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10000, 100000)
"""Of the axis of divergence, whose scale is its square root, after Gao et al. 2022, arXiv:2210.10760, section 3."""
MOST_FRONTIERS = 2
FEWEST_CHECKPOINTS = 3


class FrontierPoint(NamedTuple):
    """A model or a checkpoint in the plane of divergence and reward."""

    model: ModelStyle
    kl: Estimate
    reward: Estimate
    step: int | None = None
    is_kept: bool = False


class FrontierLine(NamedTuple):
    """A point as text; `step` is empty for a model."""

    model: ModelStyle
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
    lines: list[FrontierLine]


def frontiers_of(
    changes: Sequence[MeasuredChange], models: Mapping[str, ModelStyle], records: PageRecords
) -> list[Frontier]:
    """The frontiers over models, then that over the checkpoints of the runs' last stages."""
    found: list[Frontier] = []
    for reward in REWARDS:
        points = _points_of(changes, models, reward)
        compared = {point.model for point in points if point.model.number}
        if len(compared) > 1 and len(found) < MOST_FRONTIERS:
            measure = next(change.measure for change in changes if change.key == reward)
            found.append(_over_models(points, measure, name=f"frontier{len(found)}", with_reading=not found))
    paths = [points for run in records.runs if len(points := _checkpoints_of(run, models)) >= FEWEST_CHECKPOINTS]
    return found + ([_over_checkpoints(paths, name="checkpoints")] if paths else [])


def _points_of(changes: Sequence[MeasuredChange], models: Mapping[str, ModelStyle], reward: str) -> list[FrontierPoint]:
    """The models for which both numbers were measured."""
    known = {(change.key, change.model): change.after for change in changes}
    return [
        FrontierPoint(model, known[DIVERGENCE, name], known[reward, name])
        for name, model in models.items()
        if (DIVERGENCE, name) in known and (reward, name) in known
    ]


def _checkpoints_of(run: TrainedRun, models: Mapping[str, ModelStyle]) -> list[FrontierPoint]:
    """The probes of a run's last stage that measured both numbers."""
    if not run.run.stages:
        return []
    stage = run.run.stages[-1]
    return checkpoint_points(stage.probes, models[run.name], stage.chosen_step)


def checkpoint_points(probes: Sequence[Probe], model: ModelStyle, chosen: int | None) -> list[FrontierPoint]:
    """The probes that measured both numbers; `chosen` is the step that was kept."""
    return [
        FrontierPoint(
            model,
            probe.metrics[PROBE_DIVERGENCE],
            probe.metrics[PROBE_ACCURACY],
            probe.step,
            probe.step == chosen,
        )
        for probe in probes
        if {PROBE_DIVERGENCE, PROBE_ACCURACY} <= probe.metrics.keys()
    ]


def best_of(points: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    """The points that no other exceeds at the same or less divergence, by value alone; ordered by divergence.

    Example:
        >>> from tropism.reporting.model_styles import styles_of
        >>> one = lambda value: Estimate(value=value, low=value, high=value, n=9)
        >>> model = styles_of(["a"])["a"]
        >>> found = best_of([FrontierPoint(model, one(kl), one(r)) for kl, r in ((1, 0.6), (2, 0.5), (3, 0.7))])
        >>> [point.kl.value for point in found]
        [1.0, 3.0]
    """
    best: list[FrontierPoint] = []
    for point in sorted(points, key=lambda point: (point.kl.value, -point.reward.value)):
        if not best or point.reward.value > best[-1].reward.value:
            best.append(point)
    return best


def _over_models(points: Sequence[FrontierPoint], measure: Measure, *, name: str, with_reading: bool) -> Frontier:
    """One point for each model, with both intervals and the line through those that no other exceeds."""
    unit, start = measure.unit, measure.baseline
    best = [point for point in best_of(points) if start is None or point.reward.value > start or not point.kl.value]

    def paint(axes: Axes) -> None:
        line = [(point.kl.value, point.reward.value) for point in best]
        if start is not None:
            axes.plot([0], [start], color=BASE, marker="o", markersize=6)
            axes.annotate("start", (0, start), (7, -4), textcoords="offset points", va="top")
            line.insert(0, (0.0, start))
        axes.plot(*zip(*line, strict=True), color=INK, linewidth=1, dashes=(3, 3))
        for point in points:
            _crossed_point(axes, point)
        _both_axes(axes, unit)

    says = "; ".join(
        f"number {point.model.number} at {plain(point.kl.value, 1)} nats and {value_text(point.reward, unit)}"
        for point in points
    )
    reading = (
        "Right is farther from the start, up is more of what was wanted; crosses are 95 % intervals. The dashed line "
        "joins the models that no other exceeds at the same or less divergence (bold in the table)."
    )
    svg = draw(paint, name=name, label=f"{measure.label} against divergence: {says}.", width=400, height=280)
    lines = [_line(point, unit, is_best=point in best) for point in points]
    models = tuple(point.model for point in points)
    return Frontier(
        Plot(f"{measure.label} against KL", svg, reading if with_reading else "", models=models), measure.label, lines
    )


def _over_checkpoints(paths: Sequence[Sequence[FrontierPoint]], *, name: str) -> Frontier:
    """A line for each run through its checkpoints, from the start on."""

    def paint(axes: Axes) -> None:
        axes.axhline(0.5, color=INK, linewidth=1, dashes=(3, 3))
        for points in paths:
            model = points[0].model
            colour = colour_of(model.colour)
            x, y = [point.kl.value for point in points], [point.reward.value for point in points]
            axes.plot(x, y, color=colour, linewidth=1.4, linestyle=model.dash, marker=model.mark, markersize=4)
            for point in points:
                _bars(axes, point, colour, width=1)
            last = next((point for point in points if point.is_kept), points[-1])
            says = str(model.number) if len(paths) > 1 else f"step {last.step}"
            place = (last.kl.value, last.reward.value)
            axes.annotate(says, place, (7, 5), textcoords="offset points", color=colour, weight="bold")
        _both_axes(axes, "share")

    says = "; ".join(
        f"number {points[0].model.number} {value_text(points[-1].reward, 'share')} at "
        f"{plain(points[-1].kl.value, 1)} nats after step {points[-1].step}"
        for points in paths
    )
    reading = (
        "Each mark is a checkpoint, measured on a few held-out pairs and prompts while training ran; the label is at "
        "the one that was kept. A line that goes right without going up moves away from the start and gains nothing."
    )
    label = f"Pair accuracy against divergence over checkpoints: {says}."
    svg = draw(paint, name=name, label=label, width=400, height=280)
    lines = [_line(point, "share", is_best=point.is_kept) for points in paths for point in points]
    models = tuple(points[0].model for points in paths) if len(paths) > 1 else ()
    return Frontier(
        Plot("Pair accuracy against KL during training", svg, reading, models=models), "Pair accuracy", lines
    )


def _crossed_point(axes: Axes, point: FrontierPoint) -> None:
    """A mark with both intervals and its model's number."""
    colour = colour_of(point.model.colour)
    _bars(axes, point, colour)
    place = (point.kl.value, point.reward.value)
    axes.plot(*([value] for value in place), color=colour, marker=point.model.mark, markersize=7)
    if point.model.number:
        says = str(point.model.number)
        axes.annotate(says, place, (7, 5), textcoords="offset points", color=colour, weight="bold")


def _bars(axes: Axes, point: FrontierPoint, colour: str, *, width: float = 2) -> None:
    """The intervals of both numbers, if they are finite."""
    kl, reward = point.kl, point.reward
    if math.isfinite(kl.low) and math.isfinite(kl.high):
        axes.plot([max(0.0, kl.low), kl.high], [reward.value] * 2, color=colour, linewidth=width, alpha=0.35)
    if math.isfinite(reward.low) and math.isfinite(reward.high):
        axes.plot([kl.value] * 2, [reward.low, reward.high], color=colour, linewidth=width, alpha=0.35)


def _both_axes(axes: Axes, unit: Unit) -> None:
    """Numbers on both axes, in percent if the reward is a share."""
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
    """The square root of a value's size, with its sign."""
    import numpy as np

    return np.sign(values) * np.sqrt(np.abs(values))


def _square(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `_root`."""
    import numpy as np

    return np.sign(values) * np.square(values)


def _line(point: FrontierPoint, unit: Unit, *, is_best: bool) -> FrontierLine:
    """A point as a line of the table."""
    counts = dict.fromkeys(f"{one.n:,}" for one in (point.kl, point.reward))
    return FrontierLine(
        point.model,
        "" if point.step is None else f"{point.step:,}",
        value_text(point.kl, "number"),
        interval_text(point.kl, "number"),
        value_text(point.reward, unit),
        interval_text(point.reward, unit),
        " / ".join(counts),
        is_best,
    )
