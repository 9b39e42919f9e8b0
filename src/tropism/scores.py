"""Inputs of a loss (`ResponseScores` of a model, `Feedback`) and its output (`Terms`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Statistic = Literal["entropy", "sum_squares", "mean_logit", "is_top"]
"""What can be known of the distribution that a token was predicted by, beside the token's own log-probability."""


class TokenScores(NamedTuple):
    """Scores of single tokens, in the order of a batch: response after response, see `ResponseScores.token_response`.

    Attributes:
        policy: log-probability of each scored token under the policy, nats; carries the gradient.
        reference: the same under the reference; None if there is none.
        entropy: of the policy's distribution at this token, nats; this and the following statistics carry no gradient,
            and are None unless they were asked for.
        sum_squares: sum of the squared probabilities of that distribution.
        mean_logit: mean of the logits.
        is_top: 1 if no token was likelier.
    """

    policy: Float[Tensor, " scored"]
    reference: Float[Tensor, " scored"] | None = None
    entropy: Float[Tensor, " scored"] | None = None
    sum_squares: Float[Tensor, " scored"] | None = None
    mean_logit: Float[Tensor, " scored"] | None = None
    is_top: Float[Tensor, " scored"] | None = None


class SampleFeatures(NamedTuple):
    """Features of samples of a generator without a likelihood, drawn anew in every step.

    Attributes:
        generated: of the generator's own samples, with gradient; any scale.
        positive: of the preferred samples, without gradient.
        negative: of the other samples, without gradient.
    """

    generated: Float[Tensor, "prompts samples width"]
    positive: Float[Tensor, "prompts preferred width"]
    negative: Float[Tensor, "prompts others width"]


class ResponseScores(NamedTuple):
    """The scores of a model that a loss reads, per response.

    Attributes:
        policy: log-probability of the response under the policy, nats, summed in float64.
        reference: the same under the reference; None if there is none.
        length: number of scored tokens.
        tokens: scores of single tokens; None if no loss asked for them.
        samples: features of samples, from a generator without a likelihood; its other fields are then 0.
    """

    policy: Float[Tensor, " responses"]
    reference: Float[Tensor, " responses"] | None
    length: Int[Tensor, " responses"]
    tokens: TokenScores | None = None
    samples: SampleFeatures | None = None

    @property
    def token_response(self) -> Int[Tensor, " scored"]:
        """The response that each scored token belongs to, in ascending order."""
        return torch.repeat_interleave(torch.arange(len(self.length), device=self.length.device), self.length)


class Feedback(NamedTuple):
    """The feedback of a batch, as indices into its responses.

    Attributes:
        winner, loser: responses of each edge.
        weight, margin, prob: see `tropism.groups.Edge`; float32.
        label_response, label_desirable, label_weight: see `tropism.groups.Label`.
        group: the group of each response, counted inside the batch.
        rank: place in its group's ranking, -1 if unknown.
        score: the raw rating, NaN if unknown.
        baseline: True for responses to other prompts, which only serve as a baseline (KTO).
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


class StepScores(NamedTuple):
    """What a loss over a whole optimizer step sees of it, over all micro-batches and processes.

    Attributes:
        scores: of every response of the step, without gradient.
        feedback: the feedback of the whole step.
        running: decaying means that a loss carries from step to step (see `Loss.tracks`), this step included.
        edges_before: how many of the step's edges come before those of the micro-batch at hand.
    """

    scores: ResponseScores
    feedback: Feedback
    running: Mapping[str, float]
    edges_before: int


def joined(parts: Sequence[tuple[ResponseScores, Feedback]]) -> tuple[ResponseScores, Feedback]:
    """Several micro-batches as one, without token-level scores; indices are shifted."""
    responses = groups = 0
    shifted = []
    for scores, feedback in parts:
        shifted.append(
            feedback._replace(
                winner=feedback.winner + responses,
                loser=feedback.loser + responses,
                label_response=feedback.label_response + responses,
                group=feedback.group + groups,
            )
        )
        responses += len(scores.length)
        groups += int(feedback.group.max()) + 1 if len(feedback.group) else 0
    together = Feedback(*(torch.cat(columns) for columns in zip(*shifted, strict=True)))
    references = [scores.reference for scores, _ in parts if scores.reference is not None]
    return (
        ResponseScores(
            torch.cat([scores.policy for scores, _ in parts]),
            torch.cat(references) if len(references) == len(parts) else None,
            torch.cat([scores.length for scores, _ in parts]),
        ),
        together,
    )


class Terms(NamedTuple):
    """Unreduced values of a loss; the caller divides by the *global* sum of `weight`.

    Attributes:
        value: float32, per edge or response; carries the gradient.
        weight: float32, same shape; known before the forward pass, so it carries none.
    """

    value: Float[Tensor, " terms"]
    weight: Float[Tensor, " terms"]

    def weighted_sum(self) -> Float[Tensor, ""]:
        """Sum of weight times value; a term of weight 0 gives exactly 0, even if its value overflowed."""
        return torch.where(self.weight > 0, self.value * self.weight, torch.zeros_like(self.value)).sum()
