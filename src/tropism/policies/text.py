"""Any causal language model of transformers as a policy."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch
from peft import PeftModel
from torch import nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from tropism.errors import ModelError
from tropism.groups import Content
from tropism.layout import attention, forest, padded, support
from tropism.layout.batch import Batch
from tropism.layout.logprobs import (
    Statistic,
    TokenScores,
    head_sees_only,
    known_after_head,
    scores_for_logits,
    token_scores,
)
from tropism.layout.render import Renderer
from tropism.layout.rendered import RenderedGroup
from tropism.policies.base import Policy

Layout = Literal["forest", "padded"]
NOT_PART_OF_A_SCORE = ("_name_or_path", "transformers_version", "use_cache", "architectures", "torch_dtype")


class TextPolicy(Policy):
    """A causal language model with its tokenizer.

    Args:
        model: a model of transformers, or a peft model over one. Dropout is switched off in it: a score must not
            depend on chance, and the reference is computed without.
        tokenizer: its tokenizer.
        renderer: how groups become token ids.
        layout: how a batch of groups becomes tensors: `forest` computes every distinct token once, `padded` is one row
            per response and works for every model.

    Raises:
        ModelError: where the forest would not be exact for the model, naming the layer; or where the model has no head.
    """

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
        if model.get_output_embeddings() is None:
            raise ModelError(
                f"{type(model).__name__} has no output embeddings, so it gives no log-probabilities of tokens.",
                remedy="Give a causal language model (AutoModelForCausalLM).",
            )
        switch_off_dropout(model)
        self._after_head = known_after_head(self.causal_model.config.get_text_config())
        self._head_is_known = True
        self._native_attention: str | None = None
        self._check_on_the_model()

    def _check_on_the_model(self) -> None:
        """See on a few tokens that scores will come out right; a model without weights yet is taken by its parts."""
        model, was_training = self.causal_model, self.model.training
        has_weights = not any(parameter.is_meta for parameter in model.parameters())
        self.model.eval()
        if has_weights:
            self._head_is_known = support.try_head(model)
        if self.layout == "forest":
            attention.register()
            support.require_forest(model)
            if has_weights:
                support.try_forest(model)
        self.model.train(was_training)

    @property
    def causal_model(self) -> PreTrainedModel:
        """The language model itself, below an adapter."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    @property
    def context(self) -> int:
        """Most tokens that the model takes; a large number where it sets no bound."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or 2**30

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def collate(self, groups: Sequence[RenderedGroup], *, tokens_per_batch: int) -> Sequence[Batch]:
        """Micro-batches of at most so many tokens: tries in one row, or rows of like length."""
        if self.layout == "padded":
            return [padded.collate(part) for part in padded.split(groups, tokens_per_batch=tokens_per_batch)]
        multiple_of = attention.BLOCK if self.device.type == "cuda" else 1
        return [
            forest.collate(part, multiple_of=multiple_of)
            for part in forest.split(groups, tokens_per_batch=tokens_per_batch)
        ]

    def num_tokens(self, group: RenderedGroup) -> int:
        """Tokens that a group takes in a micro-batch of its own."""
        return padded.num_padded_tokens(group) if self.layout == "padded" else forest.num_distinct_tokens([group])

    def token_scores(self, model: nn.Module, batch: Batch, *, wanted: Collection[Statistic] = ()) -> TokenScores:
        """Scores of every scored token, in the order of `batch.response`.

        Only the states that predict a scored token meet the vocabulary, in chunks. A model that does something unknown
        to its logits computes them itself, for those states alone and all at once.
        """
        head = self.model.get_output_embeddings()
        inputs = batch.model_inputs()
        if self._head_is_known:
            with (
                self._attending(),
                scores_for_logits(
                    self.causal_model, head, self._after_head, batch.predicting, batch.targets, wanted=wanted
                ) as found,
            ):
                logp = model(**inputs, use_cache=False).logits
            scores = found[0]._replace(logp=logp)
        else:
            with self._attending(), head_sees_only(head, batch.predicting):
                logits = model(**inputs, use_cache=False).logits[0]
            keep = logits.numel() * 8
            scores = token_scores(
                nn.Identity(), logits, batch.targets, vocabulary=logits.shape[1], wanted=wanted, keep_bytes=keep
            )
        known = {name: one.index_select(0, batch.place) for name, one in scores._asdict().items() if one is not None}
        return TokenScores(**known)

    def generate(
        self,
        prompts: Sequence[Content],
        *,
        temperature: float,
        max_new_tokens: int,
        seed: int,
        batch_size: int = 64,
        progress: Callable[[int], None] | None = None,
    ) -> list[str]:
        """One answer to each prompt as text; see `sample`."""
        rows = self.sample(
            [self.renderer.prompt_ids(prompt) for prompt in prompts],
            temperature=temperature,
            max_new_tokens=max_new_tokens,
            seed=seed,
            batch_size=batch_size,
            progress=progress,
        )
        return self.texts(rows)

    def texts(self, rows: Sequence[tuple[int, ...]]) -> list[str]:
        """Sampled token ids as text, without special tokens and blanks around."""
        return [text.strip() for text in self.tokenizer.batch_decode(rows, skip_special_tokens=True)]

    @torch.no_grad()
    def sample(
        self,
        prompts: Sequence[tuple[int, ...]],
        *,
        temperature: float,
        max_new_tokens: int,
        seed: int,
        batch_size: int = 64,
        progress: Callable[[int], None] | None = None,
    ) -> list[tuple[int, ...]]:
        """One answer to each prompt, token ids in and out, up to and with EOS; in batches of like length.

        Args:
            prompts: token ids of each prompt.
            temperature: 0 takes the likeliest token.
            max_new_tokens: an answer without EOS is cut here.
            seed: the same seed gives the same answers, and leaves the global random state alone.
            batch_size: prompts at a time.
            progress: called with the number of prompts done since the last call.
        """
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers: list[tuple[int, ...]] = [()] * len(prompts)
        was_training = self.model.training
        self.model.eval()
        with self._generating(), torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            for start in range(0, len(order), batch_size):
                part = order[start : start + batch_size]
                rows = self._sample_batch([prompts[i] for i in part], temperature, max_new_tokens)
                for i, row in zip(part, rows, strict=True):
                    answers[i] = row
                if progress:
                    progress(len(part))
        self.model.train(was_training)
        return answers

    def _attending(self) -> contextlib.AbstractContextManager[None]:
        """The layout's attention for one forward pass.

        Where activations are recomputed it stays for the backward pass too, until `release`.
        """
        if self.layout == "padded":
            return contextlib.nullcontext()
        if torch.is_grad_enabled() and self.causal_model.is_activation_checkpointing:
            self._native_attention = self._native_attention or self.causal_model.config._attn_implementation
            self.causal_model.set_attn_implementation(attention.NAME)
            return contextlib.nullcontext()
        return support.attending(self.causal_model, attention.NAME)

    def _generating(self) -> contextlib.AbstractContextManager[None]:
        """A token at a time there is no forest: the model attends as it did when it came."""
        return support.attending(
            self.causal_model, self._native_attention or self.causal_model.config._attn_implementation
        )

    def release(self) -> None:
        """Give the model back its own attention when training is over."""
        if self._native_attention:
            self.causal_model.set_attn_implementation(self._native_attention)
            self._native_attention = None

    def _sample_batch(
        self, rows: list[tuple[int, ...]], temperature: float, max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        width = max(map(len, rows))
        input_ids = torch.full((len(rows), width), self.renderer.eos, dtype=torch.long)
        attention_mask = torch.zeros_like(input_ids)
        for row, ids in enumerate(rows):
            input_ids[row, width - len(ids) :] = torch.tensor(ids, dtype=torch.long)
            attention_mask[row, width - len(ids) :] = 1
        sampling = {"temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature > 0 else {}
        settings = GenerationConfig(
            do_sample=temperature > 0,
            max_new_tokens=max_new_tokens,
            pad_token_id=self.renderer.eos,
            eos_token_id=sorted(self.renderer.stops),
            use_cache=True,
            **sampling,
        )
        with only_these_settings(self.model, settings):
            output = self.model.generate(
                input_ids=input_ids.to(self.device), attention_mask=attention_mask.to(self.device)
            )
        return [until_stop(row, self.renderer.stops) for row in output[:, width:].tolist()]

    def save(self, folder: Path) -> None:
        """Write model and tokenizer as safetensors, whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            self.model.config.use_cache = True
            self.model.save_pretrained(beside)
            self.tokenizer.save_pretrained(beside)
            beside.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(beside, folder)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise

    def fingerprint(self) -> str:
        """Digest of every weight with its name and dtype, and of the configuration that decides a score.

        A fresh LoRA adapter adds nothing, so it is left out: another seed of it finds the same scores.
        """
        digest = hashlib.blake2b(digest_size=20)
        is_idle = adapter_is_idle(self.model)
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

    @property
    def is_adapter(self) -> bool:
        """Whether only an adapter is trained."""
        return isinstance(self.model, PeftModel)


