"""Losses over whole rankings: one list of answers to one prompt at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own name for it)
from jaxtyping import Bool, Float
from torch import Tensor

from tropism.losses.links import negative_log_sigmoid
from tropism.losses.loss_row import Positive
from tropism.losses.shaping import log_ratio, margin_of
from tropism.scores import Feedback, ResponseScores, Terms


def plackett_luce(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1) -> Terms:
    """Plackett-Luce DPO: each answer of a ranking is chosen among those that are not ranked above it.

    Args:
        scores: see `tropism.losses.pairwise.dpo`.
        feedback: ranks, 0 the best; equal ranks are ties, each of which is chosen among all of them (Breslow's way).
            A choice weighs what the edges that its answer won weigh on average.
        beta: strength of the pull to the reference.

    Returns:
        One term per answer that has a worse one in its group, so the mean is over choices (the paper's is over lists).

    Reference: Rafailov et al. 2023, arXiv:2305.18290, eq. 20.
    """
    reward = beta * log_ratio(scores)
    ranked = feedback.rank >= 0
    together = _same_group(feedback) & ranked[:, None] & ranked[None, :]
    available = together & (feedback.rank[None, :] >= feedback.rank[:, None])
    value = _masked_logsumexp(reward[None, :].expand_as(available), available) - reward
    has_worse = (together & (feedback.rank[None, :] > feedback.rank[:, None])).any(dim=1)
    return Terms(torch.where(has_worse, value, torch.zeros_like(value)), has_worse * _winning_weight(feedback))


def _winning_weight(feedback: Feedback) -> Float[Tensor, " responses"]:
    """Mean weight of the edges that each answer won; 1 for an answer that no edge speaks of."""
    nothing = torch.zeros(len(feedback.group), device=feedback.group.device)
    total = nothing.index_add(0, feedback.winner, feedback.weight)
    count = nothing.index_add(0, feedback.winner, torch.ones_like(feedback.weight))
    return torch.where(count > 0, total / count.clamp(min=1), torch.ones_like(nothing))


def softmax_dpo(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 1.0) -> Terms:
    """Softmax-DPO: a winner against all of its losers at once, as recommenders need it.

    Args:
        scores: see `tropism.losses.pairwise.dpo`.
        feedback: edges; those of one winner are one comparison, weighed by the mean of their weights.
        beta: strength of the pull to the reference; the paper's is 1.

    Returns:
        One term per answer; 0 weight for those that win nothing.

    Reference: Chen et al. 2024, arXiv:2406.09215, eq. 9.
    """
    margin = -beta * margin_of(log_ratio(scores), feedback)
    count = len(scores.length)
    loses_to = torch.zeros(count, len(margin), dtype=torch.bool, device=margin.device)
    counted = feedback.weight > 0
    loses_to[feedback.winner, torch.arange(len(margin), device=margin.device)] = counted
    wins = loses_to.any(dim=1)
    total = _masked_logsumexp(margin[None, :].expand_as(loses_to), loses_to)
    value = torch.where(wins, negative_log_sigmoid(-total), torch.zeros_like(total))
    weight = (loses_to * feedback.weight).sum(1) / loses_to.sum(1).clamp(min=1)
    return Terms(value, weight)


def lipo_lambda(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.05) -> Terms:
    """LiPO with LambdaRank weights: a pair counts by what swapping its two answers would change at the list's top.

    Args:
        scores: see `tropism.losses.pairwise.dpo`.
        feedback: edges within groups; gains come from the responses' scores, or from ranks where there are none; where
            an answer has neither, its winner's gain is 1 and its loser's 0.
        beta: strength of the pull to the reference; the paper's is 0.05.

    Returns:
        One term per edge. The lambda weight depends on the model, so it is part of the value.

    Reference: Liu et al. 2024, arXiv:2402.01878, eq. 9 and 10.
    """
    reward = beta * log_ratio(scores)
    together = _same_group(feedback)
    now = reward.detach()
    order = torch.arange(len(now), device=now.device)
    is_above = (now[None, :] > now[:, None]) | ((now[None, :] == now[:, None]) & (order[None, :] < order[:, None]))
    place = (together & is_above).sum(dim=1) + 1  # equal rewards in their order, so that a start is possible
    discount = 1 / torch.log1p(place.float())
    gain = _gains(feedback, together)
    won, lost = feedback.winner, feedback.loser
    unknown = (feedback.rank < 0) & feedback.score.isnan()
    lead = torch.where(unknown[won] | unknown[lost], torch.ones_like(gain[won]), (gain[won] - gain[lost]).abs())
    weight = lead * (discount[won] - discount[lost]).abs()
    return Terms(weight * F.softplus(reward[lost] - reward[won]), feedback.weight)


def _gains(feedback: Feedback, together: Bool[Tensor, "responses responses"]) -> Float[Tensor, " responses"]:
    """2^label - 1, the label in [0, 1] by score, or by rank, within the group; 0.5 if a group has neither."""
    score = torch.where(feedback.rank >= 0, -feedback.rank.float(), torch.nan)
    score = torch.where(feedback.score.isnan(), score, feedback.score)
    known = together & ~score.isnan()[None, :]
    lowest = torch.where(known, score[None, :], torch.inf).amin(dim=1)
    highest = torch.where(known, score[None, :], -torch.inf).amax(dim=1)
    label = (score - lowest) / (highest - lowest).clamp(min=1e-9)
    return torch.exp2(torch.where(label.isnan(), 0.5, label)) - 1


def _same_group(feedback: Feedback) -> Bool[Tensor, "responses responses"]:
    """Which two responses belong to one group; baselines belong to none."""
    owner = torch.where(feedback.baseline, -1 - torch.arange(len(feedback.group), device=feedback.group.device),
                        feedback.group)  # fmt: skip
    return owner[:, None] == owner[None, :]


def _masked_logsumexp(
    values: Float[Tensor, "rows columns"], mask: Bool[Tensor, "rows columns"]
) -> Float[Tensor, " rows"]:
    """log of the sum of exp over the masked columns; 0 for a row without any, with no gradient."""
    empty = ~mask.any(dim=1, keepdim=True)
    filled = torch.where(mask | empty, values, -torch.inf)
    return torch.where(empty[:, 0], values.new_zeros(len(values)), filled.logsumexp(dim=1))
