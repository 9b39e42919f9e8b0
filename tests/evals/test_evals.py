"""Statistics against hand-worked values, intervals that cover the truth, judges, and what changed between models."""

import contextlib
import math

import numpy as np
import pytest
import torch
from scipy import stats
from tropism.evals.preference.compare import chosen_prompts, compare

from tropism.errors import ConfigError, DataError
from tropism.evals.preference import drift, win_rate
from tropism.evals.preference import implicit_reward as preference
from tropism.judges.judge import RuleJudge, load_judge
from tropism.metrics.bootstrap import jackknife, mapped, mean_by_cluster, ratio_by_cluster
from tropism.records import Sample
from tropism.testing import pairs, tiny_llama, tiny_policy


def test_a_mean_is_the_mean_and_n_counts_samples():
    estimate = mean_by_cluster([1.0, 0.0, 1.0, 1.0], ["a", "a", "b", "c"])
    assert estimate.value == 0.75
    assert estimate.n == 4
    assert estimate.low < 0.75 < estimate.high


def test_nothing_has_no_estimate():
    assert mean_by_cluster([], []) is None
    assert jackknife(len, []) is None
    assert mapped(None, math.exp) is None


def test_the_bootstrap_agrees_with_the_normal_interval_of_scipy():
    values = np.random.default_rng(0).normal(2.0, 1.0, 400)
    estimate = mean_by_cluster(values.tolist(), range(400))
    low, high = stats.norm.interval(0.95, loc=values.mean(), scale=stats.sem(values))
    assert estimate.low == pytest.approx(low, abs=0.01)
    assert estimate.high == pytest.approx(high, abs=0.01)


def test_intervals_cover_the_truth():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        cluster_means = rng.normal(0.0, 1.0, 60)
        values = np.repeat(cluster_means, 3) + rng.normal(0.0, 0.5, 180)
        estimate = mean_by_cluster(values.tolist(), np.repeat(np.arange(60), 3).tolist())
        covered += estimate.low <= 0.0 <= estimate.high
    assert 0.91 <= covered / 300 <= 0.98


def test_samples_of_one_prompt_widen_the_interval():
    values = [float(i % 2) for i in range(50)]
    together = mean_by_cluster(values * 4, [i for _ in range(4) for i in range(50)])
    apart = mean_by_cluster(values * 4, range(200))
    assert together.high - together.low > 1.6 * (apart.high - apart.low)


def test_a_ratio_is_sum_over_sum():
    assert ratio_by_cluster([1.0, 5.0], [1.0, 2.0], [0, 1]).value == 2.0


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=20).tolist()
    estimate = jackknife(lambda part: sum(part) / len(part), values)
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.959964 * stats.sem(values), rel=1e-6)


def test_distinct_n_equals_hand_worked_values():
    assert drift.distinct_n(["the cat the cat"], 1) == 0.5
    assert drift.distinct_n(["the cat the cat"], 2) == pytest.approx(2 / 3)
    assert drift.distinct_n(["a"], 2) == 0.0


def make_samples(*scores: tuple[float, float]) -> list[Sample]:
    return [
        Sample(prompt=f"p{i}", before="b", after="a a", before_score=one, after_score=two)
        for i, (one, two) in enumerate(scores)
    ]


def test_win_rate_counts_a_tie_as_half():
    found = win_rate.win_rate(make_samples((0, 1), (1, 0), (1, 1), (0, 2)))
    assert found["win_rate"].value == (1 + 0 + 0.5 + 1) / 4
    assert found["ties"].value == 0.25
    assert found["judge_score_after"].value == 1.0


def test_swapping_the_models_mirrors_the_win_rate():
    there = win_rate.win_rate(make_samples((0, 1), (1, 0), (1, 1), (0, 2)))["win_rate"].value
    back = win_rate.win_rate(make_samples((1, 0), (0, 1), (1, 1), (2, 0)))["win_rate"].value
    assert there + back == 1.0


