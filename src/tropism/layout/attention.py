"""Attention over a forest, through transformers' own registry of attention functions; no model class is touched.

A model's forward is handed a `ForestPlan` as the keyword `forest`, which transformers passes on to every attention
layer. On a CPU (and on Apple's MPS) it becomes a few calls of PyTorch's scaled dot-product attention, see
`tropism.layout.segments`; on a CUDA device one call of FlexAttention whose block mask comes from `subtree_end`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (torch's own name for it)
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from transformers import AttentionInterface

from tropism.errors import ModelError
from tropism.layout.segments import Call, plan_calls

NAME = "tropism_forest"
BLOCK = 128
"""Rows of a batch on a GPU are padded to a multiple of this, FlexAttention's block."""

Queries = Float[Tensor, "batch heads tokens width"]
Keys = Float[Tensor, "batch kv_heads seen width"]
Values = Float[Tensor, "batch kv_heads seen value_width"]


@dataclass(frozen=True, eq=False)
class ForestPlan:
    """How one row of tokens hangs together, and what the attention layers derive from that once for all of them.

    Attributes:
        parent: the node before each node, -1 at a root.
        subtree_end: one past the last node of each node's subtree.
        depth: number of nodes above each node.
        device: the model's device.
    """

    parent: NDArray[np.int64]
    subtree_end: NDArray[np.int64]
    depth: NDArray[np.int64]
    device: str = "cpu"
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)

    def to(self, device: torch.device | str) -> ForestPlan:
        """The same plan for another device."""
        return ForestPlan(self.parent, self.subtree_end, self.depth, str(device))

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, made the first time only: layers share it, and so does a recomputed forward."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def calls(self) -> tuple[Call, ...]:
        """The plan's attention calls, see `tropism.layout.segments`."""
        found: tuple[Call, ...] = self.once("calls", lambda: plan_calls(self.parent, self.subtree_end, self.depth))
        return found

    def allows(self, queries: NDArray[np.int64], keys: NDArray[np.int64], window: int | None) -> NDArray[np.bool_]:
        """The rule: a token sees its ancestors and itself, no further up than a window counted in depth."""
        q, k = queries[:, None], keys[None, :]
        seen: NDArray[np.bool_] = (k <= q) & (q < self.subtree_end[k])
        return seen if window is None else seen & (self.depth[q] - self.depth[k] < window)


def register() -> None:
    """Make `tropism_forest` known to transformers. Masks are not registered, so a model makes none of its own."""
    AttentionInterface.register(NAME, forest_attention)


