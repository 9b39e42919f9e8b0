"""Every formula against numbers worked by hand, its gradient, its symmetry and its extremes."""

import math

import pytest
import torch

from tropism.errors import ConfigError
from tropism.losses import make_mixture
from tropism.losses.pairwise import dpo, ipo
from tropism.losses.pointwise import nll
from tropism.losses.shaping import log_ratio, log_ratio_margin
from tropism.scores import Feedback, ResponseScores, Terms


def make_feedback(
    winner=(0,), loser=(1,), weight=None, margin=None, prob=None, labels=(), group=None, num_responses=2
) -> Feedback:
    count = len(winner)
    return Feedback(
        winner=torch.tensor(winner, dtype=torch.long),
        loser=torch.tensor(loser, dtype=torch.long),
        weight=torch.tensor(weight or [1.0] * count),
        margin=torch.tensor(margin or [0.0] * count),
        prob=torch.tensor(prob or [1.0] * count),
        label_response=torch.tensor([label[0] for label in labels], dtype=torch.long),
        label_desirable=torch.tensor([label[1] for label in labels], dtype=torch.bool),
        label_weight=torch.tensor([label[2] for label in labels], dtype=torch.float32),
        group=torch.tensor(group or [0] * num_responses),
        rank=torch.full((num_responses,), -1),
        score=torch.full((num_responses,), math.nan),
        baseline=torch.zeros(num_responses, dtype=torch.bool),
    )


def make_scores(policy, reference=None, length=None) -> ResponseScores:
    policy = torch.as_tensor(policy, dtype=torch.float64)
    return ResponseScores(
        policy,
        None if reference is None else torch.as_tensor(reference, dtype=torch.float64),
        torch.tensor(length or [1] * len(policy)),
    )


def test_dpo_equals_hand_worked_value():
    # log-ratios: -10 - (-12) = 2 and -9 - (-8) = -1, margin 3, beta 0.1: -log sigmoid(0.3) = log(1 + e^-0.3)
    terms = dpo(make_scores([-10.0, -9.0], [-12.0, -8.0]), make_feedback(), beta=0.1)
    assert terms.value.item() == pytest.approx(math.log(1 + math.exp(-0.3)), abs=1e-7)
    assert terms.value.item() == pytest.approx(0.5543552444685271, abs=1e-7)


def test_dpo_margin_lowers_the_argument():
    # the offset 0.5 times margin_scale 2 is taken from 0.3: -log sigmoid(-0.7)
    terms = dpo(make_scores([-10.0, -9.0], [-12.0, -8.0]), make_feedback(margin=[0.5]), beta=0.1, margin_scale=2.0)
    assert terms.value.item() == pytest.approx(1.1031860488854579, abs=1e-6)


def test_dpo_soft_label_mixes_both_directions():
    # 0.8 * -log sigmoid(0.3) + 0.2 * -log sigmoid(-0.3) = 0.8 * 0.5543552 + 0.2 * 0.8543552
    terms = dpo(make_scores([-10.0, -9.0], [-12.0, -8.0]), make_feedback(prob=[0.8]), beta=0.1)
    assert terms.value.item() == pytest.approx(0.6143552444685271, abs=1e-7)


def test_ipo_equals_hand_worked_value():
    # margin 3, tau 0.1: (3 - 5)^2 = 4; with prob 0.75: 0.75 * 4 + 0.25 * 64 = 19
    scores = make_scores([-10.0, -9.0], [-12.0, -8.0])
    assert ipo(scores, make_feedback(), tau=0.1).value.item() == pytest.approx(4.0, abs=1e-6)
    assert ipo(scores, make_feedback(prob=[0.75]), tau=0.1).value.item() == pytest.approx(19.0, abs=1e-5)


def test_nll_is_nats_per_token_weighted_by_tokens():
    # winners 0 and 2: 12 nats over 4 tokens and 2 nats over 2 tokens: (12 + 2) / 6 in the global mean
    scores = make_scores([-12.0, -9.0, -2.0, -5.0], length=[4, 3, 2, 5])
    feedback = make_feedback(winner=[0, 2], loser=[1, 3], group=[0, 0, 1, 1], num_responses=4)
    terms = nll(scores, feedback)
    assert terms.value.tolist() == [3.0, 3.0, 1.0, 1.0]
    assert terms.weight.tolist() == [4.0, 0.0, 2.0, 0.0]
    assert (terms.weighted_sum() / terms.weight.sum()).item() == pytest.approx(14 / 6)


