"""A reward model as a policy: a scalar head read at the last token of each response, and no reference."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from tropism.errors import ConfigError, ModelError
from tropism.groups import Content
from tropism.layout import forest, padded, support
from tropism.layout.batch import Batch
from tropism.policies.base import Layout, ModelSettings, Policy, PolicySettings
from tropism.policies.loading import first_line, load_tokenizer, render_rules
from tropism.policies.rewards import answer_rewards
from tropism.policies.transformer import TransformerPolicy
from tropism.scores import ResponseScores, Statistic
from tropism.text.render import Renderer


class RewardPolicy(TransformerPolicy):
    """A sequence classifier with one label; its score of a response is a reward, no unit.

    Raises:
        ModelError: if the model has no scalar head called `score`, or the forest layout is not exact for it.
    """

    capabilities = frozenset({"rewards"})

    def __init__(self, model: Any, tokenizer: Any, renderer: Renderer, *, layout: Layout = "forest") -> None:
        head = getattr(model, "score", None)
        if not isinstance(head, nn.Module) or model.config.num_labels != 1:
            raise ModelError(
                f"{type(model).__name__} has no scalar head.",
                remedy="Give a sequence classifier with one label (AutoModelForSequenceClassification).",
            )
        self._head = head
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id or renderer.eos
        super().__init__(model, tokenizer, renderer, layout=layout)

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        template: str | None = None,
        max_tokens: int | None = None,
        min_response_tokens: int = 1,
        dtype: str = "float32",
        layout: Layout = "forest",
    ) -> RewardPolicy:
        """Open a reward model, or put a fresh scalar head on a language model.

        Args:
            path: a folder or hub id.
            template: how prompts and responses become text, see `tropism.text.templates`; None is `chat` if the
                tokenizer has a chat template, else `plain`.
            max_tokens: prompt and response together; None is 1,024 or the model's context, whichever is smaller.
            min_response_tokens: a response is never truncated below this.
            dtype: `float32` or `bfloat16`, of the weights in memory.
            layout: how a batch of groups becomes tensors, `forest` or `padded`.

        Raises:
            ModelError: if it cannot be loaded.
            ConfigError: if `max_tokens` is beyond the model's context.
        """
        if template is None:
            template = "chat" if load_tokenizer(str(path)).chat_template else "plain"
        settings = ModelSettings(
            template=template, max_tokens=max_tokens, min_response_tokens=min_response_tokens, dtype=dtype,
            layout=layout,
        )  # fmt: skip
        return cls.open(str(path), settings, PolicySettings())

    @classmethod
    def open(cls, path: str, model: ModelSettings, settings: PolicySettings) -> RewardPolicy:
        """Open a model folder as a recipe says; see `Policy.open`."""
        if model.lora is not None:
            raise ConfigError("a reward model takes no adapter, but `lora` is set.", remedy="Omit `lora`.")
        tokenizer = load_tokenizer(path)
        try:
            classifier = AutoModelForSequenceClassification.from_pretrained(
                path, num_labels=1, dtype=getattr(torch, model.dtype), use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
            raise ModelError(
                f"the model {path} cannot be loaded as a reward model: {first_line(error)}",
                remedy="It must be a sequence classifier, or a language model that can become one.",
            ) from None
        rules = render_rules(classifier, path, model)
        policy = cls(classifier, tokenizer, Renderer(tokenizer, rules), layout=model.layout)
        policy.model_settings = model
        return policy

    @torch.no_grad()
    def check_on_the_model(self) -> None:
        """Check on a few tokens that both layouts give the same rewards."""
        if self.layout == "padded":
            return
        group = support.trial_group(self.causal_model)
        ours = self.score(self.model, forest.collate([group]).to(self.device)).policy
        theirs = self._rewards(self.model, padded.collate([group]).to(self.device))
        if not support.same(ours, theirs, self.causal_model.dtype):
            raise support.unfit("a fork of tokens gets other rewards than its sequences")

    def score(
        self, model: nn.Module, batch: Batch, *, statistics: Collection[Statistic] | None = None
    ) -> ResponseScores:
        """The reward of every response of a batch; lengths are those of the responses, and there is no reference."""
        with self._attending():
            rewards = self._rewards(model, batch)
        return ResponseScores(rewards.to(torch.float32 if rewards.device.type == "mps" else torch.float64), None,
                              batch.length)  # fmt: skip

    def _rewards(self, model: nn.Module, batch: Batch) -> Tensor:
        """The head's output at each response's last token, returned by the model's own forward."""
        found: list[Tensor] = []

        def take(module: nn.Module, inputs: Any, output: Tensor) -> None:
            found.append(output)

        def give(module: nn.Module, inputs: Any, output: Any) -> Any:
            output.logits = found[0].flatten(0, 1).index_select(0, batch.last)[:, 0].float()
            return output

        handles = [
            self._head.register_forward_hook(take),
            self.causal_model.register_forward_hook(give, prepend=True),
        ]
        try:
            rewards: Tensor = model(**self.model_inputs(batch), use_cache=False).logits
        finally:
            for handle in handles:
                handle.remove()
        return rewards

    def rewards(self, prompts: Sequence[Content], answers: Sequence[Content]) -> list[float | None]:
        """The reward of each answer to its prompt, see `answer_rewards`."""
        return answer_rewards(self, prompts, answers)


def open_reward_model(path: str) -> Policy:
    """Open a reward model with its own template; see `RewardPolicy.from_pretrained`."""
    return RewardPolicy.from_pretrained(path)
