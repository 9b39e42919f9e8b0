"""Agreement on pairs: by hand, against other implementations, and the same whichever answer is called the first."""

import math

import krippendorff
import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from tropism.errors import DataError
from tropism.signals.statistics.agreement import krippendorff_alpha
from tropism.signals.statistics.pair_agreement import agreement_of_counts, pair_agreement, pair_kappa

NAN = math.nan


def judgements(seed: int, *, num_pairs: int = 40, missing: float = 0.3) -> np.ndarray:
    """Judgements of four annotators, in which the first answer wins more often."""
    rng = np.random.default_rng(seed)
    ratings = rng.choice([1.0, 0.0, 0.5], (4, num_pairs), p=[0.6, 0.2, 0.2])
    ratings[rng.random(ratings.shape) < missing] = NAN
    return ratings


def test_alpha_and_kappa_of_pairs_by_hand() -> None:
    # four pairs, apart on one of them. All eight judgements name a winner, and sides have no names: apart by chance 1/2
    ann, bob = [1, 1, 0, 1], [1, 1, 1, 1]
    found = pair_agreement([ann, bob], range(4))
    assert found.raw is not None
    assert found.alpha is not None
    assert (found.raw.value, found.raw.n) == (0.75, 4)
    assert (found.alpha.value, found.alpha.n) == (0.5, 4)
    kappa = pair_kappa(ann, bob, range(4))
    assert kappa is not None
    assert (kappa.value, kappa.n) == (pytest.approx(1 - 0.25 / 0.5), 4)


def test_alpha_with_ties_by_hand() -> None:
    # judgements: 5 name a winner, 3 are ties, of 8. Two drawn in turn are both winners with chance 20/56 and then alike
    # half the time, both ties with 6/56: apart by chance 1 - 10/56 - 6/56 = 5/7. Apart on the last two of four pairs
    found = pair_agreement([[1, 0.5, 0, 1], [1, 0.5, 1, 0.5]], range(4)).alpha
    assert found is not None
    assert (found.value, found.n) == (pytest.approx(1 - 0.5 / (5 / 7)), 4)


def test_two_pairs_apart_on_one_are_no_better_than_chance() -> None:
    found = agreement_of_counts([[1, 0, 1], [0, 0, 2]], [0, 1])
    assert found.alpha is not None
    assert found.alpha.value == 0.0  # as kappa says
    assert pair_kappa([1, 1], [0, 1], [0, 1]).value == 0.0  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", range(4))
def test_chance_is_that_of_every_two_judgements_turned_both_ways(seed: int) -> None:
    ratings = judgements(seed, num_pairs=12)
    ratings = ratings[:, (~np.isnan(ratings)).sum(axis=0) >= 2]
    said = ratings[~np.isnan(ratings)]
    differ = [
        one != other for i, one in enumerate(said) for j, two in enumerate(said) if i != j for other in (two, 1 - two)
    ]
    both = np.concatenate([ratings, 1 - ratings], axis=1)  # what is observed is the package's, its chance taken out
    sides = np.unique(both[~np.isnan(both)], return_counts=True)[1]
    theirs = 1 - (sides * (sides - 1)).sum() / (sides.sum() * (sides.sum() - 1))
    observed = (1 - krippendorff.alpha(both, level_of_measurement="nominal")) * theirs
    found = pair_agreement(ratings, range(ratings.shape[1]), num_resamples=10).alpha
    assert found is not None
    assert found.value == pytest.approx(1 - observed / np.mean(differ), abs=1e-12)


def test_alpha_of_random_judgements_is_nothing_on_average() -> None:
    rng = np.random.default_rng(0)
    values = []
    for _ in range(3000):
        ratings = rng.choice([1.0, 0.0, 0.5], (2, 10), p=[0.4, 0.4, 0.2])
        found = pair_agreement(ratings, range(10), num_resamples=2).alpha
        assert found is not None
        values.append(found.value)
    # where a judgement could be drawn with its own mirror image, this was 0.03 with ten pairs
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(len(values))


def test_counts_say_the_same_as_a_table_of_annotators() -> None:
    ratings, thread = judgements(3), np.arange(40) // 2
    counts = [[int((pair == value).sum()) for value in (0.0, 0.5, 1.0)] for pair in ratings.T]
    assert agreement_of_counts(counts, thread) == pair_agreement(ratings, thread)


