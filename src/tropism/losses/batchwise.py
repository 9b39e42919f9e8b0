"""Losses that look at the whole optimizer step: sorted margins, baselines, batch-adaptive strength.

`step` holds every response of the step, over all micro-batches and processes, without gradient; a term still belongs to
one edge or label of this micro-batch and carries its gradient. So none of them depends on how a step was cut.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tropism.losses.anchored import classified
from tropism.losses.links import logistic, smoothed, soft_sides
from tropism.losses.loss_row import FlipRate, Positive, Share
from tropism.losses.shaping import exact_log_ratio, log_ratio, log_ratio_margin, margin_of
from tropism.scores import Feedback, ResponseScores, StepScores, Terms


def aot(
    scores: ResponseScores,
    feedback: Feedback,
    step: StepScores,
    *,
    beta: Positive = 0.1,
    label_smoothing: FlipRate = 0.0,
) -> Terms:
    """Alignment via optimal transport, paired: the step's sorted policy margins must lie above its reference margins.

    Reference: Melnyk et al. 2024, arXiv:2406.05882, algorithm 1.
    """
    assert scores.reference is not None
    assert step.scores.reference is not None
    mine = margin_of(scores.policy, feedback)
    ranks = _own_ranks(margin_of(step.scores.policy, step.feedback), step.edges_before, len(mine))
    below = margin_of(step.scores.reference, step.feedback).sort().values[ranks]
    return logistic(beta * (mine - below), smoothed(feedback, label_smoothing))


def aot_unpaired(
    scores: ResponseScores,
    feedback: Feedback,
    step: StepScores,
    *,
    beta: Positive = 0.1,
    label_smoothing: FlipRate = 0.0,
) -> Terms:
    """Alignment via optimal transport, unpaired: sorted log-ratios of winners must lie above those of losers.

    A rank's winner and loser may sit in different micro-batches, so each side's gradient is taken against the other's
    value, and counted once.

    Reference: Melnyk et al. 2024, arXiv:2406.05882, algorithm 2.
    """
    ratio, everyone = exact_log_ratio(scores), exact_log_ratio(step.scores)
    won, lost = everyone[step.feedback.winner], everyone[step.feedback.loser]
    count, before = len(feedback.winner), step.edges_before
    for_winners = ratio[feedback.winner] - lost.sort().values[_own_ranks(won, before, count)]
    for_losers = won.sort().values[_own_ranks(lost, before, count)] - ratio[feedback.loser]
    labels = smoothed(feedback, label_smoothing)
    upper, lower = logistic(beta * for_winners.float(), labels), logistic(beta * for_losers.float(), labels)
    return Terms(upper.value + lower.value - lower.value.detach(), feedback.weight)


def _own_ranks(values: Float[Tensor, " edges"], before: int, count: int) -> Int[Tensor, " own"]:
    """Places of this micro-batch's edges in the sorted order of the whole step's."""
    return values.argsort(stable=True).argsort()[before : before + count]


def kto(
    scores: ResponseScores,
    feedback: Feedback,
    step: StepScores,
    *,
    beta: Positive = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Terms:
    """Kahneman-Tversky optimization: single completions, good or bad, compared with the KL estimate
    from mismatched prompt-completion pairs.

    Args:
        scores: see `tropism.losses.pairwise.dpo`.
        feedback: labels; responses marked as baseline answer another prompt than their own.
        step: the mean log-ratio of its baseline responses, at least 0, is the reference point.
        beta: strength of the pull to the reference.
        desirable_weight, undesirable_weight: lambda_D and lambda_U; factors of the value, so a mean counts labels.

    Returns:
        One term per label.

    Reference: Ethayarajh et al. 2024, arXiv:2402.01306, eq. 8.
    """
    mismatched = log_ratio(step.scores)[step.feedback.baseline]
    point = mismatched.mean().clamp(min=0) if len(mismatched) else mismatched.new_zeros(())
    ratio = log_ratio(scores)[feedback.label_response]
    good = desirable_weight * torch.sigmoid(-beta * (ratio - point))
    bad = undesirable_weight * torch.sigmoid(beta * (ratio - point))
    return Terms(torch.where(feedback.label_desirable, good, bad), feedback.label_weight)


def bco(scores: ResponseScores, feedback: Feedback, step: StepScores, *, beta: Positive = 0.1) -> Terms:
    """Binary classifier optimization with its running reward shift.

    Reference: Jung et al. 2024, arXiv:2404.04656, eq. 9; delta is a decaying mean here (momentum 0.9).
    """
    return soft_sides(classified, beta * (exact_log_ratio(scores) - step.running.get("shift", 0.0)), feedback)


def bco_shift(scores: ResponseScores, feedback: Feedback) -> dict[str, float]:
    """Half of the mean log-ratio of winners and of losers of a step, nats."""
    ratio = exact_log_ratio(scores)
    return _weighted_means({"shift": (ratio[feedback.winner] + ratio[feedback.loser]) / 2}, feedback)


def beta_dpo(
    scores: ResponseScores,
    feedback: Feedback,
    step: StepScores,
    *,
    beta: Positive = 0.1,
    alpha: float = 0.6,
    keep: Share = 0.8,
) -> Terms:
    """dpo whose beta follows the step's mean margin, and which leaves out the margins that are farthest from usual.

    Args:
        scores, feedback: see `tropism.losses.pairwise.dpo`.
        step: its margins, and the running mean of margins.
        beta: beta_0 of the paper.
        alpha: how strongly beta follows.
        keep: share of the step's edges that count: those nearest to the running mean. (The paper draws them by their
            density; here no chance is involved, so that a run can be repeated under any cut.)

    Reference: Wu et al. 2024, arXiv:2407.08639, eq. 6 to 9.
    """
    if not len(step.feedback.winner):
        return Terms(log_ratio_margin(scores, feedback), feedback.weight)
    everyone = beta * log_ratio_margin(step.scores, step.feedback)
    usual = beta * step.running.get("margin", 0.0)
    num_kept = max(1, round(keep * len(everyone)))
    distance = (everyone - usual).abs()
    is_kept = distance <= distance.kthvalue(num_kept).values + 1e-5  # what rounding alone tells apart stays together
    strength = beta * max(0.01, 1 + alpha * (float(everyone[is_kept].mean()) - usual))
    mine = is_kept[step.edges_before : step.edges_before + len(feedback.winner)]
    value = logistic(strength * log_ratio_margin(scores, feedback), feedback).value
    return Terms(torch.where(mine, value, torch.zeros_like(value)) * len(everyone) / is_kept.sum(), feedback.weight)


def mean_margin(scores: ResponseScores, feedback: Feedback) -> dict[str, float]:
    """Mean log-ratio margin of a step, nats."""
    return _weighted_means({"margin": log_ratio_margin(scores, feedback)}, feedback)


def _weighted_means(values: dict[str, Float[Tensor, " edges"]], feedback: Feedback) -> dict[str, float]:
    """Means over the edges by their weights; nothing if a step has none."""
    total = float(feedback.weight.sum())
    return {name: float((one * feedback.weight).sum()) / total for name, one in values.items() if total > 0}


def apo_zero_unpaired(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1) -> Terms:
    """Anchored preference optimization of single answers: good ones up, bad ones down. Needs no step.

    Reference: D'Oosterlinck et al. 2024, arXiv:2408.06266, eq. 7 without pairs, as in TRL's KTO trainer.
    """
    ratio = beta * log_ratio(scores)[feedback.label_response]
    value = torch.sigmoid(torch.where(feedback.label_desirable, -ratio, ratio))
    return Terms(value, feedback.label_weight)
