"""Did it change: paired differences with interval and p-value, correction for many tests, equivalence.

Which test for what. A mean of items is compared by flipping the signs of whole clusters' differences, exactly if
there are few clusters; if every item is a cluster of its own and only says yes, no or equal, that test is McNemar's,
computed exactly from the binomial distribution. A statistic that is no mean is compared by the jackknife over blocks
of clusters, with Student's t. No test assumes that items of one cluster are independent. Where not one item moved
there is no test: none of its outcomes could have been significant (Tarone 1990, Biometrics 46, p. 515).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tropism.metrics.bootstrap import Z_95, jackknife_error, mean_by_cluster, numbered, wilson
from tropism.records import Estimate

NUM_FLIPS = 9999
EXACT_CLUSTERS = 13
"""Up to so many clusters that differ, all their signs are tried: 2^13 = 8,192."""
NUM_BLOCKS = 20
T_95 = 0.975

Item = TypeVar("Item")


class Difference(NamedTuple):
    """A difference (after less before) and how likely one as large would be by chance; None if no test applies."""

    estimate: Estimate
    p_value: float | None


class Summed(NamedTuple):
    """Differences summed by cluster, and how many there are in each."""

    sums: NDArray[np.float64]
    counts: NDArray[np.float64]


def paired_difference(
    differences: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0
) -> Difference | None:
    """Mean difference of paired items with its 95 % interval (bootstrap of clusters) and a two-sided p-value.

    Args:
        differences: after less before, one per item that both models have.
        clusters: what each item belongs to.
        seed: of the resampling and of the flips.

    Returns:
        None if there is no item. The p-value is that of `mcnemar` or of `sign_flip`, see the module; None if no
        item moved.

    Example:
        >>> found = paired_difference([1.0, 1.0, 1.0, 0.0], ["a", "b", "c", "d"])
        >>> found.estimate.value, found.p_value
        (0.75, 0.25)
    """
    estimate = mean_by_cluster(differences, clusters, seed=seed)
    if estimate is None:
        return None
    summed = by_cluster(differences, clusters)
    if not any(differences):
        return Difference(estimate.model_copy(update={"low": 0.0, "high": 0.0}), None)
    is_yes_or_no = len(summed.sums) == len(differences) and len(set(np.abs(summed.sums[summed.sums != 0]).tolist())) < 2
    if is_yes_or_no:
        gained, lost = int((summed.sums > 0).sum()), int((summed.sums < 0).sum())
        return Difference(estimate, mcnemar(gained, lost))
    return Difference(estimate, sign_flip(summed.sums.tolist(), seed=seed))


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p-value of McNemar's test: were as many items gained as lost?

    Reference: McNemar 1947, Psychometrika 12, p. 153, with the binomial distribution in the place of chi-squared.

    Example:
        >>> mcnemar(8, 1)
        0.0390625
    """
    return float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def sign_flip(sums: Sequence[float], *, seed: int = 0) -> float:
    """Two-sided p-value of the sum of clusters' differences, each equally likely to have had the other sign.

    Exact up to `EXACT_CLUSTERS` clusters that differ at all; beyond that by `NUM_FLIPS` random flips, counting what was
    observed as one of them, so that p is never below 1 / (NUM_FLIPS + 1).

    Reference: Fisher 1935, The Design of Experiments, section 21; Phipson and Smyth 2010, SAGMB 9, art. 39, eq. 2.

    Example:
        >>> sign_flip([1.0, 2.0, 3.0])  # 2 of the 8 ways to sign them are as far from zero
        0.25
    """
    moved = np.array([one for one in sums if one != 0.0])
    if not len(moved):
        return 1.0
    observed = abs(moved.sum()) * (1 - 1e-12)
    if len(moved) <= EXACT_CLUSTERS:
        signs = 1 - 2 * ((np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved))) & 1)
        return float((np.abs(signs @ moved) >= observed).mean())
    signs = np.random.default_rng(seed).integers(0, 2, size=(NUM_FLIPS, len(moved)), dtype=np.int8)
    flipped = moved.sum() - 2 * (signs.astype(np.float32) @ moved.astype(np.float32)).astype(float)
    return float((1 + (np.abs(flipped) >= observed).sum()) / (1 + NUM_FLIPS))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number: each may be read as if it were the only test.

    Reference: Holm 1979, Scandinavian Journal of Statistics 6, p. 65.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted


def p_in_words(p_value: float) -> str:
    """A p-value to four digits; a smaller one is never written as 0.

    Example:
        >>> p_in_words(0.0123), p_in_words(1e-9)
        ('p = 0.0123', 'p < 0.0001')
    """
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.4f}"


