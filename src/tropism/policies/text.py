"""Any causal language model of transformers as a policy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tropism.errors import ModelError
from tropism.groups import Content, PreferenceGroup, Response
from tropism.layout import support
from tropism.layout.batch import Batch
from tropism.layout.logprobs import (
    head_sees_only,
    known_after_head,
    scores_for_logits,
    token_scores,
)
from tropism.policies.base import Layout, ModelSettings, PolicySettings
from tropism.policies.decoding import Sampling, can_share, sample_plain, sample_shared
from tropism.policies.generating import GeneratingPolicy
from tropism.policies.loading import add_lora, load_model, load_tokenizer, render_rules, stops_of
from tropism.policies.states import response_states
from tropism.policies.transformer import TransformerPolicy
from tropism.scores import Statistic, TokenScores
from tropism.text.render import Renderer, special_texts
from tropism.text.rendered import RenderedGroup, RenderedResponse
from tropism.text.templates import PlainTemplate, template_for


class TextPolicy(TransformerPolicy, GeneratingPolicy[RenderedGroup]):
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

    def token_scores(self, model: nn.Module, batch: Batch, *, statistics: Collection[Statistic] = ()) -> TokenScores:
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
                    self.causal_model, head, self._after_head, batch.predicting, batch.targets, statistics=statistics
                ) as found,
            ):
                logp = model(**inputs, use_cache=False).logits
            scores = found[0]._replace(policy=logp)
        else:
            with self._attending(), head_sees_only(head, batch.predicting):
                logits = model(**inputs, use_cache=False).logits[0]
            keep = logits.numel() * 8
            scores = token_scores(
                nn.Identity(), logits, batch.targets, vocabulary=logits.shape[1], statistics=statistics, keep_bytes=keep
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

    @property
    def stops(self) -> frozenset[int]:
        """The token ids that end an answer."""
        return self.renderer.stops

    @property
    def special_texts(self) -> tuple[str, ...]:
        """The tokenizer's special tokens, as they would stand in a text."""
        return special_texts(self.tokenizer)

    @property
    def takes_turns(self) -> bool:
        """Whether prompts are dialogues; a plain template writes one text."""
        return self.renderer.rules.template != "plain"

    def prompt_ids(self, prompt: Content) -> tuple[int, ...]:
        """The token ids of a whole prompt.

        Raises:
            DataError: if the template cannot write the prompt.
        """
        return self.renderer.prompt_ids(prompt)

    def start_of(self, prompt: Content, *, max_new_tokens: int) -> tuple[int, ...]:
        """The token ids that an answer starts from; a prompt that leaves no room is cut on the left, at a turn if
        possible.
        """
        most = self.room_of_prompt(max_new_tokens)
        ids = self.prompt_ids(prompt)
        if len(ids) > most:
            template = template_for(self.tokenizer, self.renderer.rules.template, prompt)
            for shorter in template.shorter_prompts(prompt):
                ids = self.prompt_ids(shorter)
                if len(ids) <= most:
                    break
        return ids[-most:]

    def start_of_group(self, group: RenderedGroup) -> tuple[int, ...]:
        """The token ids of a rendered group's first prompt, as in training."""
        return group.prompts[0]

    def sampled_group(self, name: str, start: tuple[int, ...], answer: tuple[int, ...]) -> RenderedGroup:
        """A sampled answer as a group of one response, in the sampled tokens."""
        group = PreferenceGroup(name, ("",), (Response("0", None),))
        response = RenderedResponse(answer, (True,) * len(answer), 0, complete=True)
        return RenderedGroup(group, (start,), (response,), (), (), (None,), (None,))

    def states(self, groups: Sequence[RenderedGroup]) -> dict[bytes, NDArray[np.float64]]:
        """Mean last hidden state of every response's scored tokens; see `response_states`."""
        return response_states(self, groups)

    def texts(self, rows: Sequence[tuple[int, ...]]) -> list[str]:
        """Sampled token ids as text, without special tokens and surrounding white space."""
        return [text.strip() for text in self.tokenizer.batch_decode(rows, skip_special_tokens=True)]

    def texts_after(self, prompt: Content, rows: Sequence[tuple[int, ...]]) -> list[str]:
        """As `texts`; behind a plain prompt with the white space that separates an answer from it."""
        if not isinstance(template_for(self.tokenizer, self.renderer.rules.template, prompt), PlainTemplate):
            return self.texts(rows)
        return [text.rstrip() for text in self.tokenizer.batch_decode(rows, skip_special_tokens=True)]

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


def text_policy(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    renderer: Renderer,
    *,
    layout: Layout = "forest",
) -> TextPolicy:
    """A causal language model that is in memory, as a policy of kind `text`."""
    return TextPolicy(model, tokenizer, renderer, layout=layout)
