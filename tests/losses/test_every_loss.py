"""What must hold for every row of the table: a value worked by hand, its gradient, its symmetry and its extremes."""

import itertools
import math
from math import exp, log, log1p

import pytest
import torch

from tropism.losses import LOSSES, make_mixture
from tropism.losses.samples import RADII
from tropism.losses.table import MIXTURES
from tropism.scores import Feedback, ResponseScores, SampleFeatures, StepScores, Terms, TokenScores, joined

SCORED = [name for name, loss in LOSSES.items() if loss.family != "samples"]
STEPS = [name for name, loss in LOSSES.items() if "step" in loss.needs]
PAIRWISE = [name for name, loss in LOSSES.items() if loss.family == "pairwise" and "prob" in loss.honours]


def feedback_of(edges, *, labels=(), ranks=None, scores=None, groups=None, baseline=(), count=2) -> Feedback:
    """Edges are (winner, loser) or (winner, loser, weight, margin, prob)."""
    edges = [(*edge, *(1.0, 0.0, 1.0)[len(edge) - 2 :]) for edge in edges]
    columns = list(zip(*edges, strict=True)) or [(), (), (), (), ()]
    return Feedback(
        winner=torch.tensor(columns[0], dtype=torch.long),
        loser=torch.tensor(columns[1], dtype=torch.long),
        weight=torch.tensor(columns[2], dtype=torch.float32),
        margin=torch.tensor(columns[3], dtype=torch.float32),
        prob=torch.tensor(columns[4], dtype=torch.float32),
        label_response=torch.tensor([label[0] for label in labels], dtype=torch.long),
        label_desirable=torch.tensor([label[1] for label in labels], dtype=torch.bool),
        label_weight=torch.tensor([1.0 if len(label) < 3 else label[2] for label in labels]),
        group=torch.tensor(groups or [0] * count),
        rank=torch.tensor(ranks or [-1] * count),
        score=torch.tensor(scores or [math.nan] * count),
        baseline=torch.tensor([i in baseline for i in range(count)]),
    )


def scores_of(policy, reference, lengths) -> ResponseScores:
    """Token-level scores are even shares of each response's."""
    policy = policy if isinstance(policy, torch.Tensor) else torch.tensor(policy, dtype=torch.float64)
    reference = torch.tensor(reference, dtype=torch.float64)
    length = torch.tensor(lengths)
    response = torch.repeat_interleave(torch.arange(len(length)), length)
    squares = torch.full((len(response),), 0.5)
    tokens = TokenScores((policy / length)[response], (reference / length)[response], sum_squares=squares)
    return ResponseScores(policy, reference, length, tokens)


def terms_of(name, scores, feedback, *, running=None, step=None, edges_before=0, **settings) -> Terms:
    function, loss = LOSSES[name].function, LOSSES[name]
    if (
        "samples" in loss.needs and scores.samples is None
    ):  # the same two samples, and one on each side, for every group
        features = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]).repeat(int(feedback.group.max()) + 1, 1, 1)
        scores = scores._replace(samples=SampleFeatures(features, features[:, :1] + 1, features[:, :1] - 1))
    if "step" not in loss.needs:
        return function(scores, feedback, **settings)
    if step is None:
        step = (scores._replace(policy=scores.policy.detach(), tokens=None), feedback)
    tracked = loss.tracks(*step) if loss.tracks else {}
    return function(scores, feedback, StepScores(*step, running or tracked, edges_before), **settings)


def sigmoid(x):
    return 1 / (1 + exp(-x))


def softplus(x):
    return log1p(exp(x))


def log_odds(x):
    return x - log(1 - exp(x))


