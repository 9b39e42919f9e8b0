"""Small real things for tests: a tokenizer and models made in memory, so that no test needs a download."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tropism.groups import Edge, PreferenceGroup, Response
from tropism.policies.base import Layout
from tropism.policies.text import text_policy
from tropism.policies.transformer import TransformerPolicy
from tropism.text.render import Renderer, RenderRules

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIALS = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def byte_tokenizer(*, chat: bool = True) -> PreTrainedTokenizerFast:
    """A tokenizer with one token per byte, an end token, and a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIALS, *alphabet])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(SPECIALS)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<|pad|>", eos_token="<|end|>")  # noqa: S106
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tiny_llama(*, vocab_size: int = 261, seed: int = 0, hidden_size: int = 32) -> nn.Module:
    """A random Llama of two layers, float32."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def tiny_policy(
    model: nn.Module | None = None,
    *,
    max_tokens: int = 128,
    min_response_tokens: int = 4,
    template: str = "auto",
    layout: Layout = "forest",
) -> TransformerPolicy:
    """A policy around a tiny random model."""
    tokenizer = byte_tokenizer()
    rules = RenderRules(max_tokens=max_tokens, min_response_tokens=min_response_tokens, template=template)
    return text_policy(model or tiny_llama(), tokenizer, Renderer(tokenizer, rules), layout=layout)


def pair(name: str, prompt: str, winner: str, loser: str) -> PreferenceGroup:
    """A group of two responses and one edge."""
    return PreferenceGroup(name, (prompt,), (Response("w", winner), Response("l", loser)), (Edge(0, 1),))


def pairs(prompts: Sequence[str]) -> list[PreferenceGroup]:
    """A pair for each prompt: the winner repeats it, the loser spells it backwards and goes on."""
    return [pair(f"p{i}", prompt, f" {prompt}!", f" {prompt[::-1]} or so") for i, prompt in enumerate(prompts)]
