"""Does style sway the model: how far it moves the states beside content, and whether it outbids the facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tropism.evals.core.items import Item, Measured, Settings, Statistic, Task
from tropism.evals.core.subject import Subject
from tropism.evals.style.restyle import STYLES
from tropism.evals.style.style_contents import StyledContent, content_states, held_out_contents, own_contents
from tropism.evals.style.style_geometry import SPREADS, StyleGeometry, geometry, ratio_of_ratios
from tropism.metrics.bootstrap import mean_by_cluster
from tropism.metrics.exact_estimate import exactly
from tropism.metrics.pair_order import order_credit
from tropism.policies.base import Policy
from tropism.records import Estimate, Matrix, Measure

MEASURES: dict[str, Measure] = {
    "tdi": Measure(
        label="Style TDI",
        better="lower",
        meaning="How far style moves the model's states, relative to how far content does.",
    ),
    "tdi_vs_base": Measure(
        label="Style TDI relative to the base", better="lower", meaning="1 means no difference.", baseline=1.0
    ),
    "tdi_within": Measure(label="Spread between styles", meaning="Of the same content: the numerator of Style TDI."),
    "tdi_between": Measure(label="Spread between contents", meaning="The denominator of Style TDI."),
    "drift": Measure(
        label="Style drift", better="lower", meaning="Style TDI with squared distances, from the plain style."
    ),
    "blind_spot": Measure(label="Blind-spot ratio", better="lower", meaning="Style TDI with cosine distances."),
    "conflict": Measure(
        label="Right fact in the wrong style",
        unit="share",
        better="higher",
        meaning="How often it beats a wrong fact in the favoured style.",
        baseline=0.5,
    ),
    "aligned": Measure(
        label="Right fact in the right style",
        unit="share",
        meaning="How often it beats a wrong fact in the other style.",
        baseline=0.5,
    ),
    "same": Measure(
        label="Right fact in the same style",
        unit="share",
        better="higher",
        meaning="How often it beats a wrong fact in the same style.",
        baseline=0.5,
    ),
}

Rewards = Float[NDArray[np.float64], "contents sides styles draws"]


class StyleSettings(Settings):
    """Settings of the eval.

    Args:
        contents: how many answers, at most 40 of our own.
        source: `own` questions with right and wrong answers, or the preferred answers of the `held_out` groups.
        draws: wordings of each style.
        styles: which, the plain one first.
        favoured: the style that training is suspected to have favoured; found from the other contents if None.
        disfavoured: likewise the one that it turned against.
    """

    contents: int = Field(40, ge=2)
    source: Literal["own", "held_out"] = "own"
    draws: int = Field(3, ge=1)
    styles: tuple[str, ...] = tuple(STYLES)
    favoured: str | None = None
    disfavoured: str | None = None

    @model_validator(mode="after")
    def _known(self) -> StyleSettings:
        named = set(self.styles)
        if (
            not named <= set(STYLES)
            or len(self.styles) < 2
            or len(named) < len(self.styles)
            or self.styles[0] != "plain"
        ):
            raise ValueError(f"styles must be 'plain' and then some of {', '.join(list(STYLES)[1:])}, each once")
        if not {self.favoured, self.disfavoured} <= {None, *self.styles}:
            raise ValueError(f"favoured and disfavoured must be among the styles {', '.join(self.styles)}")
        return self


class Sway(NamedTuple):
    """How often the right fact wins, of one content: in the style that is not liked, in the liked one, in the same."""

    conflict: float
    aligned: float
    same: float


def style_tdi(policy: Policy, contents: Sequence[StyledContent], *, seed: int = 0) -> StyleGeometry:
    """Style TDI and its companions of a model, each with numerator and denominator.

    Args:
        policy: the model.
        contents: of `own_contents` or `held_out_contents`.
        seed: of the resampling.

    Raises:
        DataError: where fewer than two contents fit into the model's `max_tokens`.
    """
    return geometry(content_states(policy, contents).states, seed=seed)


def style(task: Task) -> Measured:
    """Style TDI with its numerator and denominator, normalised drift, blind-spot ratio, and behavioural conflict.

    The implicit reward of an answer is its log-ratio to the base. Conflict is how often the reward prefers the right
    fact in the disfavoured style to a wrong fact in the favoured style; equal rewards count one half, so the base
    itself has 0.5.
    """
    settings = task.settings_as(StyleSettings)
    policy, base = task.subject.policy, task.base.policy
    assert policy is not None
    assert base is not None
    contents = _chosen_contents(task)
    with task.progress(f"Restyled answers ({task.subject.name})", len(contents)) as done:
        ids, states = content_states(policy, contents)
        done(len(contents))
    ids_scored, rewards = implicit_rewards(task.subject, task.base, contents)
    sways = dict(zip(ids_scored, sway(rewards, settings), strict=True)) if len(ids_scored) > 1 else {}
    items = _style_items(ids, states, sways)
    metrics = _style_metrics(geometry(states, seed=task.seed), items)
    base_ids, base_states = (ids, states) if task.is_base else content_states(base, contents)
    if base_ids == ids:
        metrics["tdi_vs_base"] = ratio_of_ratios(SPREADS["tdi"](states), SPREADS["tdi"](base_states), seed=task.seed)
    table = _distances(states, settings.styles)
    missing = len(contents) - len(ids)
    return Measured(
        items=items,
        metrics=metrics,
        matrices=[table, _preferences(rewards, settings.styles)] if sways else [table],
        series=_scatter(states),
        skipped={"contents that do not fit into max_tokens": missing} if missing else {},
        notes=notes(settings, sways),
    )


def _style_metrics(found: StyleGeometry, items: Sequence[Item]) -> dict[str, Estimate]:
    """The ratios with their intervals; their values are those of `STATISTICS` to the last bit, by which they pair."""
    ratios = {name: getattr(found, name).value for name in STATISTICS}
    return {
        **{name: exactly(one, STATISTICS[name](items)) for name, one in ratios.items()},
        "tdi_within": found.tdi.numerator,
        "tdi_between": found.tdi.denominator,
    }


def _chosen_contents(task: Task) -> list[StyledContent]:
    """The contents that the settings ask for."""
    settings = task.settings_as(StyleSettings)
    if settings.source == "own":
        return own_contents(
            task.subject.generator,
            num=settings.contents,
            draws=settings.draws,
            styles=settings.styles,
            seed=task.seed,
        )
    return held_out_contents(
        task.groups, num=settings.contents, draws=settings.draws, styles=settings.styles, seed=task.seed
    )


def implicit_rewards(subject: Subject, base: Subject, contents: Sequence[StyledContent]) -> tuple[list[str], Rewards]:
    """Log-ratio (nats) of each wording, right and wrong, of the contents that both models could score.

    Reference: implicit reward without beta, Rafailov et al. 2023, arXiv:2305.18290, section 4.
    """
    known = [content for content in contents if content.wrong]
    groups = [group for content in known for group in (content.group("right"), content.group("wrong"))]
    after, before = subject.logp(groups), base.logp(groups)
    ids, table = [], []
    for index, content in enumerate(known):
        pair = slice(2 * index, 2 * index + 2)
        gaps = [
            [a.nats - b.nats for a, b in zip(*sides, strict=True) if a and b]
            for sides in zip(after[pair], before[pair], strict=True)
        ]
        if all(len(row) == len(group.responses) for row, group in zip(gaps, groups[pair], strict=True)):
            ids.append(content.id)
            table.append(np.array(gaps).reshape(2, len(content.right), -1))
    return ids, np.array(table) if table else np.zeros((0, 2, 0, 0))


def sway(rewards: Rewards, settings: StyleSettings) -> list[Sway]:
    """Of each content, how often the right fact's reward is the larger one.

    The favoured style of a content is the one that the *other* contents' right answers are rewarded most in, so that
    no content decides by its own noise on which styles it is tested.
    """
    found = []
    for content in range(len(rewards)):
        others = np.delete(rewards[:, 0].mean(axis=2), content, axis=0).mean(axis=0)
        liked = settings.styles.index(settings.favoured) if settings.favoured else int(others.argmax())
        disliked = settings.styles.index(settings.disfavoured) if settings.disfavoured else int(others.argmin())
        right, wrong = rewards[content]
        found.append(
            Sway(
                conflict=wins(right[disliked], wrong[liked]),
                aligned=wins(right[liked], wrong[disliked]),
                same=wins(right, wrong),
            )
        )
    return found


def wins(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Share of places where the first number is larger; equal ones count one half.

    Example:
        >>> wins(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
        0.75
    """
    return float(order_credit(first, second).mean())