@pytest.mark.parametrize("seed", range(4))
def test_swapped_sides_and_shuffled_pairs_change_nothing(seed: int) -> None:
    ratings, thread = judgements(seed), np.arange(40) // 3
    rng = np.random.default_rng([seed, 1])
    order, turned = rng.permutation(40), rng.random(40) < 0.5
    other = np.where(turned, 1 - ratings, ratings)[:, order]
    found, same = pair_agreement(ratings, thread), pair_agreement(other, [f"t{one}" for one in thread[order]])
    for one, two in zip(found, same, strict=True):
        assert one is not None
        assert two is not None
        assert [one.value, one.low, one.high] == pytest.approx([two.value, two.low, two.high], abs=1e-9)
        assert one.n == two.n
    kappa, swapped = pair_kappa(ratings[0], ratings[1], thread), pair_kappa(other[0], other[1], thread[order])
    assert kappa is not None
    assert swapped is not None
    assert [kappa.value, kappa.low, kappa.high] == pytest.approx([swapped.value, swapped.low, swapped.high])


def test_a_side_that_always_holds_the_better_answer_does_not_lower_agreement() -> None:
    # both annotators choose the better of 200 answers 93 times of 100; it is always called the first
    ratings = (np.random.default_rng(3).random((2, 200)) < 0.93).astype(float)
    found, named = pair_agreement(ratings, range(200)).alpha, krippendorff_alpha(ratings)
    assert found is not None
    assert named is not None
    apart = np.mean(ratings[0] != ratings[1])
    assert found.value == pytest.approx(1 - 2 * apart)
    assert found.value > 0.7
    assert named.value < 0.2
    assert found.low <= 1 - 4 * 0.93 * 0.07 <= found.high


def test_kappa_equals_statsmodels_on_the_symmetrical_table() -> None:
    ratings = judgements(1, num_pairs=200, missing=0.0)
    table = np.zeros((3, 3))
    np.add.at(table, tuple((2 * ratings[:2]).astype(int)), 1)
    theirs = cohens_kappa((table + table[::-1, ::-1]) / 2)
    found = pair_kappa(ratings[0], ratings[1], range(200))
    assert found is not None
    assert [found.value, found.low, found.high] == pytest.approx([theirs.kappa, theirs.kappa_low, theirs.kappa_upp])


def test_pairs_of_one_thread_are_one_witness() -> None:
    ratings = judgements(2, missing=0.0)
    once, four = pair_agreement(ratings, range(40)), pair_agreement(np.repeat(ratings, 4, axis=1), np.arange(160) // 4)
    assert once.raw is not None
    assert four.raw is not None
    assert (four.raw.low, four.raw.high) == pytest.approx((once.raw.low, once.raw.high))
    assert (once.raw.n, four.raw.n) == (40, 160)
    for times in (1, 4):
        told = np.repeat(ratings, times, axis=1)
        kappa = pair_kappa(told[0], told[1], np.arange(40 * times) // times)
        expected = pair_kappa(ratings[0], ratings[1], range(40))
        assert kappa is not None
        assert expected is not None
        assert [kappa.value, kappa.low, kappa.high] == pytest.approx([expected.value, expected.low, expected.high])
        assert kappa.n == 40


def test_nothing_to_compare_is_none() -> None:
    assert pair_agreement([[1.0, NAN], [NAN, 0.0]], [0, 1]) == (None, None)
    assert pair_agreement(np.empty((0, 0)), []) == (None, None)
    ties = pair_agreement([[0.5, 0.5], [0.5, 0.5]], [0, 1])
    assert ties.raw is not None
    assert (ties.raw.value, ties.alpha) == (1.0, None)
    assert pair_kappa([0.5], [0.5], [0]) is None
    assert pair_kappa([1.0], [NAN], [0]) is None


def test_all_agreeing_on_one_side_is_agreement_but_no_certainty() -> None:
    found = pair_agreement([[1, 1, 1], [1, 1, 1]], [0, 1, 2])
    assert found.alpha is not None
    assert found.alpha.value == 1.0
    assert found.alpha.low < 0.5


def test_what_is_no_judgement_is_refused() -> None:
    for ratings, thread in (([[2.0], [1.0]], [0]), ([[1.0], [1.0]], [0, 1]), ([1.0], [0])):
        with pytest.raises(DataError, match="`ratings` must be a table"):
            pair_agreement(ratings, thread)
