"""What becomes of a response's log-probability before it is compared: log-ratios, lengths, divergences."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own name for it)
from jaxtyping import Float, Int
from torch import Tensor

from tropism.scores import Feedback, ResponseScores, TokenScores

Divergence = Literal["reverse_kl", "forward_kl", "js", "alpha"]
LARGEST_EXPONENT = 80.0
"""Beyond this an exponential leaves float32; TRL clamps at the same place."""


def log_ratio(scores: ResponseScores) -> Float[Tensor, " responses"]:
    """Log-probability of each response under the policy minus that under the reference, nats, float32.

    The subtraction happens before the cast: two sums near -1000 lose four digits of their difference in float32.
    """
    return exact_log_ratio(scores).float()


def log_ratio_margin(scores: ResponseScores, feedback: Feedback) -> Float[Tensor, " edges"]:
    """Log-ratio of each edge's winner minus that of its loser, nats, float32.

    Reference: Rafailov et al. 2023, arXiv:2305.18290, the argument of eq. 7 without beta.
    """
    return margin_of(exact_log_ratio(scores), feedback)


def margin_of(shaped: Float[Tensor, " responses"], feedback: Feedback) -> Float[Tensor, " edges"]:
    """A shaped score of each edge's winner minus that of its loser, float32."""
    return (shaped[feedback.winner] - shaped[feedback.loser]).float()


def exact_log_ratio(scores: ResponseScores) -> Float[Tensor, " responses"]:
    """The log-ratio in the precision that the scores came in."""
    assert scores.reference is not None, "a loss that needs a reference was given none"
    return scores.policy - scores.reference


def per_token(values: Float[Tensor, " responses"], length: Int[Tensor, " responses"]) -> Float[Tensor, " responses"]:
    """Values divided by the number of scored tokens; of a response without any, by one."""
    return values / length.clamp(min=1)


def divergence_score(scores: ResponseScores, divergence: Divergence, alpha: float) -> Float[Tensor, " responses"]:
    """f'(u) of an f-divergence at the probability ratio u, up to a constant that no margin sees.

    Args:
        scores: of the responses.
        divergence: `reverse_kl` log u (plain DPO), `forward_kl` 1 - 1/u, `js` log 2u/(1+u), `alpha`
            (u^(alpha-1) - 1) / (alpha - 1).
        alpha: of the alpha divergence as TRL counts it, 1 - alpha of the paper; at 1 it is `reverse_kl`.

    Reference: Wang et al. 2023, arXiv:2309.16240, table 1.
    """
    ratio = exact_log_ratio(scores)
    if divergence == "forward_kl":
        return 1 - torch.exp((-ratio).clamp(max=LARGEST_EXPONENT))
    if divergence == "js":
        return math.log(2) + F.logsigmoid(ratio)
    if divergence == "alpha" and alpha != 1.0:
        return (torch.exp(((alpha - 1) * ratio).clamp(max=LARGEST_EXPONENT)) - 1) / (alpha - 1)
    return ratio


def desensitised_margin(scores: ResponseScores, feedback: Feedback, *, alpha: float) -> Float[Tensor, " edges"]:
    """Log-ratio margin in which the tokens beyond the shorter answer's length count `alpha` each.

    Reference: Liu et al. 2024, arXiv:2409.06411, eq. 10.
    """
    tokens = _needed_tokens(scores)
    assert tokens.reference is not None
    ratio = (tokens.policy - tokens.reference).double()
    before = torch.cat([ratio.new_zeros(1), ratio.cumsum(0)])
    ends = scores.length.cumsum(0)
    starts = ends - scores.length
    shared = torch.minimum(scores.length[feedback.winner], scores.length[feedback.loser])

    def weighed(response: Tensor) -> Tensor:
        start, end = starts[response], ends[response]
        head = before[start + shared] - before[start]
        return head + alpha * (before[end] - before[start + shared])

    return (weighed(feedback.winner) - weighed(feedback.loser)).float()


def typical_weight(scores: ResponseScores) -> Float[Tensor, " responses"]:
    """How typical a response is of the policy: exp of the mean of log p(token) - log sum p^2, without gradient.

    Reference: Zhou et al. 2024, arXiv:2406.11827, eq. 2 with the alignment of its section 3.2.
    """
    tokens = _needed_tokens(scores)
    assert tokens.sum_squares is not None
    aligned = (tokens.policy.detach() - tokens.sum_squares.clamp(min=1e-30).log()).double()
    sums = aligned.new_zeros(len(scores.length)).index_add(0, scores.token_response, aligned)
    return torch.exp(per_token(sums, scores.length)).float()


def _needed_tokens(scores: ResponseScores) -> TokenScores:
    """The token-level scores that a loss asked for."""
    assert scores.tokens is not None, "a loss that needs token-level scores was given none"
    return scores.tokens
