"""Links: from the margin of an edge, or the scores of its two sides, to a term. Each takes soft labels and ties."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own name for it)
from jaxtyping import Float
from torch import Tensor

from tropism.scores import Feedback, Terms


def soft(
    value: Callable[[Float[Tensor, " edges"]], Float[Tensor, " edges"]],
    margin: Float[Tensor, " edges"],
    feedback: Feedback,
) -> Terms:
    """prob * value(margin) + (1 - prob) * value(-margin): what the label says, by how sure it is."""
    return Terms(_mixed(value(margin), value(-margin), feedback), feedback.weight)


def soft_sides(
    value: Callable[[Float[Tensor, " edges"], Float[Tensor, " edges"]], Float[Tensor, " edges"]],
    shaped: Float[Tensor, " responses"],
    feedback: Feedback,
) -> Terms:
    """The same for a value of both sides' scores: value(winner, loser), mixed with value(loser, winner)."""
    winner, loser = shaped[feedback.winner].float(), shaped[feedback.loser].float()
    return Terms(_mixed(value(winner, loser), value(loser, winner), feedback), feedback.weight)


def _mixed(
    as_labelled: Float[Tensor, " edges"], flipped: Float[Tensor, " edges"], feedback: Feedback
) -> Float[Tensor, " edges"]:
    """A value and its mirror image, weighed by the label's probability; a sure label never sees the mirror image."""
    mirror = torch.where(feedback.prob == 1, torch.zeros_like(as_labelled), flipped)
    return feedback.prob * as_labelled + (1 - feedback.prob) * mirror


def logistic(margin: Float[Tensor, " edges"], feedback: Feedback) -> Terms:
    """-prob * log sigmoid(margin) - (1 - prob) * log sigmoid(-margin), the Bradley-Terry link."""
    return soft(negative_log_sigmoid, margin, feedback)


def logistic_with_gap(margin: Float[Tensor, " edges"], feedback: Feedback, gap: float) -> Terms:
    """A side wins only if it leads by more than a gap, whichever side it is."""
    return soft(lambda one: negative_log_sigmoid(one - gap), margin, feedback)


def squared(margin: Float[Tensor, " edges"], feedback: Feedback, *, target: float) -> Terms:
    """prob * (margin - target)^2 + (1 - prob) * (margin + target)^2."""
    return soft(lambda one: (one - target) ** 2, margin, feedback)


def hinged(margin: Float[Tensor, " edges"], feedback: Feedback) -> Terms:
    """max(0, 1 - margin)."""
    return soft(lambda one: F.relu(1 - one), margin, feedback)


def negative_log_sigmoid(margin: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """-log sigmoid, finite for every finite margin."""
    return -F.logsigmoid(margin)


def smoothed(feedback: Feedback, label_smoothing: float) -> Feedback:
    """The same feedback when every label is flipped with a further probability."""
    prob = feedback.prob * (1 - label_smoothing) + (1 - feedback.prob) * label_smoothing
    return feedback._replace(prob=prob)
