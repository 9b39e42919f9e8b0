"""Losses over edges that compare with a reference: a shaped margin between winner and loser, and a link."""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own name for it)

from tropism.losses.links import hinged, logistic, logistic_with_gap, negative_log_sigmoid, smoothed, soft, squared
from tropism.losses.loss_row import FlipRate, Positive, Range
from tropism.losses.shaping import (
    LARGEST_EXPONENT,
    Divergence,
    desensitised_margin,
    divergence_score,
    exact_log_ratio,
    log_ratio_margin,
    margin_of,
    per_token,
    typical_weight,
)
from tropism.scores import Feedback, ResponseScores, Terms


def dpo(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1, margin_scale: float = 1.0) -> Terms:
    """Direct preference optimization: -log sigmoid(beta * log-ratio margin - margin_scale * offset).

    Args:
        scores: log-probability of each whole response under policy and reference, in nats.
        feedback: winner and loser of each edge; weight; margin (0 for plain DPO); prob (1 for a sure choice).
        beta: strength of the pull to the reference, no unit; the paper's default is 0.1.
        margin_scale: factor on every edge's margin, no unit.

    Returns:
        One term per edge, weighted by the edge.

    Reference: Rafailov et al. 2023, arXiv:2305.18290, eq. 7. The offset is ODPO's, arXiv:2402.10571, eq. 6.
    """
    return logistic(beta * log_ratio_margin(scores, feedback) - margin_scale * feedback.margin, feedback)


def gravity(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1, margin_scale: float = 0.3) -> Terms:
    """Gravity-weighted DPO: dpo whose edges carry margins made from instruction levels.

    Args:
        scores, feedback, beta: see `dpo`.
        margin_scale: alpha of the paper; the margins come from `tropism.groups.gravity_margin`.

    Reference: the authors' released settings, beta 0.1 and alpha 0.3.
    """
    return dpo(scores, feedback, beta=beta, margin_scale=margin_scale)


def cdpo(
    scores: ResponseScores,
    feedback: Feedback,
    *,
    beta: Positive = 0.1,
    label_smoothing: FlipRate = 0.1,
    margin_scale: float = 1.0,
) -> Terms:
    """Conservative DPO: dpo when every label may be flipped with probability `label_smoothing`.

    Reference: Mitchell 2023, "A note on DPO with noisy preferences", eq. 3.
    """
    return dpo(scores, smoothed(feedback, label_smoothing), beta=beta, margin_scale=margin_scale)


def robust(
    scores: ResponseScores,
    feedback: Feedback,
    *,
    beta: Positive = 0.1,
    label_smoothing: FlipRate = 0.1,
    margin_scale: float = 1.0,
) -> Terms:
    """Robust DPO: the estimate of dpo's value that label flips of a known rate do not bias. May be negative.

    Args:
        scores, feedback, beta, margin_scale: see `dpo`.
        label_smoothing: rate of flipped labels, in [0, 0.5).

    Reference: Chowdhury et al. 2024, arXiv:2403.00409, eq. 12.
    """
    rate = label_smoothing

    def unbiased(margin: torch.Tensor) -> torch.Tensor:
        clean, flipped = negative_log_sigmoid(margin), negative_log_sigmoid(-margin)
        return ((1 - rate) * clean - rate * flipped) / (1 - 2 * rate)

    return soft(unbiased, beta * log_ratio_margin(scores, feedback) - margin_scale * feedback.margin, feedback)


def ipo(scores: ResponseScores, feedback: Feedback, *, tau: Positive = 0.1) -> Terms:
    """Identity preference optimization: the log-ratio margin is drawn to 1 / (2 tau).

    Args:
        scores: log-probability of each whole response under policy and reference, in nats, summed over tokens
            (TRL divides by the length, see `ipo_norm`; the paper does not).
        feedback: winner and loser of each edge, weight, prob.
        tau: strength of the pull to the reference, nats^-1; the paper sweeps 0.1 to 1.

    Returns:
        One term per edge, weighted by the edge.

    Reference: Azar et al. 2023, arXiv:2310.12036, eq. 17.
    """
    return squared(log_ratio_margin(scores, feedback), feedback, target=1 / (2 * tau))


def ipo_norm(scores: ResponseScores, feedback: Feedback, *, tau: Positive = 0.1) -> Terms:
    """ipo on log-ratios per token, as TRL computes what it calls `ipo`.

    Reference: Azar et al. 2023, arXiv:2310.12036, eq. 17, each log-ratio divided by its response's length.
    """
    return squared(
        margin_of(per_token(exact_log_ratio(scores), scores.length), feedback), feedback, target=1 / (2 * tau)
    )


def hinge(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1, margin_scale: float = 1.0) -> Terms:
    """max(0, 1 - beta * log-ratio margin): SLiC's hinge with a reference, as RSO uses it.

    Reference: Liu et al. 2023, arXiv:2309.06657, eq. 9.
    """
    return hinged(beta * log_ratio_margin(scores, feedback) - margin_scale * feedback.margin, feedback)


def sigmoid_norm(
    scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1, margin_scale: float = 1.0
) -> Terms:
    """dpo on log-ratios per token.

    Reference: length-normalised DPO of Lambert et al. 2024, arXiv:2411.15124, eq. 6 (their beta is 5).
    """
    margin = margin_of(per_token(exact_log_ratio(scores), scores.length), feedback)
    return logistic(beta * margin - margin_scale * feedback.margin, feedback)


