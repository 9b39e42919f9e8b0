"""Which texts are near-duplicates: their sets of five-word runs have a Jaccard index of at least 0.8.

The search is exact and compares few texts. Two sets that are so alike share one of their rarest runs, as many as a
fifth of them and one (prefix filter), and that run does not stand too late in either (positional filter). Most runs of
five words occur in one text only, so most texts are like no other at first sight and are not even kept. It takes two
passes: `RunCounts` counts in how many texts each run is, `NearTexts` keeps those that may have a twin.

Reference: Chaudhuri, Ganti and Kaushik 2006, ICDE, "A primitive operator for similarity joins", for the prefix filter;
Xiao, Wang, Lin and Yu 2008, WWW, "Efficient similarity joins for near duplicate detection", section 3.2, for the other.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

RUN_WORDS = 5
"""Words in a run; with a Jaccard index of 0.8 what near-duplicate filters of text corpora use (Lee et al. 2022,
arXiv:2107.06499, section 4.2, and our notes on vote data)."""

Runs: TypeAlias = NDArray[np.uint64]
"""The distinct runs of a text as sorted numbers, [runs]. They mean something in one process only."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no word of a run is lost in the product
_NUM_BUCKETS = 2**24
_MOST_COUNTED = 255
_FIRST_LOOK = 16


def runs_of(words: Sequence[str]) -> Runs:
    """The distinct runs of five words; fewer words are one run, no words have none.

    Example:
        >>> [len(runs_of(text.split())) for text in ("a b c d e f", "a b", "")]
        [2, 1, 0]
    """
    size = min(RUN_WORDS, len(words))
    hashes = np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)
    total = np.zeros(len(words) - size + 1 if size else 0, np.uint64)
    for offset in range(size):
        total = total * _FACTOR + hashes[offset : len(words) - size + 1 + offset]
    return np.unique(total)


def jaccard(one: Runs, other: Runs) -> float:
    """What two sets share, as a part of what they have together; 0 where both are empty.

    Example:
        >>> jaccard(np.array([1, 2, 3], np.uint64), np.array([2, 3, 4], np.uint64))
        0.5
    """
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / max(1, len(one) + len(other) - shared)


def is_near(one: Runs, other: Runs) -> bool:
    """Are two texts near-duplicates? A text without words is like no other."""
    shared = np.array(len(np.intersect1d(one, other, assume_unique=True)))
    return bool(len(one)) and bool(_is_enough(shared, len(one) + len(other)))