def _style_items(ids: Sequence[str], states: NDArray[np.float64], sways: Mapping[str, Sway]) -> list[Item]:
    """One item for each content: its sway, and what the ratios are made of, so that they can be taken of a part."""
    spreads = {name: spread(states) for name, spread in SPREADS.items()}
    items = []
    for row, content in enumerate(ids):
        parts = {
            name: {"within": float(one.within[row]), "between": dict(zip(ids, one.between[row].tolist(), strict=True))}
            for name, one in spreads.items()
        }
        items.append(Item(content, content, sways[content]._asdict() if content in sways else {}, parts))
    return items


def spread_ratio(name: str) -> Statistic:
    """One of the ratios of spreads as a statistic of items."""

    def statistic(items: Sequence[Item]) -> float:
        parts = [item.detail[name] for item in items]
        within = sum(part["within"] for part in parts) / len(parts)
        apart = [part["between"][other.id] for part, item in zip(parts, items, strict=True)
                 for other in items if other.id != item.id]  # fmt: skip
        return within / max(sum(apart) / max(len(apart), 1), 1e-300)

    return statistic


STATISTICS: dict[str, Statistic] = {name: spread_ratio(name) for name in SPREADS}
"""The three ratios of any part of the items, for differences between models."""


def _distances(states: NDArray[np.float64], styles: Sequence[str]) -> Matrix:
    """How far each two styles of one content are apart, in the model's own units."""
    names = list(range(len(states)))
    gaps = np.linalg.norm(states[:, :, None] - states[:, None], axis=3)
    cells = [[mean_by_cluster(gaps[:, i, j].tolist(), names) for j in range(len(styles))] for i in range(len(styles))]
    return Matrix(
        name="distance between styles", row_title="style", column_title="style", rows=list(styles),
        columns=list(styles), cells=cells,
    )  # fmt: skip


