"""Losses over single responses."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from tropism.scores import Feedback, ResponseScores, Terms


def nll(scores: ResponseScores, feedback: Feedback) -> Terms:
    """Negative log-likelihood per token: supervised fine-tuning, or an anchor beside a pairwise loss.

    Args:
        scores: log-probability of each response under the policy, nats, and its number of scored tokens.
        feedback: which responses count: the desirable labels; without labels each winner once; without edges all.

    Returns:
        One term per response: nats per token, weighted by tokens, so that the global mean is per token.

    Reference: the maximum-likelihood objective; as an anchor, Pang et al. 2024, arXiv:2404.19733, eq. 1.
    """
    length = scores.length.to(torch.float32)
    value = (-scores.policy / scores.length.clamp(min=1)).float()
    return Terms(value, _target_weight(feedback) * length)


def _target_weight(feedback: Feedback) -> Float[Tensor, " responses"]:
    """How much each response counts as a target to imitate: per group desirable labels, else winners once, else all.

    The choice is made per group, so a batch that mixes kinds of feedback counts the same whichever way it is cut.
    """
    num_responses = feedback.group.shape[0]
    weight = torch.zeros(num_responses, dtype=torch.float32, device=feedback.group.device)
    labelled, compared = weight.bool(), weight.bool()
    num_groups = int(feedback.group.max()) + 1 if num_responses else 0
    has_labels = torch.zeros(num_groups, dtype=torch.bool, device=feedback.group.device)
    has_edges = has_labels.clone()
    has_labels[feedback.group[feedback.label_response]] = True
    has_edges[feedback.group[feedback.winner]] = True
    labelled, compared = has_labels[feedback.group], has_edges[feedback.group]
    desirable = weight.index_add(0, feedback.label_response, feedback.label_weight * feedback.label_desirable)
    sure = (feedback.weight > 0) & (feedback.prob > 0.5)
    winner = weight.index_fill(0, feedback.winner[sure], 1.0)
    everything = torch.ones_like(weight)
    chosen = torch.where(labelled, desirable, torch.where(compared, winner, everything))
    return torch.where(feedback.baseline, torch.zeros_like(chosen), chosen)
