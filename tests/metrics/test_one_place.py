"""Each formula stands in one place of the source, and every user of it gets the same number."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

import tropism
from tropism.label.results import _share
from tropism.metrics.bootstrap import Z_95, cluster_draws, percentile_interval, wilson
from tropism.metrics.pair_order import order_credit
from tropism.signals.statistics.edge_confounders import share

SOURCE = Path(tropism.__file__).parent

FORMULAS = {
    "pair accuracy": (
        r"\+ 0\.5 \* \([^)\n]* == |where\([^)\n]*==[^)\n]*, 0\.5,|0\.5 if [\w.]+ == [\w.]+ else float\([\w.]+ > ",
        "metrics/pair_order.py",
    ),
    "KL of own samples": (r"after\[key\] - before\[key\]|mine\[key\] - start\[key\]", "evals/preference/drift.py"),
    "a sampled answer as a group": (r"def sampled_group\(.*RenderedGroup:", "policies/text.py"),
    "distinct n-grams": (r"len\(set\((grams|ngrams)\)\) /|def distinct_n\(", "metrics/text_variety.py"),
    "Wilson's interval": (r"_95\*\*2 / \(?4 \*|_Z\*\*2 / \(?4|proportion_ci\(|def wilson\(", "metrics/bootstrap.py"),
    "quantile of the normal distribution": (r"1\.9599|1\.96\d? \*", "metrics/bootstrap.py"),
    "draws of whole clusters": (r"\.multinomial\(", "metrics/bootstrap.py"),
    "middle 95 % of resamples": (r"0\.025, 0\.975", "metrics/bootstrap.py"),
    "jackknife": (r"\((num|blocks) - 1\) / (num|blocks)|def jackknife_error\(", "metrics/bootstrap.py"),
    "Holm's correction": (r"def holm\(|\(len\(p_values\) - rank\)", "metrics/paired_tests.py"),
    "sign flips": (r"def sign_flip\(", "metrics/paired_tests.py"),
    "McNemar's test": (r"def mcnemar\(|binomtest\(", "metrics/paired_tests.py"),
    "paired difference": (r"def paired_difference\(", "metrics/paired_tests.py"),
    "length-controlled rate": (r"def length_controlled\(|np\.tanh\(gap", "metrics/length_control.py"),
    "numbers of clusters": (r"setdefault\(cluster, len\(", "metrics/bootstrap.py"),
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_stands_in_one_file(formula):
    pattern, home = FORMULAS[formula]
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }
    assert found == {home}


def test_no_name_of_a_formula_is_defined_twice():
    defined = re.findall(
        r"^\s*def (wilson|holm|jackknife|distinct_n|order_credit|mcnemar|sign_flip|mean_by_cluster)\(",
        "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")),
        flags=re.MULTILINE,
    )
    twice = {name for name in defined if defined.count(name) > 1}
    assert twice == {"order_credit"}  # its two overloads
    assert defined.count("order_credit") == 3


def test_wilson_of_three_in_five_equals_the_hand_worked_value():
    # centre (0.6 + 3.8415 / 10) / (1 + 3.8415 / 5) = 0.55655, half-width 1.96 sqrt(0.24 / 5 + 3.8415 / 100) / 1.7683
    assert wilson(3 / 5, 5) == pytest.approx((0.23072, 0.88238), abs=1e-5)


@pytest.mark.parametrize(("count", "n"), [(0, 10), (3, 5), (10, 10), (55, 100), (4_321, 5_000)])
def test_votes_labels_and_audits_share_one_wilson_interval(count, n):
    outside = binomtest(count, n).proportion_ci(method="wilson")
    assert wilson(count / n, n) == pytest.approx((outside.low, outside.high), abs=1e-12)
    labels = _share([True] * count + [False] * (n - count))
    assert (labels.low, labels.high) == wilson(count / n, n)
    votes = share(np.array([2] * count + [0] * (n - count)), np.ones(n, dtype=np.int64))
    # single edges have a design effect of n / (n - 1), which is not estimated if all edges are the same
    effective = n if count in (0, n) else n - 1
    assert (votes.low, votes.high) == pytest.approx(wilson(count / n, effective), abs=1e-12)


def test_credit_is_the_same_of_numbers_arrays_and_tensors():
    winners, losers = [2.0, 1.0, 1.0], [1.0, 2.0, 1.0]
    by_hand = [1.0, 0.0, 0.5]
    assert [order_credit(*pair) for pair in zip(winners, losers, strict=True)] == by_hand
    assert order_credit(np.array(winners), np.array(losers)).tolist() == by_hand
    assert order_credit(torch.tensor(winners), torch.tensor(losers)).tolist() == by_hand
    assert order_credit(winners[0], losers[0]) + order_credit(losers[0], winners[0]) == 1.0


def test_draws_hold_as_many_clusters_as_there_are():
    draws = cluster_draws(7, num_resamples=50, seed=3)
    assert draws.shape == (50, 7)
    assert set(draws.sum(axis=1)) == {7}
    assert (draws == cluster_draws(7, num_resamples=50, seed=3)).all()


def test_the_middle_of_resamples_equals_the_hand_worked_value():
    assert percentile_interval(np.arange(41.0)) == (1.0, 39.0)  # 40 gaps: 2.5 % of them is one
    assert pytest.approx(1.959964, abs=1e-6) == Z_95
