"""Log-probabilities of tokens from hidden states, without the logits ever existing in full.

Only the states that predict a scored token meet the vocabulary, a chunk at a time, and a chunk's logits are computed
again in the backward pass. All of it happens inside one forward pass of the model, so distributed engines see nothing
unusual, and through the model's own head module, so a bias or an adapter on it stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from tropism.scores import Statistic, TokenScores

CHUNK_BYTES = {"cpu": 32 * 2**20, "cuda": 512 * 2**20}
"""Logits of one chunk, at most."""
KEEP_BYTES = {"cpu": 16 * 2**20, "cuda": 256 * 2**20}
"""If all logits of a batch take no more than this they are kept, which saves computing them twice."""
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)
"""In the order in which `Gathered` returns them."""


class Gathered(torch.autograd.Function):
    """Log-softmax of logits at one target each; the logits' memory becomes the probabilities' and then the gradient's.

    So a chunk costs its logits once, forward and backward. A function that saved the logits for its own backward pass
    gets PyTorch's error about a tensor that was modified in place, never a wrong number.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Float[Tensor, "places vocabulary"],
        targets: Int[Tensor, " places"],
        names: frozenset[str],
    ) -> tuple[Tensor, ...]:
        """Log-probabilities, then the statistics asked for in the order of `STATISTICS`."""
        target = logits.gather(1, targets[:, None])[:, 0]
        top = logits.amax(dim=1)
        mean = logits.mean(dim=1) if "mean_logit" in names else None
        centred = logits.sub_(top[:, None])
        kept = centred.clone() if "entropy" in names else None
        mass = centred.exp_()
        total = mass.sum(dim=1)
        logp = target - top - total.log()
        ctx.save_for_backward(mass, total, targets)
        found = {
            "entropy": total.log() - (kept * mass).sum(dim=1) / total if kept is not None else None,
            "sum_squares": mass.square().sum(dim=1) / total.square() if "sum_squares" in names else None,
            "mean_logit": mean,
            "is_top": (target >= top).to(logp.dtype) if "is_top" in names else None,
        }
        statistics = [one for name, one in found.items() if one is not None]
        ctx.mark_non_differentiable(*statistics)
        return (logp, *statistics)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor, None, None]:
        """grad * (one-hot - softmax), written over the probabilities."""
        mass, total, targets = ctx.saved_tensors
        mass.mul_((-grad / total)[:, None])
        mass.scatter_add_(1, targets[:, None], grad[:, None])
        return mass, None, None


def token_scores(
    head: Callable[[Tensor], Tensor],
    hidden: Float[Tensor, "places width"],
    targets: Int[Tensor, " places"],
    *,
    vocabulary: int,
    statistics: Collection[Statistic] = (),
    chunk_bytes: int | None = None,
    keep_bytes: int | None = None,
) -> TokenScores:
    """Log-probabilities of `targets` where each hidden state predicts one, chunk by chunk.

    Args:
        head: from hidden states to logits, with all that the model does to them.
        hidden: the states that predict.
        targets: the predicted tokens.
        vocabulary: number of logits.
        statistics: of each token beside the log-probability; they carry no gradient.
        chunk_bytes: most bytes of a chunk's logits; `CHUNK_BYTES` of the device if None.
        keep_bytes: logits that take no more in all are kept for the backward pass; `KEEP_BYTES` if None.

    Returns:
        Scores in float32, in float64 if the model is.
    """
    device = "cuda" if hidden.device.type == "cuda" else "cpu"
    bytes_each = vocabulary * torch.promote_types(hidden.dtype, torch.float32).itemsize
    keep = CHUNK_BYTES[device] if not torch.is_grad_enabled() else KEEP_BYTES[device]
    keep = keep if keep_bytes is None else keep_bytes
    names = frozenset(statistics)

    def chunk(states: Tensor, goals: Tensor) -> tuple[Tensor, ...]:
        logits = head(states)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        result: tuple[Tensor, ...] = Gathered.apply(logits, goals, names)
        return result

    if len(targets) * bytes_each <= keep:
        parts = [chunk(hidden, targets)]
    else:
        size = max(1, (CHUNK_BYTES[device] if chunk_bytes is None else chunk_bytes) // bytes_each)
        parts = [
            checkpoint(chunk, states, goals, use_reentrant=False, preserve_rng_state=False)
            for states, goals in zip(hidden.split(size), targets.split(size), strict=True)
        ]
    whole = [torch.cat(columns) for columns in zip(*parts, strict=True)]
    return TokenScores(whole[0], **dict(zip((name for name in STATISTICS if name in names), whole[1:], strict=True)))


@contextlib.contextmanager
def scores_for_logits(
    model: nn.Module,
    head: nn.Module,
    after_head: Callable[[Tensor], Tensor],
    predicting: Int[Tensor, " places"],
    targets: Int[Tensor, " places"],
    *,
    statistics: Collection[Statistic] = (),
) -> Iterator[list[TokenScores]]:
    """For one forward pass, let a model return log-probabilities in the place of its logits.

    Its head is shown no position at all; what would have gone in is kept, and when the model's own forward is done,
    still inside the call that an engine wraps, the log-probabilities are computed and returned as its `logits`.

    Args:
        model: the causal language model itself, below adapters and engines.
        head: its output embeddings.
        after_head: what the model does to its logits, see `known_after_head`.
        predicting: flat places (row * width + column) of the states that predict.
        targets: the tokens they predict.
        statistics: of each token beside the log-probability.

    Yields:
        A list that holds the scores after the forward pass.
    """
    states: list[Tensor] = []
    scores: list[TokenScores] = []

    def take(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        kept.remove()  # the head itself is called once per chunk below
        states.append(inputs[0].flatten(0, -2).index_select(0, predicting))
        return (inputs[0][:, :0],)

    def give(module: nn.Module, inputs: Any, output: Any) -> Any:
        size = output.logits.shape[-1]
        scores.append(
            token_scores(lambda one: after_head(head(one)), states[0], targets, vocabulary=size, statistics=statistics)
        )
        output.logits = scores[0].policy
        return output

    kept = head.register_forward_pre_hook(take)
    given = model.register_forward_hook(give, prepend=True)
    try:
        yield scores
    finally:
        kept.remove()
        given.remove()


def known_after_head(config: Any) -> Callable[[Tensor], Tensor]:
    """What models of transformers do to their logits, by their configuration: a scale, a soft cap, or nothing.

    Whether it is all that this model does is checked by `tropism.layout.support` on the model itself.
    """
    scale = float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0)
    cap = getattr(config, "final_logit_softcapping", None)

    def after(logits: Tensor) -> Tensor:
        logits = logits if scale == 1.0 else logits * scale
        return logits if not cap else torch.tanh(logits / cap) * cap

    return after


@contextlib.contextmanager
def head_sees_only(head: nn.Module, places: Int[Tensor, " places"]) -> Iterator[None]:
    """Cut the input of a model's head down to the given flat places, for one forward pass: the slow, plain way."""

    def cut(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        hidden = inputs[0]
        return (hidden.flatten(0, -2)[places].unsqueeze(0),)

    handle = head.register_forward_pre_hook(cut)
    try:
        yield
    finally:
        handle.remove()
