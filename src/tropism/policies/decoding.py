"""Sampling several answers to each prompt: a prompt is computed once, and each answer has random numbers of its own.

An answer depends on the model, its prompt, its number and the seed, and not on the other prompts of the batch. So
answers can be stored one by one, an interrupted evaluation can be resumed, and two models use the same random numbers.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

SHARED_LAYERS = (DynamicLayer, DynamicSlidingWindowLayer)
"""Caches of keys and values: rows can be repeated and removed. The state of a recurrent layer is no such cache."""


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn.

    Args:
        num_answers: to each prompt.
        temperature: 0 takes the most likely token.
        max_new_tokens: an answer that has not ended is cut here.
        context: most tokens of prompt and answer together.
        seed: of all draws.
        stops: token ids that end an answer.
        pad: token id that fills up a batch.
    """

    num_answers: int
    temperature: float
    max_new_tokens: int
    context: int
    seed: int
    stops: frozenset[int]
    pad: int

    def room(self, prompt: tuple[int, ...]) -> int:
        """Most tokens of an answer to this prompt."""
        return max(0, min(self.max_new_tokens, self.context - len(prompt)))

    def chances(self, prompt: tuple[int, ...], answer: int) -> np.ndarray:
        """A random number in [0, 1) for each token of an answer, whatever the batch."""
        key = hashlib.sha256(repr((self.seed, prompt, answer)).encode()).digest()
        return np.random.default_rng(int.from_bytes(key[:16], "big")).random(self.max_new_tokens)


def sample_shared(
    model: PreTrainedModel | PeftModel, prompts: Sequence[tuple[int, ...]], sampling: Sampling
) -> list[list[tuple[int, ...]]]:
    """Answers to a batch of prompts: each prompt is computed once, and its answers continue from a copy of its cache.

    Rows that have ended leave the batch as soon as they are half of it.

    Args:
        model: in evaluation mode, of a kind that `can_share` accepts.
        prompts: token ids, at least one each.
        sampling: how to draw.

    Returns:
        For each prompt its answers, up to and with the token that ended them.
    """
    width = max(map(len, prompts))
    ids: Int[Tensor, "prompts width"] = torch.full((len(prompts), width), sampling.pad)
    mask: Int[Tensor, "rows tokens"] = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    device = next(model.parameters()).device
    takes_positions = takes(model, "position_ids")
    positions = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0).to(device)} if takes_positions else {}
    cache = DynamicCache(config=model.config)
    logits = _last_logits(model, ids.to(device), mask.to(device), cache, **positions)
    cache.batch_repeat_interleave(sampling.num_answers)
    rows = Rows(prompts, sampling)
    logits = logits.repeat_interleave(sampling.num_answers, dim=0)
    mask = mask.repeat_interleave(sampling.num_answers, dim=0)
    alive = list(range(len(rows.answers)))  # the rows of the batch, as indices of answers
    for step in range(sampling.max_new_tokens):
        chosen = rows.choose(logits, alive, step)
        going = [place for place, index in enumerate(alive) if not rows.ended[index]]
        if not going:
            break
        if 2 * len(going) <= len(alive):
            kept = torch.tensor(going)
            cache.batch_select_indices(kept.to(device))
            alive, chosen, mask = [alive[place] for place in going], chosen[kept], mask[kept]
        mask = torch.cat([mask, torch.ones(len(alive), 1, dtype=mask.dtype)], dim=1)
        positions = {"position_ids": (mask.sum(1, keepdim=True) - 1).to(device)} if takes_positions else {}
        logits = _last_logits(model, chosen[:, None].to(device), mask.to(device), cache, **positions)
    return rows.by_prompt()


