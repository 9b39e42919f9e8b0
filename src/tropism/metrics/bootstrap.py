"""From values of samples to a number with its interval: no number without one."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np

from tropism.records import Estimate

NUM_RESAMPLES = 2000
NUM_BLOCKS = 20
Z_95 = 1.959963984540054

Item = TypeVar("Item")


def mean_by_cluster(values: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0) -> Estimate | None:
    """Mean with a 95 % percentile bootstrap interval that draws whole clusters.

    Args:
        values: one per sample.
        clusters: what each sample belongs to (its prompt): samples of one cluster are not independent.
        seed: of the resampling.

    Returns:
        The estimate with `n` the number of values; None where there is none.

    Reference: Efron and Tibshirani 1993, section 13.3, with clusters as units.
    """
    return ratio_by_cluster(values, [1.0] * len(values), clusters, seed=seed)


def ratio_by_cluster(
    numerators: Sequence[float], denominators: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0
) -> Estimate | None:
    """Sum of numerators over sum of denominators, with a 95 % percentile bootstrap interval over clusters."""
    if not len(numerators):
        return None
    places: dict[Hashable, int] = {}
    owner = np.array([places.setdefault(cluster, len(places)) for cluster in clusters])
    top = np.bincount(owner, weights=np.asarray(numerators, dtype=float), minlength=len(places))
    bottom = np.bincount(owner, weights=np.asarray(denominators, dtype=float), minlength=len(places))
    draws = np.random.default_rng(seed).multinomial(len(places), np.full(len(places), 1 / len(places)), NUM_RESAMPLES)
    ratios = (draws @ top) / np.maximum(draws @ bottom, 1e-300)
    low, high = (float(bound) for bound in np.quantile(ratios, [0.025, 0.975]))
    value = float(top.sum() / bottom.sum())
    if low == high and value in (0.0, 1.0):
        low, high = wilson(value, len(places))
    return Estimate(value=value, low=low, high=high, n=len(numerators))


def quantile_by_cluster(
    values: Sequence[float], clusters: Sequence[Hashable], *, quantile: float, seed: int = 0
) -> Estimate | None:
    """A quantile of values with a 95 % percentile bootstrap interval that draws whole clusters.

    The quantile is the least value that the wanted share of values does not exceed.

    Example:
        >>> quantile_by_cluster([3.0, 1.0, 2.0], ["a", "b", "c"], quantile=0.5).value
        2.0
    """
    if not len(values):
        return None
    places: dict[Hashable, int] = {}
    owner = np.array([places.setdefault(cluster, len(places)) for cluster in clusters])
    order = np.argsort(np.asarray(values, dtype=float), kind="stable")
    ordered = np.asarray(values, dtype=float)[order]
    draws = np.random.default_rng(seed).multinomial(len(places), np.full(len(places), 1 / len(places)), NUM_RESAMPLES)
    counts = np.concatenate([np.ones((1, len(places)), dtype=draws.dtype), draws])[:, owner[order]].cumsum(axis=1)
    found = ordered[(counts >= quantile * counts[:, -1:]).argmax(axis=1)]
    low, high = (float(bound) for bound in np.quantile(found[1:], [0.025, 0.975]))
    return Estimate(value=float(found[0]), low=low, high=high, n=len(ordered))


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % score interval of a share: three wins of three are no certainty, though no resampling would say so.

    Reference: Wilson 1927, JASA 22, p. 209.

    Example:
        >>> low, high = wilson(1.0, 3)
        >>> round(low, 3), round(high, 3)
        (0.439, 1.0)
    """
    centre = (share + Z_95**2 / (2 * count)) / (1 + Z_95**2 / count)
    half = Z_95 * math.sqrt(share * (1 - share) / count + Z_95**2 / (4 * count**2)) / (1 + Z_95**2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def jackknife(statistic: Callable[[Sequence[Item]], float], items: Sequence[Item]) -> Estimate | None:
    """A statistic of a whole collection with a 95 % interval from leaving out one of twenty blocks at a time.

    For statistics that resampling with replacement would bias, such as shares of distinct n-grams.

    Reference: Efron and Tibshirani 1993, chapter 11.
    """
    if not items:
        return None
    value = statistic(items)
    blocks = min(NUM_BLOCKS, len(items))
    if blocks < 2:
        return Estimate(value=value, low=value, high=value, n=len(items))
    left_out = [statistic([item for i, item in enumerate(items) if i % blocks != block]) for block in range(blocks)]
    error = math.sqrt((blocks - 1) / blocks * sum((one - sum(left_out) / blocks) ** 2 for one in left_out))
    return Estimate(value=value, low=value - Z_95 * error, high=value + Z_95 * error, n=len(items))


def mapped(estimate: Estimate | None, function: Callable[[float], float]) -> Estimate | None:
    """An estimate on another, increasing scale (exp of a mean log-probability, say)."""
    if estimate is None:
        return None
    return Estimate(
        value=function(estimate.value), low=function(estimate.low), high=function(estimate.high), n=estimate.n
    )
