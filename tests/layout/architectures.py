"""Small random models of every architecture that the forest supports, and of those it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as hf
from torch import nn

BASE: dict[str, Any] = {
    "vocab_size": 261, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.2, "pad_token_id": 0,
    "bos_token_id": None, "eos_token_id": 1,
}  # fmt: skip
OLD: dict[str, Any] = {"vocab_size": 261, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}

SUPPORTED: dict[str, Callable[[], hf.PreTrainedModel]] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**BASE)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(
        hf.Qwen2Config(**BASE, use_sliding_window=True, sliding_window=7, max_window_layers=1)
    ),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**BASE, head_dim=8)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**BASE, sliding_window=None)),
    "mistral_window": lambda: hf.MistralForCausalLM(hf.MistralConfig(**BASE, sliding_window=7)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(
        hf.Gemma2Config(
            **BASE, head_dim=8, sliding_window=7, attn_logit_softcapping=2.0, final_logit_softcapping=3.0
        )
    ),
    "gemma3": lambda: hf.Gemma3ForCausalLM(
        hf.Gemma3TextConfig(**BASE | {"num_hidden_layers": 6}, head_dim=8, sliding_window=7)
    ),
    "phi3": lambda: hf.Phi3ForCausalLM(hf.Phi3Config(**BASE)),
    "olmo2": lambda: hf.Olmo2ForCausalLM(hf.Olmo2Config(**BASE)),
    "smollm3": lambda: hf.SmolLM3ForCausalLM(hf.SmolLM3Config(**BASE)),
    "granite": lambda: hf.GraniteForCausalLM(hf.GraniteConfig(**BASE, logits_scaling=3.0)),
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(
            vocab_size=261, n_embd=32, n_layer=2, n_head=4, n_positions=256, initializer_range=0.2, bos_token_id=1,
            eos_token_id=1,
        )
    ),
    "gpt_neox": lambda: hf.GPTNeoXForCausalLM(
        hf.GPTNeoXConfig(**OLD, intermediate_size=64, max_position_embeddings=256, initializer_range=0.2)
    ),
    "opt": lambda: hf.OPTForCausalLM(
        hf.OPTConfig(
            **OLD, ffn_dim=64, word_embed_proj_dim=32, max_position_embeddings=256, pad_token_id=0, bos_token_id=2,
            eos_token_id=1, init_std=0.2,
        )
    ),
    "mixtral": lambda: hf.MixtralForCausalLM(hf.MixtralConfig(**BASE, num_local_experts=4)),
    "cohere2": lambda: hf.Cohere2ForCausalLM(hf.Cohere2Config(**BASE, sliding_window=7, logit_scale=0.25)),
    "gpt_oss": lambda: hf.GptOssForCausalLM(
        hf.GptOssConfig(
            **BASE, head_dim=8, sliding_window=7, num_local_experts=4, num_experts_per_tok=2,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        )
    ),
}  # fmt: skip

REFUSED: dict[str, tuple[Callable[[], hf.PreTrainedModel], str]] = {
    "falcon_h1": (
        lambda: hf.FalconH1ForCausalLM(
            hf.FalconH1Config(
                **BASE, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_d_state=8, mamba_n_groups=1
            )
        ),
        r"model\.layers\.0\.mamba\.conv1d",
    ),
    "mamba": (
        lambda: hf.MambaForCausalLM(hf.MambaConfig(vocab_size=261, hidden_size=32, num_hidden_layers=2, state_size=4)),
        r"backbone\.layers\.0\.mixer\.conv1d",
    ),
    "lfm2": (
        lambda: hf.Lfm2ForCausalLM(hf.Lfm2Config(**BASE, layer_types=["conv", "full_attention"])),
        r"model\.layers\.0\.conv\.conv",
    ),
    "bloom": (
        lambda: hf.BloomForCausalLM(hf.BloomConfig(vocab_size=261, hidden_size=32, n_layer=2, n_head=4)),
        r"transformer\.h\.0\.self_attention",
    ),
    "falcon": (lambda: hf.FalconForCausalLM(hf.FalconConfig(**OLD)), r"transformer\.h\.0\.self_attention"),
    "llama4": (
        lambda: hf.Llama4ForCausalLM(
            hf.Llama4TextConfig(
                **BASE, head_dim=8, intermediate_size_mlp=64, num_local_experts=2, attention_chunk_size=8
            )
        ),
        "layer 0 is of type 'chunked_attention'",
    ),
    "phimoe": (
        lambda: hf.PhimoeForCausalLM(hf.PhimoeConfig(**BASE, sliding_window=7, num_local_experts=4)),
        "PhimoeAttention has a sliding window but does not hand it",
    ),
}


def build(make: Callable[[], hf.PreTrainedModel], *, dtype: torch.dtype = torch.float32) -> hf.PreTrainedModel:
    """A model with the same random weights every time; in float64 its norms and softmaxes are float64 too."""
    torch.manual_seed(0)
    model = make().to(dtype).eval()
    if dtype == torch.float64:
        if model._can_set_experts_implementation():
            model.set_experts_implementation("eager")  # torch's grouped product has no float64
        for module in model.modules():
            if type(module).__name__.endswith("RMSNorm"):
                module.forward = exact_norm(module)
            if type(module).__name__ == "Cohere2LayerNorm":
                module.forward = exact_layer_norm(module)
    return model


def exact_norm(module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """An RMS norm that stays in its input's precision; transformers' go down to float32 whatever they are given."""
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    offset = 1.0 if "Gemma" in type(module).__name__ else 0.0

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        scaled = hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + eps)
        return scaled * (offset + module.weight)

    return forward


def exact_layer_norm(module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """A layer norm without bias that stays in its input's precision."""
    return lambda hidden: nn.functional.layer_norm(
        hidden, hidden.shape[-1:], module.weight, eps=module.variance_epsilon
    )
