"""Near-duplicates without comparing everything with everything: MinHash in bands proposes, the texts decide."""

from __future__ import annotations

import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterable
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
MOST_PROPOSED = 8
LIKELY = 0.6
"""Share of equal hashes under which a pair is not proposed: four standard errors below a similarity of 0.8."""

Signature = NDArray[np.uint32]


class NearIndex:
    """Texts by their MinHash signatures, 256 bytes and 16 bucket entries each.

    Reference: Broder 1997, "On the resemblance and containment of documents"; banding as in Leskovec, Rajaraman and
    Ullman, "Mining of Massive Datasets", section 3.4. The hashes are datasketch's.
    """

    def __init__(self) -> None:
        self._keys = array("q")
        self._signatures = array("I")
        self._buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)

    def add(self, key: int, signature: Signature) -> None:
        """Add a text under a number of the caller's choice."""
        row = len(self._keys)
        self._keys.append(key)
        self._signatures.frombytes(signature.tobytes())
        for bucket in self._bands(signature):
            held = self._buckets[bucket]
            if len(held) < MOST_IN_BUCKET:
                held.append(row)

    def proposals(self, signature: Signature) -> list[int]:
        """The keys of texts that are probably near, the nearest first, at most eight."""
        rows = sorted({row for bucket in self._bands(signature) for row in self._buckets.get(bucket, ())})
        if not rows:
            return []
        held = np.frombuffer(self._signatures, dtype=np.uint32).reshape(-1, NUM_HASHES)[rows]
        likeness = (held == signature).mean(axis=1)
        nearest = np.argsort(-likeness, kind="stable")[:MOST_PROPOSED]
        return [self._keys[rows[index]] for index in nearest if likeness[index] >= LIKELY]

    def _bands(self, signature: Signature) -> Iterable[tuple[int, bytes]]:
        """The buckets of a signature."""
        return ((band, part.tobytes()) for band, part in enumerate(signature.reshape(NUM_BANDS, -1)))


def signature_of(runs: Iterable[str]) -> Signature:
    """The MinHash signature of a set of runs of words.

    Returns:
        The least hash under each of 64 hash functions, [64].
    """
    sketch = _empty_sketch().copy()
    sketch.update_batch(run.encode("utf-8", "surrogatepass") for run in runs)
    return np.asarray(sketch.digest(), dtype=np.uint32)


@cache
def _empty_sketch() -> MinHash:
    """The hash functions, drawn once (seed 1, datasketch's default)."""
    return MinHash(num_perm=NUM_HASHES, hashfunc=zlib.crc32)


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
