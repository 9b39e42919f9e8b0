"""Dawid-Skene: planted annotators, one round by hand, likelihood that never falls, soft labels of pairs."""

import math

import numpy as np
import pytest

from tropism.errors import ConfigError, DataError
from tropism.signals.statistics.dawid_skene import (
    FIRST_WINS,
    SECOND_WINS,
    TIE,
    first_is_better,
    fit_dawid_skene,
    fit_pairs,
)

ACCURACIES = {"careful": 0.95, "fair": 0.8, "hasty": 0.7, "spammer": None, "adversary": 0.1}


def planted(seed: int, *, num_items: int = 600) -> tuple[np.ndarray, list[int], list[str], list[int]]:
    """Truths of pairs, and answers by annotators of known accuracy; the spammer always says that the first wins."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, num_items)
    rows = [
        (place, name, FIRST_WINS if accuracy is None else int(truth[place] ^ (rng.random() >= accuracy)))
        for place in range(num_items)
        for name, accuracy in ACCURACIES.items()
        if rng.random() < 0.9
    ]
    items, names, labels = (list(column) for column in zip(*rows, strict=True))
    return truth, items, names, labels  # type: ignore[return-value]


def test_planted_annotators_are_found() -> None:
    truth, items, names, labels = planted(0)
    fit = fit_dawid_skene(items, names, labels, num_labels=2)
    assert fit.converged
    for place, name in enumerate(fit.annotators):
        accuracy, found = ACCURACIES[str(name)], fit.reliability[place]
        if accuracy is None:
            assert fit.confusion[place] == pytest.approx(np.array([[1, 0], [1, 0]]), abs=0.01)
            assert 0.4 < found.value < 0.6  # no better than the share of items whose first wins
        else:
            assert found.value == pytest.approx(accuracy, abs=0.04)
            assert np.diagonal(fit.confusion[place]) == pytest.approx([accuracy] * 2, abs=0.06)
        assert found.low < found.value < found.high
        assert found.n == names.count(str(name))
    right = fit.posterior.argmax(axis=1) == truth[fit.items]
    majority = [
        np.bincount([label for item, label in zip(items, labels, strict=True) if item == one]).argmax()
        for one in fit.items
    ]
    assert right.mean() > 0.92
    assert right.mean() > np.mean(np.array(majority) == truth[fit.items]) + 0.1


def test_one_round_by_hand() -> None:
    # item 0: a says 0, b says 0; item 1: a says 1, b says 0. The majority starts item 1 at (1/2, 1/2), so
    # a: of 1.5 true zeros, 1 was called 0; of 0.5 true ones, all were called 1; b calls everything 0
    fit = fit_dawid_skene([0, 0, 1, 1], list("abab"), [0, 0, 1, 0], num_labels=2, smoothing=0, max_iterations=1)
    assert fit.prior == pytest.approx([0.75, 0.25])
    assert fit.confusion[0] == pytest.approx(np.array([[2 / 3, 1 / 3], [0, 1]]))
    assert fit.confusion[1] == pytest.approx(np.array([[1, 0], [1, 0]]))
    # item 1: 0.75 * 1/3 against 0.25 * 1, item 0: 0.75 * 2/3 against 0
    assert fit.posterior == pytest.approx(np.array([[1, 0], [0.5, 0.5]]))
    assert fit.log_likelihood == pytest.approx(2 * math.log(0.5))
    assert not fit.converged
    assert fit.reliability[0].value == pytest.approx(0.75)
    assert fit.reliability[1].value == pytest.approx(0.75)


@pytest.mark.parametrize("smoothing", [0.0, 0.01, 1.0])
def test_every_round_fits_better(smoothing: float) -> None:
    _, items, names, labels = planted(1, num_items=60)
    reached = -math.inf
    for rounds in range(1, 12):
        fit = fit_dawid_skene(
            items, names, labels, num_labels=2, smoothing=smoothing, max_iterations=rounds, tolerance=0.0
        )
        tiny = np.finfo(float).tiny
        objective = fit.log_likelihood + smoothing * float(
            np.log(np.maximum(fit.prior, tiny)).sum() + np.log(np.maximum(fit.confusion, tiny)).sum()
        )
        assert objective >= reached - 1e-9
        reached = objective


def test_order_of_rows_does_not_matter_and_repeated_rows_count_twice() -> None:
    _, items, names, labels = planted(2, num_items=50)
    fit = fit_dawid_skene(items, names, labels, num_labels=2)
    turned = fit_dawid_skene(items[::-1], names[::-1], labels[::-1], num_labels=2)
    assert np.array_equal(fit.posterior, turned.posterior)
    twice = fit_dawid_skene(items * 2, names * 2, labels * 2, num_labels=2, smoothing=0.02)
    assert twice.reliability[0].n == 2 * fit.reliability[0].n


def test_soft_labels_of_pairs() -> None:
    items, names = [0, 0, 0, 1, 1, 1, 2, 2, 2], list("abcabcabc")
    labels = [FIRST_WINS] * 3 + [TIE] * 3 + [SECOND_WINS] * 3
    fit = fit_dawid_skene(items, names, labels, num_labels=3)
    assert first_is_better(fit) == pytest.approx([1, 0.5, 0], abs=1e-3)
    with pytest.raises(DataError, match="two or three labels, got 4"):
        first_is_better(fit_dawid_skene([0], [0], [3], num_labels=4))


def swapped(labels: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """Labels with the sides of some of them swapped."""
    return np.where(turned, np.array([SECOND_WINS, FIRST_WINS, TIE])[labels], labels)


def judged(seed: int, accuracies: tuple[float, ...], *, num_pairs: int) -> tuple[np.ndarray, ...]:
    """Truths of pairs, and pair, annotator and label of answers that are right with such chances."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, num_pairs)
    right = rng.random((num_pairs, len(accuracies))) < accuracies
    labels = np.where(right, truth[:, None], 1 - truth[:, None])
    pairs, people = np.indices(labels.shape).reshape(2, -1)
    return truth, pairs, people, labels.reshape(-1)


