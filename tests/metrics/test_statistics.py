"""Tests and corrections against hand-worked values, scipy and statsmodels; intervals that cover the truth."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as outside_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import ttost_paired

from tropism.metrics.bootstrap import quantile_by_cluster, wilson
from tropism.metrics.paired_tests import (
    blocks_of,
    equivalence,
    holm,
    jackknife_difference,
    jackknife_estimate,
    mcnemar,
    paired_difference,
    sign_flip,
    unpaired_difference,
    widened,
)
from tropism.records import Estimate


def test_holm_equals_hand_worked_values():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_equals_statsmodels():
    p_values = np.random.default_rng(0).random(40) ** 4
    assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_mcnemar_equals_statsmodels():
    for gained, lost in ((8, 1), (5, 5), (0, 7), (30, 14)):
        table = [[50, gained], [lost, 20]]
        assert mcnemar(gained, lost) == pytest.approx(outside_mcnemar(table, exact=True).pvalue)
    assert mcnemar(0, 0) == 1.0


def test_the_sign_flip_test_tries_all_signs_of_few_clusters():
    assert sign_flip([1.0, 2.0, 3.0]) == 2 / 8
    assert sign_flip([1.0, 2.0, -3.0]) == 1.0
    assert sign_flip([1.0, 1.0, 1.0, 1.0, 0.0, 0.0]) == 2 / 16


def test_the_sign_flip_test_equals_scipys_permutation_test():
    sums = np.random.default_rng(3).normal(0.5, 1.0, 11)
    outside = stats.permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=math.inf)
    assert sign_flip(sums.tolist()) == pytest.approx(outside.pvalue)


def test_many_clusters_are_flipped_at_random_and_agree_with_students_t():
    values = np.random.default_rng(4).normal(0.15, 1.0, 200)
    assert sign_flip(values.tolist()) == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue, abs=0.015)
    assert sign_flip([1.0] * 100) == 1 / 10_000


def test_yes_or_no_by_single_items_is_mcnemars_test():
    gaps = [1.0] * 9 + [-1.0] * 2 + [0.0] * 30
    assert paired_difference(gaps, range(41)).p_value == mcnemar(9, 2)
    assert paired_difference([0.5 * gap for gap in gaps], range(41)).p_value == mcnemar(9, 2)


def test_items_of_one_cluster_count_together():
    gaps = [1.0] * 40
    assert paired_difference(gaps, [i // 10 for i in range(40)]).p_value == 2 / 16
    assert paired_difference(gaps, range(40)).p_value < 1e-10


def test_where_nothing_moved_there_is_no_test():
    found = paired_difference([0.0, 0.0, 0.0], "abc")
    assert found.p_value is None
    assert (found.estimate.low, found.estimate.value, found.estimate.high) == (0.0, 0.0, 0.0)
    wide = widened(found, 3).estimate
    assert -wide.low == wide.high == pytest.approx(proportion_confint(0, 3, method="wilson")[1])
    assert paired_difference([], []) is None


def test_tests_find_nothing_five_times_of_a_hundred():
    rng = np.random.default_rng(5)
    p_values = np.array([sign_flip(rng.normal(0.0, 1.0, 12).tolist()) for _ in range(1000)])
    assert 0.03 <= (p_values <= 0.05).mean() <= 0.07


def test_equivalence_equals_statsmodels_where_every_item_is_a_cluster():
    gaps = np.random.default_rng(6).normal(0.05, 0.4, 50)
    outside = ttost_paired(gaps, np.zeros(50), -0.2, 0.2)[0]
    assert equivalence(gaps.tolist(), range(50), margin=0.2) == pytest.approx(outside)


def test_equivalence_of_clusters_is_that_of_their_means_where_they_are_equally_large():
    means = np.random.default_rng(7).normal(0.0, 0.3, 20)
    gaps = np.repeat(means, 4).tolist()
    whole = equivalence(gaps, np.repeat(np.arange(20), 4).tolist(), margin=0.2)
    assert whole == pytest.approx(equivalence(means.tolist(), range(20), margin=0.2))
    assert equivalence([1.0], ["a"], margin=2.0) is None
    assert equivalence([0.1, 0.1], "ab", margin=0.2) == 0.0
    assert equivalence([0.3, 0.3], "ab", margin=0.2) == 1.0


def mean(values):
    return sum(values) / len(values)


def test_the_jackknife_of_a_mean_over_single_items_is_students_interval():
    values = np.random.default_rng(8).normal(1.0, 2.0, 20).tolist()
    found = jackknife_estimate(values, statistic=mean, cluster=str)
    low, high = stats.t.interval(0.95, 19, loc=mean(values), scale=stats.sem(values))
    assert (found.low, found.high, found.n) == (pytest.approx(low), pytest.approx(high), 20)


def test_the_jackknife_of_a_paired_difference_is_the_paired_t_test():
    rng = np.random.default_rng(9)
    before = [(str(i), value) for i, value in enumerate(rng.normal(0.0, 1.0, 15))]
    after = [(name, value + shift) for (name, value), shift in zip(before, rng.normal(0.3, 0.5, 15), strict=True)]
    found = jackknife_difference(
        before, after, statistic=lambda part: mean([one[1] for one in part]), cluster=lambda one: one[0]
    )
    outside = stats.ttest_rel([one[1] for one in after], [one[1] for one in before])
    assert found.p_value == pytest.approx(outside.pvalue)
    interval = outside.confidence_interval()
    assert (found.estimate.low, found.estimate.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_a_jackknife_of_one_cluster_gives_no_interval_and_no_test():
    found = jackknife_difference([1.0], [2.0], statistic=mean, cluster=lambda one: "a")
    assert (found.estimate.low, found.estimate.value, found.p_value) == (1.0, 1.0, None)
    assert jackknife_estimate([], statistic=mean, cluster=str) is None
    assert jackknife_difference([], [1.0], statistic=mean, cluster=str) is None


def test_a_statistic_that_is_not_told_without_some_block_is_no_number():
    assert (
        jackknife_estimate([1.0, 2.0], statistic=lambda part: math.nan if len(part) < 2 else 1.0, cluster=str) is None
    )
    assert jackknife_estimate([1.0, 2.0], statistic=lambda part: math.nan, cluster=str) is None


def test_blocks_are_alike_and_do_not_depend_on_order():
    names = [f"c{i}" for i in range(50)]
    blocks = blocks_of(names)
    assert blocks == blocks_of(names[::-1])
    sizes = np.bincount(list(blocks.values()))
    assert (len(sizes), sizes.min(), sizes.max()) == (20, 2, 3)


def test_the_difference_of_independent_estimates_of_equal_width_is_wider_by_root_two():
    found = unpaired_difference(
        Estimate(value=1.0, low=0.0, high=2.0, n=9), Estimate(value=4.0, low=3.0, high=5.0, n=7)
    )
    assert found.estimate.value == 3.0
    assert found.estimate.high - 3.0 == pytest.approx(math.sqrt(2))
    assert found.estimate.n == 7
    assert found.p_value == pytest.approx(2 * stats.norm.sf(3.0 / (math.sqrt(2) / 1.959963984540054)))


def test_an_unpaired_p_value_is_below_a_twentieth_exactly_where_the_interval_leaves_out_zero():
    def p_value(value):
        still = Estimate(value=0.0, low=-0.5, high=1.0, n=9)
        return unpaired_difference(still, Estimate(value=value, low=value - 0.4, high=value + 2.0, n=9)).p_value

    edge = math.hypot(0.4, 1.0)
    assert p_value(edge * 1.001) < 0.05 < p_value(edge * 0.999)
    lower = math.hypot(2.0, 0.5)
    assert p_value(-lower * 1.001) < 0.05 < p_value(-lower * 0.999)
    assert p_value(0.0) is None


def test_a_quantile_equals_numpys_inverted_cdf():
    values = np.random.default_rng(10).normal(size=101)
    for quantile in (0.05, 0.5, 0.95):
        found = quantile_by_cluster(values.tolist(), range(101), quantile=quantile)
        assert found.value == np.quantile(values, quantile, method="inverted_cdf")
        assert found.low <= found.value <= found.high
    assert quantile_by_cluster([], [], quantile=0.5) is None


def test_wilson_equals_statsmodels():
    assert wilson(0.3, 50) == pytest.approx(proportion_confint(15, 50, method="wilson"))


def test_jackknife_intervals_cover_the_truth():
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(1000):
        below = rng.gamma(4.0, 1.0, 100)
        rows = list(zip(np.arange(100) // 2, below, 2.0 * below + rng.normal(0.0, 1.0, 100), strict=True))
        found = jackknife_estimate(
            rows, statistic=lambda part: sum(r[2] for r in part) / sum(r[1] for r in part), cluster=lambda r: str(r[0])
        )
        covered += found.low <= 2.0 <= found.high
    assert 0.93 <= covered / 1000 <= 0.97