def sample_plain(
    model: PreTrainedModel | PeftModel, prompts: Sequence[tuple[int, ...]], sampling: Sampling
) -> list[list[tuple[int, ...]]]:
    """The slow reference implementation for any causal model: a full forward pass for every token of every answer."""
    rows = Rows(prompts, sampling)
    device = next(model.parameters()).device
    for index in range(len(rows.answers)):
        prompt = prompts[index // sampling.num_answers]
        for step in range(sampling.max_new_tokens):
            if rows.ended[index]:
                break
            ids = torch.tensor([[*prompt, *rows.answers[index]]]).to(device)
            logits = model(input_ids=ids, use_cache=False).logits[:, -1]
            rows.choose(logits, [index], step)
    return rows.by_prompt()


class Rows:
    """The answers of a batch while they are generated; `index` counts the answers of all prompts in order."""

    def __init__(self, prompts: Sequence[tuple[int, ...]], sampling: Sampling) -> None:
        self.sampling = sampling
        self.answers: list[list[int]] = [[] for _ in prompts for _ in range(sampling.num_answers)]
        self.rooms = [sampling.room(prompt) for prompt in prompts for _ in range(sampling.num_answers)]
        self.ended = [room == 0 for room in self.rooms]
        self._chances = (
            np.stack([sampling.chances(prompt, k) for prompt in prompts for k in range(sampling.num_answers)])
            if sampling.temperature > 0
            else np.zeros((len(self.answers), sampling.max_new_tokens))
        )

    def choose(self, logits: Float[Tensor, "rows vocab"], alive: list[int], step: int) -> Int[Tensor, " rows"]:
        """The next token of each row of the batch; a row that has ended gets one too, which is dropped."""
        if self.sampling.temperature > 0:
            chances = torch.from_numpy(self._chances[alive, step])
            chosen = draw(logits / self.sampling.temperature, chances).cpu()
        else:
            chosen = logits.argmax(dim=-1).cpu()
        for index, token in zip(alive, chosen.tolist(), strict=True):
            if not self.ended[index]:
                self.answers[index].append(token)
                is_full = len(self.answers[index]) >= self.rooms[index]
                self.ended[index] = is_full or token in self.sampling.stops
        return chosen

    def by_prompt(self) -> list[list[tuple[int, ...]]]:
        """For each prompt its answers."""
        num = self.sampling.num_answers
        return [
            [tuple(answer) for answer in self.answers[start : start + num]]
            for start in range(0, len(self.answers), num)
        ]


def draw(logits: Float[Tensor, "rows vocab"], chances: Float[Tensor, " rows"]) -> Int[Tensor, " rows"]:
    """Tokens drawn from the softmax of logits by inverting its distribution function at one number per row.

    Example:
        >>> draw(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0.49, 0.51])).tolist()
        [0, 1]
    """
    dtype = torch.float32 if logits.device.type == "mps" else torch.float64
    summed = torch.softmax(logits.to(dtype), dim=-1).cumsum(dim=-1)
    wanted = chances.to(logits.device, dtype)[:, None] * summed[:, -1:]
    return torch.searchsorted(summed, wanted, right=True).squeeze(1).clamp(max=logits.shape[-1] - 1)


def _last_logits(
    model: PreTrainedModel | PeftModel,
    input_ids: Int[Tensor, "rows tokens"],
    attention_mask: Int[Tensor, "rows all_tokens"],
    cache: DynamicCache,
    **positions: Int[Tensor, "rows tokens"],
) -> Float[Tensor, "rows vocab"]:
    """Logits behind the last token of every row; the cache grows by the tokens given."""
    keep = {"logits_to_keep": 1} if takes(model, "logits_to_keep") else {}
    output = model(input_ids=input_ids, attention_mask=attention_mask, cache=cache, use_cache=True, **positions, **keep)
    return output.logits[:, -1]


def can_share(model: PreTrainedModel | PeftModel) -> bool:
    """Whether a prompt's state can be copied for each of its answers: the model keeps keys and values, nothing else."""
    return takes(model, "cache") and all(
        type(layer) in SHARED_LAYERS for layer in DynamicCache(config=model.config).layers
    )


def takes(model: PreTrainedModel | PeftModel, name: str) -> bool:
    """Whether the language model's forward has a parameter of this name."""
    causal = model.get_base_model() if isinstance(model, PeftModel) else model
    return name in inspect.signature(causal.forward).parameters
