"""Near-duplicates without comparing everything with everything: MinHash in bands proposes, the texts decide."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
from datasketch import MinHash
from numpy.typing import NDArray

from tropism.data.audit.words import number_of

NUM_HASHES = 64
NUM_BANDS = 16
"""16 bands of 4 hashes propose a pair of similarity 0.8 with probability 1 - (1 - 0.8^4)^16 = 0.9998."""
MOST_IN_BUCKET = 8
"""Of the texts that agree in a band only the first eight are proposed, so that a million copies stay linear."""
LIKELY = 0.6
"""Share of equal hashes under which a pair is not proposed: four standard errors below a similarity of 0.8."""
PAIRS_AT_ONCE = 100_000


class Signatures:
    """Texts by the least of their hashes, 264 bytes each.

    Reference: Broder 1997, "On the resemblance and containment of documents"; bands as in Leskovec, Rajaraman and
    Ullman, "Mining of Massive Datasets", section 3.4. The hash functions are datasketch's.
    """

    def __init__(self) -> None:
        self._keys = array("q")
        self._hashes = array("I")

    def add(self, key: int, runs: Iterable[str]) -> None:
        """Take a text, by its runs of words, under a number of the caller's choice."""
        sketch = _empty_sketch().copy()
        sketch.update_batch(run.encode("utf-8", "surrogatepass") for run in runs)
        self._keys.append(key)
        self._hashes.frombytes(sketch.digest().astype(np.uint32).tobytes())

    def twins(self) -> list[tuple[int, int]]:
        """Pairs of keys whose texts are probably near: a later one, and an earlier one."""
        return self._proposed(self, only_earlier=True)

    def twins_in(self, other: Signatures) -> list[tuple[int, int]]:
        """Pairs of keys whose texts are probably near: one of these texts, and one of the others."""
        return self._proposed(other, only_earlier=False)

    def _proposed(self, other: Signatures, *, only_earlier: bool) -> list[tuple[int, int]]:
        """What the bands propose and most of the hashes support."""
        mine, theirs = self._table(), other._table()
        pairs: set[tuple[int, int]] = set()
        for band in range(NUM_BANDS):
            for rows, others in _in_one_bucket(_band(mine, band), _band(theirs, band)):
                kept = others < rows if only_earlier else np.ones(len(rows), dtype=bool)
                pairs.update(_likely(mine, theirs, rows[kept], others[kept]))
        return [(self._keys[row], other._keys[place]) for row, place in sorted(pairs)]

    def _table(self) -> NDArray[np.uint32]:
        """The hashes, [texts, 64]."""
        return np.frombuffer(self._hashes, dtype=np.uint32).reshape(-1, NUM_HASHES)


def numbers_of(runs: frozenset[str]) -> NDArray[np.int64]:
    """A set of runs of words as sorted numbers, eight bytes each, for exact comparison."""
    return np.unique(np.fromiter((number_of(run) for run in runs), dtype=np.int64, count=len(runs)))


def overlap(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Jaccard's similarity of two sets that `numbers_of` made.

    Example:
        >>> overlap(numbers_of(frozenset("abc")), numbers_of(frozenset("bcd")))
        0.5
    """
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / max(1, len(one) + len(other) - shared)


def _band(table: NDArray[np.uint32], band: int) -> NDArray[np.uint64]:
    """One number for the hashes of a band, [texts]; equal hashes give equal numbers."""
    width = NUM_HASHES // NUM_BANDS
    numbers = np.zeros(len(table), dtype=np.uint64)
    for column in range(band * width, (band + 1) * width):
        numbers = numbers * np.uint64(0x9E3779B97F4A7C15) + table[:, column]
    return numbers


def _in_one_bucket(
    mine: NDArray[np.uint64], theirs: NDArray[np.uint64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows, and the first, second ... eighth row of the others whose band is equal."""
    order = np.argsort(theirs, kind="stable")
    held = theirs[order]
    first, end = np.searchsorted(held, mine, "left"), np.searchsorted(held, mine, "right")
    for place in range(MOST_IN_BUCKET):
        rows = np.flatnonzero(first + place < end)
        yield rows, order[first[rows] + place]


def _likely(
    mine: NDArray[np.uint32], theirs: NDArray[np.uint32], rows: NDArray[np.int64], others: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """The pairs of which enough hashes are equal."""
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        some, others_of_some = rows[start : start + PAIRS_AT_ONCE], others[start : start + PAIRS_AT_ONCE]
        likely = (mine[some] == theirs[others_of_some]).mean(axis=1) >= LIKELY
        yield from zip(some[likely].tolist(), others_of_some[likely].tolist(), strict=True)


@cache
def _empty_sketch() -> MinHash:
    """The hash functions, drawn once (seed 1, datasketch's default)."""
    return MinHash(num_perm=NUM_HASHES, hashfunc=zlib.crc32)
