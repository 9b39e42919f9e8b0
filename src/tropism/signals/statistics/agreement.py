"""Annotator agreement: raw agreement, Cohen's kappa of two annotators, Krippendorff's alpha of any number.

Each is an estimate whose `n` is the number of items that at least two annotators rated. If agreement is the same on all
items, every bootstrap resample gives the same value, which does not make it certain: the interval is then Wilson's
interval of the raw agreement, corrected for chance. For choices between two answers use `pair_agreement`.

Reference: Cohen 1960, Educational and Psychological Measurement 20(1); Fleiss, Cohen and Everitt 1969, Psychological
Bulletin 72(5), eq. 8 and 9, for the standard error; Krippendorff 2011, Computing Krippendorff's Alpha-Reliability.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tropism.errors import ConfigError, DataError
from tropism.metrics.bootstrap import Z_95, percentile_interval, wilson
from tropism.records import Estimate

Level: TypeAlias = Literal["nominal", "ordinal", "interval"]
KappaWeights: TypeAlias = Literal["none", "linear", "quadratic"]

_SAME = 1e-12
"""Width of an interval that no resample moved."""


def raw_agreement(ratings: ArrayLike, *, num_resamples: int = 2000, seed: int = 0) -> Estimate | None:
    """The probability that two annotators of a random item agree, with a bootstrap interval over items.

    Args:
        ratings: a number for each annotator and item, NaN for a missing one, [annotators, items].
        num_resamples: number of bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        The estimate; each item has the same weight, whatever its number of annotators. None if no item has two.

    Example:
        >>> round(raw_agreement([[0, 1, 1, 2], [0, 1, 0, 2]]).value, 2)
        0.75
    """
    table = _counts(ratings)
    return raw_of(table, np.arange(len(table.counts)), num_resamples, seed) if len(table.counts) else None


def cohen_kappa(
    first: Sequence[Hashable], second: Sequence[Hashable], *, weights: KappaWeights = "none"
) -> Estimate | None:
    """Cohen's kappa of two annotators with the 95 % interval of its large-sample standard error.

    Args:
        first: one annotator's label of each item, None for a missing one, [items].
        second: the other annotator's labels of the same items, [items].
        weights: `none`, or how disagreement grows with the distance between two labels in sorted order.

    Returns:
        The estimate over the items that both labelled; None if there are none, or if both used the same single
        label throughout, so that agreement by chance is 1.

    Raises:
        DataError: if the two have different lengths.

    Example:
        >>> kappa = cohen_kappa([0] * 25 + [1] * 25, [0] * 20 + [1] * 5 + [0] * 10 + [1] * 15)
        >>> round(kappa.value, 6)
        0.4
    """
    if len(first) != len(second):
        raise DataError(
            f"`first` and `second` must have equal lengths, got {len(first)} and {len(second)}.",
            remedy="Use None for a missing label.",
        )
    both = [pair for pair in zip(first, second, strict=True) if not (_missing(pair[0]) or _missing(pair[1]))]
    table = _table(both)
    return kappa_of(table, _credit(len(table), weights), len(both))


def krippendorff_alpha(
    ratings: ArrayLike, *, level: Level = "nominal", num_resamples: int = 2000, seed: int = 0
) -> Estimate | None:
    """Krippendorff's alpha with a 95 % percentile bootstrap interval over items.

    Args:
        ratings: a number for each annotator and item, NaN for a missing one, [annotators, items].
        level: `nominal` for names, `ordinal` for ranks, `interval` for amounts whose differences can be compared.
        num_resamples: number of bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        The estimate; None if no item has two ratings, or if all ratings are the same.

    Raises:
        DataError: if `ratings` is not a table of finite numbers and NaN.
        ConfigError: for an unknown level.

    Example:
        >>> round(krippendorff_alpha([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]).value, 3)
        0.095
    """
    if level not in ("nominal", "ordinal", "interval"):
        raise ConfigError(f"`level` must be nominal, ordinal or interval, got {level!r}.", remedy="Use 'nominal'.")
    table = _counts(ratings)
    if not len(table.counts):
        return None
    return alpha_of(
        lambda weights: table.alpha(weights, level),
        table.agreed(),
        1 - table.chance_of_a_match(),
        np.arange(len(table.counts)),
        num_resamples,
        seed,
    )


class Counts:
    """How often each item got each value; items with fewer than two ratings are omitted."""

    def __init__(self, counts: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        self.counts, self.values = counts, values
        self.totals = counts.sum(axis=1)

    def alpha(self, weights: NDArray[np.float64], level: Level) -> float:
        """1 - observed / expected disagreement with weights on items; NaN if all ratings are the same.

        Sums of n_c n_k (x_c - x_k)^2 over pairs of values are 2 (n sum n_c x_c^2 - (sum n_c x_c)^2), so no table
        of pairs is needed. Ordinal distances are differences of mid-ranks: sum n_g from c to k, less (n_c + n_k) / 2.
        """
        marginal = weights @ self.counts
        total = marginal.sum()
        if level == "nominal":
            within = self.totals**2 - (self.counts**2).sum(axis=1)
            expected = total**2 - (marginal**2).sum()
        else:
            place = self.values if level == "interval" else np.cumsum(marginal) - marginal / 2
            place = place - marginal @ place / total
            within = 2 * (self.totals * (self.counts @ place**2) - (self.counts @ place) ** 2)
            expected = 2 * (total * (marginal @ place**2) - (marginal @ place) ** 2)
        if np.count_nonzero(marginal) < 2:
            return math.nan
        observed = weights @ (within / (self.totals - 1))
        return float(1 - (total - 1) * observed / expected)

    def agreed(self) -> NDArray[np.float64]:
        """The share of annotator pairs that agree, [items]."""
        return np.asarray(((self.counts**2).sum(axis=1) - self.totals) / (self.totals * (self.totals - 1)))

    def chance_of_a_match(self) -> float:
        """The probability that two of all ratings, drawn without replacement, are equal."""
        marginal = self.counts.sum(axis=0)
        total = marginal.sum()
        return float((marginal * (marginal - 1)).sum() / (total * (total - 1)))


def raw_of(table: Counts, unit: NDArray[np.int64], num_resamples: int, seed: int) -> Estimate:
    """Raw agreement with a bootstrap over units; `unit` is each item's unit, [items]."""
    agreed, num_units = table.agreed(), int(unit.max()) + 1
    right, items = np.bincount(unit, weights=agreed), np.bincount(unit)
    drawn = np.array([weights @ right / (weights @ items) for weights in _draws(num_units, num_resamples, seed)])
    value = float(agreed.mean())
    low, high = percentile_interval(drawn)
    if high - low < _SAME:
        low, high = wilson(value, num_units)
    return Estimate(value=value, low=low, high=high, n=len(unit))


