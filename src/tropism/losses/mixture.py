"""A weighted sum of named losses, checked against their signatures."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from tropism.errors import ConfigError
from tropism.losses.pairwise import dpo, ipo
from tropism.losses.pointwise import nll
from tropism.scores import Feedback, ResponseScores, Terms

Need = Literal["reference", "edges"]


@dataclass(frozen=True)
class Loss:
    """A row of the table of methods.

    Args:
        function: from scores and feedback to terms.
        family: `pairwise` has a term per edge, `pointwise` a term per response.
        needs: what it cannot do without.
        paper: where it is defined.
    """

    function: Callable[..., Terms]
    family: Literal["pairwise", "pointwise"]
    needs: frozenset[Need]
    paper: str


LOSSES: dict[str, Loss] = {
    "dpo": Loss(dpo, "pairwise", frozenset({"reference", "edges"}), "arXiv:2305.18290"),
    "ipo": Loss(ipo, "pairwise", frozenset({"reference", "edges"}), "arXiv:2310.12036"),
    "nll": Loss(nll, "pointwise", frozenset(), "maximum likelihood"),
}


@dataclass(frozen=True)
class Part:
    """One loss of a mixture with its settings bound."""

    name: str
    weight: float
    loss: Loss
    function: Callable[[ResponseScores, Feedback], Terms]


@dataclass(frozen=True)
class Mixture:
    """Named losses that are added up, each divided by its own global weight first."""

    parts: tuple[Part, ...]

    def terms(self, scores: ResponseScores, feedback: Feedback) -> dict[str, Terms]:
        """The unreduced terms of every part, by name."""
        return {part.name: part.function(scores, feedback) for part in self.parts}

    def needs(self, need: Need) -> bool:
        """Whether any part needs it."""
        return any(need in part.loss.needs for part in self.parts)

    def terms_at_zero(self, length: Int[Tensor, " responses"], feedback: Feedback) -> dict[str, Terms]:
        """The terms for a policy that equals its reference and gives every response probability one.

        Term weights do not depend on the model, so this is how they are known before the forward pass.
        """
        zero = torch.zeros(length.shape, dtype=torch.float32, device=length.device)
        return self.terms(ResponseScores(zero, zero, length), feedback)

    def responses_read(self, length: Int[Tensor, " responses"], feedback: Feedback) -> Bool[Tensor, " responses"]:
        """Which responses have any part in the value; the others need not be computed."""
        read = torch.zeros(length.shape, dtype=torch.bool, device=length.device)
        for part, terms in zip(self.parts, self.terms_at_zero(length, feedback).values(), strict=True):
            counted = terms.weight > 0
            if part.loss.family == "pointwise":
                read |= counted
            else:
                read[feedback.winner[counted]] = True
                read[feedback.loser[counted]] = True
        return read


def mixture(settings: Mapping[str, Mapping[str, Any]]) -> Mixture:
    """Bind the losses that a recipe names.

    Args:
        settings: from a loss's name to its arguments; `weight` (default 1) is its share of the sum.

    Raises:
        ConfigError: for an unknown loss or argument, naming the nearest one.

    Example:
        >>> [part.name for part in mixture({"dpo": {"beta": 0.1}, "nll": {"weight": 0.2}}).parts]
        ['dpo', 'nll']
    """
    if not settings:
        raise ConfigError("`loss` names no loss.", remedy=f"Name one of: {', '.join(LOSSES)}.")
    return Mixture(tuple(bind(name, arguments) for name, arguments in settings.items()))


def bind(name: str, arguments: Mapping[str, Any]) -> Part:
    """One part of a mixture, with its argument names and types checked."""
    if name not in LOSSES:
        raise ConfigError(f"`loss` names {name!r}, which is unknown.", remedy=suggestion(name, LOSSES))
    loss = LOSSES[name]
    allowed = [p.name for p in inspect.signature(loss.function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    given = dict(arguments)
    weight = given.pop("weight", 1.0)
    for key, value in {**given, "weight": weight}.items():
        if key not in (*allowed, "weight"):
            raise ConfigError(f"loss {name!r} has no setting {key!r}.", remedy=suggestion(key, (*allowed, "weight")))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(
                f"loss.{name}.{key} must be a number, not {value!r}.", remedy="Give a number, such as 0.1."
            )
    if weight <= 0:
        raise ConfigError(f"loss.{name}.weight must be positive, not {weight}.", remedy="Leave the loss out instead.")
    if given.get("tau", 1.0) <= 0 or given.get("beta", 1.0) <= 0:
        raise ConfigError(f"beta and tau of loss {name!r} must be positive, not {given}.", remedy="Try 0.1.")
    return Part(name, float(weight), loss, partial(loss.function, **given))


def suggestion(name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """A remedy that names the nearest known name, and all of them."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return (f"Did you mean {nearest[0]!r}? " if nearest else "") + f"Known: {', '.join(known)}."
