"""Losses in sample space, for generators that have no likelihood: a field that draws samples to preferred ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from tropism.scores import Feedback, ResponseScores, Terms

RADII = (0.02, 0.05, 0.2)
"""The paper's radii of the kernel, in units of the mean distance."""


def drift(
    scores: ResponseScores, feedback: Feedback, *, positive_weight: float = 3000.0, negative_weight: float = 3000.0
) -> Terms:
    """Drifting preference optimization: features are drawn along a field from rejected to preferred samples.

    Its value is the mean square of a normalised field, so it does not fall while a generator improves; watch rewards.

    Args:
        scores: `samples` holds the features, one row of prompts for each group.
        feedback: only its groups are counted.
        positive_weight, negative_weight: of the kernel; the paper's are 3,000 and cancel if they are equal.

    Returns:
        One term per group.

    Reference: Jiang et al. 2026, arXiv:2606.02521, the drift loss of its released code.
    """
    count = int(feedback.group.max()) + 1 if len(feedback.group) else 0
    one = torch.ones(count, device=feedback.group.device)
    assert scores.samples is not None, "a loss over samples was given none"
    generated, positive, negative = (part.float() for part in scores.samples)
    values = [
        _drift_of_one(*sides, positive_weight, negative_weight)
        for sides in zip(generated, positive, negative, strict=True)
    ]
    return Terms(torch.stack(values) if values else torch.zeros_like(one), one)


def _drift_of_one(
    generated: Float[Tensor, "samples width"],
    positive: Float[Tensor, "preferred width"],
    negative: Float[Tensor, "others width"],
    positive_weight: float,
    negative_weight: float,
) -> Float[Tensor, ""]:
    """The mean squared distance of samples from the positions to which the field moves them."""
    own = generated.detach()
    targets = torch.cat([own, negative.detach(), positive.detach()])
    sizes = (len(own), len(negative), len(positive))
    weights = torch.cat([own.new_full((size,), w) for size, w in zip(sizes, (1.0, negative_weight, positive_weight),
                                                                      strict=True)])  # fmt: skip
    distance = torch.cdist(own, targets).clamp(min=1e-4)
    scale = ((distance * weights).mean() / weights.mean()).clamp(min=1e-3)
    unit = (scale / generated.shape[1] ** 0.5).clamp(min=1e-3)
    field = sum(_field_of(own, targets, distance / scale, weights, sizes[2], unit, radius) for radius in RADII)
    return ((generated / unit - (own / unit + field)) ** 2).mean()


def _field_of(
    own: Float[Tensor, "samples width"],
    targets: Float[Tensor, "targets width"],
    distance: Float[Tensor, "samples targets"],
    weights: Float[Tensor, " targets"],
    num_positive: int,
    unit: Float[Tensor, ""],
    radius: float,
) -> Float[Tensor, "samples width"]:
    """Attraction to the preferred samples and repulsion from the others at one radius, normalised to mean square 1."""
    logits = -distance / radius
    logits = logits - 100 / radius * torch.eye(len(own), len(targets), device=own.device)
    affinity = (torch.softmax(logits, 1) * torch.softmax(logits, 0)).clamp(min=1e-6).sqrt() * weights
    others, preferred = affinity.split([len(targets) - num_positive, num_positive], dim=1)
    where_others, where_preferred = targets.split([len(targets) - num_positive, num_positive])
    pull = preferred @ where_preferred - preferred.sum(1, keepdim=True) * own
    push = others @ where_others - others.sum(1, keepdim=True) * own
    force = (others.sum(1, keepdim=True) * pull - preferred.sum(1, keepdim=True) * push) / unit
    return force / (force**2).mean().clamp(min=1e-8).sqrt()
