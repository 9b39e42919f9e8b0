"""Loading models and tokenizers from folders, with plain errors for what may be missing."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from tropism.errors import ConfigError, ModelError
from tropism.policies.base import ModelSettings
from tropism.text.render import RenderRules

DEFAULT_MAX_TOKENS = 1024
"""Prompt and response together, if nothing else is asked for and the model's context allows it."""
LORA_DEFAULTS: dict[str, Any] = {"r": 16, "alpha": 32, "dropout": 0.0, "targets": "all-linear"}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


def render_rules(model: PreTrainedModel | PeftModel, path: str, settings: ModelSettings) -> RenderRules:
    """The rendering rules of a model's settings, within the model's context.

    Raises:
        ConfigError: if `max_tokens` is beyond the model's context.
    """
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    max_tokens = settings.max_tokens
    if max_tokens is None:
        max_tokens = min(DEFAULT_MAX_TOKENS, context or DEFAULT_MAX_TOKENS)
    elif context and max_tokens > context:
        raise ConfigError(
            f"`max_tokens` must be at most {context}, the context of {path}, got {max_tokens}.",
            remedy=f"Use {context} or less.",
        )
    return RenderRules(max_tokens, settings.min_response_tokens, settings.template)


def stops_of(model: PreTrainedModel | PeftModel) -> list[int]:
    """The token ids at which the model's own generation stops."""
    own = model.generation_config.eos_token_id if model.generation_config else None
    return own if isinstance(own, list) else [] if own is None else [own]


def load_tokenizer(path: str) -> PreTrainedTokenizerBase:
    """Load a tokenizer.

    Raises:
        ModelError: if the folder does not exist, has no tokenizer, or the tokenizer cannot be loaded.
    """
    folder = Path(path)
    if not folder.exists() and (path.startswith((".", "/", "~")) or path.count("/") != 1):
        raise ModelError(f"the model folder {path} does not exist.", remedy="Check the path.")
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
    """Load a causal language model or a peft adapter over one, from safetensors only; none of its own code is run.

    Raises:
        ModelError: if it cannot be loaded, or is a reward model.
    """
    folder = Path(path)
    _refuse_reward_model(folder)
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


def _refuse_reward_model(folder: Path) -> None:
    """Refuse a folder that a reward model was saved in: as a language model its head would be random.

    Raises:
        ModelError: naming the folder.
    """
    kinds: list[str] = []
    with contextlib.suppress(OSError, ValueError, AttributeError):
        kinds = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or []
    if any(kind.endswith("ForSequenceClassification") for kind in kinds):
        raise ModelError(
            f"the model {folder} is a reward model ({kinds[0]}), which gives no log-probabilities of tokens.",
            remedy="Name a language model, or open it with policy `reward`.",
        )


def add_lora(model: PreTrainedModel | PeftModel, lora: dict[str, Any]) -> PreTrainedModel | PeftModel:
    """Put a fresh LoRA adapter on a model; a model that has an adapter already keeps it and trains it further.

    Args:
        model: the model.
        lora: any of `r`, `alpha`, `dropout`, `targets`; the others are `LORA_DEFAULTS`.

    Raises:
        ConfigError: if the adapter that is there differs, or `targets` names no layer of the model.
    """
    unknown = sorted(lora.keys() - LORA_DEFAULTS.keys())
    if unknown:
        raise ConfigError(
            f"unknown key {unknown[0]!r} in `lora`; available: {', '.join(LORA_DEFAULTS)}.", remedy="Remove it."
        )
    lora = LORA_DEFAULTS | lora
    if isinstance(model, PeftModel):
        (there,) = model.peft_config.values()
        found = {"r": there.r, "alpha": there.lora_alpha, "dropout": there.lora_dropout}
        wanted = {key: lora[key] for key in found}
        if found != wanted:
            raise ConfigError(
                f"the model has an adapter with {found}, but `lora` is {wanted}.",
                remedy="Make them equal to train it further, or merge it into its model first.",
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
            f"`targets={lora['targets']!r}` does not fit the model: {first_line(error)}",
            remedy="Use all-linear.",
        ) from None


def first_line(error: BaseException) -> str:
    """The first line of another library's message, ended by a full stop."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0].strip()
    return line if line.endswith((".", "!")) else line + "."