# One pair: policy -10 and -9, reference -12 and -8, so log-ratios 2 and -1 and their margin 3; 4 and 2 tokens.
PAIR = scores_of([-10.0, -9.0], [-12.0, -8.0], [4, 2])
TOKENS = TokenScores(
    torch.tensor([-1.0, -2.0, -3.0, -4.0, -4.0, -5.0]),
    torch.tensor([-2.0, -2.0, -4.0, -4.0, -3.5, -4.5]),
    sum_squares=torch.tensor([0.5, 0.5, 0.5, 0.5, 0.25, 0.25]),
)
HAND = [
    ("dpo", {}, softplus(-0.3)),
    ("odpo", {"margin_scale": 2.0}, softplus(-0.3)),
    ("gravity", {}, softplus(-0.3)),
    ("cdpo", {"label_smoothing": 0.1}, 0.9 * softplus(-0.3) + 0.1 * softplus(0.3)),
    ("robust", {"label_smoothing": 0.1}, (0.9 * softplus(-0.3) - 0.1 * softplus(0.3)) / 0.8),
    ("ipo", {"tau": 0.1}, 4.0),
    ("ipo_norm", {"tau": 0.1}, 16.0),  # 2/4 + 1/2 = 1 per token, 4 short of 5
    ("hinge", {}, 0.7),
    ("sigmoid_norm", {"beta": 2.0}, softplus(-2.0)),
    ("exo", {"label_smoothing": 0.1},
     sigmoid(0.3) * log(sigmoid(0.3) / 0.9) + sigmoid(-0.3) * log(sigmoid(-0.3) / 0.1)),
    ("nca", {}, softplus(-0.2) + 0.5 * softplus(0.2) + 0.5 * softplus(-0.1)),
    ("bco_pair", {}, softplus(-0.2) + softplus(-0.1)),
    ("bco", {}, softplus(-0.15) + softplus(-0.15)),  # the shift is (2 - 1) / 2 = 0.5
    ("sppo", {"beta": 0.1}, (2 - 5) ** 2 + (-1 + 5) ** 2),
    ("aot", {}, softplus(-0.3)),  # one edge: -10 + 9 = -1 against -12 + 8 = -4
    ("aot_unpaired", {}, softplus(-0.3)),
    ("apo_zero", {}, 1 - sigmoid(0.2) + sigmoid(-0.1)),
    ("apo_down", {}, sigmoid(0.2) + 1 - sigmoid(0.3)),
    ("discopop", {"beta": 0.1, "tau": 0.5}, (1 - sigmoid(0.6)) * softplus(-0.3) + sigmoid(0.6) * exp(-0.3)),
    ("dpop", {"beta": 0.1, "penalty": 5.0}, softplus(-0.3)),  # the winner lost nothing
    ("chi_po", {"beta": 0.1}, softplus(-0.1 * (2 + exp(2) - (-1 + exp(-1))))),
    ("beta_dpo", {}, softplus(-0.3)),  # one edge is its own mean: beta stays
    ("r_dpo", {"alpha": 0.05}, softplus(-(0.3 + 0.05 * 2))),
    ("ld_dpo", {"alpha": 0.5}, softplus(-0.1 * (1 + 0 + 0.5 * (1 + 0) - (-1)))),
    ("wpo", {}, softplus(-0.3) * exp(-2.5 + log(2)) * exp(-4.5 + log(4))),
    ("cal_dpo", {"beta": 0.1}, softplus(-3.0) + (2 - 5) ** 2 + (-1 + 5) ** 2),
    ("f_dpo", {"divergence": "js"}, softplus(-0.1 * (log(sigmoid(2)) - log(sigmoid(-1))))),
    ("f_dpo", {"divergence": "forward_kl"}, softplus(-0.1 * (exp(1) - exp(-2)))),
    ("f_dpo", {"divergence": "alpha", "alpha": 0.5}, softplus(-0.1 * ((exp(-1) - 1) - (exp(0.5) - 1)) / -0.5)),
    ("f_dpo", {"divergence": "reverse_kl"}, softplus(-0.3)),
    ("todo", {"beta": 0.1, "tie": 0.5}, softplus(0.5 - 0.3)),
    ("simpo", {"beta": 2.0, "gamma": 1.0}, softplus(-3.0)),  # -10/4 + 9/2 = 2 per token, times 2, less 1
    ("contrast", {"beta": 0.1}, softplus(0.1)),  # -10 + 9 = -1
    ("odds_ratio", {}, softplus(-(log_odds(-2.5) - log_odds(-4.5)))),
    ("slic", {"delta": 1.5}, 2.5),
    ("bradley_terry", {"centring": 0.01}, softplus(1.0) + 0.01 * 19**2),
    ("softmax_dpo", {"beta": 0.1}, softplus(-0.3)),
    # gains 1 and 0, places 1 and 2: |1 - 0| * |1/log 2 - 1/log 3| on the logistic link
    ("lipo_lambda", {"beta": 0.1}, (1 / log(2) - 1 / log(3)) * softplus(-0.3)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "expected"), HAND)
