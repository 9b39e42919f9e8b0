"""Estimates with 95 % intervals: bootstrap over clusters, Wilson's score interval, jackknife."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tropism.records import Estimate

NUM_RESAMPLES = 2000
NUM_BLOCKS = 20
Z_95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""
MIDDLE_95 = (0.025, 0.975)
"""The quantiles that bound the middle 95 % of resamples."""

Item = TypeVar("Item")


def mean_by_cluster(values: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0) -> Estimate | None:
    """Mean with a 95 % percentile bootstrap interval that draws whole clusters.

    Args:
        values: one per sample.
        clusters: what each sample belongs to (its prompt); samples of one cluster are not independent.
        seed: of the resampling.

    Returns:
        The estimate; its `n` is the number of values. None if there are no values.

    Reference: Efron and Tibshirani 1993, section 13.3, with clusters as units.
    """
    return ratio_by_cluster(values, [1.0] * len(values), clusters, seed=seed)


def ratio_by_cluster(
    numerators: Sequence[float], denominators: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0
) -> Estimate | None:
    """Sum of numerators over sum of denominators, with a 95 % percentile bootstrap interval over clusters."""
    if not len(numerators):
        return None
    owner = numbered(clusters)
    top = np.bincount(owner, weights=np.asarray(numerators, dtype=float))
    bottom = np.bincount(owner, weights=np.asarray(denominators, dtype=float))
    draws = cluster_draws(len(top), num_resamples=NUM_RESAMPLES, seed=seed)
    low, high = percentile_interval((draws @ top) / np.maximum(draws @ bottom, 1e-300))
    value = float(top.sum() / bottom.sum())
    if low == high and value in (0.0, 1.0):
        low, high = wilson(value, len(top))
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
    owner = numbered(clusters)
    num_clusters = int(owner.max()) + 1
    order = np.argsort(np.asarray(values, dtype=float), kind="stable")
    ordered = np.asarray(values, dtype=float)[order]
    draws = cluster_draws(num_clusters, num_resamples=NUM_RESAMPLES, seed=seed)
    counts = np.concatenate([np.ones((1, num_clusters), dtype=draws.dtype), draws])[:, owner[order]].cumsum(axis=1)
    found = ordered[(counts >= quantile * counts[:, -1:]).argmax(axis=1)]
    low, high = percentile_interval(found[1:])
    return Estimate(value=float(found[0]), low=low, high=high, n=len(ordered))


def numbered(clusters: Sequence[Hashable]) -> NDArray[np.int64]:
    """Clusters as numbers from 0, in the order in which they first occur, [samples].

    Example:
        >>> numbered(["b", "a", "b"]).tolist()
        [0, 1, 0]
    """
    places: dict[Hashable, int] = {}
    return np.array([places.setdefault(cluster, len(places)) for cluster in clusters], dtype=np.int64)


def cluster_draws(num_clusters: int, *, num_resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each cluster is drawn in each resample of as many clusters, [resamples, clusters]."""
    return np.random.default_rng(seed).multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), num_resamples)


def percentile_interval(resamples: NDArray[np.float64] | Sequence[float]) -> tuple[float, float]:
    """Bounds of the middle 95 % of resampled values.

    Example:
        >>> percentile_interval([0.0, 1.0, 2.0, 3.0, 4.0])
        (0.1, 3.9)
    """
    low, high = np.quantile(np.asarray(resamples, dtype=float), MIDDLE_95)
    return float(low), float(high)


def wilson(share: float, count: float) -> tuple[float, float]:
    """95 % score interval of a share. Three wins of three do not prove 100 %, although every resample would be 100 %.

    Args:
        share: in [0, 1].
        count: number of independent observations; an effective number need not be whole.

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
    """A statistic of a whole collection with a 95 % interval from omitting one of twenty blocks at a time.

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
    error = jackknife_error(left_out)
    return Estimate(value=value, low=value - Z_95 * error, high=value + Z_95 * error, n=len(items))


def jackknife_error(left_out: Sequence[float]) -> float:
    """Standard error of a statistic from its values with one block at a time omitted.

    Reference: Efron and Tibshirani 1993, eq. 11.5.

    Example:
        >>> round(jackknife_error([1.0, 2.0, 3.0]), 4)  # sqrt(2 / 3 * (1 + 0 + 1))
        1.1547
    """
    num = len(left_out)
    mean = sum(left_out) / num
    return math.sqrt((num - 1) / num * sum((one - mean) ** 2 for one in left_out))


def bounded(estimate: Estimate, least: float, most: float) -> Estimate:
    """An estimate whose interval ends where the quantity does, such as at 0 and 1 for a share.

    Example:
        >>> bounded(Estimate(value=0.98, low=0.9, high=1.06, n=5), 0.0, 1.0).high
        1.0
    """
    return estimate.model_copy(
        update={"low": min(max(estimate.low, least), most), "high": max(min(estimate.high, most), least)}
    )


def mapped(estimate: Estimate | None, function: Callable[[float], float]) -> Estimate | None:
    """An estimate on another, increasing scale (exp of a mean log-probability, say)."""
    if estimate is None:
        return None
    return Estimate(
        value=function(estimate.value), low=function(estimate.low), high=function(estimate.high), n=estimate.n
    )
