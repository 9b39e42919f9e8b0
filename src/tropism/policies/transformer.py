"""The base of policies over a model of transformers: layout, attention, saving, and the identity of its weights."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tropism.errors import ConfigError
from tropism.groups import PreferenceGroup
from tropism.layout import attention, forest, padded, support
from tropism.layout.batch import Batch
from tropism.policies.base import Layout, Policy
from tropism.policies.loading import load_tokenizer
from tropism.policies.model_mode import in_mode
from tropism.text.render import Renderer
from tropism.text.rendered import RenderedGroup

NOT_PART_OF_A_SCORE = ("_name_or_path", "transformers_version", "use_cache", "architectures", "torch_dtype")


class TransformerPolicy(Policy[RenderedGroup]):
    """A model of transformers with its tokenizer and layout.

    Args:
        model: a model of transformers, or a peft model over one. Dropout is switched off in it: a score must not
            depend on chance, and the reference is computed without.
        tokenizer: its tokenizer.
        renderer: how groups become token ids.
        layout: how a batch of groups becomes tensors: `forest` computes every distinct token once, `padded` is one row
            per response and works for every model.

    Raises:
        ModelError: if the forest would not be exact for the model, naming the layer.
    """

    can_recompute = True
    model: PreTrainedModel | PeftModel

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        renderer: Renderer,
        *,
        layout: Layout = "forest",
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.renderer = renderer
        self.layout = layout
        self.name = str(model.config.name_or_path or "")
        self._native_attention: str | None = None
        _switch_off_dropout(model)
        if layout == "forest":
            attention.register()
            support.require_forest(self.causal_model)
        has_weights = not any(parameter.is_meta for parameter in model.parameters())
        if has_weights:  # without weights the model is judged by its layers alone
            with in_mode(model):
                self.check_on_the_model()

    @classmethod
    def check_folder(cls, path: str) -> None:
        """Refuse a folder without a tokenizer that can be loaded; see `Policy.check_folder`."""
        load_tokenizer(path)

    @abstractmethod
    def check_on_the_model(self) -> None:
        """Check on a few tokens that scores are right."""

    @property
    def causal_model(self) -> PreTrainedModel:
        """The language model itself, below an adapter."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    @property
    def context(self) -> int:
        """Maximum number of tokens that the model takes; a large number if it sets no bound."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or 2**30

    def prepare_group(self, group: PreferenceGroup, notes: Counter[str]) -> RenderedGroup:
        """Render one group as token ids; see `Policy.prepare_group`."""
        return self.renderer.render_group(group, notes)

    def collate(self, groups: Sequence[RenderedGroup], *, tokens_per_batch: int) -> Sequence[Batch]:
        """Micro-batches of at most this many tokens: tries in one row, or rows of similar length."""
        if self.layout == "padded":
            parts = padded.split(groups, tokens_per_batch=tokens_per_batch)
            return [padded.collate(part, positions=self.positions) for part in parts]
        multiple_of = attention.BLOCK if self.device.type == "cuda" else 1
        return [
            forest.collate(part, multiple_of=multiple_of, positions=self.positions)
            for part in forest.split(groups, tokens_per_batch=tokens_per_batch)
        ]

    def positions(self, group: RenderedGroup, index: int) -> Tensor | None:
        """The positions of the tokens of a response behind its prompt, shape (tokens, ...); None if they are depths.

        A model whose positions are not depths (mrope) overrides it; a token's position may depend on what comes before
        it alone.
        """
        return None

    def model_inputs(self, batch: Batch) -> dict[str, Any]:
        """What the model's forward takes: the layout's tensors and the batch's extra inputs by name.

        A model that takes them otherwise overrides it.
        """
        return {**batch.model_inputs(), **batch.inputs}

    def num_tokens(self, group: RenderedGroup) -> int:
        """Tokens that a group takes in a micro-batch of its own."""
        return padded.num_padded_tokens(group) if self.layout == "padded" else forest.num_distinct_tokens([group])

    def _attending(self) -> contextlib.AbstractContextManager[None]:
        """The layout's attention for one forward pass.

        If activations are recomputed it stays for the backward pass too, until `release`.
        """
        if self.layout == "padded":
            return contextlib.nullcontext()
        if torch.is_grad_enabled() and self.causal_model.is_activation_checkpointing:
            self._native_attention = self._native_attention or self.causal_model.config._attn_implementation
            self.causal_model.set_attn_implementation(attention.NAME)
            return contextlib.nullcontext()
        return support.attending(self.causal_model, attention.NAME)

    def own_attention(self) -> contextlib.AbstractContextManager[None]:
        """The model's own attention, for rows that are no forest: generation, hidden states."""
        return support.attending(
            self.causal_model, self._native_attention or self.causal_model.config._attn_implementation
        )

    def identity(self) -> tuple[Any, ...]:
        """The fingerprint, the tokenizer, the template and the length rules."""
        tokenizer = self.tokenizer
        return (
            self.fingerprint(),
            tokenizer.backend_tokenizer.to_str(),
            tokenizer.chat_template,
            repr(self.renderer.rules),
        )

    def shares_tokens(self, other: Policy) -> bool:
        """Whether both have one vocabulary, so that token ids mean the same to both."""
        return isinstance(other, TransformerPolicy) and self.tokenizer.get_vocab() == other.tokenizer.get_vocab()

    def recompute(self, is_on: bool) -> None:
        """Recompute activations in the backward pass, or keep them."""
        if is_on:
            self.causal_model.activation_checkpointing_enable()
        else:
            self.causal_model.activation_checkpointing_disable()

    def release(self) -> None:
        """Give the model back its own attention when training is over."""
        if self._native_attention:
            self.causal_model.set_attn_implementation(self._native_attention)
            self._native_attention = None

    def save(self, folder: Path) -> None:
        """Write model and tokenizer as safetensors, whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            self.model.config.use_cache = True
            self.model.save_pretrained(temporary)
            self.tokenizer.save_pretrained(temporary)
            temporary.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def fingerprint(self) -> str:
        """Digest of every weight with its name and dtype, and of the configuration that decides a score.

        A fresh LoRA adapter adds nothing, so it is omitted: another seed of it finds the same scores.
        """
        digest = hashlib.blake2b(digest_size=20)
        is_idle = _adapter_is_idle(self.model)
        config = {k: v for k, v in self.model.config.to_dict().items() if k not in NOT_PART_OF_A_SCORE and k != "dtype"}
        digest.update(json.dumps(config, sort_keys=True, default=str).encode())
        adapters = self.model.peft_config if isinstance(self.model, PeftModel) and not is_idle else {}
        for name, adapter in sorted(adapters.items()):
            settings = {k: sorted(v) if isinstance(v, set) else v for k, v in adapter.to_dict().items()}
            settings = {k: v for k, v in settings.items() if k not in ("base_model_name_or_path", "inference_mode")}
            digest.update(f"{name}{json.dumps(settings, sort_keys=True, default=str)}".encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            if is_idle and "lora_" in name:
                continue
            digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def language_model(policy: Policy | None) -> TransformerPolicy | None:
    """A policy as a causal language model of transformers, with tokenizer, embeddings and head; None if it is none."""
    return policy if isinstance(policy, TransformerPolicy) and policy.can("logp") else None


def require_language_model(policy: Policy | None, *, what: str) -> TransformerPolicy:
    """A policy as a causal language model of transformers.

    Args:
        policy: None for a model that is not on this machine.
        what: what works on the model's own tokens, for the message.

    Raises:
        ConfigError: if it is none.
    """
    found = language_model(policy)
    if found is None:
        kind = "a model behind an endpoint" if policy is None else type(policy).__name__
        raise ConfigError(
            f"{what} needs a causal language model of transformers, got {kind}.", remedy="Omit it for this model."
        )
    return found


def _adapter_is_idle(model: nn.Module) -> bool:
    """Whether a model carries a fresh LoRA adapter, which adds nothing yet: scores are those of the model below."""
    last = [tensor for name, tensor in model.named_parameters() if "lora_B" in name or "lora_embedding_A" in name]
    return bool(last) and not any(bool(tensor.any()) for tensor in last)


def _switch_off_dropout(model: nn.Module) -> None:
    """Set every dropout of a model to zero, those in attention (a number in the module) included.

    An adapter's own dropout stays: setting `lora.dropout` asks for it.
    """
    for path, module in model.named_modules():
        if "lora_dropout" in path:
            continue
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if ("drop" in name) and isinstance(value, float):
                setattr(module, name, 0.0)