def test_one_pair_equals_the_value_worked_by_hand(name, settings, expected):
    scores = PAIR._replace(tokens=TOKENS)
    feedback = feedback_of([(0, 1)], scores=[1.0, 0.0])
    assert terms_of(name, scores, feedback, **settings).value[0].item() == pytest.approx(expected, rel=1e-5)


def test_every_row_has_a_value_worked_by_hand():
    elsewhere = {"nll", "kto", "apo_zero_unpaired", "plackett_luce", "drift"}
    assert {name for name, _, _ in HAND} | elsewhere == set(LOSSES)


def test_a_winner_that_lost_probability_pays_in_dpop():
    scores = scores_of([-14.0, -12.0], [-12.0, -8.0], [4, 2])  # log-ratios -2 and -4
    value = terms_of("dpop", scores, feedback_of([(0, 1)]), beta=0.1, penalty=5.0).value
    assert value.item() == pytest.approx(softplus(-0.1 * (2 - 5 * 2)), rel=1e-6)


def test_a_tie_under_todo_is_rao_and_kuppers():
    value = terms_of("todo", PAIR, feedback_of([(0, 1, 1.0, 0.0, 0.5)]), beta=0.1, tie=0.5).value
    theta, ratio = exp(0.5), exp(0.3)
    tied = (theta**2 - 1) * ratio / ((ratio + theta) * (1 + theta * ratio))
    assert value.item() == pytest.approx(-log(tied), rel=1e-6)
    won = sigmoid(0.3 - 0.5)
    lost = sigmoid(-0.3 - 0.5)
    assert won + lost + tied == pytest.approx(1.0)


def test_margins_shift_the_argument_where_a_loss_honours_them():
    feedback = feedback_of([(0, 1, 1.0, 0.2, 1.0)])
    assert terms_of("hinge", PAIR, feedback).value.item() == pytest.approx(0.9, rel=1e-6)
    assert terms_of("gravity", PAIR, feedback).value.item() == pytest.approx(softplus(-(0.3 - 0.3 * 0.2)), rel=1e-6)
    assert terms_of("simpo", PAIR, feedback).value.item() == pytest.approx(softplus(-2.8), rel=1e-6)


def test_kto_equals_hand_worked_values():
    # log-ratios 2, -1, and of two strangers 1 and 3, so the reference point is 2
    scores = scores_of([-10.0, -9.0, -4.0, -3.0], [-12.0, -8.0, -5.0, -6.0], [1, 1, 1, 1])
    feedback = feedback_of([], labels=[(0, True), (1, False, 0.5)], baseline=(2, 3), groups=[0, 1, 0, 1], count=4)
    terms = terms_of("kto", scores, feedback, beta=0.1, desirable_weight=2.0)
    assert terms.value.tolist() == pytest.approx([2 * sigmoid(0.0), sigmoid(0.1 * (-1 - 2))], rel=1e-6)
    assert terms.weight.tolist() == [1.0, 0.5]


def test_a_reference_point_below_zero_is_zero():
    scores = scores_of([-10.0, -9.0], [-12.0, -8.0], [1, 1])
    feedback = feedback_of([], labels=[(0, True)], baseline=(1,))
    assert terms_of("kto", scores, feedback).value.item() == pytest.approx(1 - sigmoid(0.2), rel=1e-6)


