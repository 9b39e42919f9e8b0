"""Losses over edges: a link (logistic, squared) of a margin between winner and loser."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812  (torch's own name for it)
from jaxtyping import Float
from torch import Tensor

from tropism.losses.shaping import log_ratio_margin
from tropism.scores import Feedback, ResponseScores, Terms


def dpo(scores: ResponseScores, feedback: Feedback, *, beta: float = 0.1, margin_scale: float = 1.0) -> Terms:
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


def ipo(scores: ResponseScores, feedback: Feedback, *, tau: float = 0.1) -> Terms:
    """Identity preference optimization: the log-ratio margin is drawn to 1 / (2 tau).

    Args:
        scores: log-probability of each whole response under policy and reference, in nats, summed over tokens
            (TRL divides by the length, the paper does not).
        feedback: winner and loser of each edge, weight, prob.
        tau: strength of the pull to the reference, nats^-1; the paper sweeps 0.1 to 1.

    Returns:
        One term per edge, weighted by the edge.

    Reference: Azar et al. 2023, arXiv:2310.12036, eq. 17.
    """
    return squared(log_ratio_margin(scores, feedback), feedback, target=1 / (2 * tau))


def logistic(margin: Float[Tensor, " edges"], feedback: Feedback) -> Terms:
    """-prob * log sigmoid(margin) - (1 - prob) * log sigmoid(-margin), the Bradley-Terry link with a soft label."""
    value = -feedback.prob * F.logsigmoid(margin) - (1 - feedback.prob) * F.logsigmoid(-margin)
    return Terms(value, feedback.weight)


def squared(margin: Float[Tensor, " edges"], feedback: Feedback, *, target: float) -> Terms:
    """prob * (margin - target)^2 + (1 - prob) * (margin + target)^2, no unit of its own."""
    value = feedback.prob * (margin - target) ** 2 + (1 - feedback.prob) * (margin + target) ** 2
    return Terms(value, feedback.weight)
