"""Statistics against hand-worked values, intervals that cover the truth, judges, and what changed between models."""

import contextlib
import math

import numpy as np
import pytest
import torch
from scipy import stats

from tropism.errors import ConfigError, DataError
from tropism.evals.core.differences import estimates
from tropism.evals.core.eval_folder import EvalFolder
from tropism.evals.core.items import Task
from tropism.evals.core.subject import Scored, policy_subject
from tropism.evals.core.suite import load_suite
from tropism.evals.core.suite_run import Material, run_suite
from tropism.evals.preference import displacement, implicit_reward, perplexity
from tropism.evals.preference.drift import chosen_prompts
from tropism.groups import Edge, Label, PreferenceGroup, Response
from tropism.judges.judge import RuleJudge, load_judge
from tropism.metrics.bootstrap import jackknife, mapped, mean_by_cluster, ratio_by_cluster
from tropism.metrics.pair_order import order_credit
from tropism.metrics.text_variety import distinct_2_ratio, distinct_n, own_distinct_2
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
    assert distinct_n(["the cat the cat"], 1) == 0.5
    assert distinct_n(["the cat the cat"], 2) == pytest.approx(2 / 3)
    assert distinct_n(["a"], 2) == 0.0


def test_variety_inside_a_text_and_against_another_equals_hand_worked_values():
    assert own_distinct_2("a b a b a") == 0.5  # a b, b a, a b, b a
    assert distinct_2_ratio([("a b a b a", "a b c d e f g")]) == 0.5  # 2 of 4 over 4 of 4, both cut to five words


def test_the_credit_of_a_pair_mirrors_when_its_sides_swap():
    assert [order_credit(*pair) for pair in ((2.0, 1.0), (1.0, 2.0), (1.0, 1.0))] == [1.0, 0.0, 0.5]
    assert order_credit(0.3, -0.1) + order_credit(-0.1, 0.3) == 1.0


@contextlib.contextmanager
def silent(title, total):
    yield lambda count: None


class Scores:
    """A model that gives each response of a group a log-probability from a table, over five tokens."""

    def __init__(self, name, nats):
        self.name, self.fingerprint, self.nats = name, name, nats

    def logp(self, groups, *, progress=None):
        return [[Scored(self.nats[group.id][index], 5) for index in range(len(group.responses))] for group in groups]


def pair_group(name, *edges):
    return PreferenceGroup(name, (name,), (Response("w", "yes"), Response("l", "no")), edges or (Edge(0, 1),))


def scored_task(settings, groups, before, after):
    return Task(Scores("after", after), Scores("before", before), groups, (), None, settings, 0, silent)


def test_held_out_pairs_equal_hand_worked_values():
    groups = [pair_group("a"), pair_group("b"), pair_group("c")]
    before = dict.fromkeys("abc", (-10.0, -10.0))
    after = {"a": (-9.0, -12.0), "b": (-13.0, -11.0), "c": (-11.0, -11.0)}
    found = implicit_reward.preference(scored_task(implicit_reward.PreferenceSettings(), groups, before, after))
    assert sorted(found.series["margin"]) == [-2.0, 0.0, 3.0]
    metrics = estimates(found.items, implicit_reward.STATISTICS)
    assert metrics["pair_accuracy"].value == pytest.approx((1 + 0 + 0.5) / 3)
    moved = estimates(
        displacement.displacement(scored_task(displacement.DisplacementSettings(), groups, before, after)).items, {}
    )
    assert moved["winner_change"].value == pytest.approx(-1.0)
    assert moved["loser_change"].value == pytest.approx(-4 / 3)