def forest_attention(
    module: nn.Module,
    query: Queries,
    key: Keys,
    value: Values,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    position_bias: Tensor | None = None,
    forest: ForestPlan | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in every attention layer.

    Args:
        module: the layer; messages name it.
        query, key, value: of one row; key and value may have fewer heads (grouped-query attention).
        attention_mask: must be None, the plan says who sees whom.
        scaling: of the scores; None is one over the root of the head's width.
        dropout: must be 0.
        softcap: bound of the scores, if the model has one.
        s_aux: a score per head that takes part in the softmax and adds nothing (attention sinks).
        position_bias: must be None.
        forest: the plan.
        others: what else transformers hands on; `sliding_window` is honoured, counted in depth.

    Returns:
        The heads' outputs, (1, tokens, heads, width), and None for the weights.

    Raises:
        ModelError: if the plan is missing, or the layer asks for something that a forest cannot give.
    """
    where = type(module).__name__
    if forest is None:
        raise ModelError(
            f"{where} was called without its forest plan, so it cannot tell which token sees which.",
            remedy="Run the model through its policy, or set its attention back with set_attn_implementation('sdpa').",
        )
    window = _own_window(module, others)
    refused = {
        "an attention mask": attention_mask is not None,
        f"dropout {dropout}": dropout > 0,
        "a position bias": position_bias is not None,
        "attention that is not causal": others.get("is_causal") is False or not getattr(module, "is_causal", True),
    }
    for what, is_asked in refused.items():
        if is_asked:
            raise ModelError(f"{where} asks for {what}, which the forest layout cannot give.", remedy=WAY_OUT)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    if query.device.type == "cuda":
        if s_aux is not None:
            raise ModelError(f"{where} has attention sinks, which the forest lacks on a GPU.", remedy=WAY_OUT)
        return in_blocks(query, key, value, forest, scale=scale, window=window, softcap=softcap), None
    return in_segments(query, key, value, forest, scale=scale, window=window, softcap=softcap, sinks=s_aux), None


WAY_OUT = "Set layout: padded."


def _own_window(module: nn.Module, others: dict[str, Any]) -> int | None:
    """The sliding window of a layer; a layer that has one and does not say so would be computed wrongly."""
    if "sliding_window" in others:
        window: int | None = others["sliding_window"]
        return window
    config = getattr(module, "config", None)
    layer_types = getattr(config, "layer_types", None)
    is_sliding = layer_types is None or "sliding_attention" in layer_types
    if is_sliding and getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        raise ModelError(
            f"{type(module).__name__} has a sliding window but does not hand it to its attention function.",
            remedy=WAY_OUT,
        )
    return None


def in_segments(
    query: Queries,
    key: Keys,
    value: Values,
    plan: ForestPlan,
    *,
    scale: float,
    window: int | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Float[Tensor, "batch tokens heads value_width"]:
    """One call per stretch of the row, each over its own keys and those above it."""
    calls = plan.calls()
    lengths = [call.end - call.start for call in calls]
    queries, keys, values = (heads.split(lengths, dim=2) for heads in (query, key, value))
    outputs = []
    for index, call in enumerate(calls):
        seen = (*_within_reach(call, calls, plan, window), index)
        k = keys[index] if len(seen) == 1 else torch.cat([keys[i] for i in seen], dim=2)
        v = values[index] if len(seen) == 1 else torch.cat([values[i] for i in seen], dim=2)
        is_plain = call.is_run and len(seen) == 1 and (window is None or lengths[index] <= window)
        if softcap is None and sinks is None:
            mask = None if is_plain else _additive_mask(plan, seen, window, query)
            one = F.scaled_dot_product_attention(
                queries[index], k, v, attn_mask=mask, is_causal=is_plain, scale=scale, enable_gqa=True
            )
        else:
            mask = _additive_mask(plan, seen, window, query)
            one = plain_attention(queries[index], k, v, mask, scale=scale, softcap=softcap, sinks=sinks)
        outputs.append(one.transpose(1, 2))
    return torch.cat(outputs, dim=1)


def _within_reach(call: Call, calls: tuple[Call, ...], plan: ForestPlan, window: int | None) -> tuple[int, ...]:
    """The calls above that a sliding window still reaches from the first query."""
    if window is None:
        return call.above
    first = plan.depth[call.start] - window
    return tuple(index for index in call.above if plan.depth[calls[index].end - 1] > first)


def _additive_mask(plan: ForestPlan, seen: tuple[int, ...], window: int | None, like: Tensor) -> Tensor:
    """0 where the last call of `seen` may look, minus infinity elsewhere; in the queries' dtype, made once a batch.

    Additive, because a boolean mask is converted and kept again in every layer.
    """
    key = ("mask", seen, window, like.dtype)
    made: Tensor = plan.once(key, lambda: _mask_of(plan, seen, window, like))
    return made


def _mask_of(plan: ForestPlan, seen: tuple[int, ...], window: int | None, like: Tensor) -> Float[Tensor, "tokens seen"]:
    """The mask of `_additive_mask`, computed."""
    calls = plan.calls()
    queries = np.arange(calls[seen[-1]].start, calls[seen[-1]].end)
    keys = np.concatenate([np.arange(calls[index].start, calls[index].end) for index in seen])
    hidden = torch.from_numpy(~plan.allows(queries, keys, window))
    mask = torch.zeros(hidden.shape, dtype=like.dtype).masked_fill_(hidden, -torch.inf)
    return mask.to(like.device)


def plain_attention(
    query: Queries,
    key: Keys,
    value: Values,
    mask: Float[Tensor, "tokens seen"],
    *,
    scale: float,
    softcap: float | None,
    sinks: Tensor | None,
) -> Float[Tensor, "batch heads tokens value_width"]:
    """Attention written out, for what PyTorch's kernels lack: soft-capped scores and sinks."""
    groups = query.shape[1] // key.shape[1]
    key, value = (heads.repeat_interleave(groups, dim=1) for heads in (key, value))
    scores = query @ key.transpose(2, 3) * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores + mask
    if sinks is None:
        return torch.softmax(scores, dim=-1, dtype=_wide(scores.dtype)).to(value.dtype) @ value
    extra = sinks.view(1, -1, 1, 1).expand(scores.shape[0], -1, scores.shape[2], 1).to(scores.dtype)
    weights = torch.softmax(torch.cat([scores, extra], dim=-1), dim=-1, dtype=_wide(scores.dtype))
    return weights[..., :-1].to(value.dtype) @ value


def _wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which a softmax is taken: at least float32."""
    return torch.promote_types(dtype, torch.float32)


def in_blocks(
    query: Queries,
    key: Keys,
    value: Values,
    plan: ForestPlan,
    *,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> Float[Tensor, "batch tokens heads value_width"]:
    """One call of FlexAttention over the whole row, which skips every block of keys that no query of a block sees."""
    mask = plan.once(("blocks", window), lambda: block_mask(plan, window))
    output = _flex(query.device.type)(
        query,
        key,
        value,
        score_mod=None if softcap is None else _soft_capped(softcap),
        block_mask=mask,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return output.transpose(1, 2).contiguous()


@functools.cache
def _flex(device_type: str) -> Callable[..., Tensor]:
    """FlexAttention, compiled once for all lengths on a GPU; as it is elsewhere, for tests."""
    function: Any = flex_attention
    compiled: Callable[..., Tensor] = torch.compile(function, dynamic=True) if device_type == "cuda" else function
    return compiled


@functools.cache
def _soft_capped(softcap: float) -> Callable[..., Tensor]:
    """A score modification that bounds scores smoothly."""
    return lambda score, batch, head, q, k: softcap * torch.tanh(score / softcap)


def block_mask(plan: ForestPlan, window: int | None) -> BlockMask:
    """FlexAttention's mask from `subtree_end` in linear time, without ever writing tokens times tokens.

    The subtrees of a block of keys all begin inside it, so the queries that see any of its keys are one stretch of
    blocks, from its own to where its longest subtree ends; those that see all of them end with its shortest.
    """
    size = len(plan.parent)
    num_blocks = -(-size // BLOCK)
    padding = num_blocks * BLOCK - size
    ends = np.append(plan.subtree_end, np.arange(size, size + padding) + 1).reshape(num_blocks, BLOCK)
    q, k = np.arange(num_blocks)[:, None], np.arange(num_blocks)[None, :]
    touched = (k <= q) & (q * BLOCK < ends.max(axis=1)[None, :])
    full = (k < q) & ((q + 1) * BLOCK <= ends.min(axis=1)[None, :])
    if window is not None:
        depths = np.append(plan.depth, np.zeros(padding, dtype=np.int64)).reshape(num_blocks, BLOCK)
        farthest = depths.max(axis=1)[:, None] - depths.min(axis=1)[None, :]
        full &= farthest < window
    partial = touched & ~full
    end = torch.from_numpy(ends.reshape(-1)).to(plan.device)
    depth = torch.from_numpy(np.append(plan.depth, np.zeros(padding, dtype=np.int64))).to(plan.device)

    return BlockMask.from_kv_blocks(
        *_blocks_in_order(partial, plan.device),
        *_blocks_in_order(full, plan.device),
        BLOCK_SIZE=BLOCK,
        # lambdas, since what a kernel is compiled from must not be wrapped by the shape checks of tests
        mask_mod=(lambda batch, head, q, k: (k <= q) & (q < end[k]))
        if window is None
        else (lambda batch, head, q, k: (k <= q) & (q < end[k]) & (depth[q] - depth[k] < window)),
        seq_lengths=(size, size),
    )


def _blocks_in_order(wanted: NDArray[np.bool_], device: str) -> tuple[Tensor, Tensor]:
    """How many key blocks each query block takes, and which, first ones first, as FlexAttention wants them."""
    count = torch.from_numpy(wanted.sum(axis=1).astype(np.int32))[None, None].to(device)
    order = np.argsort(~wanted, axis=1, kind="stable").astype(np.int32)
    return count, torch.from_numpy(order)[None, None].to(device)
