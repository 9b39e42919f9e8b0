"""Any causal language model of transformers as a policy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from tropism.errors import ModelError
from tropism.groups import Content
from tropism.layout import support
from tropism.layout.batch import Batch
from tropism.layout.logprobs import (
    Statistic,
    TokenScores,
    head_sees_only,
    known_after_head,
    scores_for_logits,
    token_scores,
)
from tropism.policies.base import Layout, ModelSettings, PolicySettings
from tropism.policies.decoding import Sampling, can_share, sample_plain, sample_shared
from tropism.policies.loading import add_lora, load_model, load_tokenizer, render_rules, stops_of
from tropism.policies.transformer import TransformerPolicy
from tropism.text.render import Renderer


class TextPolicy(TransformerPolicy):
    """A causal language model with its tokenizer; see `TransformerPolicy`.

    Raises:
        ModelError: if the forest layout would not be exact for the model, naming the layer; or the model has no head.
    """

    capabilities = frozenset({"logp", "generate", "states"})
    takes_adapter = True

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        renderer: Renderer,
        *,
        layout: Layout = "forest",
    ) -> None:
        if model.get_output_embeddings() is None:
            raise ModelError(
                f"{type(model).__name__} has no output embeddings, so it gives no log-probabilities of tokens.",
                remedy="Give a causal language model (AutoModelForCausalLM).",
            )
        self._after_head = known_after_head(model.config.get_text_config())
        self._head_is_known = True
        super().__init__(model, tokenizer, renderer, layout=layout)

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        template: str = "auto",
        max_tokens: int | None = None,
        min_response_tokens: int = 16,
        dtype: str = "float32",
        lora: dict[str, Any] | None = None,
        layout: Layout = "forest",
    ) -> TextPolicy:
        """Open a causal language model as a policy.

        Args:
            path: a folder (of a model, or of a peft adapter), or a hub id.
            template: how prompts and responses become text: `auto`, `chat`, `dialogue` or `plain`, see
                `tropism.text.templates`.
            max_tokens: prompt and response together; None is 1,024 or the model's context, whichever is smaller.
            min_response_tokens: a response is never truncated below this.
            dtype: `float32` or `bfloat16`, of the weights in memory.
            lora: any of `r` (16), `alpha` (32), `dropout` (0) and `targets` (all-linear) of an adapter to train; None
                trains every weight.
            layout: how a batch of groups becomes tensors, `forest` or `padded`.

        Raises:
            ModelError: if the folder lacks a model or a tokenizer, or cannot be loaded.
            ConfigError: if `max_tokens` is beyond the model's context.
        """
        settings = ModelSettings(
            template=template, max_tokens=max_tokens, min_response_tokens=min_response_tokens, dtype=dtype, lora=lora,
            layout=layout,
        )  # fmt: skip
        return cls.open(str(path), settings, PolicySettings())

    @classmethod
    def open(cls, path: str, model: ModelSettings, settings: PolicySettings) -> TextPolicy:
        """Open a model folder as a recipe says; see `Policy.open`."""
        tokenizer = load_tokenizer(path)
        language_model = load_model(path, dtype=model.dtype)
        rules = render_rules(language_model, path, model)
        num_embeddings = language_model.get_input_embeddings().num_embeddings
        if len(tokenizer) > num_embeddings:
            raise ModelError(
                f"the tokenizer of {path} has {len(tokenizer)} tokens, its model only {num_embeddings} embeddings.",
                remedy="Use the tokenizer that belongs to the model.",
            )
        renderer = Renderer(tokenizer, rules, stops=stops_of(language_model))
        trained = add_lora(language_model, model.lora) if model.lora is not None else language_model
        return cls(trained, tokenizer, renderer, layout=model.layout)

    def check_on_the_model(self) -> None:
        """See on a few tokens that scores will come out right."""
        self._head_is_known = support.try_head(self.causal_model)
        if self.layout == "forest":
            support.try_forest(self.causal_model)

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
        with self.own_attention(), torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
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

    @torch.no_grad()
    def sample_each(
        self,
        prompts: Sequence[tuple[int, ...]],
        *,
        num_answers: int,
        temperature: float,
        max_new_tokens: int,
        seed: int,
        rows_at_once: int = 64,
        progress: Callable[[int], None] | None = None,
    ) -> list[list[tuple[int, ...]]]:
        """Several answers to each prompt, token ids in and out; see `tropism.policies.decoding`.

        Args:
            prompts: token ids of each prompt.
            num_answers: to each prompt; the prompt is computed once for all of them.
            temperature: 0 takes the likeliest token.
            max_new_tokens: an answer that has not ended is cut here, or where the context ends.
            seed: an answer depends on it, on its prompt and on its number, never on the batch.
            rows_at_once: most answers in a batch, at least one prompt's.
            progress: called with the number of prompts done since the last call.
        """
        renderer = self.renderer
        sampling = Sampling(num_answers, temperature, max_new_tokens, self.context, seed, renderer.stops, renderer.eos)
        sample = sample_shared if can_share(self.model) else sample_plain
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers: list[list[tuple[int, ...]]] = [[] for _ in prompts]
        at_once = max(1, rows_at_once // num_answers)
        was_training = self.model.training
        self.model.eval()
        with self.own_attention():
            for start in range(0, len(order), at_once):
                part = order[start : start + at_once]
                for i, found in zip(part, sample(self.model, [prompts[i] for i in part], sampling), strict=True):
                    answers[i] = found
                if progress:
                    progress(len(part))
        self.model.train(was_training)
        return answers

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