def test_apo_zero_unpaired_equals_hand_worked_values():
    feedback = feedback_of([], labels=[(0, True), (1, False)])
    values = terms_of("apo_zero_unpaired", PAIR, feedback, beta=0.1).value
    assert values.tolist() == pytest.approx([1 - sigmoid(0.2), sigmoid(-0.1)], rel=1e-6)


def test_plackett_luce_equals_the_product_of_choices():
    # rewards 0.2, -0.1, 0.3 ranked in this order, and a fourth without a rank
    scores = scores_of([2.0, -1.0, 3.0, 9.0], [0.0] * 4, [1] * 4)
    terms = terms_of("plackett_luce", scores, feedback_of([], ranks=[0, 1, 2, -1], count=4), beta=0.1)
    first = exp(0.2) / (exp(0.2) + exp(-0.1) + exp(0.3))
    second = exp(-0.1) / (exp(-0.1) + exp(0.3))
    assert terms.value[:2].tolist() == pytest.approx([-log(first), -log(second)], rel=1e-6)
    assert terms.weight.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_plackett_luce_lets_ties_choose_among_each_other():
    # the first two are tied: each is chosen among all three; the last has nobody below it
    scores = scores_of([2.0, -1.0, 3.0], [0.0] * 3, [1] * 3)
    terms = terms_of("plackett_luce", scores, feedback_of([], ranks=[0, 0, 1], count=3), beta=0.1)
    total = exp(0.2) + exp(-0.1) + exp(0.3)
    assert terms.value[:2].tolist() == pytest.approx([-log(exp(0.2) / total), -log(exp(-0.1) / total)], rel=1e-6)
    assert terms.weight.tolist() == [1.0, 1.0, 0.0]


def test_a_ranking_of_two_is_a_pair():
    ranked = terms_of("plackett_luce", PAIR, feedback_of([], ranks=[0, 1]), beta=0.1)
    assert ranked.value[0].item() == pytest.approx(softplus(-0.3), rel=1e-6)


def test_softmax_dpo_sets_a_winner_against_all_of_its_losers():
    scores = scores_of([2.0, -1.0, 3.0], [0.0] * 3, [1] * 3)
    terms = terms_of("softmax_dpo", scores, feedback_of([(0, 1), (0, 2)], count=3), beta=0.1)
    assert terms.value[0].item() == pytest.approx(log1p(exp(-0.3) + exp(0.1)), rel=1e-6)
    assert terms.weight.tolist() == [1.0, 0.0, 0.0]


def test_aot_compares_sorted_margins_and_not_their_owners():
    # policy margins 5 and 1, reference margins 0 and 2: sorted differences 1 - 0 and 5 - 2
    scores = scores_of([5.0, 0.0, 1.0, 0.0], [0.0, 0.0, 2.0, 0.0], [1] * 4)
    feedback = feedback_of([(0, 1), (2, 3)], groups=[0, 0, 1, 1], count=4)
    assert terms_of("aot", scores, feedback, beta=1.0).value.tolist() == pytest.approx([softplus(-3.0), softplus(-1.0)])
    # log-ratios of winners 5 and -1, of losers 0 and 0.5 below
    unpaired = scores_of([5.0, 0.0, 1.0, 0.5], [0.0, 0.0, 2.0, 0.0], [1] * 4)
    total = terms_of("aot_unpaired", unpaired, feedback, beta=1.0).value.sum().item()
    assert total == pytest.approx(softplus(-(5 - 0.5)) + softplus(-(-1 - 0)), rel=1e-6)


