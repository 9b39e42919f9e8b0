"""The interface between a model and the trainer, the references and the evaluations: `Policy` and its capabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from tropism.errors import ConfigError, ModelError
from tropism.groups import PreferenceGroup
from tropism.layout.batch import FAST_TOKENS, Batch
from tropism.policies.kinds import KindSettings
from tropism.records import Account
from tropism.scores import ResponseScores, Statistic, TokenScores
from tropism.text.prepared import PreparedGroup, prepare_each

Capability = Literal["logp", "generate", "states", "rewards", "images"]
"""`logp`: scores of given responses that compare with those of another model, log-probabilities for a text model;
`generate`: answers to prompts; `states`: hidden states of responses; `rewards`: scores that are rewards; `images`:
contents may hold images."""
Layout = Literal["forest", "padded"]


class PolicySettings(KindSettings):
    """Keys of a recipe's `policy` other than `kind`; a kind with settings of its own derives from this."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How a model is opened, whatever its kind.

    Args:
        template: how prompts and responses become text, see `tropism.text.templates`.
        max_tokens: prompt and response together; None is 1,024 or the model's context, whichever is smaller.
        min_response_tokens: a response is never truncated below this.
        dtype: `float32` or `bfloat16`, of the weights in memory.
        lora: `r`, `alpha`, `dropout` and `targets` of an adapter to train; None trains every weight.
        layout: how a batch of groups becomes tensors.
    """

    template: str = "auto"
    max_tokens: int | None = None
    min_response_tokens: int = 16
    dtype: str = "float32"
    lora: dict[str, Any] | None = None
    layout: Layout = "forest"


class Policy(ABC, Generic[PreparedGroup]):
    """A model that scores responses, and may generate some.

    Every policy has `prepare_group`, `collate`, `num_tokens`, `save`, `fingerprint`, and `score` or `token_scores`, on
    which `score` rests. The cached reference needs `token_scores`. A kind that recipes name has `open` too, and may
    have `check_folder`. A kind that generates derives from `GeneratingPolicy`.

    Attributes:
        model: the module that is trained; `score` is handed it back, possibly wrapped by a distributed engine.
        name: the name of the model in a list of caches.
        model_settings: the settings that `open` got; None for a policy that was made in another way.
        capabilities: what it can do.
        can_recompute: whether activations can be recomputed in the backward pass to save memory.
        settings_type: type of the keys of a recipe's `policy` other than `kind`.
        takes_adapter: whether `open` can put a LoRA adapter on the model.
    """

    capabilities: frozenset[Capability] = frozenset()
    can_recompute: bool = False
    settings_type: ClassVar[type[PolicySettings]] = PolicySettings
    takes_adapter: ClassVar[bool] = False
    model: nn.Module
    name: str = ""
    model_settings: ModelSettings | None = None

    @classmethod
    def open(cls, path: str, model: ModelSettings, settings: PolicySettings) -> Policy:
        """Open a model folder as this kind of policy.

        Args:
            path: a folder or hub id; `save` wrote it, or another tool.
            model: settings of every kind.
            settings: settings of this kind, of `settings_type`.
        """
        raise ConfigError(
            f"{cls.__name__} cannot be opened from a recipe.",
            remedy="Give it a class method `open`, see `Policy.open`.",
        )

    @classmethod
    def check_folder(cls, path: str) -> None:
        """Refuse a model folder that cannot be opened, without loading its weights; called before a run starts.

        Raises:
            ModelError: naming what is missing.
        """

    def can(self, *capabilities: Capability) -> bool:
        """Whether the policy has all of these capabilities."""
        return self.capabilities.issuperset(capabilities)

    def prepare(
        self, groups: Iterable[PreferenceGroup], *, progress: Callable[[int], None] | None = None
    ) -> tuple[list[PreparedGroup], Account]:
        """Turn groups into what this policy scores; a group that it cannot take is a counted drop with a reason.

        Args:
            groups: the groups.
            progress: called with the number of groups done since the last call.

        Returns:
            The prepared groups in order, and an account whose rows are groups.
        """
        return prepare_each(groups, self.prepare_group, progress=progress)

    @abstractmethod
    def prepare_group(self, group: PreferenceGroup, notes: Counter[str]) -> PreparedGroup:
        """Prepare one group.

        Args:
            group: the group.
            notes: counts of what was changed, added to.

        Raises:
            DataError: if it must be dropped; the problem is the reason.
        """

    @abstractmethod
    def collate(self, groups: Sequence[PreparedGroup], *, tokens_per_batch: int) -> Sequence[Batch]:
        """Split groups into micro-batches of tensors on the CPU, of at most this many tokens each."""

    @abstractmethod
    def num_tokens(self, group: PreparedGroup) -> int:
        """Tokens that a group takes in a micro-batch of its own."""

    def fast_budget(self, groups: Sequence[PreparedGroup]) -> int:
        """Tokens of a micro-batch that are enough to be fast and that hold the largest of these groups."""
        return max([FAST_TOKENS.get(self.device.type, FAST_TOKENS["cpu"]), *map(self.num_tokens, groups)])

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.model.parameters()).device

    def token_scores(self, model: nn.Module, batch: Batch, *, statistics: Collection[Statistic] = ()) -> TokenScores:
        """Scores of every scored token, in the order of `batch.response`; backbone and head run in one forward.

        A policy whose responses are not made of tokens has a `score` of its own instead.
        """
        raise ModelError(
            f"{type(self).__name__} gives no scores of tokens.", remedy="Choose another loss or reference."
        )

    def token_logp(self, model: nn.Module, batch: Batch) -> Float[Tensor, " scored"]:
        """Log-probability of every scored token, nats, at least float32."""
        return self.token_scores(model, batch).policy

    def score(
        self, model: nn.Module, batch: Batch, *, statistics: Collection[Statistic] | None = None
    ) -> ResponseScores:
        """Scores of every response of a batch, with the reference that the batch carries.

        Args:
            model: the policy's model, possibly wrapped.
            batch: on the model's device.
            statistics: of single tokens, may be empty; without it no token-level scores are returned.
        """
        found = self.token_scores(model, batch, statistics=statistics or ())
        tokens = None if statistics is None else found._replace(reference=batch.reference_tokens)
        return ResponseScores(response_sums(found.policy, batch), batch.reference, batch.length, tokens)

    def states(self, groups: Sequence[PreparedGroup]) -> dict[bytes, NDArray[np.float64]]:
        """A hidden state of every response, from its key (`Prepared.response_key`) to a vector; see `states`."""
        raise ModelError(f"{type(self).__name__} gives no hidden states.", remedy="Omit what needs them.")

    def identity(self) -> tuple[Any, ...]:
        """What decides scores of groups and answers to prompts: the fingerprint, and how groups are read."""
        return (self.fingerprint(),)

    def shares_tokens(self, other: Policy) -> bool:
        """Whether a group that this policy prepared means the same to another policy."""
        return type(self) is type(other)

    def recompute(self, is_on: bool) -> None:
        """Recompute activations in the backward pass, or keep them.

        Raises:
            ConfigError: if the model cannot recompute them.
        """
        if is_on:
            raise ConfigError(f"{type(self).__name__} cannot recompute activations.", remedy="Lower `max_tokens`.")

    def release(self) -> None:
        """Undo the changes to the model that recomputing activations needs; called after training."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model whole or not at all, so that `open` loads it."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Identity of the weights and of everything else that decides a score; equal if scores are equal."""


def require(capabilities: Collection[Capability], needs: Collection[Capability], *, policy: str, what: str) -> None:
    """Refuse a component that needs a capability that the policy lacks.

    Args:
        capabilities: of the policy.
        needs: capabilities that are needed.
        policy, what: names of the policy and of the component that needs them, for the message.

    Raises:
        ConfigError: naming what is missing.

    Example:
        >>> require({"rewards"}, {"logp"}, policy="policy 'reward'", what="`judge`")
        Traceback (most recent call last):
        tropism.errors.ConfigError: `judge` needs logp, but policy 'reward' has only rewards. Omit one of them.
    """
    missing = sorted(set(needs) - set(capabilities))
    if missing:
        has = f"only {', '.join(sorted(capabilities))}" if capabilities else "no capability"
        raise ConfigError(f"{what} needs {', '.join(missing)}, but {policy} has {has}.", remedy="Omit one of them.")


def response_sums(token_logp: Float[Tensor, " scored"], batch: Batch) -> Float[Tensor, " responses"]:
    """Sums of token log-probabilities per response, in float64 if the device has it.

    A float32 sum of hundreds of terms costs two digits of the loss.
    """
    dtype = torch.float32 if token_logp.device.type == "mps" else torch.float64
    zero = torch.zeros(batch.length.shape[0], dtype=dtype, device=token_logp.device)
    return zero.index_add(0, batch.response, token_logp.to(dtype))