@final
class RunCounts:
    """In how many texts each run is, in 16 MB however many there are; it may count too many, never too few.

    A count that is too high costs time and memory only: a text is kept and looked at that need not be.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_NUM_BUCKETS, np.uint8)

    def add(self, runs: Runs) -> None:
        """Count a text."""
        buckets = _buckets(runs)
        self._counts[buckets] = np.minimum(self._counts[buckets], _MOST_COUNTED - 1) + 1

    def rarest(self, runs: Runs) -> tuple[Runs, NDArray[np.int64]]:
        """The runs that a near-duplicate must share one of, and the places at which they stand, rarest first.

        Of a fifth of the runs and one, those that another text may have too. All texts have their runs in one order.
        """
        counts = self._counts[_buckets(runs)]
        first = np.argsort(counts, kind="stable")[: len(runs) // 5 + 1]
        places = np.flatnonzero(counts[first] > 1)
        return runs[first[places]], places


@final
class NearTexts:
    """Finds the near-duplicates of a text among those that were added.

    Args:
        counts: of all texts that are added or asked about, complete before the first one is added.
    """

    def __init__(self, counts: RunCounts) -> None:
        self._counts = counts
        self._runs, self._ends = array("Q"), array("q", [0])
        self._rare_runs, self._rare_places, self._rare_texts = array("Q"), array("q"), array("q")
        self._index: _Index | None = None

    def add(self, runs: Runs) -> int:
        """Take a text, and number it, from 0."""
        assert self._index is None, "all texts are added before the first question"
        number = len(self._ends) - 1
        rare, places = self._counts.rarest(runs)
        if len(rare):
            self._runs.frombytes(runs.tobytes())
            self._rare_runs.frombytes(rare.tobytes())
            self._rare_places.frombytes(places.tobytes())
            self._rare_texts.frombytes(np.full(len(rare), number).tobytes())
        self._ends.append(len(self._runs))
        return number

    def runs(self, number: int) -> Runs:
        """The runs of a text that was added; none where it shares none with any other text that could make it near."""
        return self._built().runs_of(number)

    def near(self, runs: Runs, *, among: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> Iterator[int]:
        """The numbers of the texts that are near, each once, as they are found.

        Args:
            runs: of any text that was counted.
            among: which of the texts, by their numbers, are asked about; it should leave out the text itself.
        """
        yield from self._built().near(runs, *self._counts.rarest(runs), among=among)

    def num_looked_at(self, runs: Runs) -> int:
        """At most how many texts `near` would look at."""
        return self._built().num_holders(self._counts.rarest(runs)[0])

    def _built(self) -> _Index:
        """The index of all texts that were added."""
        if self._index is None:
            self._index = _Index(
                np.frombuffer(self._runs, np.uint64),
                np.frombuffer(self._ends, np.int64),
                np.frombuffer(self._rare_runs, np.uint64),
                np.frombuffer(self._rare_places, np.int64),
                np.frombuffer(self._rare_texts, np.int64),
            )
        return self._index


def near_elsewhere(texts: Sequence[Runs], places: Sequence[str]) -> NDArray[np.bool_]:
    """For each text: is there a near-duplicate of it, or the same, in another place?

    Args:
        texts: their runs; a text without words is like no other.
        places: where each stands, such as its thread; as many.

    Returns:
        One answer per text, [texts].

    Example:
        >>> texts = [runs_of(text.split()) for text in ("one two", "one two", "three")]
        >>> near_elsewhere(texts, ["x", "y", "y"]).tolist()
        [True, True, False]
    """
    equal: dict[bytes, list[int]] = {}
    for row, runs in enumerate(texts):
        if len(runs):
            equal.setdefault(runs.tobytes(), []).append(row)
    sets = [texts[rows[0]] for rows in equal.values()]
    codes = {place: code for code, place in enumerate(dict.fromkeys(places))}
    held = [{codes[places[row]] for row in rows} for rows in equal.values()]
    only_place = np.array([min(some) if len(some) == 1 else -1 for some in held], np.int64)
    known = _all_of(sets)

    def is_elsewhere(number: int) -> bool:
        here = only_place[number]
        return here < 0 or any(True for _ in known.near(sets[number], among=lambda others: only_place[others] != here))

    answers = np.zeros(len(texts), bool)
    for number, rows in enumerate(equal.values()):
        answers[rows] = is_elsewhere(number)
    return answers


def _all_of(texts: Sequence[Runs]) -> NearTexts:
    """Texts that are all at hand."""
    counts = RunCounts()
    for runs in texts:
        counts.add(runs)
    found = NearTexts(counts)
    for runs in texts:
        found.add(runs)
    return found


class _Index:
    """Texts by their rare runs.

    Args:
        runs: of all texts, one after another.
        ends: where each text begins, and the end of the last.
        rare: the rare runs of all texts.
        places: where each of them stands in its text.
        texts: whose each of them is.
    """

    def __init__(
        self, runs: Runs, ends: NDArray[np.int64], rare: Runs, places: NDArray[np.int64], texts: NDArray[np.int64]
    ) -> None:
        self._runs, self._ends, self._sizes = runs, ends, np.diff(ends)
        order = np.lexsort((self._sizes[texts], rare))
        self._rare, self._places, self._texts = rare[order], places[order], texts[order]
        self._sizes_of_rare = self._sizes[self._texts]
        self._question = 0
        self._last_asked = np.zeros(len(self._sizes), np.int64)

    def runs_of(self, number: int) -> Runs:
        """The runs of a text."""
        return self._runs[self._ends[number] : self._ends[number + 1]]

    def num_holders(self, rare: Runs) -> int:
        """Texts that hold each of some rare runs, added up."""
        return int((np.searchsorted(self._rare, rare, "right") - np.searchsorted(self._rare, rare, "left")).sum())

    def near(
        self,
        runs: Runs,
        rare: Runs,
        places: NDArray[np.int64],
        *,
        among: Callable[[NDArray[np.int64]], NDArray[np.bool_]],
    ) -> Iterator[int]:
        """The texts that are near, each once."""
        self._question += 1
        question = self._question
        firsts, ends = (np.searchsorted(self._rare, rare, side) for side in ("left", "right"))
        for place, first, end in zip(places.tolist(), firsts.tolist(), ends.tolist(), strict=True):
            for look in self._looks(first, end, len(runs), place):
                others = self._texts[look]
                sizes = len(runs) + self._sizes[others]
                possible = _is_enough(self._sizes[others] - self._places[look], sizes)
                possible &= (self._last_asked[others] != question) & among(others)
                some = others[possible]
                self._last_asked[some] = question
                yield from some[_is_enough(self._shared(runs, some), sizes[possible])].tolist()

    def _looks(self, first: int, end: int, size: int, place: int) -> Iterator[slice]:
        """The texts with one run that are neither too small nor too large, in parts that grow: most searches end soon.

        Of a larger text than the last one, what stands behind the run in ours is too little.
        """
        sizes = self._sizes_of_rare[first:end]
        smallest, largest = -(-4 * size // 5), (9 * (size - place)) // 4 - size
        low, high = np.searchsorted(sizes, smallest, "left"), np.searchsorted(sizes, largest, "right")
        start, stop, length = first + int(low), first + int(high), _FIRST_LOOK
        while start < stop:
            yield slice(start, min(stop, start + length))
            start, length = start + length, 4 * length

    def _shared(self, runs: Runs, others: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many runs each of some texts shares with these, [others]; none of them is empty."""
        sizes = self._sizes[others]
        begins = np.cumsum(sizes) - sizes
        rows = np.repeat(self._ends[others] - begins, sizes) + np.arange(sizes.sum())
        theirs = self._runs[rows]
        found = runs[np.minimum(np.searchsorted(runs, theirs), len(runs) - 1)] == theirs
        return np.add.reduceat(found, begins, dtype=np.int64) if len(others) else sizes


def _buckets(runs: Runs) -> NDArray[np.int64]:
    """Where each run is counted."""
    return (runs % np.uint64(_NUM_BUCKETS)).astype(np.int64)


def _is_enough(shared: NDArray[np.int64], sizes: NDArray[np.int64] | int) -> NDArray[np.bool_]:
    """Is a Jaccard index at least 0.8, given the sum of the sizes? 5 s >= 4 (sizes - s), in whole numbers."""
    return 9 * shared >= 4 * sizes