def equivalence(differences: Sequence[float], clusters: Sequence[Hashable], *, margin: float) -> float | None:
    """P-value against a mean difference of `margin` or more in either direction: small means practically the same.

    Two one-sided t-tests on the clusters' share in the mean; the larger p-value counts.

    Args:
        differences: after less before.
        clusters: what each belongs to.
        margin: the least difference that would matter, > 0, in the metric's unit.

    Returns:
        None with fewer than two clusters.

    Reference: Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15, p. 657.
    """
    summed = by_cluster(differences, clusters)
    num = len(summed.sums)
    if num < 2:
        return None
    total = summed.counts.sum()
    mean = summed.sums.sum() / total
    residuals = summed.sums - mean * summed.counts
    error = math.sqrt(num / (num - 1) * float((residuals**2).sum())) / total
    if error == 0.0:
        return 0.0 if abs(mean) < margin else 1.0
    below = stats.t.sf((mean + margin) / error, num - 1)
    above = stats.t.cdf((mean - margin) / error, num - 1)
    return float(max(below, above))


def jackknife_difference(
    before: Sequence[Item],
    after: Sequence[Item],
    *,
    statistic: Callable[[Sequence[Item]], float],
    cluster: Callable[[Item], str],
) -> Difference | None:
    """Difference of a statistic between two collections, omitting the same blocks of clusters on both sides.

    Args:
        before, after: the collections; each cluster should be in both.
        statistic: of a whole collection.
        cluster: what an item belongs to.

    Returns:
        None if a collection is empty or gives no value of the statistic.
    """
    if not before or not after:
        return None
    value = statistic(after) - statistic(before)
    blocks = blocks_of([cluster(item) for item in (*before, *after)])
    num = 1 + max(blocks.values())
    left_out = []
    for block in range(num if num > 1 else 0):
        sides = [[item for item in side if blocks[cluster(item)] != block] for side in (before, after)]
        if not all(sides):
            return Difference(Estimate(value=value, low=value, high=value, n=len(after)), None)
        left_out.append(statistic(sides[1]) - statistic(sides[0]))
    found = _student(value, left_out, n=len(after))
    return Difference(*found) if found else None


def jackknife_estimate(
    items: Sequence[Item], *, statistic: Callable[[Sequence[Item]], float], cluster: Callable[[Item], str]
) -> Estimate | None:
    """A statistic with its 95 % interval, from omitting one of up to twenty blocks of clusters at a time.

    None if there is no item, or if the statistic has no value without one of the blocks.

    Reference: Efron and Tibshirani 1993, chapter 11; Student's t because the blocks are few.
    """
    if not items:
        return None
    blocks = blocks_of([cluster(item) for item in items])
    num = 1 + max(blocks.values())
    left_out = [
        statistic([item for item in items if blocks[cluster(item)] != block]) for block in range(num if num > 1 else 0)
    ]
    found = _student(statistic(items), left_out, n=len(items))
    return found[0] if found else None


def _student(value: float, left_out: Sequence[float], *, n: int) -> tuple[Estimate, float | None] | None:
    """A value with interval and p-value (against zero) of its jackknife replicates; None if one is not finite."""
    if not all(map(math.isfinite, (value, *left_out))):
        return None
    num = len(left_out)
    if num < 2:
        return Estimate(value=value, low=value, high=value, n=n), None
    error = jackknife_error(left_out)
    half = float(stats.t.ppf(T_95, num - 1)) * error
    estimate = Estimate(value=value, low=value - half, high=value + half, n=n)
    if error == 0.0:
        return estimate, None
    return estimate, float(2 * stats.t.sf(abs(value) / error, num - 1))


def widened(difference: Difference, num_clusters: int) -> Difference:
    """The difference of two shares if none of so many clusters moved: agreement of a few clusters proves little.

    Of the clusters, up to the upper Wilson bound of none may move either way.
    """
    bound = wilson(0.0, num_clusters)[1]
    return difference._replace(estimate=difference.estimate.model_copy(update={"low": -bound, "high": bound}))


def unpaired_difference(before: Estimate, after: Estimate) -> Difference:
    """Difference of two estimates as if they were independent, from their intervals alone.

    The p-value is the one that the half of the interval on zero's side implies for a normal estimate: an approximation,
    so that many such metrics are corrected for their number too.

    Reference: Zou and Donner 2008, Statistics in Medicine 27, p. 1693, eq. 7 (MOVER).
    """
    value = after.value - before.value
    low = value - math.hypot(after.value - after.low, before.high - before.value)
    high = value + math.hypot(after.high - after.value, before.value - before.low)
    error = (value - low if value > 0 else high - value) / Z_95
    p_value = float(2 * stats.norm.sf(abs(value) / error)) if error > 0 and value else None
    return Difference(Estimate(value=value, low=low, high=high, n=min(before.n, after.n)), p_value)


def by_cluster(values: Sequence[float], clusters: Sequence[Hashable]) -> Summed:
    """Values summed by cluster, in the order in which clusters first come."""
    owner = numbered(clusters)
    sums = np.bincount(owner, weights=np.asarray(values, dtype=float)).astype(np.float64)
    return Summed(sums, np.bincount(owner).astype(np.float64))


def blocks_of(clusters: Sequence[str]) -> dict[str, int]:
    """A block for each cluster, by the order of their hashes, so that blocks are alike and the same for every model."""
    distinct = sorted(set(clusters), key=lambda one: hashlib.sha256(one.encode("utf-8", "surrogatepass")).digest())
    num = min(NUM_BLOCKS, len(distinct))
    return {name: place % num for place, name in enumerate(distinct)}
