"""Training curves of several runs on one another, and what sets their recipes apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tropism.report.curves import FEWEST_FOR_MEAN, Panel, Series, over_steps, series, smooth
from tropism.report.dossier import TrainedRun
from tropism.report.looks import Look
from tropism.report.numbers import MISSING, compact
from tropism.report.plots import Plot
from tropism.report.svg import colour_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = (
    Panel("Loss", (("loss", ""),), "What training pushes down. Losses of different methods have different scales."),
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
        "How far training has moved preferred answers ahead of rejected ones, in nats.",
        baseline=0.0,
    ),
    Panel(
        "Preferred answers",
        (("winners_logp_change", ""),),
        "How much more (above 0) or less (below 0) likely they became, in nats per answer.",
        baseline=0.0,
    ),
    Panel(
        "Rejected answers",
        (("losers_logp_change", ""),),
        "The same of the answers that lost. They should fall below the preferred ones.",
        baseline=0.0,
    ),
    Panel("Gradient norm", (("grad_norm", ""),), "How hard each step pulls at the model."),
)
LEFT_ALONE = ("output",)
"""Keys of a recipe that always differ and mean nothing."""


class Difference(NamedTuple):
    """A setting that not all runs share: its key, and each run's value."""

    key: str
    values: list[str]


def overlaid(runs: Sequence[TrainedRun], looks: Mapping[str, Look]) -> list[Plot]:
    """A figure for each monitor that a run's last stage logged, with a line for each run."""
    plots = []
    for panel in PANELS:
        lines: dict[str, Series] = {}
        for run in runs:
            if run.run.stages:
                found = series(run.logs.get(run.run.stages[-1].name, ()), panel.keys[0][0])
                lines |= {run.name: found} if found else {}
        if lines:
            plots.append(_drawn(panel, {looks[name]: line for name, line in lines.items()}))
    return plots


def settings_apart(runs: Sequence[TrainedRun]) -> list[Difference]:
    """The settings that not all runs share, by their key in the recipe; a stage's go by its name."""
    flat = [dict(flattened(run.run.model_dump(mode="json")["recipe"])) for run in runs]
    keys = dict.fromkeys(key for one in flat for key in one)
    found = []
    for key in keys:
        values = [one.get(key, MISSING) for one in flat]
        if len(set(values)) > 1 and key.split(".")[0] not in LEFT_ALONE:
            found.append(Difference(key, values))
    return found


def flattened(value: Any, key: str = "") -> list[tuple[str, str]]:
    """The leaves of nested settings, as dotted keys and text.

    Example:
        >>> flattened({"loss": {"dpo": {"beta": 0.1}}, "stages": [{"name": "sft", "steps": 3}]})
        [('loss.dpo.beta', '0.1'), ('stages.sft.name', 'sft'), ('stages.sft.steps', '3')]
    """
    if isinstance(value, dict) and value:
        return [leaf for name, one in value.items() for leaf in flattened(one, f"{key}.{name}" if key else str(name))]
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        named = {str(one.get("name", place)): one for place, one in enumerate(value)}
        if len(named) == len(value):
            return flattened(named, key)
    return [(key, str(value))]


def _drawn(panel: Panel, lines: Mapping[Look, Series]) -> Plot:
    """One panel of curves over the steps."""

    def paint(axes: Axes, look: Look, line: Series) -> None:
        colour = colour_of(look.colour)
        values = smooth(line.values) if len(line.values) >= FEWEST_FOR_MEAN else line.values
        axes.plot(line.steps, line.values, color=colour, linewidth=0.7, alpha=0.25)
        mark = "o" if len(values) == 1 else ""
        axes.plot(line.steps, values, color=colour, linewidth=1.9, linestyle=look.dash, marker=mark)

    says = [
        f"{look.number}: {compact(line.first)} at first, {compact(line.last)} at last" for look, line in lines.items()
    ]
    label = f"{panel.title} over training steps; {'; '.join(says)}."
    name = f"overlay-{panel.keys[0][0].replace('_', '-')}"
    svg = over_steps(panel, lines, paint, name=name, label=label)
    return Plot(panel.title, svg, panel.reading, looks=tuple(lines))
