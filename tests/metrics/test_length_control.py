"""The win rate at equal length: its logistic definition, and what it must expose."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.special import expit

from tropism.metrics.bootstrap import mean_by_cluster
from tropism.metrics.length_control import (
    LENGTH_PRECISION,
    QUALITY_PRECISION,
    fit_logistic,
    length_controlled,
    length_terms,
)

PROMPTS = 400


def drawn(rng, *, quality, length, shift=40.0, spread=100.0, count=PROMPTS):
    """Verdicts of a judge that follows the model of the paper, on answers that are longer by `shift` on average."""
    gaps = np.round(rng.normal(shift, spread, count))
    chance = expit(quality + length * np.tanh(gaps / gaps.std()))
    return (rng.random(count) < chance).astype(float), gaps


def test_the_fit_equals_that_of_statsmodels():
    wins, gaps = drawn(np.random.default_rng(0), quality=0.5, length=1.2)
    terms = length_terms(gaps)
    fit = fit_logistic(terms, wins, np.ones((1, PROMPTS)), precision=(0.0, 0.0))
    theirs = sm.GLM(wins, np.stack([np.ones(PROMPTS), terms], 1), family=sm.families.Binomial()).fit()
    assert [fit.theta[0], fit.phi[0]] == pytest.approx(theirs.params, abs=1e-6)
    assert fit.error[0] == pytest.approx(theirs.bse[0], abs=1e-6)


def test_the_rate_is_the_logistic_of_the_coefficient_at_equal_length():
    wins, gaps = drawn(np.random.default_rng(1), quality=0.5, length=1.2)
    wins[:30] = 0.5
    terms = gaps / gaps.std()

    def loss(beta):
        chance = expit(beta[0] + beta[1] * np.tanh(terms))
        prior = 0.5 * (QUALITY_PRECISION * beta[0] ** 2 + LENGTH_PRECISION * beta[1] ** 2)
        return prior - np.sum(wins * np.log(chance) + (1 - wins) * np.log1p(-chance))

    best = minimize(loss, [0.0, 0.0], tol=1e-12).x
    found = length_controlled(wins, gaps, range(PROMPTS))
    assert found.rate.value == pytest.approx(expit(best[0]), abs=1e-6)
    assert found.length_effect == pytest.approx(best[1], abs=1e-4)
    assert found.rate.n == PROMPTS


def test_resamples_are_fitted_as_they_would_be_alone():
    wins, gaps = drawn(np.random.default_rng(2), quality=-0.3, length=2.0, count=60)
    weights = np.random.default_rng(3).multinomial(60, np.full(60, 1 / 60), 5).astype(float)
    together = fit_logistic(length_terms(gaps), wins, weights)
    for row, theta in zip(weights, together.theta, strict=True):
        alone = fit_logistic(
            np.repeat(length_terms(gaps), row.astype(int)), np.repeat(wins, row.astype(int)), np.ones((1, 60))
        )
        assert alone.theta[0] == pytest.approx(theta, abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 40.0, 120.0, 1000.0])
def test_a_judge_that_always_prefers_the_longer_answer_gives_one_half_and_no_knowledge(shift):
    gaps = np.round(np.random.default_rng(4).normal(shift, 100.0, PROMPTS))
    wins = np.where(gaps == 0, 0.5, gaps > 0)
    found = length_controlled(wins, gaps, range(PROMPTS))
    assert (found.rate.value, found.rate.low, found.rate.high) == (0.5, 0.0, 1.0)
    assert found.length_effect == np.inf
    raw = mean_by_cluster(wins.tolist(), range(PROMPTS))
    assert "preferred the longer answer every time" in found.sentence(raw)
    back = length_controlled(1 - wins, gaps, range(PROMPTS))
    assert "preferred the shorter answer every time" in back.sentence(raw)


def test_a_merely_longer_model_is_within_two_points_of_one_half_over_simulations():
    rates, raws, exposed = [], [], 0
    for seed in range(20):
        wins, gaps = drawn(np.random.default_rng(seed), quality=0.0, length=2.5, shift=60.0)
        found = length_controlled(wins, gaps, range(PROMPTS))
        raw = mean_by_cluster(wins.tolist(), range(PROMPTS))
        rates.append(found.rate.value)
        raws.append(raw.value)
        exposed += "may be no difference" in found.sentence(raw)
    assert np.mean(raws) > 0.65
    assert abs(np.mean(rates) - 0.5) < 0.02
    assert exposed >= 18


def test_a_better_model_of_equal_length_keeps_its_rate_over_simulations():
    gaps_between = []
    for seed in range(60):
        wins, gaps = drawn(np.random.default_rng(seed), quality=1.1, length=0.0, shift=0.0)
        fit = fit_logistic(length_terms(gaps), wins, np.ones((1, PROMPTS)))
        gaps_between.append(expit(fit.theta[0]) - wins.mean())
    assert abs(np.mean(gaps_between)) < 0.005
    assert np.abs(gaps_between).max() < 0.02


def test_a_better_and_longer_model_is_told_from_a_merely_longer_one():
    wins, gaps = drawn(np.random.default_rng(5), quality=1.1, length=2.5, shift=60.0, count=2000)
    found = length_controlled(wins, gaps, range(2000))
    assert found.rate.value == pytest.approx(expit(1.1), abs=0.03)
    assert found.rate.low > 0.5
    assert found.sentence(mean_by_cluster(wins.tolist(), range(2000))) == ""


def test_swapping_the_models_mirrors_the_rate():
    wins, gaps = drawn(np.random.default_rng(6), quality=0.4, length=1.0)
    there = length_controlled(wins, gaps, range(PROMPTS)).rate
    back = length_controlled(1 - wins, -gaps, range(PROMPTS)).rate
    assert there.value + back.value == pytest.approx(1.0)


def test_equal_lengths_leave_the_raw_rate():
    wins = [1.0] * 70 + [0.0] * 30
    found = length_controlled(wins, [0.0] * 100, range(100))
    assert found.rate.value == pytest.approx(0.7, abs=0.002)
    longer = length_controlled(wins, [5.0] * 100, range(100))  # constantly longer: length or quality, nobody can say
    assert longer.rate.high - longer.rate.low > 0.9


def test_pairs_of_answers_of_one_prompt_widen_the_interval():
    wins, gaps = drawn(np.random.default_rng(7), quality=0.4, length=1.0, count=100)
    once = length_controlled(wins, gaps, range(100)).rate
    copied = length_controlled(np.tile(wins, 4), np.tile(gaps, 4), list(range(100)) * 4).rate
    assert copied.value == pytest.approx(once.value, abs=0.01)
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.1)


def test_extreme_inputs_stay_finite_and_nothing_is_no_estimate():
    assert length_controlled([], [], []) is None
    for wins in ([1.0] * 50, [0.0] * 50, [0.5] * 50):
        found = length_controlled(wins, [1e9, -1e9] * 25, range(50)).rate
        assert 0.0 <= found.low <= found.value <= found.high <= 1.0
