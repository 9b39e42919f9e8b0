"""The table of methods, and weighted sums of them, checked against their signatures."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args, get_type_hints

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from tropism.errors import ConfigError
from tropism.losses import anchored, batchwise, listwise, pairwise, pointwise, reference_free, samples
from tropism.scores import Feedback, ResponseScores, StepScores, Terms, TokenLevel

Need = Literal["reference", "edges", "labels", "ranks", "tokens", "step", "baseline", "samples", "group", "rewards"]
Family = Literal["pairwise", "pointwise", "unpaired", "listwise", "samples"]


@dataclass(frozen=True)
class Loss:
    """A row of the table of methods.

    Args:
        function: from scores and feedback (and the step, where it needs it) to terms.
        family: what its terms belong to: `pairwise` edges, `pointwise` and `listwise` responses, `unpaired` labels,
            `samples` groups.
        needs: what it cannot do without.
        paper: where it is defined.
        honours: which of an edge's `margin` and `prob` (soft labels and ties) it has a place for; data that sets the
            other is refused.
        tracks: numbers of a step whose decaying means it reads as `step.running`.
    """

    function: Callable[..., Terms]
    family: Family
    needs: frozenset[Need]
    paper: str
    honours: frozenset[str] = frozenset({"margin", "prob"})
    tracks: Callable[[ResponseScores, Feedback], dict[str, float]] | None = None


EDGES: frozenset[Need] = frozenset({"edges"})
COMPARED: frozenset[Need] = frozenset({"edges", "reference"})
NEITHER: frozenset[str] = frozenset()
SOFT = frozenset({"prob"})

LOSSES: dict[str, Loss] = {
    "dpo": Loss(pairwise.dpo, "pairwise", COMPARED, "arXiv:2305.18290"),
    "odpo": Loss(pairwise.dpo, "pairwise", COMPARED, "arXiv:2402.10571"),
    "gravity": Loss(pairwise.gravity, "pairwise", COMPARED, "arXiv:2402.10571"),
    "cdpo": Loss(pairwise.cdpo, "pairwise", COMPARED, "Mitchell 2023"),
    "robust": Loss(pairwise.robust, "pairwise", COMPARED, "arXiv:2403.00409"),
    "ipo": Loss(pairwise.ipo, "pairwise", COMPARED, "arXiv:2310.12036", SOFT),
    "ipo_norm": Loss(pairwise.ipo_norm, "pairwise", COMPARED, "arXiv:2310.12036", SOFT),
    "hinge": Loss(pairwise.hinge, "pairwise", COMPARED, "arXiv:2309.06657"),
    "sigmoid_norm": Loss(pairwise.sigmoid_norm, "pairwise", COMPARED, "arXiv:2411.15124"),
    "exo": Loss(pairwise.exo, "pairwise", COMPARED, "arXiv:2402.00856", SOFT),
    "nca": Loss(anchored.nca, "pairwise", COMPARED, "arXiv:2402.05369", SOFT),
    "bco_pair": Loss(anchored.bco_pair, "pairwise", COMPARED, "arXiv:2404.04656", SOFT),
    "bco": Loss(batchwise.bco, "pairwise", COMPARED | {"step"}, "arXiv:2404.04656", SOFT, batchwise.bco_shift),
    "sppo": Loss(anchored.sppo, "pairwise", COMPARED, "arXiv:2405.00675", SOFT),
    "aot": Loss(batchwise.aot, "pairwise", COMPARED | {"step"}, "arXiv:2406.05882", NEITHER),
    "aot_unpaired": Loss(batchwise.aot_unpaired, "pairwise", COMPARED | {"step"}, "arXiv:2406.05882", NEITHER),
    "apo_zero": Loss(anchored.apo_zero, "pairwise", COMPARED, "arXiv:2408.06266", SOFT),
    "apo_down": Loss(anchored.apo_down, "pairwise", COMPARED, "arXiv:2408.06266", SOFT),
    "discopop": Loss(pairwise.discopop, "pairwise", COMPARED, "arXiv:2406.08414", SOFT),
    "dpop": Loss(anchored.dpop, "pairwise", COMPARED, "arXiv:2402.13228", SOFT),
    "chi_po": Loss(pairwise.chi_po, "pairwise", COMPARED, "arXiv:2407.13399", SOFT),
    "beta_dpo": Loss(
        batchwise.beta_dpo, "pairwise", COMPARED | {"step"}, "arXiv:2407.08639", SOFT, batchwise.mean_margin
    ),
    "r_dpo": Loss(pairwise.r_dpo, "pairwise", COMPARED, "arXiv:2403.19159"),
    "ld_dpo": Loss(pairwise.ld_dpo, "pairwise", COMPARED | {"tokens"}, "arXiv:2409.06411"),
    "wpo": Loss(pairwise.wpo, "pairwise", COMPARED | {"tokens"}, "arXiv:2406.11827"),
    "cal_dpo": Loss(anchored.cal_dpo, "pairwise", COMPARED, "arXiv:2412.14516", SOFT),
    "f_dpo": Loss(pairwise.f_dpo, "pairwise", COMPARED, "arXiv:2309.16240"),
    "todo": Loss(pairwise.todo, "pairwise", COMPARED, "arXiv:2411.02442", SOFT),
    "simpo": Loss(reference_free.simpo, "pairwise", EDGES, "arXiv:2405.14734"),
    "contrast": Loss(reference_free.contrast, "pairwise", EDGES, "arXiv:2401.08417"),
    "odds_ratio": Loss(reference_free.odds_ratio, "pairwise", EDGES, "arXiv:2403.07691", SOFT),
    "slic": Loss(reference_free.slic, "pairwise", EDGES, "arXiv:2305.10425"),
    "bradley_terry": Loss(reference_free.bradley_terry, "pairwise", EDGES | {"rewards"}, "Bradley and Terry 1952"),
    "nll": Loss(pointwise.nll, "pointwise", frozenset(), "maximum likelihood", NEITHER),
    "kto": Loss(
        batchwise.kto, "unpaired", frozenset({"labels", "reference", "step", "baseline"}), "arXiv:2402.01306", NEITHER
    ),
    "apo_zero_unpaired": Loss(
        batchwise.apo_zero_unpaired, "unpaired", frozenset({"labels", "reference"}), "arXiv:2408.06266", NEITHER
    ),
    "plackett_luce": Loss(
        listwise.plackett_luce, "listwise", frozenset({"ranks", "reference"}), "arXiv:2305.18290", NEITHER
    ),
    "softmax_dpo": Loss(listwise.softmax_dpo, "listwise", COMPARED, "arXiv:2406.09215", NEITHER),
    "lipo_lambda": Loss(listwise.lipo_lambda, "pairwise", COMPARED | {"group"}, "arXiv:2402.01878", NEITHER),
    "drift": Loss(samples.drift, "samples", frozenset({"samples"}), "arXiv:2606.02521", NEITHER),
}

MIXTURES: dict[str, tuple[dict[str, dict[str, float]], str]] = {
    "rpo": ({"dpo": {}, "nll": {"weight": 1.0}}, "arXiv:2404.19733"),
    "mpo": ({"dpo": {"weight": 0.8}, "bco_pair": {"weight": 0.2}, "nll": {"weight": 1.0}}, "arXiv:2411.10442"),
    "orpo": ({"odds_ratio": {"weight": 0.1}, "nll": {"weight": 1.0}}, "arXiv:2403.07691"),
    "cpo": ({"contrast": {}, "nll": {"weight": 1.0}}, "arXiv:2401.08417"),
    "slic_nll": ({"slic": {}, "nll": {"weight": 1.0}}, "arXiv:2305.10425"),
}
"""Methods that are sums of others, with the weights of their papers. A setting of one of its parts is given under the
part's name: `orpo: {odds_ratio: {weight: 0.25}}`."""


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

    def tracked(self, scores: ResponseScores, feedback: Feedback) -> dict[str, float]:
        """The numbers of a step that parts follow from step to step."""
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
        zero = torch.zeros(length.shape, dtype=torch.float32, device=length.device)
        response = torch.repeat_interleave(torch.arange(len(length), device=length.device), length)
        nothing = torch.zeros(len(response), device=length.device)
        scores = ResponseScores(zero, zero, length, TokenLevel(response, nothing, nothing, nothing + 1))
        running = {name: 0.0 for part in self.parts if part.loss.tracks for name in ("shift", "margin")}
        return self.terms(scores, feedback, StepScores(scores, feedback, running, 0))

    def responses_read(self, length: Int[Tensor, " responses"], feedback: Feedback) -> Bool[Tensor, " responses"]:
        """Which responses have any part in the value; the others need not be computed."""
        read = torch.zeros(length.shape, dtype=torch.bool, device=length.device)
        for part, terms in zip(self.parts, self.terms_at_zero(length, feedback).values(), strict=True):
            counted = terms.weight > 0
            if part.loss.family == "samples":
                read |= True
            elif part.loss.family == "pointwise":
                read |= counted
            elif part.loss.family == "unpaired":
                read[feedback.label_response[counted]] = True
            elif "ranks" in part.loss.needs:
                read |= (feedback.rank >= 0) & bool(counted.any())
            else:
                counted = feedback.weight > 0
                read[feedback.winner[counted]] = True
                read[feedback.loser[counted]] = True
        return read


