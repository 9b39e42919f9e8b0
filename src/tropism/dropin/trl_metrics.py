"""TRL's metrics by its names: means over the pairs (or tokens) since the last log line, over all processes."""

from __future__ import annotations

import torch
from torch import Tensor

from tropism.layout.logprobs import Statistic
from tropism.scores import Feedback, ResponseScores
from tropism.training.loop.monitors import Monitors, all_reduce

STATISTICS: tuple[Statistic, ...] = ("entropy", "mean_logit", "is_top")
NAMES = (
    "entropy", "mean_token_accuracy", "logits/chosen", "logits/rejected", "logps/chosen", "logps/rejected",
    "rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins",
)  # fmt: skip

ROUNDING = 1e-4
"""Nats: at the start rewards are equal but for the rounding of a reference that was scored in another batch."""


class TRLMonitors(Monitors):
    """Our monitors and TRL's metrics.

    Args:
        beta: rewards are beta times log-ratios.
    """

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self._pairs = torch.zeros(len(NAMES), 2, dtype=torch.float64)
        self._seen = 0

    @torch.no_grad()
    def add(self, scores: ResponseScores, feedback: Feedback, *, num_tokens: int, num_sequence_tokens: int = 0) -> None:
        """Count one micro-batch of this process."""
        super().add(scores, feedback, num_tokens=num_tokens)
        self._pairs += self.sums(scores, feedback)
        self._seen += num_sequence_tokens

    def sums(self, scores: ResponseScores, feedback: Feedback) -> Tensor:
        """Sum and count of every metric over one batch, in the order of `NAMES`."""
        tokens, winner, loser = scores.tokens, feedback.winner, feedback.loser
        assert tokens is not None
        assert tokens.entropy is not None
        assert tokens.mean_logit is not None
        assert tokens.is_top is not None
        count = len(scores.length)
        chosen = torch.bincount(winner, minlength=count)[scores.token_response].double()
        rejected = torch.bincount(loser, minlength=count)[scores.token_response].double()
        number = float(len(winner))
        rows: dict[str, tuple[Tensor | float, Tensor | float]] = {
            "entropy": ((tokens.entropy * (chosen + rejected)).sum(), (chosen + rejected).sum()),
            "mean_token_accuracy": ((tokens.is_top * chosen).sum(), chosen.sum()),
            "logits/chosen": ((tokens.mean_logit * chosen).sum(), chosen.sum()),
            "logits/rejected": ((tokens.mean_logit * rejected).sum(), rejected.sum()),
            "logps/chosen": (scores.policy[winner].sum(), number),
            "logps/rejected": (scores.policy[loser].sum(), number),
        }
        if scores.reference is not None:
            reward = self.beta * (scores.policy - scores.reference)
            rows |= {
                "rewards/chosen": (reward[winner].sum(), number),
                "rewards/rejected": (reward[loser].sum(), number),
                "rewards/accuracies": ((reward[winner] - reward[loser] > ROUNDING * self.beta).double().sum(), number),
                "rewards/margins": ((reward[winner] - reward[loser]).sum(), number),
            }
        return torch.tensor([[float(a), float(b)] for a, b in (rows.get(name, (0.0, 0.0)) for name in NAMES)],
                            dtype=torch.float64)  # fmt: skip

    def drain(self) -> dict[str, float]:
        """The means since the last call, and start over; `num_tokens` counts on."""
        ours = super().drain()
        values, seen = self._pairs, torch.tensor([float(self._seen)], dtype=torch.float64)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            values, seen = all_reduce(values), all_reduce(seen)
        self._pairs = torch.zeros_like(self._pairs)
        means = {name: float(total / count) for name, (total, count) in zip(NAMES, values, strict=True) if count > 0}
        return ours | means | ({"num_tokens": float(seen)} if float(seen) else {})
