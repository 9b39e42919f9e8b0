"""Losses over edges that score each side separately, so that winners rise absolutely and not only against losers."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own name for it)

from tropism.losses.links import negative_log_sigmoid, soft_sides
from tropism.losses.loss_row import Positive
from tropism.losses.shaping import exact_log_ratio, log_ratio
from tropism.scores import Feedback, ResponseScores, Terms


def nca(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1) -> Terms:
    """Noise contrastive alignment of a pair: raises the winner absolutely, not only against the loser.

    Reference: Chen et al. 2024, arXiv:2402.05369, the pairwise case of eq. 11.
    """

    def value(winner: torch.Tensor, loser: torch.Tensor) -> torch.Tensor:
        return negative_log_sigmoid(winner) + 0.5 * negative_log_sigmoid(-winner) + 0.5 * negative_log_sigmoid(-loser)

    return soft_sides(value, beta * exact_log_ratio(scores), feedback)


def bco_pair(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1) -> Terms:
    """Binary classifier optimization without its reward shift: winners are told from losers one by one.

    Reference: Jung et al. 2024, arXiv:2404.04656, eq. 9 with delta = 0, as TRL has it.
    """
    return soft_sides(classified, beta * exact_log_ratio(scores), feedback)


def classified(winner: torch.Tensor, loser: torch.Tensor) -> torch.Tensor:
    """Logistic loss of a classifier that should call the winner good and the loser bad."""
    return negative_log_sigmoid(winner) + negative_log_sigmoid(-loser)


def sppo(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 1e-3) -> Terms:
    """Self-play preference optimization: each log-ratio is drawn to (P(it wins) - 1/2) / beta.

    Args:
        scores: see `dpo`.
        feedback: `prob` is the winner's probability of winning; 1 is the paper's hard case.
        beta: 1 / eta of the paper, whose default is 1e-3.

    Reference: Wu et al. 2024, arXiv:2405.00675, eq. 4.7.
    """
    ratio = log_ratio(scores)
    target = (feedback.prob - 0.5) / beta
    value = (ratio[feedback.winner] - target) ** 2 + (ratio[feedback.loser] + target) ** 2
    return Terms(value, feedback.weight)


def apo_zero(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1) -> Terms:
    """Anchored preference optimization for winners better than the model: winners up, losers down.

    Reference: D'Oosterlinck et al. 2024, arXiv:2408.06266, eq. 7.
    """
    return soft_sides(
        lambda winner, loser: 1 - torch.sigmoid(winner) + torch.sigmoid(loser), beta * exact_log_ratio(scores), feedback
    )


def apo_down(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1) -> Terms:
    """Anchored preference optimization for winners worse than the model: both down, losers further.

    Reference: D'Oosterlinck et al. 2024, arXiv:2408.06266, eq. 8.
    """
    return soft_sides(
        lambda winner, loser: torch.sigmoid(winner) + 1 - torch.sigmoid(winner - loser),
        beta * exact_log_ratio(scores),
        feedback,
    )


def dpop(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.3, penalty: float = 50.0) -> Terms:
    """DPO-positive: dpo that charges for every nat which the winner has lost against the reference.

    Args:
        scores, feedback, beta: see `dpo`; the paper's beta is 0.3.
        penalty: lambda of the paper, no unit.

    Reference: Pal et al. 2024, arXiv:2402.13228, eq. 3.
    """
    return soft_sides(
        lambda winner, loser: negative_log_sigmoid(beta * (winner - loser - penalty * F.relu(-winner))),
        exact_log_ratio(scores),
        feedback,
    )


def cal_dpo(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 1e-3) -> Terms:
    """Calibrated DPO: dpo at beta 1, with both log-ratios drawn to +-1 / (2 beta).

    Reference: Xiao et al. 2024, arXiv:2412.14516, eq. 12.
    """
    target = 1 / (2 * beta)
    return soft_sides(
        lambda winner, loser: negative_log_sigmoid(winner - loser) + (winner - target) ** 2 + (loser + target) ** 2,
        exact_log_ratio(scores),
        feedback,
    )
