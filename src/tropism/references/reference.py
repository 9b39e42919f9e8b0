"""`Reference`, the source of log-probabilities under the reference; none; and the check at step 0."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tropism.errors import ConfigError, ReferenceMismatchError
from tropism.layout.batch import Batch
from tropism.policies.base import Capability, Policy, response_sums
from tropism.policies.kinds import KindSettings
from tropism.policies.model_mode import in_mode
from tropism.text.prepared import Prepared

STEP_ZERO_BOUND_NATS = {torch.float32: 1e-3, torch.float64: 1e-3, torch.bfloat16: 0.5, torch.float16: 0.1}
"""How far a reference that is the start state may be from the policy at step 0, per response."""


class ReferenceSettings(KindSettings):
    """Keys of a recipe's `reference` other than `kind`; a kind with settings of its own derives from this."""


@dataclass(frozen=True)
class ReferenceRequest:
    """The input of `Reference.make`.

    Args:
        policy: in its start state.
        tokens_per_batch: most tokens that are scored at a time; None takes the policy's `fast_budget`.
        open_policy: opens another model folder with the policy's own settings, without an adapter.
    """

    policy: Policy
    tokens_per_batch: int | None
    open_policy: Callable[[str], Policy]


class Reference(ABC):
    """The source of log-probabilities under the reference.

    Attributes:
        kind: its name in records.
        needs: capabilities that the policy must have.
        settings_type: type of the keys of a recipe's `reference` other than `kind`.
        tokens_scored: number of tokens that the reference model computed for this run; 0 if all were known.
        keep_tokens: whether a loss needs the log-probabilities of single tokens; set before `prepare`.
        is_start: whether it claims to be the policy's start state, which the trainer then checks at step 0.
    """

    kind: str
    needs: ClassVar[frozenset[Capability]] = frozenset({"logp"})
    settings_type: ClassVar[type[ReferenceSettings]] = ReferenceSettings
    tokens_scored = 0
    keep_tokens = False
    is_start = True

    @classmethod
    def make(cls, request: ReferenceRequest, settings: Any) -> Reference:
        """The reference that a recipe names.

        Args:
            request: the policy, and what comes with it.
            settings: of `settings_type`.
        """
        raise ConfigError(
            f"{cls.__name__} cannot be made from a recipe.", remedy="Define its class method `make`, see `Reference`."
        )

    def prepare(self, groups: Iterable[Prepared], *, progress: Callable[[int], None] | None = None) -> None:
        """Make sure that the scores of these groups are known; nothing to do if they are computed in every step."""
        if progress:
            progress(sum(1 for _ in groups))

    @abstractmethod
    def attach(self, batch: Batch, model: nn.Module) -> Batch:
        """A batch (on the model's device) with its reference scores."""

    def after_step(self, step: int) -> None:  # noqa: B027  (most references do not change)
        """Called after every optimizer step, with its number."""

    def state(self) -> dict[str, Tensor]:
        """Tensors that a checkpoint must keep; none if the reference can be made again."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:  # noqa: B027
        """Continue from the tensors of a checkpoint."""


class NoReference(Reference):
    """For losses without a reference."""

    kind = "none"
    needs = frozenset()

    @classmethod
    def make(cls, request: ReferenceRequest, settings: Any) -> Reference:
        """The reference `none` of a recipe."""
        return cls()

    def attach(self, batch: Batch, model: nn.Module) -> Batch:
        """The batch as it is."""
        return batch


@torch.no_grad()
def scored_by(policy: Policy, model: nn.Module, batch: Batch, *, keep_tokens: bool) -> Batch:
    """A batch with the scores of a model as its reference.

    Args:
        policy: scores the batch.
        model: the policy's model, possibly wrapped.
        batch: on the model's device.
        keep_tokens: whether scores of single tokens are attached too.
    """
    if not keep_tokens:
        return batch.with_reference(policy.score(model, batch).policy)
    logp = policy.token_logp(model, batch)
    return batch.with_reference(response_sums(logp, batch), logp)


@torch.no_grad()
def assert_is_start(policy: Policy, model: nn.Module, batch: Batch) -> float:
    """Check at step 0 that the reference is the policy's start state, in the mode that training runs in.

    Only an adapter's own dropout is switched off for it; any other randomness in a score fails this check.

    Args:
        batch: on the model's device, with its reference.

    Returns:
        The largest |log-ratio| of a response, nats.

    Raises:
        ReferenceMismatchError: if it is beyond `STEP_ZERO_BOUND_NATS` for the model's dtype.
    """
    has_adapter_dropout = any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())
    with in_mode(model, training=model.training and not has_adapter_dropout):
        scores = policy.score(model, batch)
    assert scores.reference is not None
    dtype = next(policy.model.parameters()).dtype
    worst = float((scores.policy - scores.reference).abs().max()) if len(scores.policy) else 0.0
    bound = STEP_ZERO_BOUND_NATS[torch.bfloat16 if torch.is_autocast_enabled(batch.input_ids.device.type) else dtype]
    if not worst <= bound:
        raise ReferenceMismatchError(
            f"the reference should be the policy's start state, but a log-ratio at step 0 is {worst:.4g} nats "
            f"(at most {bound} in {dtype}).",
            remedy="With an SFT adapter use reference: cached (adapter switches the SFT off too).",
        )
    return worst
