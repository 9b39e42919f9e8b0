"""Opening a model folder as a policy, with plain errors for what may be missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from tropism.errors import ConfigError, ModelError
from tropism.policies.text import TextPolicy
from tropism.policies.transformer import Layout
from tropism.text.render import Renderer, RenderRules

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


def load_text_policy(
    path: str,
    *,
    max_tokens: int | None,
    min_response_tokens: int,
    template: str,
    dtype: str,
    lora: dict[str, Any] | None,
    layout: Layout = "forest",
) -> TextPolicy:
    """Open a model as a policy.

    Args:
        path: a folder (of a model, or of a peft adapter), or a hub id.
        max_tokens: prompt and response together; None takes 1,024 or the model's context, whichever is smaller.
        min_response_tokens: see `RenderRules`.
        template: see `tropism.text.templates`.
        dtype: `float32` or `bfloat16`, of the weights in memory.
        lora: rank `r`, `alpha`, `dropout`, `targets` of an adapter to train; None trains every weight.
        layout: see `TextPolicy`.

    Raises:
        ModelError: where the folder lacks a model or a tokenizer, or cannot be loaded.
        ConfigError: where `max_tokens` is beyond the model's context.
    """
    tokenizer = load_tokenizer(path)
    model = load_model(path, dtype=dtype)
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if max_tokens is None:
        max_tokens = min(1024, context or 1024)
    elif context and max_tokens > context:
        raise ConfigError(
            f"data.max_tokens is {max_tokens}, but the context of {path} is {context} tokens.",
            remedy=f"Set data.max_tokens to {context} or less.",
        )
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise ModelError(
            f"the tokenizer of {path} has {len(tokenizer)} tokens, its model only "
            f"{model.get_input_embeddings().num_embeddings} embeddings.",
            remedy="Use the tokenizer that belongs to the model.",
        )
    rules = RenderRules(max_tokens=max_tokens, min_response_tokens=min_response_tokens, template=template)
    own = model.generation_config.eos_token_id if model.generation_config else None
    stops = own if isinstance(own, list) else [] if own is None else [own]
    renderer = Renderer(tokenizer, rules, stops=stops)
    return TextPolicy(add_lora(model, lora) if lora else model, tokenizer, renderer, layout=layout)


def load_tokenizer(path: str) -> PreTrainedTokenizerBase:
    """Load a tokenizer, or say that the folder has none."""
    folder = Path(path)
    if not folder.exists() and (path.startswith((".", "/", "~")) or path.count("/") != 1):
        raise ModelError(f"the model folder {path} does not exist.", remedy="Check `model` in the recipe.")
    if folder.is_dir() and not any((folder / name).exists() for name in TOKENIZER_FILES):
        raise ModelError(
            f"the model folder {path} has no tokenizer (none of {', '.join(TOKENIZER_FILES)}).",
            remedy="Save the tokenizer into it with tokenizer.save_pretrained.",
        )
    try:
        return AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError, json.JSONDecodeError, KeyError) as error:
        raise ModelError(
            f"the tokenizer of {path} cannot be loaded: {first_line(error)}", remedy="Save it again, or check the path."
        ) from None


def load_model(path: str, *, dtype: str) -> PreTrainedModel | PeftModel:
    """Load a model or a peft adapter over one, from safetensors only, without running code that came with it."""
    folder = Path(path)
    try:
        if not (folder / "adapter_config.json").exists():
            return AutoModelForCausalLM.from_pretrained(
                path, dtype=getattr(torch, dtype), use_safetensors=True, trust_remote_code=False
            )
        if not (folder / "adapter_model.safetensors").exists():
            raise OSError("it has no adapter_model.safetensors")
        base = PeftConfig.from_pretrained(path).base_model_name_or_path
        return PeftModel.from_pretrained(load_model(str(base), dtype=dtype), path, is_trainable=True)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"the model {path} cannot be loaded: {first_line(error)}",
            remedy="It must be a causal language model in safetensors with a config.json.",
        ) from None


def add_lora(model: PreTrainedModel | PeftModel, lora: dict[str, Any]) -> PreTrainedModel | PeftModel:
    """Put a fresh LoRA adapter on a model; one that already carries an adapter goes on training that one.

    Raises:
        ConfigError: where the adapter that is there is another, or where `targets` names no layer of the model.
    """
    if isinstance(model, PeftModel):
        (there,) = model.peft_config.values()
        found = {"r": there.r, "alpha": there.lora_alpha, "dropout": there.lora_dropout}
        wanted = {key: lora[key] for key in found}
        if found != wanted:
            raise ConfigError(
                f"the model carries an adapter with {found}, but the recipe's `lora` says {wanted}.",
                remedy="Make them the same to go on training it, or merge it into its model first.",
            )
        return model
    config = LoraConfig(
        r=lora["r"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora["dropout"],
        target_modules=lora["targets"],
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise ConfigError(
            f"lora.targets {lora['targets']!r} does not fit the model: {first_line(error)}", remedy="Use all-linear."
        ) from None


def first_line(error: BaseException) -> str:
    """The first line of another library's message, ended by a full stop."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0].strip()
    return line if line.endswith((".", "!")) else line + "."
