"""What is watched in every step, as sums that add up over micro-batches and processes."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from tropism.metrics.pair_order import order_credit
from tropism.scores import Feedback, ResponseScores

NAMES = (
    "pair_accuracy",
    "margin",
    "winners_logp",
    "losers_logp",
    "winners_logp_change",
    "losers_logp_change",
    "reference_gap",
    "winner_length",
    "loser_length",
    "logp_per_token",
)
"""Accuracy is a share of the edges that are no ties; margins, log-probabilities and their changes against the reference
are nats per response; the reference gap is the mean log-ratio in nats per token; lengths are tokens."""


class Monitors:
    """Running sums since the last log line."""

    def __init__(self) -> None:
        self._sums = torch.zeros(len(NAMES), 2, dtype=torch.float64)
        self._tokens = 0
        self._since = time.perf_counter()

    @torch.no_grad()
    def add(self, scores: ResponseScores, feedback: Feedback, *, num_tokens: int, num_sequence_tokens: int = 0) -> None:
        """Count one micro-batch of this process."""
        self._tokens += num_tokens
        self._sums += sums(scores, feedback)

    def drain(self) -> dict[str, float]:
        """The means since the last call (over all processes, if there are several), and start over."""
        values, tokens = self._sums, torch.tensor([float(self._tokens)], dtype=torch.float64)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            values, tokens = all_reduce(values), all_reduce(tokens)
        means = {name: float(total / count) for name, (total, count) in zip(NAMES, values, strict=True) if count > 0}
        now = time.perf_counter()
        means["tokens_per_second"] = float(tokens) / max(now - self._since, 1e-9)
        self._sums = torch.zeros_like(self._sums)
        self._tokens, self._since = 0, now
        return means


def sums(scores: ResponseScores, feedback: Feedback) -> Tensor:
    """Sum and count of every monitor over one batch, in the order of `NAMES`."""
    rows: dict[str, tuple[Tensor, int | Tensor]] = {}
    winner, loser, num_edges = feedback.winner, feedback.loser, len(feedback.winner)
    policy, length = scores.policy.double(), scores.length.double()
    rows["logp_per_token"] = (policy.sum(), length.sum())
    if num_edges:
        rows["winners_logp"] = (policy[winner].sum(), num_edges)
        rows["losers_logp"] = (policy[loser].sum(), num_edges)
        rows["winner_length"] = (length[winner].sum(), num_edges)
        rows["loser_length"] = (length[loser].sum(), num_edges)
    if scores.reference is not None:
        ratio = policy - scores.reference.double()
        rows["reference_gap"] = (ratio.sum(), length.sum())
        if num_edges:
            margin = ratio[winner] - ratio[loser]
            decided = feedback.prob != 0.5
            rows["margin"] = (margin.sum(), num_edges)
            rows["pair_accuracy"] = (order_credit(margin, 0.0)[decided].sum(), decided.sum())
            rows["winners_logp_change"] = (ratio[winner].sum(), num_edges)
            rows["losers_logp_change"] = (ratio[loser].sum(), num_edges)
    zero = (0.0, 0)
    return torch.tensor([[float(total), float(count)] for total, count in (rows.get(name, zero) for name in NAMES)],
                        dtype=torch.float64)  # fmt: skip


def all_reduce(values: Tensor) -> Tensor:
    """The sum over all processes, on whatever device their back end needs."""
    backend = torch.distributed.get_backend()
    moved = values.to("cuda" if backend == "nccl" else "cpu", copy=True)
    torch.distributed.all_reduce(moved)
    return moved.cpu()
