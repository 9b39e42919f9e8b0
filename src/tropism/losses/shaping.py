"""What becomes of a response's log-probability before it is compared: the log-ratio, and margins of it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from tropism.scores import Feedback, ResponseScores


def log_ratio(scores: ResponseScores) -> Float[Tensor, " responses"]:
    """Log-probability of each response under the policy minus that under the reference, nats, float32.

    The subtraction happens before the cast: two sums near -1000 lose four digits of their difference in float32.
    """
    return exact_log_ratio(scores).float()


def log_ratio_margin(scores: ResponseScores, feedback: Feedback) -> Float[Tensor, " edges"]:
    """Log-ratio of each edge's winner minus that of its loser, nats, float32.

    Reference: Rafailov et al. 2023, arXiv:2305.18290, the argument of eq. 7 without beta.
    """
    ratio = exact_log_ratio(scores)
    return (ratio[feedback.winner] - ratio[feedback.loser]).float()


def exact_log_ratio(scores: ResponseScores) -> Float[Tensor, " responses"]:
    """The log-ratio in the precision that the scores came in."""
    assert scores.reference is not None, "a loss that needs a reference was given none"
    return scores.policy - scores.reference
