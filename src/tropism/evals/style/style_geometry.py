"""How far style moves a model's states beside how far content does: Style TDI and its companions, in plain arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from tropism.errors import DataError
from tropism.metrics.bootstrap import NUM_RESAMPLES, cluster_draws, percentile_interval
from tropism.records import Estimate

States = Float[NDArray[np.float64], "contents styles width"]


class Ratio(NamedTuple):
    """A ratio of two spreads, with both of them: a ratio alone hides which of the two moved."""

    value: Estimate
    numerator: Estimate
    denominator: Estimate


class StyleGeometry(NamedTuple):
    """What style does to the states of answers that say the same.

    Attributes:
        tdi: distance between styles of one content, over distance between contents.
        drift: squared distance from the plain style, over the variance of contents.
        blind_spot: 1 - cosine of restyled answers, over 1 - cosine of answers to other questions.
    """

    tdi: Ratio
    drift: Ratio
    blind_spot: Ratio


class Spread(NamedTuple):
    """One content's spread over styles, and every two contents' distance; a ratio of spreads is made of these."""

    within: Float[NDArray[np.float64], " contents"]
    between: Float[NDArray[np.float64], "contents contents"]


def geometry(states: States, *, seed: int = 0) -> StyleGeometry:
    """Style TDI, normalised drift and blind-spot ratio.

    Args:
        states: one vector for each content in each style (the mean over draws); the plain style stands first.
        seed: of the resampling.

    Raises:
        DataError: for fewer than two contents or styles.
    """
    return StyleGeometry(
        tdi=ratio(tdi_spread(states), seed=seed),
        drift=ratio(_drift_spread(states), seed=seed),
        blind_spot=ratio(_cosine_spread(states), seed=seed),
    )


def tdi_spread(states: States) -> Spread:
    """Mean distance between the styles of each content, and distances between the contents' means over styles.

    Style TDI = (mean_c mean_{s<s'} |h(c,s) - h(c,s')|) / (mean_{c<c'} |mu_c - mu_c'|), mu_c = mean_s h(c,s).

    Reference: trajectory deviation index, Rajput 2026, arXiv:2604.21395, as its released code computes it for classes,
    with a content as class and its styles as members; the paper's prose defines another number.

    Example:
        >>> spread = tdi_spread(np.array([[[0.0], [2.0]], [[10.0], [14.0]]]))
        >>> spread.within.tolist(), spread.between[0, 1].item()
        ([2.0, 4.0], 11.0)
    """
    _checked(states)
    first, second = np.triu_indices(states.shape[1], k=1)
    within = np.linalg.norm(states[:, first] - states[:, second], axis=2).mean(axis=1)
    centres = states.mean(axis=1)
    return Spread(within, np.linalg.norm(centres[:, None] - centres[None], axis=2))


def _drift_spread(states: States) -> Spread:
    """Squared distance of each style from the plain one, and half the squared distances between contents.

    The mean of the latter over pairs is the trace of the unbiased covariance of the contents' means.

    Reference: Rajput 2026, arXiv:2605.22800: E |h_s - h_0|^2 / tr Cov_c(mu_c).
    """
    _checked(states)
    within = np.square(states[:, 1:] - states[:, :1]).sum(axis=2).mean(axis=1)
    centres = states.mean(axis=1)
    return Spread(within, np.square(centres[:, None] - centres[None]).sum(axis=2) / 2)


def _cosine_spread(states: States) -> Spread:
    """1 - cosine of each style with the plain one, and of every two contents in the plain style.

    Reference: blind-spot ratio, Rajput 2026, arXiv:2604.21395: drift of paraphrases over drift of other sentences.
    """
    _checked(states)
    units = states / np.maximum(np.linalg.norm(states, axis=2, keepdims=True), 1e-300)
    within = 1 - np.einsum("csw,cw->cs", units[:, 1:], units[:, 0]).mean(axis=1)
    return Spread(within, 1 - units[:, 0] @ units[:, 0].T)


SPREADS = {"tdi": tdi_spread, "drift": _drift_spread, "blind_spot": _cosine_spread}
"""The three ratios by name."""


def ratio(spread: Spread, *, seed: int = 0) -> Ratio:
    """Mean within over mean between, with 95 % percentile intervals that draw whole contents.

    Reference: Efron and Tibshirani 1993, section 13.3. Two draws of one content are no pair of contents: the distance
    zero between them would shrink the denominator of every resample.
    """
    contents = len(spread.within)
    top, bottom = _resampled(spread, seed=seed)
    once = np.ones((1, contents))
    within, between = _means(spread, once)
    return Ratio(
        value=estimate(float(within[0] / floor(between)[0]), top / floor(bottom), contents),
        numerator=estimate(float(within[0]), top, contents),
        denominator=estimate(float(between[0]), bottom, contents),
    )


def ratio_of_ratios(after: Spread, before: Spread, *, seed: int = 0) -> Estimate:
    """How many times larger a ratio became, with an interval that draws the same contents for both models."""
    assert len(after.within) == len(before.within), "both models must see the same contents"
    contents = len(after.within)
    draws = np.concatenate([np.ones((1, contents)), drawn(contents, seed=seed)])
    factors = quotient(after, draws) / floor(quotient(before, draws))
    return estimate(float(factors[0]), factors[1:], contents)


def quotient(spread: Spread, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean within over mean between, for each row of counts."""
    within, between = _means(spread, counts)
    return within / floor(between)


def _resampled(spread: Spread, *, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean within and mean between of each resample."""
    return _means(spread, drawn(len(spread.within), seed=seed))


def drawn(contents: int, *, seed: int) -> NDArray[np.float64]:
    """How often each content is drawn in each resample that holds two different ones."""
    counts = cluster_draws(contents, num_resamples=NUM_RESAMPLES, seed=seed)
    return counts[(counts > 0).sum(axis=1) > 1].astype(np.float64)


def _means(spread: Spread, counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean within, and mean over pairs of different contents, where each content counts so many times."""
    total = counts.sum(axis=1)
    within = counts @ spread.within / total
    apart = spread.between * (1 - np.eye(len(spread.within)))
    pairs = np.square(total) - np.square(counts).sum(axis=1)
    return within, ((counts @ apart) * counts).sum(axis=1) / pairs


def estimate(value: float, resamples: NDArray[np.float64], contents: int) -> Estimate:
    """A number with the middle 95 % of its resamples."""
    low, high = percentile_interval(resamples)
    return Estimate(value=value, low=low, high=high, n=contents)


def floor(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values that may be divided by."""
    return np.maximum(values, 1e-300)


def _checked(states: States) -> None:
    """Refuse what has no spread.

    Raises:
        DataError: for fewer than two contents or styles.
    """
    contents, styles = states.shape[:2]
    if contents < 2 or styles < 2:
        raise DataError(
            f"Style TDI needs two contents in two styles, not {contents} in {styles}.",
            remedy="Give more held-out contents, or raise data.max_tokens where they did not fit.",
        )