def test_trivial_rules_are_measured_on_the_same_pairs():
    groups = [pair_group(f"{k}") for k in range(40)]
    nats = {group.id: (-10.0, -10.0) for group in groups}
    found = implicit_reward.preference(scored_task(implicit_reward.PreferenceSettings(), groups, nats, nats))
    metrics = estimates(found.items, implicit_reward.STATISTICS)
    assert metrics["rule_longer_answer"].value == 1.0  # yes has more characters than no
    assert metrics["rule_bag_of_words"].value == 1.0  # yes always wins
    assert metrics["rule_longer_answer"].n == metrics["rule_bag_of_words"].n == metrics["pair_accuracy"].n == 40


def perplexities(groups, nats):
    found = perplexity.perplexity(scored_task(perplexity.PerplexitySettings(), groups, nats, nats))
    return estimates(found.items, perplexity.STATISTICS)


def test_perplexity_of_each_side_equals_hand_worked_values():
    groups = [pair_group("a"), pair_group("b")]
    found = perplexities(groups, {"a": (-10.0, -20.0), "b": (-5.0, -30.0)})
    assert found["preferred"].value == pytest.approx(math.exp(15 / 10))
    assert found["rejected"].value == pytest.approx(math.exp(50 / 10))


def test_only_the_preferred_side_of_perplexity_has_a_direction():
    assert perplexity.MEASURES["preferred"].better == "lower"
    assert perplexity.MEASURES["rejected"].better == "neither"


def test_labels_and_groups_without_feedback_have_sides_too():
    responses = (Response("x", "x"), Response("y", "y"), Response("z", "z"))
    labelled = PreferenceGroup("k", ("k",), responses, (), (Label(0, desirable=False), Label(1, desirable=True)))
    assert perplexity.sides_of(labelled) == {0: "rejected", 1: "preferred"}
    assert perplexity.sides_of(PreferenceGroup("s", ("s",), responses)) == dict.fromkeys(range(3), "preferred")
    chain = PreferenceGroup("c", ("c",), responses, (Edge(0, 1), Edge(1, 2)))
    assert perplexity.sides_of(chain) == {0: "preferred", 1: "preferred", 2: "rejected"}


def suite_metrics(tmp_path, subjects, groups, judge=None):
    (tmp_path / "own.yaml").write_text(
        "evals: [preference, perplexity, drift: {prompts: 40, max_new_tokens: 10}, win_rate: {max_new_tokens: 10}]"
    )
    base, other = subjects
    outcome = run_suite(
        load_suite(str(tmp_path / "own.yaml")), [other], base=base, material=Material(groups, judge=judge),
        folder=EvalFolder(tmp_path / "out"), progress=silent,
    )  # fmt: skip
    found = {(one.model, f"{one.eval}.{name}"): value for one in outcome.results for name, value in one.metrics.items()}
    return found, outcome


def test_comparing_a_model_with_itself_finds_no_change(tmp_path):
    subjects = [policy_subject(name, tiny_policy(tiny_llama())) for name in ("a", "b")]
    judge = RuleJudge("words", lambda p, a: len(a.split()))
    found, outcome = suite_metrics(tmp_path, subjects, pairs(["one", "two", "three", "four"]), judge)
    assert found["b", "win_rate.rate"].value == 0.5
    assert found["b", "preference.pair_accuracy"].value == 0.5
    assert found["b", "drift.kl"].value == 0.0
    assert found["a", "perplexity.preferred"] == found["b", "perplexity.preferred"]
    assert all(one.verdict == "unsure" for one in outcome.comparisons)


def test_kl_is_positive_for_another_model_and_no_judge_means_no_win_rate(tmp_path):
    subjects = [policy_subject(str(seed), tiny_policy(tiny_llama(seed=seed))) for seed in (1, 2)]
    found, outcome = suite_metrics(tmp_path, subjects, pairs([f"prompt {i}" for i in range(40)]))
    assert found["2", "drift.kl"].low > 0
    assert "win_rate" in outcome.left_out
    assert ("2", "win_rate.rate") not in found


def test_prompts_are_chosen_by_hash_not_by_order():
    groups = pairs(["a", "b", "c", "d"])
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
