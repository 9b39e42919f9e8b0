"""Agreement: published and hand-worked values, other implementations, missing ratings, perfect agreement."""

import math

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa

from tropism.errors import ConfigError, DataError
from tropism.metrics.bootstrap import wilson
from tropism.signals.statistics.agreement import cohen_kappa, krippendorff_alpha, raw_agreement

NAN = math.nan

PUBLISHED = [  # four observers, twelve units: Krippendorff 2011, section C
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]
THREE_CODERS = [  # three coders, fifteen units: the example of the `krippendorff` package and of Wikipedia
    [NAN, NAN, NAN, NAN, NAN, 3, 4, 1, 2, 1, 1, 3, 3, NAN, 3],
    [1, NAN, 2, 1, 3, 3, 4, 3, NAN, NAN, NAN, NAN, NAN, NAN, NAN],
    [NAN, NAN, 2, 1, 3, 4, 4, NAN, 2, 1, 1, 3, 3, NAN, 4],
]


def value_of(estimate: object) -> float:
    assert estimate is not None
    return estimate.value  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("ratings", "level", "published"),
    [
        (PUBLISHED, "nominal", 0.743),
        (PUBLISHED, "ordinal", 0.815),
        (PUBLISHED, "interval", 0.849),
        (THREE_CODERS, "nominal", 0.691),
        (THREE_CODERS, "interval", 0.811),
    ],
)
def test_alpha_equals_the_published_examples(ratings: list[list[float]], level: str, published: float) -> None:
    assert value_of(krippendorff_alpha(ratings, level=level)) == pytest.approx(published, abs=5e-4)  # type: ignore[arg-type]


def test_alpha_by_hand() -> None:
    # units: (0, 0), (0, 1), (1, 1): four of each value in six... coincidences: 00 twice, 01 and 10 once, 11 twice;
    # n = 6, n0 = n1 = 3, observed 2/6, expected 2 * 3 * 3 / (6 * 5) = 0.6
    found = krippendorff_alpha([[0, 0, 1], [0, 1, 1]])
    assert value_of(found) == pytest.approx(1 - (2 / 6) / 0.6)
    assert found is not None
    assert found.n == 3
    assert found.low < found.value < found.high


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(5))
def test_alpha_equals_the_krippendorff_package(level: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ratings = rng.integers(0, 5, (4, 30)).astype(float)
    ratings[rng.random(ratings.shape) < 0.4] = NAN
    theirs = krippendorff.alpha(reliability_data=ratings, level_of_measurement=level)
    ours = krippendorff_alpha(ratings, level=level, num_resamples=10)  # type: ignore[arg-type]
    assert value_of(ours) == pytest.approx(theirs, abs=1e-12)


def test_an_item_that_one_annotator_rated_says_nothing() -> None:
    more = [[*row, NAN] for row in PUBLISHED]
    more[0][-1] = 5
    assert krippendorff_alpha(more) == krippendorff_alpha(PUBLISHED)
    assert raw_agreement(more) == raw_agreement(PUBLISHED)


def test_nothing_to_compare_is_none() -> None:
    assert krippendorff_alpha(np.full((2, 3), NAN)) is None
    assert krippendorff_alpha([[1, 1, 1], [1, 1, 1]]) is None
    assert krippendorff_alpha([[1.0, 2.0]]) is None
    assert raw_agreement([[1.0, 2.0]]) is None
    assert cohen_kappa([], []) is None
    assert cohen_kappa([1, 1], [1, 1]) is None
    assert cohen_kappa([1, None], [None, 0]) is None


def test_kappa_by_hand() -> None:
    # 20 both yes, 5 and 10 apart, 15 both no: observed 0.7, expected 0.5 * 0.6 + 0.5 * 0.4 = 0.5
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    found = cohen_kappa(first, second)
    assert value_of(found) == pytest.approx(0.4)
    assert found is not None
    theirs = cohens_kappa([[15, 10], [5, 20]])
    assert (found.low, found.high, found.n) == (pytest.approx(theirs.kappa_low), pytest.approx(theirs.kappa_upp), 50)


@pytest.mark.parametrize(("weights", "theirs"), [("none", None), ("linear", "linear"), ("quadratic", "quadratic")])
def test_kappa_equals_statsmodels(weights: str, theirs: str | None) -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 4, 200)
    second = np.where(rng.random(200) < 0.6, first, rng.integers(0, 4, 200))
    table = np.zeros((4, 4))
    np.add.at(table, (first, second), 1)
    expected = cohens_kappa(table, wt=theirs)
    found = cohen_kappa(first.tolist(), second.tolist(), weights=weights)  # type: ignore[arg-type]
    assert found is not None
    assert [found.value, found.low, found.high] == pytest.approx(
        [expected.kappa, expected.kappa_low, expected.kappa_upp], abs=1e-12
    )


