"""A loss as a value: its function, what it needs and reads, the settings of its signature and their bounds."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tropism.errors import ConfigError
from tropism.scores import Feedback, ResponseScores, Statistic, Terms

Need = Literal["reference", "edges", "labels", "ranks", "tokens", "step", "baseline", "samples", "group", "rewards"]
Family = Literal["pairwise", "pointwise", "unpaired", "listwise", "samples"]
Reads = Callable[[Feedback, Tensor], Bool[Tensor, " responses"]]


@dataclass(frozen=True)
class Range:
    """Bounds of a setting, for `Annotated`; `(` and `)` exclude a bound, `[` and `]` include it.

    Example:
        >>> half = Range(0.0, 0.5, "[)")
        >>> f"{half}", half.holds(0.0), half.holds(0.5)
        ('in [0, 0.5)', True, False)
        >>> f"{Range(0.0, math.inf, '()')}"
        'greater than 0'
    """

    low: float
    high: float
    ends: Literal["[]", "[)", "(]", "()"] = "[]"

    def holds(self, value: float) -> bool:
        """Whether a number lies in the range."""
        above = value >= self.low if self.ends[0] == "[" else value > self.low
        return above and (value <= self.high if self.ends[1] == "]" else value < self.high)

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"{'at least' if self.ends[0] == '[' else 'greater than'} {self.low:g}"
        return f"in {self.ends[0]}{self.low:g}, {self.high:g}{self.ends[1]}"


Positive = Annotated[float, Range(0.0, math.inf, "()")]
Share = Annotated[float, Range(0.0, 1.0)]
FlipRate = Annotated[float, Range(0.0, 0.5, "[)")]
"""The rate of flipped labels; at 0.5 a label says nothing."""


def _edge_sides(feedback: Feedback, weight: Tensor) -> Bool[Tensor, " responses"]:
    """Both sides of every edge that has weight."""
    read = torch.zeros(feedback.group.shape, dtype=torch.bool, device=weight.device)
    counted = feedback.weight > 0
    read[feedback.winner[counted]] = True
    read[feedback.loser[counted]] = True
    return read


def weighted_responses(feedback: Feedback, weight: Float[Tensor, " responses"]) -> Bool[Tensor, " responses"]:
    """The responses whose own term has weight."""
    return weight > 0


def labelled_responses(feedback: Feedback, weight: Float[Tensor, " labels"]) -> Bool[Tensor, " responses"]:
    """The responses of labels that have weight."""
    read = torch.zeros(feedback.group.shape, dtype=torch.bool, device=weight.device)
    read[feedback.label_response[weight > 0]] = True
    return read


def ranked_responses(feedback: Feedback, weight: Float[Tensor, " responses"]) -> Bool[Tensor, " responses"]:
    """Every ranked response, if any term has weight."""
    return (feedback.rank >= 0) & bool((weight > 0).any())


def all_responses(feedback: Feedback, weight: Tensor) -> Bool[Tensor, " responses"]:
    """Every response."""
    return torch.ones(feedback.group.shape, dtype=torch.bool, device=weight.device)


@dataclass(frozen=True)
class Loss:
    """A row of the table of methods.

    Its settings are the keyword-only parameters of its function, each a number or a few words, with bounds as
    `Annotated` types (`beta: Positive = 0.1`).

    Args:
        function: from scores and feedback (and the step, if it needs one) to terms.
        family: what its terms belong to: `pairwise` edges, `pointwise` and `listwise` responses, `unpaired` labels,
            `samples` groups.
        needs: the data and scores that it requires.
        paper: where it is defined.
        honours: which of an edge's `margin` and `prob` (soft labels and ties) it uses; data that sets the other is
            refused.
        reads: from the feedback and the terms' weights to the responses that take part in the value.
        statistics: token-level statistics of the policy that it reads; they require the need `tokens`.
        tracks: numbers of a step whose exponential moving averages it reads as `step.running`. A name may be absent
            from `step.running` until a step has data for it.
    """

    function: Callable[..., Terms]
    family: Family
    needs: frozenset[Need]
    paper: str
    honours: frozenset[str] = frozenset({"margin", "prob"})
    reads: Reads = _edge_sides
    statistics: tuple[Statistic, ...] = ()
    tracks: Callable[[ResponseScores, Feedback], dict[str, float]] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings and their types: `float`, or a `Literal` of words."""
        hints = get_type_hints(self.function)
        return {name: hints[name] for name in self.defaults}

    @property
    def ranges(self) -> dict[str, Range]:
        """The bounds of the settings that have any."""
        hints = get_type_hints(self.function, include_extras=True)
        return {
            name: bound
            for name in self.defaults
            if get_origin(hints[name]) is Annotated
            for bound in get_args(hints[name])[1:]
            if isinstance(bound, Range)
        }

    @property
    def defaults(self) -> dict[str, Any]:
        """The settings and their default values."""
        parameters = inspect.signature(self.function).parameters.values()
        return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}

    def check(self, name: str, key: str, value: Any) -> None:
        """Refuse a value that a setting cannot have.

        Args:
            name: of the loss, for the message.
            key: of the setting.
            value: as given.

        Raises:
            ConfigError: if it is not a number, or outside of the setting's bounds, or not one of its words.
        """
        default = self.defaults.get(key)
        remedy = f"The default of {name} is {default}." if isinstance(default, int | float | str) else "Try 1."
        choices = get_args(self.settings.get(key))
        if choices:
            if value not in choices:
                raise ConfigError(f"`{key}` must be one of {', '.join(choices)}, got {value!r}.", remedy=remedy)
            return
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(f"`{key}` must be a number, got {value!r}.", remedy=remedy)
        bounds = self.ranges.get(key)
        if bounds is not None and not bounds.holds(float(value)):
            raise ConfigError(f"`{key}` must be {bounds}, got {value}.", remedy=remedy)


def preference_loss(
    *,
    family: Family,
    needs: frozenset[Need] | set[Need],
    paper: str = "",
    honours: frozenset[str] | set[str] = frozenset({"margin", "prob"}),
    reads: Reads = _edge_sides,
    statistics: tuple[Statistic, ...] = (),
    tracks: Callable[[ResponseScores, Feedback], dict[str, float]] | None = None,
) -> Callable[[Callable[..., Terms]], Loss]:
    """Declare a loss of one's own, which a recipe names as `file.py:name`; see `Loss` for the arguments.

    Example:
        >>> from tropism.losses.links import logistic
        >>> from tropism.losses.shaping import log_ratio_margin
        >>> @preference_loss(family="pairwise", needs={"edges", "reference"}, honours={"prob"})
        ... def plain(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1) -> Terms:
        ...     return logistic(beta * log_ratio_margin(scores, feedback), feedback)
        >>> plain.defaults, str(plain.ranges["beta"])
        ({'beta': 0.1}, 'greater than 0')
    """

    def declare(function: Callable[..., Terms]) -> Loss:
        return Loss(
            function,
            family,
            frozenset(needs),
            paper,
            honours=frozenset(honours),
            reads=reads,
            statistics=statistics,
            tracks=tracks,
        )

    return declare
