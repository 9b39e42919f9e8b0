"""Any causal language model of transformers as a policy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

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
                remedy="Use a causal language model (AutoModelForCausalLM).",
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
        policy = cls(trained, tokenizer, renderer, layout=model.layout)
        policy.model_settings = model
        return policy

    def check_on_the_model(self) -> None:
        """Check on a few tokens that scores are right."""
        self._head_is_known = support.try_head(self.causal_model)
        if self.layout == "forest":
            support.try_forest(self.causal_model)

    def token_scores(self, model: nn.Module, batch: Batch, *, wanted: Collection[Statistic] = ()) -> TokenScores:
        """Scores of every scored token, in the order of `batch.response`.

        Only the states that predict a scored token meet the vocabulary, in chunks. A model that does something unknown
        to its logits computes them itself, for those states alone and all at once.
        """
        head = self.model.get_output_embeddings()
        inputs = self.model_inputs(batch)
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
            rows_at_once=batch_size,
            progress=progress,
        )
        return self.texts([answer for (answer,) in rows])

    def texts(self, rows: Sequence[tuple[int, ...]]) -> list[str]:
        """Sampled token ids as text, without special tokens and surrounding white space."""
        return [text.strip() for text in self.tokenizer.batch_decode(rows, skip_special_tokens=True)]

    @torch.no_grad()
    def sample(
        self,
        prompts: Sequence[tuple[int, ...]],
        *,
        num_answers: int = 1,
        temperature: float,
        max_new_tokens: int,
        seed: int,
        rows_at_once: int = 64,
        progress: Callable[[int], None] | None = None,
    ) -> list[list[tuple[int, ...]]]:
        """Answers to each prompt, token ids in and out; see `tropism.policies.decoding`.

        Args:
            prompts: token ids of each prompt.
            num_answers: per prompt; the prompt is computed once for all of them.
            temperature: 0 takes the most likely token.
            max_new_tokens: an answer that has not ended is cut here, or at the end of the model's context.
            seed: an answer depends on the seed, its prompt and its number, never on the batch.
            rows_at_once: maximum number of answers in a batch; at least those of one prompt.
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