def test_held_out_equals_hand_worked_values():
    policy = tiny_policy()
    groups, _ = policy.prepare(pairs(["a", "b", "c"]))
    keys = [[group.response_key(response) for response in group.responses] for group in groups]
    before = {key: -10.0 for row in keys for key in row}
    after = dict(before)
    for row, (winner, loser) in zip(keys, [(1.0, -2.0), (-3.0, -1.0), (-1.0, -1.0)], strict=True):
        after[row[0]] += winner
        after[row[1]] += loser
    found = preference.held_out(groups, before, after)
    assert found.margins == [3.0, -2.0, 0.0]
    assert found.metrics["pair_accuracy"].value == pytest.approx((1 + 0 + 0.5) / 3)
    assert found.metrics["winners_logp_change"].value == pytest.approx(-1.0)
    assert found.metrics["losers_logp_change"].value == pytest.approx(-4 / 3)
    tokens = sum(response.num_scored for group in groups for response in group.responses)
    assert found.metrics["perplexity_before"].value == pytest.approx(math.exp(60 / tokens))


@contextlib.contextmanager
def silent(title, total):
    yield lambda count: None


def test_comparing_a_model_with_itself_finds_no_change():
    policy, same = tiny_policy(tiny_llama()), tiny_policy(tiny_llama())
    groups, _ = policy.prepare(pairs(["one", "two", "three", "four"]))
    found = compare(
        policy, same, groups, names=("a", "b"), num_prompts=3, judge=RuleJudge("words", lambda p, a: len(a.split())),
        temperature=0.7, max_new_tokens=10, seed=0, progress=silent,
    )  # fmt: skip
    assert len(found.samples) == 3
    assert found.metrics["win_rate"].value == 0.5
    assert found.metrics["ties"].value == 1.0
    assert found.metrics["pair_accuracy"].value == 0.5
    assert found.metrics["kl"].value == pytest.approx(0.0, abs=1e-4)
    assert found.metrics["perplexity_before"] == found.metrics["perplexity_after"]


def test_kl_is_positive_for_another_model_and_no_judge_means_no_win_rate():
    policy, other = tiny_policy(tiny_llama(seed=1)), tiny_policy(tiny_llama(seed=2))
    groups, _ = policy.prepare(pairs([f"prompt {i}" for i in range(40)]))
    found = compare(
        policy, other, groups, names=("a", "b"), num_prompts=40, judge=None, temperature=1.0, max_new_tokens=20, seed=0,
        progress=silent,
    )  # fmt: skip
    assert found.metrics["kl"].low > 0
    assert "win_rate" not in found.metrics


def test_prompts_are_chosen_by_hash_not_by_order():
    policy = tiny_policy()
    groups, _ = policy.prepare(pairs(["a", "b", "c", "d"]))
    assert chosen_prompts(groups, 2) == chosen_prompts(groups[::-1], 2)
    assert len(chosen_prompts([*groups, *groups], 9)) == 4


def test_a_judge_is_loaded_by_file_or_module(tmp_path):
    (tmp_path / "rule.py").write_text("def shorter(prompt, answer):\n    return -len(answer)\n")
    assert load_judge(f"{tmp_path}/rule.py:shorter").score("p", "four") == -4.0
    assert load_judge("math:dist").name == "math:dist"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rule", "a judge is named `file.py:function`, .*`reward-model:...`.*, not 'rule'"),
        ("nowhere.py:rule", "cannot be loaded"),
        ("math:nothing", "has no attribute 'nothing'"),
        ("math:pi", "is not a function"),
    ],
)
def test_a_wrong_judge_is_a_plain_error(name, message):
    with pytest.raises(ConfigError, match=message):
        load_judge(name)


def test_a_judge_that_gives_no_number_is_a_plain_error():
    with pytest.raises(DataError, match="judge bad gave nan to the answer 'hi'"):
        RuleJudge("bad", lambda prompt, answer: math.nan).score("p", "hi")


def test_training_state_of_the_model_survives_generation():
    policy = tiny_policy()
    policy.model.train()
    policy.generate(["a"], temperature=0.0, max_new_tokens=2, seed=0)
    assert policy.model.training
    assert torch.is_grad_enabled()


def test_three_wins_of_three_are_no_certainty():
    estimate = mean_by_cluster([1.0, 1.0, 1.0], ["a", "b", "c"])
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert estimate.low == pytest.approx(stats.binomtest(3, 3).proportion_ci(method="wilson").low, abs=1e-9)
    assert mean_by_cluster([0.0], ["a"]).high > 0.7