def exo(
    scores: ResponseScores,
    feedback: Feedback,
    *,
    beta: Positive = 0.1,
    label_smoothing: Annotated[float, Range(0.0, 0.5, "()")] = 1e-3,
) -> Terms:
    """Efficient exact optimization of a pair: KL divergence of the policy's preference from the smoothed label.

    Reference: Ji et al. 2024, arXiv:2402.00856, eq. 16.
    """
    log_won, log_lost = math.log1p(-label_smoothing), math.log(label_smoothing)

    def divergence(margin: torch.Tensor) -> torch.Tensor:
        won, lost = torch.sigmoid(margin), torch.sigmoid(-margin)
        return won * (F.logsigmoid(margin) - log_won) + lost * (F.logsigmoid(-margin) - log_lost)

    return soft(divergence, beta * log_ratio_margin(scores, feedback), feedback)


def discopop(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.05, tau: Positive = 0.05) -> Terms:
    """Log-ratio modulated loss, found by a language model: a blend of the logistic and the exponential link.

    Reference: Lu et al. 2024, arXiv:2406.08414, eq. 5.
    """

    def value(margin: torch.Tensor) -> torch.Tensor:
        logistic_part = torch.sigmoid(-margin / tau) * negative_log_sigmoid(margin)
        return logistic_part + torch.exp(F.logsigmoid(margin / tau) - margin)  # one exponent: no overflow times zero

    return soft(value, beta * log_ratio_margin(scores, feedback), feedback)


def chi_po(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1, clip: float = 20.0) -> Terms:
    """Chi-squared preference optimization: log u + u in the place of log u, for the probability ratio u.

    Args:
        scores, feedback: see `dpo`.
        beta: strength of the pull to the reference.
        clip: bound of |margin|, 2 R_max of the paper, which leaves its value to the user.

    Reference: Huang et al. 2024, arXiv:2407.13399, eq. 7.
    """
    ratio = exact_log_ratio(scores)
    margin = margin_of(ratio + torch.exp(ratio.clamp(max=LARGEST_EXPONENT)), feedback)
    return logistic((beta * margin).clamp(-clip, clip), feedback)


def r_dpo(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1, alpha: float = 0.01) -> Terms:
    """Length-regularised DPO: what a winner owes to its length need not come from the policy.

    The rewards that people are modelled by are charged alpha for every token, so a longer winner is pushed less.

    Args:
        scores, feedback, beta: see `dpo`.
        alpha: what a token of difference is worth, nats.

    Reference: Park et al. 2024, arXiv:2403.19159, eq. 9.
    """
    longer = margin_of(scores.length.double(), feedback)
    return logistic(beta * log_ratio_margin(scores, feedback) + alpha * longer - feedback.margin, feedback)


def ld_dpo(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1, alpha: float = 0.5) -> Terms:
    """Length-desensitised DPO: tokens beyond the shorter answer's length count only `alpha`.

    Reference: Liu et al. 2024, arXiv:2409.06411, eq. 10.
    """
    return logistic(beta * desensitised_margin(scores, feedback, alpha=alpha) - feedback.margin, feedback)


def wpo(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1) -> Terms:
    """Weighted preference optimization: pairs count by how likely the policy itself would write them.

    The weight depends on the model, so it is part of the value; the term's own weight stays the edge's.

    Reference: Zhou et al. 2024, arXiv:2406.11827, eq. 2.
    """
    typical = typical_weight(scores)
    terms = dpo(scores, feedback, beta=beta)
    return Terms(terms.value * typical[feedback.winner] * typical[feedback.loser], terms.weight)


def f_dpo(
    scores: ResponseScores,
    feedback: Feedback,
    *,
    beta: Positive = 0.1,
    divergence: Divergence = "js",
    alpha: float = 0.5,
    margin_scale: float = 1.0,
) -> Terms:
    """dpo with another divergence than the reverse KL as the pull to the reference.

    Args:
        scores, feedback, beta, margin_scale: see `dpo`.
        divergence, alpha: see `tropism.losses.shaping.divergence_score`.

    Reference: Wang et al. 2023, arXiv:2309.16240, eq. 8 and table 1.
    """
    margin = margin_of(divergence_score(scores, divergence, alpha), feedback)
    return logistic(beta * margin - margin_scale * feedback.margin, feedback)


def todo(
    scores: ResponseScores,
    feedback: Feedback,
    *,
    beta: Positive = 0.01,
    tie: Annotated[float, Range(1e-6, math.inf)] = 0.5,
) -> Terms:
    """Tie-ranked DPO: Rao and Kupper's model in the place of Bradley and Terry's; a label of 0.5 is a tie.

    Args:
        scores, beta: see `dpo`; the paper's beta is 0.01.
        feedback: an edge with prob 0.5 is a tie, any other a win with that probability.
        tie: half the width of the margins that count as equal (alpha of the paper), nats.

    Reference: Guo et al. 2024, arXiv:2411.02442, eq. 10 and 13.
    """
    margin = beta * log_ratio_margin(scores, feedback)
    decided = logistic_with_gap(margin, feedback, tie)
    drawn = negative_log_sigmoid(margin - tie) + negative_log_sigmoid(-margin - tie) - math.log(math.expm1(2 * tie))
    return Terms(torch.where(feedback.prob == 0.5, drawn, decided.value), feedback.weight)
