"""What the trainer and the evaluations ask of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tropism.errors import ModelError
from tropism.groups import Content
from tropism.layout.batch import FAST_TOKENS, Batch
from tropism.layout.logprobs import Statistic, TokenScores
from tropism.scores import ResponseScores, TokenLevel
from tropism.text.rendered import RenderedGroup


class Policy(ABC):
    """A model that scores responses, and may generate some.

    The trainer needs `collate`, `num_tokens` and `score` (or `token_scores`, on which `score` rests); the cached
    reference needs `token_scores` and `fingerprint`.

    Attributes:
        model: the module that is trained; `score` is handed it back, possibly wrapped by a distributed engine.
        name: what to call the model in a list of caches.
    """

    model: nn.Module
    name: str = ""

    @abstractmethod
    def collate(self, groups: Sequence[RenderedGroup], *, tokens_per_batch: int) -> Sequence[Batch]:
        """Cut groups into micro-batches of tensors on the CPU, of at most so many tokens each."""

    @abstractmethod
    def num_tokens(self, group: RenderedGroup) -> int:
        """Tokens that a group takes in a micro-batch of its own."""

    def fast_budget(self, groups: Sequence[RenderedGroup]) -> int:
        """Tokens of a micro-batch that are enough to be fast and that hold the largest of these groups."""
        device = next(self.model.parameters()).device.type
        return max([FAST_TOKENS.get(device, FAST_TOKENS["cpu"]), *map(self.num_tokens, groups)])

    def token_scores(self, model: nn.Module, batch: Batch, *, wanted: Collection[Statistic] = ()) -> TokenScores:
        """Scores of every scored token, in the order of `batch.response`; backbone and head run in one forward.

        A policy whose responses are not made of tokens leaves this out and has a `score` of its own.
        """
        raise ModelError(
            f"{type(self).__name__} gives no scores of tokens.", remedy="Choose another loss or reference."
        )

    def token_logp(self, model: nn.Module, batch: Batch) -> Float[Tensor, " scored"]:
        """Log-probability of every scored token, nats, at least float32."""
        return self.token_scores(model, batch).logp

    def release(self) -> None:  # noqa: B027  (most policies hold nothing)
        """Undo what scoring with recomputed activations needs of the model; called when training is over."""

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
        """One answer to each prompt. Temperature 0 takes the likeliest token."""
        raise ModelError(f"{type(self).__name__} writes no answers.", remedy="Set evaluation.prompts: 0.")

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model whole or not at all, so that `from_pretrained` loads it."""

    def score(self, model: nn.Module, batch: Batch, *, statistics: Collection[Statistic] = ()) -> ResponseScores:
        """Scores of every response of a batch, with the reference that the batch carries.

        Args:
            model: the policy's model, possibly wrapped.
            batch: on the model's device.
            statistics: of single tokens; where any is asked for, token-level scores come along.
        """
        found = self.token_scores(model, batch, wanted=statistics)
        tokens = None
        if statistics:
            known = {name: value for name, value in found._asdict().items() if name != "logp"}
            tokens = TokenLevel(batch.response, found.logp, batch.reference_tokens, **known)
        return ResponseScores(response_sums(found.logp, batch), batch.reference, batch.length, tokens)

    @abstractmethod
    def fingerprint(self) -> str:
        """Identity of the weights and of everything else that decides a score; equal where scores are equal."""


def response_sums(token_logp: Float[Tensor, " scored"], batch: Batch) -> Float[Tensor, " responses"]:
    """Sums of token log-probabilities per response, in float64 where the device has it.

    A float32 sum of hundreds of terms costs two digits of the loss.
    """
    dtype = torch.float32 if token_logp.device.type == "mps" else torch.float64
    zero = torch.zeros(batch.length.shape[0], dtype=dtype, device=token_logp.device)
    return zero.index_add(0, batch.response, token_logp.to(dtype))
