"""Losses over edges without a reference model."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own name for it)

from tropism.losses.links import hinged, logistic, logistic_with_gap
from tropism.losses.loss_row import Positive
from tropism.losses.shaping import margin_of, per_token
from tropism.scores import Feedback, ResponseScores, Terms


def simpo(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 2.0, gamma: float = 1.0) -> Terms:
    """Simple preference optimization: mean log-probabilities per token, which must differ by a target.

    Args:
        scores: log-probability of each response under the policy, nats, and its length.
        feedback: edges; a margin is added to gamma.
        beta: scale of the mean log-probability; the paper recommends 2 to 10.
        gamma: target margin; half of beta in the authors' code.

    Reference: Meng et al. 2024, arXiv:2405.14734, eq. 6.
    """
    margin = margin_of(per_token(scores.policy, scores.length), feedback)
    return logistic_with_gap(beta * margin - feedback.margin, feedback, gamma)


def contrast(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1) -> Terms:
    """-log sigmoid of the difference of log-probabilities: the preference part of CPO.

    Reference: Xu et al. 2024, arXiv:2401.08417, eq. 5.
    """
    return logistic(beta * margin_of(scores.policy, feedback) - feedback.margin, feedback)


def odds_ratio(scores: ResponseScores, feedback: Feedback) -> Terms:
    """-log sigmoid of the log odds ratio, with the odds of the mean token: the preference part of ORPO.

    Reference: Hong et al. 2024, arXiv:2403.07691, eq. 7.
    """
    mean = per_token(scores.policy, scores.length).clamp(max=-1e-7)
    log_odds = mean - torch.log(-torch.expm1(mean))
    return logistic(margin_of(log_odds, feedback), feedback)


def slic(scores: ResponseScores, feedback: Feedback, *, delta: float = 1.0) -> Terms:
    """max(0, delta - difference of log-probabilities): the calibration part of SLiC-HF.

    Reference: Zhao et al. 2023, arXiv:2305.10425, eq. 1.
    """
    difference = margin_of(scores.policy, feedback)
    terms = hinged((difference - feedback.margin) / delta, feedback)
    return Terms(delta * terms.value, terms.weight)


def bradley_terry(scores: ResponseScores, feedback: Feedback, *, centring: float = 0.01) -> Terms:
    """Training of a reward model: the logistic link of two rewards, with a pull of their sum to zero.

    Args:
        scores: `policy` is the reward of a scalar head, no unit; there is no reference.
        feedback: a margin is the least difference of the rewards (Llama 2's).
        centring: factor of the squared sum of both rewards; 0 omits it.

    Reference: Bradley and Terry 1952; the margin is Touvron et al. 2023, arXiv:2307.09288, eq. 2; the centring is
    Eisenstein et al. 2023, arXiv:2312.09244, section 4.
    """
    terms = logistic(margin_of(scores.policy, feedback) - feedback.margin, feedback)
    total = (scores.policy[feedback.winner] + scores.policy[feedback.loser]).float()
    return Terms(terms.value + centring * F.mse_loss(total, torch.zeros_like(total), reduction="none"), terms.weight)