def make_mixture(settings: Mapping[str, Mapping[str, Any]]) -> Mixture:
    """Bind the losses that a recipe names.

    Args:
        settings: from a loss's name to its arguments; `weight` (default 1) is its share of the sum. The name of a
            mixture stands for its parts, whose settings are given under their names.

    Raises:
        ConfigError: for an unknown loss or argument, naming the nearest one.

    Example:
        >>> [part.name for part in make_mixture({"dpo": {"beta": 0.1}, "nll": {"weight": 0.2}}).parts]
        ['dpo', 'nll']
        >>> [(part.name, part.weight) for part in make_mixture({"orpo": {"odds_ratio": {"weight": 0.25}}}).parts]
        [('odds_ratio', 0.25), ('nll', 1.0)]
    """
    if not settings:
        raise ConfigError("`loss` names no loss.", remedy=f"Name one of: {', '.join(LOSSES)}.")
    parts: list[Part] = []
    for name, arguments in settings.items():
        for part, own in spelled_out(name, arguments).items():
            if part in (one.name for one in parts):
                raise ConfigError(f"`loss` names {part!r} twice.", remedy="Name it once, or leave the mixture out.")
            parts.append(bind(part, own))
    return Mixture(tuple(parts))


def spelled_out(name: str, arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A loss as its parts: itself, or those of a mixture with what is set for them."""
    if name not in MIXTURES:
        return {name: dict(arguments)}
    parts = MIXTURES[name][0]
    for key, value in arguments.items():
        if key not in parts:
            raise ConfigError(f"{name!r} is made of {', '.join(parts)}, not {key!r}.", remedy=suggestion(key, parts))
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"loss.{name}.{key} must hold settings, not {value!r}.",
                remedy=f"Try {name}: {{{key}: {{weight: 0.5}}}}.",
            )
    return {part: {**defaults, **arguments.get(part, {})} for part, defaults in parts.items()}


def bind(name: str, arguments: Mapping[str, Any]) -> Part:
    """One part of a mixture, with its argument names and types checked."""
    if name not in LOSSES:
        known = {**LOSSES, **MIXTURES}
        raise ConfigError(f"`loss` names {name!r}, which is unknown.", remedy=suggestion(name, known))
    loss = LOSSES[name]
    kinds = settings_of(loss)
    given = dict(arguments)
    weight = given.pop("weight", 1.0)
    for key, value in {**given, "weight": weight}.items():
        if key not in (*kinds, "weight"):
            raise ConfigError(f"loss {name!r} has no setting {key!r}.", remedy=suggestion(key, (*kinds, "weight")))
        check_setting(name, key, value, get_args(kinds.get(key)))
    if weight <= 0:
        raise ConfigError(f"loss.{name}.weight must be positive, not {weight}.", remedy="Leave the loss out instead.")
    if given.get("tau", 1.0) <= 0 or given.get("beta", 1.0) <= 0:
        raise ConfigError(f"beta and tau of loss {name!r} must be positive, not {given}.", remedy="Try 0.1.")
    return Part(name, float(weight), loss, partial(loss.function, **given))


def settings_of(loss: Loss) -> dict[str, Any]:
    """The settings of a loss and their types."""
    hints = get_type_hints(loss.function)
    parameters = inspect.signature(loss.function).parameters.values()
    return {one.name: hints[one.name] for one in parameters if one.kind is one.KEYWORD_ONLY}


RANGES = {"label_smoothing": (0.0, 0.5), "keep": (0.0, 1.0), "tie": (1e-6, torch.inf)}
"""Settings that mean nothing outside of these bounds; the upper one is out of reach for a smoothing."""


def check_setting(name: str, key: str, value: Any, choices: tuple[Any, ...]) -> None:
    """One setting: a number, or one of a few words."""
    if choices:
        if value not in choices:
            raise ConfigError(
                f"loss.{name}.{key} must be one of {', '.join(choices)}, not {value!r}.", remedy=f"Try {choices[0]}."
            )
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"loss.{name}.{key} must be a number, not {value!r}.", remedy="Give a number, such as 0.1.")
    low, high = RANGES.get(key, (-torch.inf, torch.inf))
    if not low <= value <= high or (key == "label_smoothing" and (value == 0.5 or (name == "exo" and value == 0))):
        raise ConfigError(f"loss.{name}.{key} must lie between {low} and {high}, not at {value}.", remedy="Try 0.1.")


def suggestion(name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """A remedy that names the nearest known name, and all of them."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return (f"Did you mean {nearest[0]!r}? " if nearest else "") + f"Known: {', '.join(known)}."
