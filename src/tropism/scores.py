"""What a loss sees of a model (`ResponseScores`) and of people (`Feedback`), and what it gives back (`Terms`)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class ResponseScores(NamedTuple):
    """All that a loss sees of a model, per response.

    Attributes:
        policy: log-probability of the response under the policy, nats, summed in float64.
        reference: the same under the reference; None where there is none.
        length: number of scored tokens.
    """

    policy: Float[Tensor, " responses"]
    reference: Float[Tensor, " responses"] | None
    length: Int[Tensor, " responses"]


class Feedback(NamedTuple):
    """The people's side of a batch, as indices into its responses.

    Attributes:
        winner, loser: responses of each edge.
        weight, margin, prob: see `tropism.groups.Edge`; float32.
        label_response, label_desirable, label_weight: see `tropism.groups.Label`.
        group: the group of each response, counted inside the batch.
        rank: place in its group's ranking, -1 where unknown.
        score: the raw number people gave, NaN where unknown.
        baseline: True for responses that only serve as somebody else's baseline (KTO).
    """

    winner: Int[Tensor, " edges"]
    loser: Int[Tensor, " edges"]
    weight: Float[Tensor, " edges"]
    margin: Float[Tensor, " edges"]
    prob: Float[Tensor, " edges"]
    label_response: Int[Tensor, " labels"]
    label_desirable: Bool[Tensor, " labels"]
    label_weight: Float[Tensor, " labels"]
    group: Int[Tensor, " responses"]
    rank: Int[Tensor, " responses"]
    score: Float[Tensor, " responses"]
    baseline: Bool[Tensor, " responses"]

    def to(self, device: torch.device | str) -> Feedback:
        """The same feedback on another device."""
        return Feedback(*(tensor.to(device) for tensor in self))


class Terms(NamedTuple):
    """Unreduced values of a loss; whoever reduces divides by the *global* sum of `weight`.

    Attributes:
        value: float32, per edge or response; carries the gradient.
        weight: float32, same shape; known before the forward pass, so it carries none.
    """

    value: Float[Tensor, " terms"]
    weight: Float[Tensor, " terms"]

    def weighted_sum(self) -> Float[Tensor, ""]:
        """Sum of weight times value; a term of weight 0 gives exactly 0, even where its value overflowed."""
        return torch.where(self.weight > 0, self.value * self.weight, torch.zeros_like(self.value)).sum()
