"""Which texts are near-duplicates: their sets of five-word runs have a Jaccard index of at least 0.8.

The search is exact. Two sets that are so alike share one of their rarest elements, as many as a fifth of them and one;
texts that share such an element are compared, and no others (prefix filtering). Most runs of five words occur once, so
this is also faster than MinHash, which would miss some and needs random numbers.

Reference: Chaudhuri, Ganti and Kaushik 2006, ICDE, "A primitive operator for similarity joins", for the filter.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RUN_WORDS = 5
LEAST_JACCARD = 0.8

_WORD = re.compile(r"\w+")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no word of a run is lost in the product


def jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    """What two sets share, as a part of what they have together; 0 where both are empty.

    Args:
        one: distinct values, [any].
        other: distinct values, [any].

    Example:
        >>> jaccard(np.array([1, 2, 3], np.uint64), np.array([2, 3, 4], np.uint64))
        0.5
    """
    shared = len(np.intersect1d(one, other, assume_unique=True))
    together = len(one) + len(other) - shared
    return shared / together if together else 0.0


def is_near(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> bool:
    """Are two texts near-duplicates, by their runs?"""
    smaller, larger = sorted((len(one), len(other)))
    return smaller >= LEAST_JACCARD * larger and jaccard(one, other) >= LEAST_JACCARD


def runs(texts: Sequence[str]) -> list[NDArray[np.uint64]]:
    """The distinct runs of five words of each text, as hashes; a shorter text is one run, one without words has none.

    Words are lower case and letters, digits and underscores only.

    Example:
        >>> [len(found) for found in runs(["a b c d e f", "A, b!", ""])]
        [2, 1, 0]
    """
    hashes = _Hashes()
    words = (_WORD.findall(text.lower()) for text in texts)
    return [_runs(np.array([hashes[word] for word in told], np.uint64)) for told in words]


def near_elsewhere(texts: Sequence[NDArray[np.uint64]], places: Sequence[str]) -> NDArray[np.bool_]:
    """For each text: is there a near-duplicate of it, or the same, in another place?

    Args:
        texts: their runs, from `runs`; a text without words is like no other.
        places: where each stands, such as its thread; as many.

    Returns:
        One answer per text, [texts].

    Example:
        >>> near_elsewhere(runs(["one two", "One, two.", "three"]), ["x", "y", "y"]).tolist()
        [True, True, False]
    """
    sets = _distinct(texts, places)
    alike = np.array([len(one.places) > 1 for one in sets], bool)
    for i, candidates in _candidates([one.runs for one in sets]):
        if not alike[i]:
            alike[i] = any(sets[j].places != sets[i].places and is_near(sets[i].runs, sets[j].runs) for j in candidates)
    answers = np.zeros(len(texts), bool)
    for one, is_alike in zip(sets, alike, strict=True):
        answers[one.rows] = is_alike
    return answers


@dataclass
class _Set:
    """One set of runs, the rows of the texts that have it, and their places."""

    runs: NDArray[np.uint64]
    rows: list[int]
    places: set[str]


class _Hashes(dict[str, int]):
    """64 bits of each word, computed once."""

    def __missing__(self, word: str) -> int:
        self[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
        return self[word]


def _runs(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sorted distinct hashes of a text's runs."""
    size = min(RUN_WORDS, len(words))
    if not size:
        return words
    total = np.zeros(len(words) - size + 1, np.uint64)
    for offset in range(size):
        total = total * _FACTOR + words[offset : len(words) - size + 1 + offset]
    return np.unique(total)


def _distinct(found: Sequence[NDArray[np.uint64]], places: Sequence[str]) -> list[_Set]:
    """Equal sets once; a text without words is like no other and is left out."""
    sets: dict[bytes, _Set] = {}
    for row, (one, place) in enumerate(zip(found, places, strict=True)):
        if len(one):
            known = sets.setdefault(one.tobytes(), _Set(one, [], set()))
            known.rows.append(row)
            known.places.add(place)
    return list(sets.values())


def _candidates(sets: Sequence[NDArray[np.uint64]]) -> Iterator[tuple[int, list[int]]]:
    """Each set with those that may be its near-duplicates: they share a rare run, and are about as large."""
    if not sets:
        return
    _, place, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    ends = np.cumsum([len(one) for one in sets])
    holders: dict[int, list[int]] = defaultdict(list)
    rare: list[NDArray[np.int64]] = []
    for i, end in enumerate(ends):
        ids = place[end - len(sets[i]) : end]
        ids = ids[np.lexsort((ids, counts[ids]))][: _num_rare(len(ids))]
        rare.append(ids[counts[ids] > 1])
        for run in rare[i].tolist():
            holders[run].append(i)
    for i, ids in enumerate(rare):
        size = len(sets[i])
        shared = {j for run in ids.tolist() for j in holders[run]} - {i}
        yield i, sorted(j for j in shared if LEAST_JACCARD * size <= len(sets[j]) <= size / LEAST_JACCARD)


def _num_rare(size: int) -> int:
    """How many of a set's rarest elements must be looked at."""
    return size - int(np.ceil(LEAST_JACCARD * size - 1e-9)) + 1
