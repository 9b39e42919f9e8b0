"""Hidden states of responses: the mean over a response's tokens of the last state before the vocabulary."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tropism.layout import padded
from tropism.layout.batch import FAST_TOKENS
from tropism.policies.model_mode import in_mode
from tropism.policies.transformer import TransformerPolicy
from tropism.text.rendered import RenderedGroup


@torch.no_grad()
def response_states(policy: TransformerPolicy, groups: Sequence[RenderedGroup]) -> dict[bytes, NDArray[np.float64]]:
    """Mean last hidden state of every response's scored tokens, the end of sequence among them.

    Computed on the padded layout with the model's own attention: a token's state is what the head would see there.

    Args:
        policy: the model.
        groups: responses behind their prompts.

    Returns:
        From `RenderedGroup.response_key` to a vector as wide as the model.
    """
    found: dict[bytes, NDArray[np.float64]] = {}
    if not groups:
        return found
    budget = max([FAST_TOKENS.get(policy.device.type, FAST_TOKENS["cpu"]), *map(padded.num_padded_tokens, groups)])
    with in_mode(policy.model):
        for part in padded.split(groups, tokens_per_batch=budget):
            batch = padded.collate(part).to(policy.device)
            with policy.own_attention(), _before_head(policy.model.get_output_embeddings()) as seen:
                policy.model(**policy.model_inputs(batch), use_cache=False)
            states = seen[0].flatten(0, 1).index_select(0, batch.predicting + 1).double()
            sums = states.new_zeros(len(batch.length), states.shape[1]).index_add(0, batch.response, states)
            means = (sums / batch.length[:, None].clamp(min=1)).cpu().numpy()
            found |= dict(zip(batch.keys, means, strict=True))
    return found


@contextlib.contextmanager
def _before_head(head: nn.Module) -> Iterator[list[Tensor]]:
    """For one forward pass, keep the input of a model's head, and give the head no positions."""
    seen: list[Tensor] = []

    def take(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        seen.append(inputs[0])
        return (inputs[0][:, :0],)

    handle = head.register_forward_pre_hook(take)
    try:
        yield seen
    finally:
        handle.remove()
