"""Near-duplicates are found exactly, beside a slow twin that compares all pairs of plain sets."""

import random
import tempfile
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tropism.errors import OutputError
from tropism.metrics import near_duplicates as near
from tropism.metrics.near_duplicates import NearTexts, Runs, is_near, jaccard, near_elsewhere, runs_of


def families(seed: int) -> list[list[str]]:
    """Families of edited copies at every distance around 0.8; some texts are shorter than a run, some are empty."""
    draw = random.Random(seed)
    texts = [[], [], ["one"]]
    for _ in range(40):
        words = [f"w{draw.randrange(80)}" for _ in range(draw.randrange(1, 60))]
        for _ in range(6):
            copy = list(words)
            for _ in range(draw.choice([0, 0, 1, 1, 2, 4])):
                copy[draw.randrange(len(copy))] = f"x{draw.randrange(5)}"
            texts.append(copy[: draw.choice([len(copy), len(copy), len(copy) - 2])])
    draw.shuffle(texts)
    return texts


def slow_pairs(texts: Sequence[Sequence[str]]) -> set[tuple[int, int]]:
    """Pairs whose plain sets of runs have a Jaccard index of at least 0.8."""
    sets = [{tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))} if words else set() for words in texts]
    return {
        (i, j)
        for i, j in combinations(range(len(texts)), 2)
        if sets[i] and sets[j] and len(sets[i] & sets[j]) / len(sets[i] | sets[j]) >= 0.8
    }


def filled(texts: Sequence[Runs]) -> NearTexts:
    known = NearTexts()
    assert [known.add(runs) for runs in texts] == list(range(len(texts)))
    return known


def found_pairs(texts: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    """What the search finds, asked about each text among those before it."""
    known = filled([runs_of(words) for words in texts])

    def before(number: int) -> list[int]:
        return list(known.near(number, among=lambda others: others < number))

    return [(earlier, number) for number in range(len(texts)) for earlier in before(number)]


@pytest.mark.parametrize("seed", range(3))
def test_all_pairs_are_those_of_the_slow_twin(seed: int) -> None:
    texts = families(seed)
    expected, found = slow_pairs(texts), found_pairs(texts)
    assert len(expected) > 50
    assert len(found) == len(set(found))
    assert set(found) == expected


@pytest.mark.parametrize("num_buckets", [1, 64, 1024])
def test_runs_that_are_counted_together_change_nothing(monkeypatch: pytest.MonkeyPatch, num_buckets: int) -> None:
    monkeypatch.setattr(near, "_NUM_BUCKETS", num_buckets)
    texts = families(0)
    assert set(found_pairs(texts)) == slow_pairs(texts)


def test_texts_without_a_twin_are_not_looked_at() -> None:
    """Of 500 texts around one long instruction (80 of 104 runs) and of 500 others none is compared with another."""
    draw = random.Random(0)
    same = [f"s{n}" for n in range(84)]
    texts = [runs_of([*same, *(f"w{draw.random()}" for _ in range(12))]) for _ in range(500)]
    texts += [runs_of([f"w{draw.random()}" for _ in range(96)]) for _ in range(500)]
    known = filled(texts)
    assert jaccard(texts[0], texts[1]) == 80 / (92 + 92 - 80)
    asked: list[int] = []

    def among(number: int) -> Callable[[NDArray[np.int64]], NDArray[np.bool_]]:
        def is_other(others: NDArray[np.int64]) -> NDArray[np.bool_]:
            asked.extend(other for other in others.tolist() if other != number)
            return others != number

        return is_other

    assert [list(known.near(number, among=among(number))) for number in range(1000)] == [[]] * 1000
    assert asked == []
    assert {known.num_looked_at(number) for number in range(500, 1000)} == {0}


def test_texts_that_lie_in_a_file_meanwhile_are_found_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = families(0)
    expected = found_pairs(texts)
    monkeypatch.setattr(near, "_MOST_IN_MEMORY", 1)
    assert found_pairs(texts) == expected


def test_no_room_for_the_file_is_said_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(near, "_MOST_IN_MEMORY", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OutputError, match=r"16 bytes must fit into a temporary file .* Set TMPDIR"):
        NearTexts().add(runs_of(list("abcdef")))


def test_shelves_are_searched_by_themselves() -> None:
    words = [f"w{n}" for n in range(60)]
    known = NearTexts()
    for place, told in enumerate((words, [*words, "end"], ["else"], words[1:])):
        known.add(runs_of(told), collection="ab"[place % 2])

    def found(number: int, collection: str | None) -> list[int]:
        return sorted(known.near(number, collection=collection, among=lambda others: others != number))

    assert (found(0, "a"), found(0, "b"), found(1, "b"), found(2, "a"), found(0, None)) == ([], [1, 3], [3], [], [])
    assert known.are_near(0, 3)
    assert not known.are_near(0, 2)


def test_elsewhere_equals_the_slow_twin_and_knows_places() -> None:
    texts, draw = families(4), random.Random(5)
    places = [str(draw.randrange(30)) for _ in texts]
    expected = np.zeros(len(texts), bool)
    for i, j in slow_pairs(texts):
        if places[i] != places[j]:
            expected[[i, j]] = True
    assert 0.2 < expected.mean() < 0.8
    assert near_elsewhere([runs_of(words) for words in texts], places).tolist() == expected.tolist()
    assert near_elsewhere([], []).tolist() == []


def test_jaccard_by_hand() -> None:
    """Ten words are six runs; another last word leaves five of them: 5 of 7. Fifty-four are fifty: 49 of 51."""
    ten = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
    assert jaccard(runs_of(ten), runs_of([*ten[:-1], "x"])) == pytest.approx(5 / 7)
    long = [str(n) for n in range(54)]
    assert jaccard(runs_of(long), runs_of([*long[:-1], "x"])) == pytest.approx(49 / 51)
    assert jaccard(runs_of([]), runs_of([])) == 0.0
    assert jaccard(runs_of(ten), runs_of(ten[::-1])) == 0.0


def test_four_fifths_are_near_and_one_less_is_not() -> None:
    """Nine runs each, eight of them shared: 8 of 10. Eight each, seven shared: 7 of 9."""
    words = [str(n) for n in range(13)]
    assert is_near(runs_of(words), runs_of([*words[:-1], "x"]))
    assert not is_near(runs_of(words[1:]), runs_of([*words[1:-1], "x"]))
    assert not is_near(runs_of([]), runs_of([]))
    assert is_near(runs_of(["a"]), runs_of(["a"]))