def test_nll_counts_a_winner_of_several_edges_once():
    feedback = make_feedback(winner=[0, 0], loser=[1, 2], num_responses=3)
    assert nll(make_scores([-1.0, -1.0, -1.0]), feedback).weight.tolist() == [1.0, 0.0, 0.0]


def test_nll_prefers_labels_to_edges_and_takes_all_without_either():
    labelled = make_feedback(labels=[(0, False, 1.0), (1, True, 2.0)])
    assert nll(make_scores([-1.0, -1.0]), labelled).weight.tolist() == [0.0, 2.0]
    bare = make_feedback(winner=[], loser=[], weight=[], margin=[], prob=[])
    assert nll(make_scores([-1.0, -1.0]), bare).weight.tolist() == [1.0, 1.0]


def test_nll_does_not_take_a_tie_for_a_win():
    assert nll(make_scores([-1.0, -1.0]), make_feedback(prob=[0.5])).weight.tolist() == [0.0, 0.0]


def test_log_ratio_subtracts_before_it_casts():
    scores = make_scores([-1000.0000001, -1000.0], [-1000.0, -1000.0])
    assert log_ratio(scores)[0].item() == pytest.approx(-1e-7, rel=1e-3)
    assert log_ratio_margin(scores, make_feedback()).item() == pytest.approx(-1e-7, rel=1e-3)


def test_dpo_is_log2_when_policy_equals_reference():
    assert dpo(make_scores([-7.0, -3.0], [-7.0, -3.0]), make_feedback()).value.item() == pytest.approx(math.log(2))


def test_ipo_is_quarter_tau_squared_when_policy_equals_reference():
    assert ipo(make_scores([-7.0, -3.0], [-7.0, -3.0]), make_feedback(), tau=0.1).value.item() == pytest.approx(25.0)


def test_weight_zero_silences_even_an_overflow():
    assert Terms(torch.tensor([math.inf, 2.0]), torch.tensor([0.0, 3.0])).weighted_sum().item() == 6.0


def test_mixture_reads_only_the_responses_that_count():
    feedback = make_feedback([0], [1], num_responses=3)
    length = torch.tensor([1, 1, 1])
    assert make_mixture({"nll": {}}).responses_read(length, feedback).tolist() == [True, False, False]
    assert make_mixture({"dpo": {}}).responses_read(length, feedback).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dpoo": {}}, "unknown loss 'dpoo'. Did you mean 'dpo'? Known: dpo, odpo, gravity, cdpo"),
        ({"dpo": {"bete": 1}}, "loss 'dpo' has no setting 'bete'. Did you mean 'beta'?"),
        ({"dpo": {"beta": "x"}}, "loss.dpo.beta must be a number, got 'x'."),
        ({"dpo": {"beta": 0}}, "loss.dpo.beta must be greater than 0, got 0. The default of dpo is 0.1."),
        ({"f_dpo": {"divergence": "hellinger"}}, "must be one of reverse_kl, forward_kl, js, alpha, got 'hellinger'"),
        ({"robust": {"label_smoothing": 0.5}}, "loss.robust.label_smoothing must be in [0, 0.5), got 0.5"),
        ({"exo": {"label_smoothing": 0}}, "loss.exo.label_smoothing must be in (0, 0.5), got 0"),
        ({"rpo": {"ipo": {}}}, "'rpo' is made of dpo, nll, got 'ipo'."),
        ({"rpo": {}, "dpo": {}}, "`loss` names 'dpo' twice."),
        ({"sigmoid": {}}, "unknown loss 'sigmoid'; other libraries call 'dpo' so. Write dpo."),
        ({"kto_pair": {}}, "Write kto."),
        ({"exo_pair": {}}, "Write exo."),
        ({"sft": {}}, "Write nll."),
        ({"dpo_positive": {}}, "Write dpop."),
        ({"DPO": {}}, "unknown loss 'DPO'. Did you mean 'dpo'?"),
        ({"grpo": {}}, "unknown loss 'grpo': it is another method (reinforcement learning on sampled answers"),
        ({"ppo": {}}, "it is another method (reinforcement learning against a reward model)"),
        ({"rloo": {}}, "it is another method"),
        ({"beta_dpo": {"keep": 1.5}}, "loss.beta_dpo.keep must be in [0, 1], got 1.5"),
        ({"dpo": {"weight": 0}}, "loss.dpo.weight must be greater than 0, got 0."),
        ({}, "`loss` must name at least one loss. Name one of: dpo, odpo, gravity, cdpo"),
    ],
)
def test_a_wrong_mixture_says_what_to_do(settings, message):
    with pytest.raises(ConfigError) as error:
        make_mixture(settings)
    assert message in str(error.value)