def test_items_without_both_labels_are_left_out_of_kappa() -> None:
    assert cohen_kappa([1, 0, None, 1, 0], [1, 0, 1, NAN, 1]) == cohen_kappa([1, 0, 0], [1, 0, 1])


def test_quadratic_kappa_of_two_labels_is_plain_kappa() -> None:
    first, second = [0, 1, 1, 0, 1], [0, 1, 0, 0, 1]
    assert cohen_kappa(first, second, weights="quadratic") == cohen_kappa(first, second)


def test_raw_agreement_by_hand() -> None:
    # item 1: three pairs, one agrees; item 2: one pair agrees; item 3 has one rating
    found = raw_agreement([[0, 2, 1], [0, 2, NAN], [1, NAN, NAN]])
    assert found is not None
    assert found.value == pytest.approx((1 / 3 + 1) / 2)
    assert found.n == 2


def test_perfect_agreement_on_few_items_is_no_certainty() -> None:
    same = [[0, 1, 0], [0, 1, 0]]
    assert wilson(1.0, 3)[0] == pytest.approx(0.4385, abs=1e-4)
    raw, kappa, alpha = raw_agreement(same), cohen_kappa(same[0], same[1]), krippendorff_alpha(same)
    assert raw is not None
    assert kappa is not None
    assert alpha is not None
    assert (raw.value, kappa.value, alpha.value) == (1, 1, 1)
    assert raw.low == pytest.approx(wilson(1.0, 3)[0])
    chance = (2 / 3) ** 2 + (1 / 3) ** 2
    assert kappa.low == pytest.approx((wilson(1.0, 3)[0] - chance) / (1 - chance))
    match = (4 * 3 + 2 * 1) / (6 * 5)  # two of the six ratings, without replacement
    assert alpha.low == pytest.approx(1 - (1 - wilson(1.0, 3)[0]) / (1 - match))


def test_items_that_are_all_alike_are_no_certainty() -> None:
    one = raw_agreement([[0], [1], [1]])
    assert one is not None
    assert (one.low, one.high) == pytest.approx(wilson(1 / 3, 1))
    alpha = krippendorff_alpha([[0] * 5, [1] * 5])
    assert alpha is not None
    # five of ten ratings each: a match has chance 4/9, so that no agreement at all is 1 - 9/5
    assert alpha.value == pytest.approx(1 - 9 / 5)
    assert alpha.low == pytest.approx(-0.8)
    assert alpha.high == pytest.approx(1 - (1 - wilson(0.0, 5)[1]) * 9 / 5)


def test_unusable_input_is_refused() -> None:
    with pytest.raises(DataError, match="must have equal lengths, got 2 and 1"):
        cohen_kappa([1, 2], [1])
    with pytest.raises(DataError, match="must be sortable"):
        cohen_kappa([1, "a"], ["a", 1])
    with pytest.raises(ConfigError, match="`weights` must be"):
        cohen_kappa([1, 0], [1, 1], weights="cubic")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"a table \[annotators, items\]"):
        krippendorff_alpha([1.0, 2.0])
    with pytest.raises(DataError, match="finite numbers"):
        krippendorff_alpha([[math.inf], [1]])
    with pytest.raises(ConfigError, match="`level` must be"):
        krippendorff_alpha([[1], [1]], level="ratio")  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, 2.0, NAN])] * 3), min_size=1, max_size=12), st.randoms())
def test_agreement_ignores_the_order_of_items_and_annotators(items: list[tuple[float, ...]], random: object) -> None:
    table = np.array(items).T
    shuffled = table[::-1][:, ::-1]
    for level in ("nominal", "ordinal", "interval"):
        one = krippendorff_alpha(table, level=level, num_resamples=5)  # type: ignore[arg-type]
        other = krippendorff_alpha(shuffled, level=level, num_resamples=5)  # type: ignore[arg-type]
        assert (one is None) == (other is None)
        if one is not None:
            assert one.value == pytest.approx(value_of(other))
            assert one.value <= 1 + 1e-12


def test_intervals_of_alpha_hold_the_truth() -> None:
    # two annotators give the truth of an item with chance 0.7 and else one of two values at random, independently:
    # agreement is 0.49 + 0.51 / 2, chance 1/2, so alpha is 0.49
    held = []
    for simulation in range(200):
        rng = np.random.default_rng([3, simulation])
        truth = rng.integers(0, 2, 120)
        ratings = np.where(rng.random((2, 120)) < 0.7, truth, rng.integers(0, 2, (2, 120)))
        found = krippendorff_alpha(ratings, num_resamples=300, seed=simulation)
        assert found is not None
        held.append(found.low <= 0.49 <= found.high)
    assert 0.9 <= np.mean(held) <= 0.985