def test_beta_dpo_follows_the_mean_margin_and_leaves_out_the_farthest():
    # margins 3, 2 and 20, usually 1: the farthest third is left out, beta grows with the mean of the others
    scores = scores_of([3.0, 0.0, 2.0, 0.0, 20.0, 0.0], [0.0] * 6, [1] * 6)
    feedback = feedback_of([(0, 1), (2, 3), (4, 5)], groups=[0, 0, 1, 1, 2, 2], count=6)
    terms = terms_of("beta_dpo", scores, feedback, running={"margin": 1.0}, beta=0.1, alpha=0.6, keep=0.67)
    beta = 0.1 * (1 + 0.6 * (0.25 - 0.1))
    assert terms.value.tolist() == pytest.approx([1.5 * softplus(-3 * beta), 1.5 * softplus(-2 * beta), 0.0], rel=1e-5)


def test_a_drift_field_has_mean_square_one_and_points_to_the_preferred():
    generated = torch.tensor([[[0.0, 0.0], [0.1, 0.0], [0.0, 0.1]]], requires_grad=True)
    features = SampleFeatures(generated, torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[-1.0, 0.0]]]))
    scores = scores_of([0.0, 0.0], [0.0, 0.0], [1, 1])._replace(samples=features)
    terms = terms_of("drift", scores, feedback_of([]))
    assert 1.0 < terms.value.item() <= len(RADII) ** 2 + 1e-4  # three unit fields that mostly agree
    (gradient,) = torch.autograd.grad(terms.value.sum(), generated)
    assert (gradient[0, :, 0] < 0).all()  # downhill is to the right
    swapped = scores._replace(samples=SampleFeatures(generated, features.negative, features.positive))
    (back,) = torch.autograd.grad(terms_of("drift", swapped, feedback_of([])).value.sum(), generated)
    assert (back[0, :, 0] > 0).all()


def everything() -> tuple[ResponseScores, Feedback]:
    """Three groups with pairs, ranks, scores, labels and strangers."""
    torch.manual_seed(0)
    reference = (-10 * torch.rand(11) - 1).tolist()
    policy = (torch.tensor(reference) + torch.randn(11)).tolist()
    lengths = [3, 4, 2, 5, 3, 3, 4, 2, 2, 3, 5]
    feedback = feedback_of(
        [(0, 1), (0, 2), (3, 4, 0.5), (7, 8), (8, 9)],
        labels=[(0, True), (4, False), (9, False), (7, True)],
        ranks=[0, 1, 2, 0, 1, -1, -1, 0, 0, 1, -1],
        scores=[3.0, 2.0, 1.0, 5.0, 1.0, math.nan, math.nan, 1.0, 0.5, 0.0, math.nan],
        groups=[0, 0, 0, 1, 1, 0, 1, 2, 2, 2, 2],
        baseline=(5, 6, 10),
        count=11,
    )
    return scores_of(policy, reference, lengths), feedback


def with_policy(scores, policy) -> ResponseScores:
    return scores_of(policy, scores.reference.tolist(), scores.length.tolist())


@pytest.mark.parametrize("name", SCORED)
def test_gradient_equals_finite_differences(name):
    """Against the term's own view of the step, which carries no gradient."""
    scores, feedback = everything()
    step = (scores._replace(tokens=None), feedback)
    frozen = with_policy(scores, scores.policy.clone()).tokens

    def total(policy):
        mine = with_policy(scores, policy)
        if name == "wpo":  # its weight carries no gradient: hold it still
            mine = mine._replace(tokens=frozen)
        terms = terms_of(name, mine, feedback, step=step)
        return (terms.value.double() * terms.weight.double()).sum()

    policy = scores.policy.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(total(policy), policy)
    for index in range(len(policy)):
        nudge = torch.zeros(len(policy), dtype=torch.float64)
        nudge[index] = 2e-2
        with torch.no_grad():
            slope = (total(policy + nudge) - total(policy - nudge)) / 4e-2
        if name == "aot_unpaired":  # of a rank's two sides each takes its half of the gradient in another term
            continue
        scale = max(1.0, float(gradient.abs().max()))
        assert gradient[index].item() == pytest.approx(slope.item(), abs=2e-3 * scale), (name, index)


