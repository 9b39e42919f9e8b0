"""How far annotators agree on which of two answers is better, whichever of the two is called the first.

The sides of a pair have no names, so that chance knows only wins and ties: two judgements of different pairs agree
where both are ties, and half the time where both name a winner. Counted by sides, agreement by chance would hang on how
often the side that happens to come first wins.

Reference: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section C, for two judgements drawn without
putting the first back; Cohen 1960, Educational and Psychological Measurement 20(1), here of a table and its mirror
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
"""What a judgement says of the first of two answers; 1 less a judgement is the same one with the sides swapped."""


class PairAgreement(NamedTuple):
    """How far annotators agree on pairs; `n` of both is the number of pairs that two annotators have judged.

    Args:
        raw: the chance that two annotators of a pair say the same; None where no pair has two.
        alpha: Krippendorff's alpha, nominal, of sides without names; None also where all are ties.
    """

    raw: Estimate | None
    alpha: Estimate | None


def pair_agreement(ratings: ArrayLike, thread: ArrayLike, *, num_resamples: int = 2000, seed: int = 0) -> PairAgreement:
    """How far annotators agree on which of two answers is better, the same whichever answer is called the first.

    Args:
        ratings: `FIRST`, `SECOND` or `TIE` for each annotator and pair, NaN where there is none, [annotators, pairs].
        thread: what each pair belongs to; pairs of one thread are drawn together, [pairs].
        num_resamples: how often the threads are drawn.
        seed: of the drawing.

    Raises:
        DataError: where a rating is no judgement, or `thread` has another length.

    Reference: see `agreement_of_counts`.

    Example:
        >>> told = pair_agreement([[1, 1, 0, 1], [1, 1, 1, 1]], [0, 1, 2, 3])
        >>> round(told.raw.value, 3), round(told.alpha.value, 3)
        (0.75, 0.5)
    """
    told = np.asarray(ratings, dtype=np.float64)
    values = (SECOND, TIE, FIRST)
    given = told[~np.isnan(told)]
    if told.ndim != 2 or np.shape(thread) != told.shape[1:] or not np.isin(given, values).all():
        raise DataError(
            f"ratings of pairs must be a table [annotators, pairs] of 1, 0, 0.5 and NaN with a thread for each pair, "
            f"not of shapes {told.shape} and {np.shape(thread)} with {np.unique(given)[:5]}.",
            remedy="Give 1 where the first answer won, 0 where the second did, 0.5 for a tie.",
        )
    counts = np.stack([(told == value).sum(axis=0) for value in values], axis=1)
    return agreement_of_counts(counts, thread, num_resamples=num_resamples, seed=seed)


def agreement_of_counts(
    counts: ArrayLike, thread: ArrayLike, *, num_resamples: int = 2000, seed: int = 0
) -> PairAgreement:
    """As `pair_agreement`, of how many annotators said what of each pair.

    Alpha is 1 - observed / expected disagreement. Of n judgements w name a winner and t are ties; two of them, drawn
    without putting the first back and each turned to either side, agree with chance
    (w (w - 1) / 2 + t (t - 1)) / (n (n - 1)), and the expected disagreement is the rest. Intervals draw threads;
    nothing depends on their order.

    Args:
        counts: how many said `SECOND`, `TIE` and `FIRST`; pairs with fewer than two say nothing, [pairs, 3].
        thread: what each pair belongs to, [pairs].
        num_resamples, seed: as in `pair_agreement`.

    Reference: Krippendorff 2011, section C; that sides have no names is ours.

    Example:
        >>> told = agreement_of_counts([[1, 0, 1], [0, 0, 2]], [0, 1])  # two pairs, apart on one: no better than chance
        >>> told.raw.value, told.alpha.value
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
        first: `FIRST`, `SECOND`, `TIE` or NaN, of one annotator, [pairs].
        second: of the other, [pairs].
        item: what a pair was shown in; pairs of one item count as one witness in the interval, [pairs].

    Returns:
        The estimate, whose `n` is the number of items that both judged; None where chance alone agrees always.

    Example:
        >>> round(pair_kappa([1, 1, 0, 1], [1, 1, 1, 1], [0, 1, 2, 3]).value, 3)
        0.5
    """
    told = np.stack([np.asarray(side, dtype=np.float64) for side in (first, second)])
    both = ~np.isnan(told).any(axis=0)
    table = np.zeros((3, 3))
    np.add.at(table, tuple((2 * told[:, both]).astype(np.int64)), 1 / max(1, both.sum()))
    table = (table + table[::-1, ::-1]) / 2
    return kappa_of(table, np.eye(3), len(np.unique(np.asarray(item)[both])))


class _Pairs:
    """Pairs that two annotators or more have judged: wins and ties, and how far apart the judgements of each are."""

    def __init__(self, table: Counts) -> None:
        self.table, self.ties = table, table.counts[:, 1]
        self.wins = table.totals - self.ties
        self.apart = (table.totals**2 - (table.counts**2).sum(axis=1)) / (table.totals - 1)

    def apart_by_chance(self, weights: NDArray[np.float64]) -> float:
        """The expected disagreement of two judgements; a pair counts as often as its weight, [pairs]."""
        wins, ties = weights @ self.wins, weights @ self.ties
        num = wins + ties
        return float(1 - (wins * (wins - 1) / 2 + ties * (ties - 1)) / (num * (num - 1)))

    def alpha(self, weights: NDArray[np.float64]) -> float:
        """1 - observed / expected disagreement; NaN where all are ties."""
        if not weights @ self.wins:
            return math.nan
        observed = weights @ self.apart / (weights @ self.table.totals)
        return float(1 - observed / self.apart_by_chance(weights))

    def numbered(self, thread: NDArray[Any]) -> NDArray[np.int64]:
        """Threads as numbers from 0, in an order of what is said in them, so that draws know no other; [pairs]."""
        threads = np.unique(thread, return_inverse=True)[1].reshape(-1)
        said = (self.table.agreed(), self.apart, self.ties, self.table.totals, np.ones(len(threads)))
        sums = np.stack([np.bincount(threads, weights=column) for column in said]).round(9)
        return np.asarray(np.argsort(np.lexsort(sums))[threads])
