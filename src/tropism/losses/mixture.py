"""Weighted sums of losses, bound to their settings: what a recipe's `loss` becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from tropism.errors import ConfigError, respelled
from tropism.losses.loss_names import suggestion, unknown_loss
from tropism.losses.loss_row import Loss, Need
from tropism.losses.table import LOSSES, MIXTURES
from tropism.scores import Feedback, ResponseScores, SampleFeatures, Statistic, StepScores, Terms, TokenScores


@dataclass(frozen=True)
class Part:
    """One loss of a mixture with its settings bound."""

    name: str
    weight: float
    loss: Loss
    function: Callable[..., Terms]


@dataclass(frozen=True)
class Mixture:
    """Named losses that are added up, each divided by its own global weight first."""

    parts: tuple[Part, ...]

    def terms(self, scores: ResponseScores, feedback: Feedback, step: StepScores | None = None) -> dict[str, Terms]:
        """The unreduced terms of every part, by name; `step` for the parts that need it."""
        found = {}
        for part in self.parts:
            if "step" in part.loss.needs:
                assert step is not None, f"{part.name} needs the whole step's scores"
                found[part.name] = part.function(scores, feedback, step)
            else:
                found[part.name] = part.function(scores, feedback)
        return found

    def needs(self, need: Need) -> bool:
        """Whether any part needs it."""
        return any(need in part.loss.needs for part in self.parts)

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """The token-level statistics that the parts read, each once."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.loss.statistics))

    def tracked(self, scores: ResponseScores, feedback: Feedback) -> dict[str, float]:
        """The numbers of a step whose moving averages the parts read."""
        return {
            name: value
            for part in self.parts
            if part.loss.tracks
            for name, value in part.loss.tracks(scores, feedback).items()
        }

    def terms_at_zero(self, length: Int[Tensor, " responses"], feedback: Feedback) -> dict[str, Terms]:
        """The terms for a policy that equals its reference and gives every response probability one.

        Term weights do not depend on the model, so this is how they are known before the forward pass.
        """
        scores = _scores_at_zero(length, feedback)
        return self.terms(scores, feedback, StepScores(scores, feedback, self.tracked(scores, feedback), 0))

    def responses_read(self, length: Int[Tensor, " responses"], feedback: Feedback) -> Bool[Tensor, " responses"]:
        """Which responses take part in the value; the others need not be computed."""
        read = torch.zeros(length.shape, dtype=torch.bool, device=length.device)
        for part, terms in zip(self.parts, self.terms_at_zero(length, feedback).values(), strict=True):
            read |= part.loss.reads(feedback, terms.weight)
        return read


def _scores_at_zero(length: Int[Tensor, " responses"], feedback: Feedback) -> ResponseScores:
    """Log-probability 0 for every token under policy and reference, and one sample at the origin for each group."""
    device = length.device
    zero = torch.zeros(length.shape, dtype=torch.float32, device=device)
    nothing = torch.zeros(int(length.sum()), device=device)
    num_groups = int(feedback.group.max()) + 1 if len(feedback.group) else 0
    origin = torch.zeros(num_groups, 1, 1, device=device)
    return ResponseScores(
        zero,
        zero,
        length,
        TokenScores(nothing, nothing, nothing, nothing + 1, nothing, nothing + 1),
        SampleFeatures(origin, origin, origin),
    )


def make_mixture(settings: Mapping[str, Mapping[str, Any]], *, own: Mapping[str, Loss] | None = None) -> Mixture:
    """Bind losses to their settings.

    Args:
        settings: from a loss's name to its arguments; `weight` (default 1) is its share of the sum. The name of a
            mixture stands for its parts, whose settings are given under their names.
        own: losses that are not in the table, by the names that `settings` uses.

    Raises:
        ConfigError: for an unknown loss or argument, naming the nearest one, and for a value out of bounds.

    Example:
        >>> [part.name for part in make_mixture({"dpo": {"beta": 0.1}, "nll": {"weight": 0.2}}).parts]
        ['dpo', 'nll']
        >>> [(part.name, part.weight) for part in make_mixture({"orpo": {"odds_ratio": {"weight": 0.25}}}).parts]
        [('odds_ratio', 0.25), ('nll', 1.0)]
    """
    if not settings:
        raise ConfigError("`loss` must name at least one loss.", remedy=f"Name one of: {', '.join(LOSSES)}.")
    parts: list[Part] = []
    for name, arguments in settings.items():
        for part, given in _spelled_out(name, arguments).items():
            if part in (one.name for one in parts):
                raise ConfigError(f"`loss` names {part!r} twice.", remedy="Name it once, or omit the mixture.")
            parts.append(_bind(part, given, (own or {}).get(part) or LOSSES.get(part)))
    return Mixture(tuple(parts))


def _spelled_out(name: str, arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A loss as its parts: itself, or those of a mixture with what is set for them."""
    if name not in MIXTURES:
        return {name: dict(arguments)}
    parts = MIXTURES[name][0]
    for key, value in arguments.items():
        if key not in parts:
            raise ConfigError(f"{name!r} is made of {', '.join(parts)}, got {key!r}.", remedy=suggestion(key, parts))
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"loss.{name}.{key} must hold settings, got {value!r}.",
                remedy=f"Try {name}: {{{key}: {{weight: 0.5}}}}.",
            )
    return {part: {**defaults, **arguments.get(part, {})} for part, defaults in parts.items()}


def _bind(name: str, arguments: Mapping[str, Any], loss: Loss | None) -> Part:
    """One part of a mixture, with its argument names and types checked."""
    if loss is None:
        raise unknown_loss(name, [*LOSSES, *MIXTURES])
    given = dict(arguments)
    weight = given.pop("weight", 1.0)
    known = (*loss.settings, "weight")
    for key, value in {**given, "weight": weight}.items():
        if key not in known:
            raise ConfigError(f"loss {name!r} has no setting {key!r}.", remedy=suggestion(key, known))
        try:
            loss.check(name, key, value)
        except ConfigError as error:
            raise respelled(error, {key: f"loss.{name}.{key}"}) from None
    if weight <= 0:
        raise ConfigError(f"loss.{name}.weight must be greater than 0, got {weight}.", remedy="Omit the loss instead.")
    return Part(name.rpartition(":")[2], float(weight), loss, partial(loss.function, **given))