def test_aot_unpaired_has_the_gradient_of_the_whole_sum():
    scores, feedback = everything()
    policy = scores.policy.clone().requires_grad_()
    mine = with_policy(scores, policy)
    ratio = policy - scores.reference
    won, lost = ratio[feedback.winner].sort().values, ratio[feedback.loser].sort().values
    equal = feedback._replace(weight=torch.ones_like(feedback.weight))
    (wanted,) = torch.autograd.grad(torch.nn.functional.softplus(-0.1 * (won - lost)).sum(), policy, retain_graph=True)
    (given,) = torch.autograd.grad(terms_of("aot_unpaired", mine, equal).value.sum(), policy)
    torch.testing.assert_close(given, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", PAIRWISE)
def test_swapping_sides_equals_flipping_the_label(name):
    def value(edge):
        return terms_of(name, PAIR._replace(tokens=TOKENS), feedback_of([edge]), running=running).value.item()

    running = {"shift": 0.3, "margin": 0.0}
    tie, swapped = value((0, 1, 1.0, 0.0, 0.5)), value((1, 0, 1.0, 0.0, 0.5))
    if name not in ("beta_dpo",):  # its beta follows the labels' direction
        assert tie == pytest.approx(swapped, rel=1e-5)
    if name not in ("todo", "sppo", "beta_dpo"):  # a tie is an outcome of its own there
        assert (value((0, 1)) + value((1, 0))) / 2 == pytest.approx(tie, rel=1e-5)


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("extreme", [1e4, -1e4])
def test_extreme_scores_stay_finite(name, extreme):
    policy = torch.tensor([extreme, -extreme], dtype=torch.float64, requires_grad=True)
    if LOSSES[name].function.__name__ in ("odds_ratio",):
        policy = torch.tensor([-abs(extreme), -1e-9], dtype=torch.float64, requires_grad=True)
    scores = scores_of(policy, [0.0, 0.0], [5, 5])
    if name == "wpo":  # a log-probability is never positive
        scores = scores._replace(tokens=scores.tokens._replace(policy=-scores.tokens.policy.abs()))
    feedback = feedback_of([(0, 1)], ranks=[0, 1], labels=[(0, True), (1, False)])
    terms = terms_of(name, scores, feedback)
    terms.weighted_sum().backward()
    assert torch.isfinite(terms.value).all()
    assert torch.isfinite(policy.grad).all()


@pytest.mark.parametrize("name", [name for name in SCORED if name not in (*STEPS, "plackett_luce")])
def test_weight_zero_has_no_effect(name):
    scores, feedback = everything()
    silent = feedback._replace(
        weight=feedback.weight * torch.tensor([1, 1, 0, 1, 1]), label_weight=feedback.label_weight * 0.0
    )
    policy = scores.policy.clone().requires_grad_()
    terms_of(name, with_policy(scores, policy), silent).weighted_sum().backward()
    assert policy.grad is None or policy.grad[4].item() == 0.0


@pytest.mark.parametrize("name", LOSSES)
def test_permuting_a_batch_changes_nothing(name):
    scores, feedback = everything()
    order = torch.randperm(len(scores.length), generator=torch.Generator().manual_seed(1))
    place = order.argsort()
    edges = torch.randperm(len(feedback.winner), generator=torch.Generator().manual_seed(2))
    shuffled = feedback._replace(
        winner=place[feedback.winner][edges], loser=place[feedback.loser][edges], weight=feedback.weight[edges],
        margin=feedback.margin[edges], prob=feedback.prob[edges], label_response=place[feedback.label_response],
        group=feedback.group[order], rank=feedback.rank[order], score=feedback.score[order],
        baseline=feedback.baseline[order],
    )  # fmt: skip
    other = scores_of(scores.policy[order], scores.reference[order].tolist(), scores.length[order].tolist())
    first, second = terms_of(name, scores, feedback), terms_of(name, other, shuffled)
    assert first.weighted_sum().item() == pytest.approx(second.weighted_sum().item(), rel=1e-5)
    assert first.weight.sum().item() == pytest.approx(second.weight.sum().item())


@pytest.mark.parametrize("name", LOSSES)
def test_terms_are_float32_and_weights_do_not_depend_on_the_model(name):
    scores, feedback = everything()
    first = terms_of(name, scores, feedback)
    second = terms_of(name, with_policy(scores, scores.policy - 3.0 * torch.rand(11).double()), feedback)
    assert first.value.dtype == first.weight.dtype == torch.float32
    assert torch.equal(first.weight, second.weight)
    known = make_mixture({name: {}}).terms_at_zero(scores.length, feedback)[name].weight
    assert torch.equal(first.weight, known)


@pytest.mark.parametrize("name", SCORED)
def test_terms_do_not_depend_on_how_a_step_is_cut(name):
    """Whole groups, one or two to a micro-batch: the sum of terms and its gradient stay."""
    scores, feedback = everything()
    owners = [[0, 1, 2, 5], [3, 4, 6], [7, 8, 9, 10]]
    pieces = []
    for members in owners:
        index = torch.tensor(members)
        place = {old: new for new, old in enumerate(members)}
        chosen = torch.tensor([w in place for w in feedback.winner.tolist()])
        told = torch.tensor([r in place for r in feedback.label_response.tolist()])
        pieces.append((index, feedback._replace(
            winner=torch.tensor([place[w] for w in feedback.winner[chosen].tolist()], dtype=torch.long),
            loser=torch.tensor([place[w] for w in feedback.loser[chosen].tolist()], dtype=torch.long),
            weight=feedback.weight[chosen], margin=feedback.margin[chosen], prob=feedback.prob[chosen],
            label_response=torch.tensor([place[r] for r in feedback.label_response[told].tolist()], dtype=torch.long),
            label_desirable=feedback.label_desirable[told], label_weight=feedback.label_weight[told],
            group=torch.zeros(len(members), dtype=torch.long), rank=feedback.rank[index], score=feedback.score[index],
            baseline=feedback.baseline[index],
        )))  # fmt: skip

    def part(policy, index):
        return scores_of(policy[index], scores.reference[index].tolist(), scores.length[index].tolist())

    whole = scores.policy.clone().requires_grad_()
    wanted = terms_of(name, with_policy(scores, whole), feedback)
    (wanted_gradient,) = torch.autograd.grad(wanted.weighted_sum(), whole)
    step = joined([(part(scores.policy, index)._replace(tokens=None), one) for index, one in pieces])
    cut = scores.policy.clone().requires_grad_()
    before = itertools.accumulate((len(one.winner) for _, one in pieces), initial=0)
    parts = [
        terms_of(name, part(cut, index), one, step=step, edges_before=first)
        for (index, one), first in zip(pieces, before, strict=False)
    ]
    total = sum(terms.weighted_sum() for terms in parts)
    assert total.item() == pytest.approx(wanted.weighted_sum().item(), rel=1e-5)
    torch.testing.assert_close(torch.autograd.grad(total, cut)[0], wanted_gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", MIXTURES)
def test_a_mixture_is_its_parts(name):
    parts = make_mixture({name: {}}).parts
    assert {part.name: part.weight for part in parts} == {
        key: settings.get("weight", 1.0) for key, settings in MIXTURES[name][0].items()
    }
    assert make_mixture({name: {parts[0].name: {"weight": 0.25}}}).parts[0].weight == 0.25


def test_every_setting_is_a_number_or_a_choice():
    for name, loss in LOSSES.items():
        for key, kind in loss.settings.items():
            assert kind is float or all(isinstance(one, str) for one in kind.__args__), (name, key)


def test_names_are_identifiers_and_stand_in_the_docs():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
    for name in [*LOSSES, *MIXTURES]:
        assert name.isidentifier()
        assert f"| `{name}` |" in page, name
