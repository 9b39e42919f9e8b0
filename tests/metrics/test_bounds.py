"""Intervals of shares end at 0 and 1, and a p-value is never written as 0."""

import pytest

from tropism.evals.core.differences import compare_results, estimates, within_unit
from tropism.evals.core.eval_folder import Kept
from tropism.evals.core.items import Eval, Item
from tropism.metrics.bootstrap import bounded, jackknife, jackknife_error
from tropism.metrics.paired_tests import jackknife_estimate, p_in_words
from tropism.records import Estimate, EvalResult, Measure

MEASURES = {"rare": Measure(label="Rare", unit="share"), "size": Measure(label="Size")}


def rare(items):
    return sum(item.detail["hit"] for item in items) / len(items)


def items_of(hits):
    return [Item(str(k), str(k), {"size": 5.0 * hit}, {"hit": hit}) for k, hit in enumerate(hits)]


def test_students_interval_of_a_share_of_one_in_ten_is_cut_at_zero():
    items = items_of([1.0] + [0.0] * 9)
    free = jackknife_estimate(items, statistic=rare, cluster=lambda item: item.cluster)
    # the jackknife of a mean is its standard error: sqrt(0.09 / 9) = 0.1, times t(0.975, 9) = 2.2622
    assert (free.low, free.high) == pytest.approx((0.1 - 0.22622, 0.1 + 0.22622), abs=1e-5)
    found = estimates(items, {"rare": rare}, MEASURES)
    assert (found["rare"].value, found["rare"].low) == (pytest.approx(0.1), 0.0)
    assert found["rare"].high == free.high
    assert found["size"].low >= 0.0


def test_a_measure_that_is_no_share_is_not_cut():
    wide = Estimate(value=0.5, low=-2.0, high=3.0, n=4)
    assert within_unit(wide, "size", MEASURES) is wide
    assert within_unit(wide, "unknown", MEASURES) is wide
    assert (within_unit(wide, "rare", MEASURES).low, within_unit(wide, "rare", MEASURES).high) == (0.0, 1.0)


def test_the_difference_of_two_shares_is_cut_at_minus_one_and_one():
    def kept(model, low, high):
        metrics = {"rare": Estimate(value=(low + high) / 2, low=low, high=high, n=3)}
        return Kept(EvalResult(eval="e", model=model, metrics=metrics), [])

    row = Eval(lambda task: None, measures=MEASURES)
    (one,) = compare_results(kept("a", 0.0, 0.2), kept("b", 0.0, 2.0), row)
    assert one.difference.high == 1.0
    assert one.difference.low >= -1.0


def test_bounds_keep_what_lies_between_them():
    inside = Estimate(value=0.5, low=0.4, high=0.6, n=3)
    assert bounded(inside, 0.0, 1.0) == inside


def test_the_jackknife_equals_the_hand_worked_value():
    assert jackknife_error([1.0, 2.0, 3.0]) == pytest.approx((2 / 3 * 2) ** 0.5)
    found = jackknife(lambda values: sum(values) / len(values), [1.0, 2.0, 3.0])
    # means without one: 2.5, 2, 1.5; error sqrt(2 / 3 * 0.5) = 0.57735, the standard error of the mean
    assert found.high - found.value == pytest.approx(1.959964 * 0.57735, abs=1e-5)


def test_a_p_value_is_never_written_as_zero():
    assert [p_in_words(p) for p in (0.0, 0.00009, 0.0001, 0.05)] == [
        "p < 0.0001", "p < 0.0001", "p = 0.0001", "p = 0.0500",
    ]  # fmt: skip
