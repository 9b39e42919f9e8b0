"""Log-probability of every token of a plain text, and the most likely token in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from tropism.policies.model_mode import in_mode
from tropism.policies.transformer import TransformerPolicy

LOGIT_BYTES = 128 * 2**20
"""Logits in memory at a time, about."""


class Reading(NamedTuple):
    """Scores of one text.

    Attributes:
        logp: log-probability of each token after those before it, nats.
        top: the most likely token at each of these positions.
    """

    logp: list[float]
    top: list[int]


@torch.no_grad()
def read(
    policy: TransformerPolicy, rows: Sequence[tuple[int, ...]], *, progress: Callable[[int], None] | None = None
) -> list[Reading]:
    """Read rows of token ids; the first token of a row is given and not predicted.

    Args:
        policy: the model.
        rows: token ids, not longer than the model's context.
        progress: called with the number of rows done since the last call.
    """
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    readings = [Reading([], [])] * len(rows)
    vocabulary = policy.model.get_output_embeddings().weight.shape[0]
    with in_mode(policy.model), policy.own_attention():
        while order:
            longest = max(2, len(rows[order[-1]]))
            num = max(1, LOGIT_BYTES // (4 * vocabulary * longest))
            part, order = order[-num:], order[:-num]
            for i, reading in zip(part, _read_batch(policy, [rows[i] for i in part]), strict=True):
                readings[i] = reading
            if progress:
                progress(len(part))
    return readings


def _read_batch(policy: TransformerPolicy, rows: Sequence[tuple[int, ...]]) -> list[Reading]:
    """Read a few rows at once, padded on the right, which a causal model does not see."""
    width = max(2, *map(len, rows))
    ids = torch.full((len(rows), width), policy.renderer.eos)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
        mask[row, : len(tokens)] = 1
    ids, mask = ids.to(policy.device), mask.to(policy.device)
    logits = policy.model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
    logp = logits.log_softmax(-1).gather(2, ids[:, 1:, None]).squeeze(2).tolist()
    top = logits.argmax(-1).tolist()
    return [
        Reading(logp[row][: max(0, len(tokens) - 1)], top[row][: max(0, len(tokens) - 1)])
        for row, tokens in enumerate(rows)
    ]
