"""How far annotators agree on which of two answers is better, whichever of the two is called the first.

The sides of a pair have no names: each judgement is counted in both orientations, as it stands and with the sides
swapped. Counted in one, agreement by chance would hang on how often the side that happens to come first wins.

Reference: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section C: the table of coincidences, here of
all judgements and their mirror images; Cohen 1960, Educational and Psychological Measurement 20(1), likewise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tropism.errors import DataError
from tropism.records import Estimate
from tropism.signals.agreement import Counts, alpha_of, kappa_of, raw_of

FIRST, SECOND, TIE = 1.0, 0.0, 0.5
"""What a judgement says of the first of two answers; 1 less a judgement is the same one with the sides swapped."""


class PairAgreement(NamedTuple):
    """How far annotators agree on pairs; `n` of both is the number of pairs that two annotators have judged.

    Args:
        raw: the chance that two annotators of a pair say the same; None where no pair has two.
        alpha: Krippendorff's alpha, nominal, of judgements in both orientations; None also where all are ties.
    """

    raw: Estimate | None
    alpha: Estimate | None


def pair_agreement(ratings: ArrayLike, thread: ArrayLike, *, num_resamples: int = 2000, seed: int = 0) -> PairAgreement:
    """How far annotators agree on which of two answers is better, the same whichever answer is called the first.

    Each judgement is counted in both orientations, as it stands and with the sides swapped, so that chance knows only
    wins and ties, no side that wins more. Intervals draw threads; nothing depends on their order.

    Args:
        ratings: `FIRST`, `SECOND` or `TIE` for each annotator and pair, NaN where there is none, [annotators, pairs].
        thread: what each pair belongs to; pairs of one thread are drawn together, [pairs].
        num_resamples: how often the threads are drawn.
        seed: of the drawing.

    Raises:
        DataError: where a rating is no judgement, or `thread` has another length.

    Reference: the table of coincidences of Krippendorff 2011, section C, of all judgements and their mirror images.

    Example:
        >>> told = pair_agreement([[1, 1, 0, 1], [1, 1, 1, 1]], [0, 1, 2, 3])
        >>> round(told.raw.value, 3), round(told.alpha.value, 3)
        (0.75, 0.531)
    """
    table, threads = _both_ways(ratings, thread)
    num_pairs = len(table.counts) // 2
    return PairAgreement(
        raw_of(table, threads, num_pairs, num_resamples, seed),
        alpha_of(table, "nominal", threads, num_pairs, num_resamples, seed),
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


def _both_ways(ratings: ArrayLike, thread: ArrayLike) -> tuple[Counts, NDArray[np.int64]]:
    """The counts of pairs, then of the same with sides swapped, and the thread of each, numbered by what it says."""
    told, threads = np.asarray(ratings, dtype=np.float64), np.asarray(thread)
    values = np.array([SECOND, TIE, FIRST])
    if told.ndim != 2 or threads.shape != told.shape[1:] or not (np.isnan(told) | np.isin(told, values)).all():
        raise DataError(
            f"ratings of pairs must be a table [annotators, pairs] of 1, 0, 0.5 and NaN with a thread for each pair, "
            f"not of shapes {told.shape} and {threads.shape} with {np.unique(told[~np.isnan(told)])[:5]}.",
            remedy="Give 1 where the first answer won, 0 where the second did, 0.5 for a tie.",
        )
    counts = (told[:, :, None] == values).sum(axis=0).astype(np.float64)
    judged = counts.sum(axis=1) >= 2
    counts = counts[judged]
    threads = np.unique(threads[judged], return_inverse=True)[1].reshape(-1)
    once = Counts(counts, values)
    apart = (once.totals**2 - (counts**2).sum(axis=1)) / (once.totals - 1)
    said = (once.agreed(), apart, counts[:, 1], once.totals, np.ones(len(counts)))
    sums = np.stack([np.bincount(threads, weights=column) for column in said]).round(9)
    rank = np.argsort(np.lexsort(sums))
    return Counts(np.concatenate([counts, counts[:, ::-1]]), values), np.tile(rank[threads], 2)
