"""A reward model as a policy: a scalar head read at the last token of each response, and no reference."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from tropism.errors import ModelError
from tropism.groups import Content, PreferenceGroup, Response
from tropism.layout import forest, padded, support
from tropism.layout.batch import Batch
from tropism.layout.logprobs import Statistic
from tropism.policies.loading import first_line, load_tokenizer
from tropism.policies.transformer import Layout, TransformerPolicy
from tropism.scores import ResponseScores
from tropism.text.render import Renderer, RenderRules, require_groups


class RewardPolicy(TransformerPolicy):
    """A sequence classifier with one label; its score of a response is a reward, no unit.

    Raises:
        ModelError: where the model has no scalar head called `score`, or the forest is not exact for it.
    """

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

    @torch.no_grad()
    def check_on_the_model(self) -> None:
        """See on a few tokens that both layouts give the same rewards."""
        if self.layout == "padded":
            return
        group = support.trial_group(self.causal_model)
        ours = self.score(self.model, forest.collate([group]).to(self.device)).policy
        theirs = self._rewards(self.model, padded.collate([group]).to(self.device))
        if not support.same(ours, theirs, self.causal_model.dtype):
            raise support.unfit("a fork of tokens gets other rewards than its sequences")

    def score(self, model: nn.Module, batch: Batch, *, statistics: Collection[Statistic] = ()) -> ResponseScores:
        """The reward of every response of a batch; lengths are of the responses, the reference is none."""
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
            rewards: Tensor = model(**batch.model_inputs(), use_cache=False).logits
        finally:
            for handle in handles:
                handle.remove()
        return rewards

    @torch.no_grad()
    def rewards(self, prompts: Sequence[Content], answers: Sequence[Content]) -> list[float]:
        """The reward of each answer to its prompt.

        Raises:
            DataError: where an answer cannot be rendered.
        """
        groups = [
            PreferenceGroup(str(number), (prompt,), (Response("0", answer),))
            for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
        ]
        rendered, account = self.renderer.render(groups)
        require_groups(rendered, account, self.renderer.rules, what="the reward model")
        was_training = self.model.training
        self.model.eval()
        found: dict[str, float] = {}
        for batch in self.collate(rendered, tokens_per_batch=self.fast_budget(rendered)):
            values = self.score(self.model, batch.to(self.device)).policy.tolist()
            found |= dict(zip(batch.group_ids, values, strict=True))
        self.model.train(was_training)
        return [found.get(group.id, float("-inf")) for group in groups]


def load_reward_policy(
    path: str,
    *,
    max_tokens: int | None = None,
    min_response_tokens: int = 1,
    template: str = "",
    dtype: str = "float32",
    layout: Layout = "forest",
) -> RewardPolicy:
    """Open a reward model, or put a fresh scalar head on a language model.

    Args:
        path: a folder or hub id.
        max_tokens, min_response_tokens: see `tropism.text.render.RenderRules`.
        template: the same; empty is `chat` where the tokenizer has a chat template, else `plain`.
        dtype: `float32` or `bfloat16`, of the weights in memory.
        layout: see `TransformerPolicy`.

    Raises:
        ModelError: where it cannot be loaded.
    """
    tokenizer = load_tokenizer(path)
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            path, num_labels=1, dtype=getattr(torch, dtype), use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ModelError(
            f"the model {path} cannot be loaded as a reward model: {first_line(error)}",
            remedy="It must be a sequence classifier, or a language model that can become one.",
        ) from None
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2**30
    rules = RenderRules(
        max_tokens=min(max_tokens or 1024, context),
        min_response_tokens=min_response_tokens,
        template=template or ("chat" if tokenizer.chat_template else "plain"),
    )
    return RewardPolicy(model, tokenizer, Renderer(tokenizer, rules), layout=layout)