@pytest.mark.parametrize("seed", range(4))
def test_pairs_with_their_sides_swapped_have_the_swapped_answer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs, people = rng.integers(0, 60, 400), rng.integers(0, 5, 400)
    labels = rng.choice(3, 400, p=[0.5, 0.3, 0.2])
    turned = rng.random(60) < 0.5
    fit, other = fit_pairs(pairs, people, labels), fit_pairs(pairs, people, swapped(labels, turned[pairs]))
    share, mirrored = first_is_better(fit), first_is_better(other)
    assert mirrored == pytest.approx(np.where(turned[fit.items], 1 - share, share), abs=1e-9)
    assert other.confusion == pytest.approx(fit.confusion, abs=1e-9)
    assert fit.confusion[:, FIRST_WINS] == pytest.approx(fit.confusion[:, SECOND_WINS][:, [1, 0, 2]], abs=1e-12)
    assert fit.prior[FIRST_WINS] == fit.prior[SECOND_WINS]


def test_one_round_of_pairs_by_hand() -> None:
    # pair 0: a and b say the first; pair 1: a says the second, b the first. The majority starts pair 1 at (1/2, 1/2),
    # so a is right in 1 + 1/2 of 2 answers, whichever side won, and so is b; both sides are equally common
    fit = fit_pairs([0, 0, 1, 1], list("abab"), [0, 0, 1, 0], smoothing=0, right=0, max_iterations=1)
    assert fit.prior == pytest.approx([0.5, 0.5, 0])
    for confusion in fit.confusion:
        assert confusion[:2] == pytest.approx(np.array([[0.75, 0.25, 0], [0.25, 0.75, 0]]))
    # pair 0: 0.75 squared against 0.25 squared, that is 9 to 1
    assert fit.posterior == pytest.approx(np.array([[0.9, 0.1, 0], [0.5, 0.5, 0]]))
    assert fit.log_likelihood == pytest.approx(math.log(0.5 * (9 + 1) / 16) + math.log(0.5 * (3 + 3) / 16))


def test_what_one_person_said_of_pairs_stands() -> None:
    for num_pairs, num_ties in ((2, 1), (100, 10), (100, 50)):
        labels = [TIE] * num_ties + [FIRST_WINS] * (num_pairs - num_ties)
        share = first_is_better(fit_pairs(range(num_pairs), ["ann"] * num_pairs, labels))
        assert share[:num_ties] == pytest.approx(0.5, abs=1e-12)
        assert (share[num_ties:] > 0.97).all()


def test_pairs_judged_by_a_few_good_and_many_poor_annotators_are_told_better_than_by_majority() -> None:
    fitted: list[np.ndarray] = []
    majority: list[np.ndarray] = []
    for seed in range(6):
        truth, pairs, people, labels = judged(seed, (0.9, 0.7, 0.55, 0.55, 0.55), num_pairs=100)
        first_won = truth == FIRST_WINS
        fitted.append((first_is_better(fit_pairs(pairs, people, labels)) > 0.5) == first_won)
        votes = (labels.reshape(100, 5) == FIRST_WINS).mean(axis=1)
        majority.append((votes > 0.5) == first_won)
    assert np.mean(majority) == pytest.approx(0.77, abs=0.005)
    assert np.mean(fitted) >= np.mean(majority) + 0.05


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_every_round_of_pairs_fits_better(right: float) -> None:
    _, pairs, people, labels = judged(1, (0.9, 0.6, 0.2), num_pairs=40)
    labels = np.where(np.arange(len(labels)) % 7 == 0, TIE, labels)
    reached = -math.inf
    for rounds in range(1, 12):
        fit = fit_pairs(pairs, people, labels, right=right, max_iterations=rounds, tolerance=0.0)
        thought = ((0.01 + right * np.eye(3)) * np.log(fit.confusion)).sum() + 0.01 * np.log(fit.prior).sum()
        assert fit.log_likelihood + thought >= reached - 1e-9
        reached = fit.log_likelihood + thought


def test_items_that_share_no_annotator_and_labels_that_nobody_gave_stay_finite() -> None:
    fit = fit_dawid_skene([0, 1], ["a", "b"], [0, 1], num_labels=3, smoothing=0)
    assert np.isfinite(fit.posterior).all()
    assert fit.posterior.sum(axis=1) == pytest.approx([1, 1])
    assert math.isfinite(fit.log_likelihood)


def test_unusable_answers_are_refused() -> None:
    for item, annotator, label, num_labels in (
        ([0], [0], [2], 2),
        ([0], [0], [-1], 2),
        ([0], [0], [0.5], 2),
        ([0], [0], [0], 1),
    ):
        with pytest.raises(DataError, match="`label` must hold whole numbers"):
            fit_dawid_skene(item, annotator, label, num_labels=num_labels)
    with pytest.raises(DataError, match="must have equal lengths"):
        fit_dawid_skene([0, 1], [0], [0], num_labels=2)
    with pytest.raises(DataError, match="at least 1"):
        fit_dawid_skene([], [], [], num_labels=2)
    for right in (-1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="`right` must be finite and >= 0"):
            fit_pairs([0], [0], [0], right=right)
    with pytest.raises(ConfigError, match="`smoothing` must be"):
        fit_pairs([0], [0], [0], smoothing=-1)
    with pytest.raises(ConfigError, match="`smoothing` must be"):
        fit_dawid_skene([0], [0], [0], num_labels=2, smoothing=-1)