@contextlib.contextmanager
def only_these_settings(model: PreTrainedModel | PeftModel, settings: GenerationConfig) -> Iterator[None]:
    """Generate with these settings alone: what a model folder sets (a repetition penalty, say) is not the model."""
    owners = [model, model.get_base_model()] if isinstance(model, PeftModel) else [model]
    before = [owner.generation_config for owner in owners]
    for owner in owners:
        owner.generation_config = settings
    try:
        yield
    finally:
        for owner, own in zip(owners, before, strict=True):
            owner.generation_config = own


def until_stop(ids: list[int], stops: Collection[int]) -> tuple[int, ...]:
    """Token ids up to and with the first that ends a response.

    Example:
        >>> until_stop([5, 1, 0, 0], {1})
        (5, 1)
    """
    end = next((place for place, token in enumerate(ids) if token in stops), len(ids))
    return tuple(ids[: end + 1])


def adapter_is_idle(model: nn.Module) -> bool:
    """Whether a model carries a fresh LoRA adapter, which adds nothing yet: scores are those of the model below."""
    last = [tensor for name, tensor in model.named_parameters() if "lora_B" in name or "lora_embedding_A" in name]
    return bool(last) and not any(bool(tensor.any()) for tensor in last)


def switch_off_dropout(model: nn.Module) -> None:
    """Set every dropout of a model to zero, those in attention (a number in the module) included.

    An adapter's own dropout stays: whoever sets `lora.dropout` asks for it.
    """
    for path, module in model.named_modules():
        if "lora_dropout" in path:
            continue
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if ("drop" in name) and isinstance(value, float):
                setattr(module, name, 0.0)