def _preferences(rewards: Rewards, styles: Sequence[str]) -> Matrix:
    """How often the right fact in one style is rewarded more than a wrong fact in another."""
    right, wrong = rewards[:, 0, :, None], rewards[:, 1, None]
    won = order_credit(right, wrong).mean(axis=3)
    names = list(range(len(rewards)))
    cells = [[mean_by_cluster(won[:, i, j].tolist(), names) for j in range(len(styles))] for i in range(len(styles))]
    return Matrix(
        name="right fact preferred", row_title="style of the right fact", column_title="style of the wrong fact",
        rows=list(styles), columns=list(styles), cells=cells,
    )  # fmt: skip


def _scatter(states: NDArray[np.float64]) -> dict[str, list[float]]:
    """The states on their two widest directions, with the content and the style that each belongs to."""
    contents, styles, width = states.shape
    flat = states.reshape(-1, width)
    centred = flat - flat.mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:2]
    signs = np.where(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)] < 0, -1.0, 1.0)
    places = centred @ (directions * signs[:, None]).T
    return {
        "x": places[:, 0].tolist(),
        "y": places[:, -1].tolist(),
        "content": np.repeat(np.arange(contents), styles).astype(float).tolist(),
        "style": np.tile(np.arange(styles), contents).astype(float).tolist(),
    }


def notes(settings: StyleSettings, sways: Mapping[str, Sway]) -> list[str]:
    """What a reader must know."""
    said = [f"Styles: {', '.join(settings.styles)}. Their facts are checked to be the same."]
    if not sways:
        said.append("No behavioural conflict was measured: the contents have no wrong versions.")
    return said
