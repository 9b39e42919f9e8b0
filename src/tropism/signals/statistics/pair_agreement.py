"""Annotator agreement on which of two answers is better, independent of the order of a pair.

The sides of a pair are interchangeable, so chance distinguishes only wins and ties: two judgements of different pairs
agree if both are ties, and half the time if both name a winner. With labelled sides, agreement by chance would depend
on how often the first side happens to win.

Reference: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section C, for two judgements drawn without
replacement; Cohen 1960, Educational and Psychological Measurement 20(1), here of a table and its mirror
image.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tropism.errors import DataError
from tropism.records import Estimate
from tropism.signals.statistics.agreement import Counts, alpha_of, kappa_of, raw_of

FIRST, SECOND, TIE = 1.0, 0.0, 0.5
"""A judgement of the first of two answers; 1 minus it is the same judgement with the sides swapped."""


class PairAgreement(NamedTuple):
    """Annotator agreement on pairs; `n` of both is the number of pairs that at least two annotators judged.

    Args:
        raw: the probability that two annotators of a pair agree; None if no pair has two.
        alpha: nominal Krippendorff's alpha with interchangeable sides; None also if all are ties.
    """

    raw: Estimate | None
    alpha: Estimate | None


def pair_agreement(ratings: ArrayLike, thread: ArrayLike, *, num_resamples: int = 2000, seed: int = 0) -> PairAgreement:
    """Annotator agreement on which of two answers is better, independent of the order of a pair.

    Args:
        ratings: `FIRST`, `SECOND` or `TIE` for each annotator and pair, NaN for a missing one, [annotators, pairs].
        thread: the thread of each pair; pairs of one thread are resampled together, [pairs].
        num_resamples: number of bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        DataError: if a rating is not one of these values, or `thread` has another length.

    Reference: see `agreement_of_counts`.

    Example:
        >>> found = pair_agreement([[1, 1, 0, 1], [1, 1, 1, 1]], [0, 1, 2, 3])
        >>> round(found.raw.value, 3), round(found.alpha.value, 3)
        (0.75, 0.5)
    """
    judged = np.asarray(ratings, dtype=np.float64)
    values = (SECOND, TIE, FIRST)
    given = judged[~np.isnan(judged)]
    if judged.ndim != 2 or np.shape(thread) != judged.shape[1:] or not np.isin(given, values).all():
        raise DataError(
            f"`ratings` must be a table [annotators, pairs] of 1, 0, 0.5 and NaN with a `thread` for each pair, "
            f"got shapes {judged.shape} and {np.shape(thread)} with {np.unique(given)[:5]}.",
            remedy="Use 1 if the first answer won, 0 if the second won, 0.5 for a tie.",
        )
    counts = np.stack([(judged == value).sum(axis=0) for value in values], axis=1)
    return agreement_of_counts(counts, thread, num_resamples=num_resamples, seed=seed)


def agreement_of_counts(
    counts: ArrayLike, thread: ArrayLike, *, num_resamples: int = 2000, seed: int = 0
) -> PairAgreement:
    """As `pair_agreement`, from counts of the annotators' judgements of each pair.

    Alpha is 1 - observed / expected disagreement. Of n judgements w name a winner and t are ties; two of them, drawn
    without replacement and each oriented at random, agree with probability
    (w (w - 1) / 2 + t (t - 1)) / (n (n - 1)), and the expected disagreement is the rest. The bootstrap resamples
    threads and does not depend on their order.

    Args:
        counts: numbers of `SECOND`, `TIE` and `FIRST`; pairs with fewer than two judgements are ignored, [pairs, 3].
        thread: the thread of each pair, [pairs].
        num_resamples, seed: as in `pair_agreement`.

    Reference: Krippendorff 2011, section C; interchangeable sides are ours.

    Example:
        >>> found = agreement_of_counts([[1, 0, 1], [0, 0, 2]], [0, 1])  # two pairs, agreement on one: as by chance
        >>> found.raw.value, found.alpha.value
        (0.5, 0.0)
    """
    cells = np.asarray(counts, dtype=np.float64).reshape(-1, 3)
    judged = cells.sum(axis=1) >= 2
    if not judged.any():
        return PairAgreement(None, None)
    pairs = _Pairs(Counts(cells[judged], np.array([SECOND, TIE, FIRST])))
    unit = pairs.numbered(np.asarray(thread)[judged])
    expected = pairs.apart_by_chance(np.ones(len(unit)))
    return PairAgreement(
        raw_of(pairs.table, unit, num_resamples, seed),
        alpha_of(pairs.alpha, pairs.table.agreed(), expected, unit, num_resamples, seed),
    )


def pair_kappa(first: ArrayLike, second: ArrayLike, item: ArrayLike) -> Estimate | None:
    """Cohen's kappa of two annotators on pairs, each pair counted in both orientations; see `pair_agreement`.

    Args:
        first: one annotator's `FIRST`, `SECOND`, `TIE` or NaN, [pairs].
        second: the other annotator's, [pairs].
        item: the item of each pair; pairs of one item count as one observation in the interval, [pairs].

    Returns:
        The estimate, whose `n` is the number of items that both judged; None if agreement by chance is 1.

    Example:
        >>> round(pair_kappa([1, 1, 0, 1], [1, 1, 1, 1], [0, 1, 2, 3]).value, 3)
        0.5
    """
    judged = np.stack([np.asarray(side, dtype=np.float64) for side in (first, second)])
    both = ~np.isnan(judged).any(axis=0)
    table = np.zeros((3, 3))
    np.add.at(table, tuple((2 * judged[:, both]).astype(np.int64)), 1 / max(1, both.sum()))
    table = (table + table[::-1, ::-1]) / 2
    return kappa_of(table, np.eye(3), len(np.unique(np.asarray(item)[both])))


class _Pairs:
    """Pairs that at least two annotators judged: wins, ties and observed disagreement."""

    def __init__(self, table: Counts) -> None:
        self.table, self.ties = table, table.counts[:, 1]
        self.wins = table.totals - self.ties
        self.apart = (table.totals**2 - (table.counts**2).sum(axis=1)) / (table.totals - 1)

    def apart_by_chance(self, weights: NDArray[np.float64]) -> float:
        """The expected disagreement of two judgements, with weights on pairs, [pairs]."""
        wins, ties = weights @ self.wins, weights @ self.ties
        num = wins + ties
        return float(1 - (wins * (wins - 1) / 2 + ties * (ties - 1)) / (num * (num - 1)))

    def alpha(self, weights: NDArray[np.float64]) -> float:
        """1 - observed / expected disagreement; NaN if all are ties."""
        if not weights @ self.wins:
            return math.nan
        observed = weights @ self.apart / (weights @ self.table.totals)
        return float(1 - observed / self.apart_by_chance(weights))

    def numbered(self, thread: NDArray[Any]) -> NDArray[np.int64]:
        """Threads as numbers from 0, ordered by their judgements, so that the bootstrap is reproducible, [pairs]."""
        threads = np.unique(thread, return_inverse=True)[1].reshape(-1)
        said = (self.table.agreed(), self.apart, self.ties, self.table.totals, np.ones(len(threads)))
        sums = np.stack([np.bincount(threads, weights=column) for column in said]).round(9)
        return np.asarray(np.argsort(np.lexsort(sums))[threads])