def alpha_of(
    alpha: Callable[[NDArray[np.float64]], float],
    agreed: NDArray[np.float64],
    apart_by_chance: float,
    unit: NDArray[np.int64],
    num_resamples: int,
    seed: int,
) -> Estimate | None:
    """Krippendorff's alpha with its interval.

    Args:
        alpha: alpha as a function of the items' weights, [items]; NaN if all ratings are the same.
        agreed: the share of annotator pairs that agree, [items].
        apart_by_chance: the probability that two of all ratings differ.
        unit: the unit of each item, from 0; items of one unit are resampled together, [items].
        num_resamples, seed: of the bootstrap.
    """
    value = alpha(np.ones(len(unit)))
    if math.isnan(value):
        return None
    num_units = int(unit.max()) + 1
    drawn = np.array([alpha(weights[unit]) for weights in _draws(num_units, num_resamples, seed)])
    low, high = percentile_interval(drawn[np.isfinite(drawn)])
    if high - low < _SAME:
        low, high = (1 - (1 - bound) / apart_by_chance for bound in wilson(float(agreed.mean()), num_units))
    return Estimate(value=value, low=max(-1.0, min(low, value)), high=min(1.0, max(high, value)), n=len(unit))


def _counts(ratings: ArrayLike) -> Counts:
    """The counts of values of every item that at least two annotators rated."""
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or np.isinf(table).any():
        raise DataError(
            f"`ratings` must be a table [annotators, items] of finite numbers and NaN, got shape {table.shape}.",
            remedy="Number the labels, and use NaN for a missing rating.",
        )
    given = ~np.isnan(table)
    values, codes = np.unique(table[given], return_inverse=True)
    items = np.nonzero(given)[1]
    cells = np.bincount(items * len(values) + codes, minlength=table.shape[1] * len(values))
    counts = cells.reshape(table.shape[1], len(values)).astype(np.float64)
    return Counts(counts[counts.sum(axis=1) >= 2], values)


