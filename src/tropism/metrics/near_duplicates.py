"""Which texts are near-duplicates: their sets of five-word runs have a Jaccard index of at least 0.8.

The search is exact and compares few texts. Two sets that are so alike share one of their rarest runs, as many as a
fifth of them and one (prefix filter), and that run does not stand too late in either (positional filter). Most runs of
five words occur in one text only, so most texts are like no other at first sight and are not even kept.

Reference: Chaudhuri, Ganti and Kaushik 2006, ICDE, "A primitive operator for similarity joins", for the prefix filter;
Xiao, Wang, Lin and Yu 2008, WWW, "Efficient similarity joins for near duplicate detection", section 3.2, for the other.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import TypeAlias, final
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from tropism.errors import OutputError

RUN_WORDS = 5
"""Words in a run; with a Jaccard index of 0.8 what near-duplicate filters of text corpora use (Lee et al. 2022,
arXiv:2107.06499, section 4.2, and our notes on vote data)."""

Runs: TypeAlias = NDArray[np.uint64]
"""The distinct runs of a text as sorted numbers, [runs]. They mean something in one process only."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no word of a run is lost in the product
_NUM_BUCKETS = 2**24
_MOST_COUNTED = 255
_MOST_IN_MEMORY = 2**24
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
class NearTexts:
    """Finds near-duplicates among texts that belong to named collections, such as the two sides of a split.

    All texts are added before the first question. Until then their runs lie in a temporary file once they are many;
    then those stay in memory that share a rare run with another text.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_NUM_BUCKETS, np.uint8)
        self._added = SpooledTemporaryFile(max_size=_MOST_IN_MEMORY)  # noqa: SIM115  (closed when all is read, or with us)
        finalize(self, self._added.close)
        self._sizes = array("q")
        self._collections: dict[str | None, list[int]] = {}
        self._texts: _Texts | None = None
        self._indices: dict[str | None, _Index] = {}

    def add(self, runs: Runs, *, collection: str | None = None) -> int:
        """Take a text, and number it, from 0 over all collections.

        Raises:
            OutputError: where there is no room for the temporary file.
        """
        assert self._texts is None, "all texts are added before the first question"
        buckets = _buckets(runs)
        self._counts[buckets] = np.minimum(self._counts[buckets], _MOST_COUNTED - 1) + 1
        number = len(self._sizes)
        self._sizes.append(len(runs))
        with self._in_file():
            self._added.write(runs.tobytes())
        self._collections.setdefault(collection, []).append(number)
        return number

    def near(
        self, number: int, *, collection: str | None = None, among: Callable[[NDArray[np.int64]], NDArray[np.bool_]]
    ) -> Iterator[int]:
        """The numbers of the texts that are near to a text, each once, as they are found; one search at a time.

        Args:
            number: of the text.
            collection: where to look.
            among: which of the texts, by their numbers, are asked about; it must leave out the text itself.
        """
        if collection in self._collections:
            yield from self._index(collection).near(number, among=among)

    def num_looked_at(self, number: int, *, collection: str | None = None) -> int:
        """At most how many texts `near` would look at, or look at again."""
        return self._index(collection).num_holders(number) if collection in self._collections else 0

    def are_near(self, number: int, other: int) -> bool:
        """Are two of the texts near-duplicates?"""
        texts = self._kept()
        return is_near(texts.runs_of(number), texts.runs_of(other))

    def _index(self, collection: str | None) -> _Index:
        """The texts of a collection by their rare runs."""
        if collection not in self._indices:
            self._indices[collection] = _Index(self._kept(), np.array(self._collections[collection], np.int64))
        return self._indices[collection]

    def _kept(self) -> _Texts:
        """The texts that share a rare run with another one; the others are there without runs."""
        if self._texts is None:
            texts = _Texts()
            with self._in_file():
                self._added.seek(0)
                for size in self._sizes:
                    runs = np.frombuffer(self._added.read(8 * size), np.uint64)
                    texts.add(runs, *self._rarest(runs))
            self._added.close()
            self._texts = texts
        return self._texts

    @contextmanager
    def _in_file(self) -> Iterator[None]:
        """What goes wrong with the temporary file, in words."""
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{8 * sum(self._sizes):,} bytes must fit into a temporary file ({error}).",
                remedy="Set TMPDIR to a folder with more room.",
            ) from None

    def _rarest(self, runs: Runs) -> tuple[Runs, NDArray[np.int64]]:
        """The runs that a near-duplicate must share one of, and the places at which they stand, rarest first.

        Of a fifth of the runs and one, those that another text may have too. All texts have their runs in one order.
        Counts may be too high, never too low: then a text is kept and looked at that need not be.
        """
        counts = self._counts[_buckets(runs)]
        first = np.argsort(counts, kind="stable")[: len(runs) // 5 + 1]
        places = np.flatnonzero(counts[first] > 1)
        return runs[first[places]], places


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
    known = NearTexts()
    for runs in sets:
        known.add(runs)

    def is_elsewhere(number: int) -> bool:
        here = only_place[number]
        return here < 0 or any(True for _ in known.near(number, among=lambda others: only_place[others] != here))

    answers = np.zeros(len(texts), bool)
    for number, rows in enumerate(equal.values()):
        answers[rows] = is_elsewhere(number)
    return answers


class _Texts:
    """Texts by their numbers: their runs, and the rare ones of these with their places."""

    def __init__(self) -> None:
        self._runs, self._ends = array("Q"), array("q", [0])
        self._rare, self._places, self._rare_ends = array("Q"), array("q"), array("q", [0])

    def add(self, runs: Runs, rare: Runs, places: NDArray[np.int64]) -> None:
        """Take a text; it is kept where it has rare runs."""
        if len(rare):
            self._runs.frombytes(runs.tobytes())
            self._rare.frombytes(rare.tobytes())
            self._places.frombytes(places.tobytes())
        self._ends.append(len(self._runs))
        self._rare_ends.append(len(self._rare))

    def runs_of(self, number: int) -> Runs:
        """The runs of a text."""
        return np.frombuffer(self._runs, np.uint64)[self._ends[number] : self._ends[number + 1]]

    def rare_of(self, number: int) -> tuple[Runs, NDArray[np.int64]]:
        """The rare runs of a text, and where they stand in the order of rareness."""
        part = slice(self._rare_ends[number], self._rare_ends[number + 1])
        return np.frombuffer(self._rare, np.uint64)[part], np.frombuffer(self._places, np.int64)[part]

    def all_runs(self) -> tuple[Runs, NDArray[np.int64]]:
        """The runs of all texts, one after another; where each begins, and the end of the last."""
        return np.frombuffer(self._runs, np.uint64), np.frombuffer(self._ends, np.int64)

    def all_rare(self) -> tuple[Runs, NDArray[np.int64], NDArray[np.int64]]:
        """The rare runs of all texts, where each stands, and whose it is."""
        ends = np.frombuffer(self._rare_ends, np.int64)
        whose = np.repeat(np.arange(len(ends) - 1), ends[1:] - ends[:-1])
        return np.frombuffer(self._rare, np.uint64), np.frombuffer(self._places, np.int64), whose


class _Index:
    """Some texts by their rare runs.

    Args:
        texts: all.
        numbers: which of them can be found.
    """

    def __init__(self, texts: _Texts, numbers: NDArray[np.int64]) -> None:
        self._texts = texts
        self._runs, self._ends = texts.all_runs()
        self._sizes = np.diff(self._ends)
        rare, places, whose = texts.all_rare()
        here = np.flatnonzero(np.isin(whose, numbers))
        order = here[np.lexsort((self._sizes[whose[here]], rare[here]))]
        self._rare, self._places, self._whose = rare[order], places[order], whose[order]
        self._sizes_of_rare = self._sizes[self._whose]
        self._question = 0
        self._last_asked = np.zeros(len(self._sizes), np.int64)

    def num_holders(self, number: int) -> int:
        """Texts that hold each of the rare runs of a text, added up."""
        firsts, ends = self._stretches(self._texts.rare_of(number)[0])
        return int((ends - firsts).sum())

    def near(self, number: int, *, among: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> Iterator[int]:
        """The texts that are near, each once."""
        self._question += 1
        question, runs, (rare, places) = self._question, self._texts.runs_of(number), self._texts.rare_of(number)
        firsts, ends = self._stretches(rare)
        for place, first, end in zip(places.tolist(), firsts.tolist(), ends.tolist(), strict=True):
            for look in self._looks(first, end, len(runs), place):
                others = self._whose[look]
                sizes = len(runs) + self._sizes[others]
                possible = _is_enough(self._sizes[others] - self._places[look], sizes)
                possible &= (self._last_asked[others] != question) & among(others)
                some = others[possible]
                self._last_asked[some] = question
                yield from some[_is_enough(self._shared(runs, some), sizes[possible])].tolist()

    def _stretches(self, rare: Runs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the holders of each of some rare runs begin and end."""
        return np.searchsorted(self._rare, rare, "left"), np.searchsorted(self._rare, rare, "right")

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