def _draws(num_items: int, num_resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """For each resample, how often each item is drawn, [items]."""
    rng = np.random.default_rng(seed)
    for _ in range(num_resamples):
        yield np.bincount(rng.integers(num_items, size=num_items), minlength=num_items).astype(np.float64)


def _missing(label: Hashable) -> bool:
    """Whether a label is None or NaN."""
    return label is None or label != label


def _table(pairs: Sequence[tuple[Hashable, Hashable]]) -> NDArray[np.float64]:
    """The share of every pair of labels, [labels, labels], with labels in sorted order."""
    found = {label for pair in pairs for label in pair}
    try:
        labels = sorted(found)  # type: ignore[type-var]
    except TypeError:
        raise DataError(f"labels must be sortable, got {found}.", remedy="Use only texts, or only numbers.") from None
    place = {label: index for index, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)))
    for one, other in pairs:
        table[place[one], place[other]] += 1 / len(pairs)
    return table


def _credit(num_labels: int, weights: KappaWeights) -> NDArray[np.float64]:
    """Credit of every pair of labels for agreement; 1 on the diagonal."""
    if weights not in ("none", "linear", "quadratic"):
        raise ConfigError(f"`weights` must be none, linear or quadratic, got {weights!r}.", remedy="Use 'none'.")
    if weights == "none":
        return np.eye(num_labels)
    apart = np.abs(np.subtract.outer(np.arange(num_labels), np.arange(num_labels))) / max(1, num_labels - 1)
    return np.asarray(1 - (apart if weights == "linear" else apart**2))


def kappa_of(table: NDArray[np.float64], credit: NDArray[np.float64], count: int) -> Estimate | None:
    """Kappa from a table of shares that was computed on `count` items."""
    if not count or (expected := float(table.sum(axis=1) @ credit @ table.sum(axis=0))) >= 1 - 1e-12:
        return None
    observed = float((table * credit).sum())
    value = (observed - expected) / (1 - expected)
    low, high = (value + sign * Z_95 * _kappa_error(table, credit, observed, expected, count) for sign in (-1, 1))
    if observed >= 1 - 1e-12:
        low = (wilson(1.0, count)[0] - expected) / (1 - expected)
    return Estimate(value=value, low=max(-1.0, low), high=min(1.0, high), n=count)


def _kappa_error(
    table: NDArray[np.float64], credit: NDArray[np.float64], observed: float, expected: float, count: int
) -> float:
    """Large-sample standard error of a (weighted) kappa; Fleiss, Cohen and Everitt 1969, eq. 9."""
    mean_credit = (credit @ table.sum(axis=0))[:, None] + table.sum(axis=1) @ credit
    spread = (table * (credit * (1 - expected) - mean_credit * (1 - observed)) ** 2).sum()
    spread -= (observed * expected - 2 * expected + observed) ** 2
    return math.sqrt(max(0.0, float(spread)) / count) / (1 - expected) ** 2
