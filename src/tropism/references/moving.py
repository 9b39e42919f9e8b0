"""A reference that follows the policy, with the soft and hard updates of trust-region DPO; saved in checkpoints."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from tropism.errors import ConfigError
from tropism.layout.batch import Batch
from tropism.policies.base import Policy
from tropism.policies.model_mode import in_mode
from tropism.references.reference import Reference, ReferenceRequest, ReferenceSettings, scored_by
from tropism.references.weight_swap import KeptWeights, trained

MIXUP_ALPHA, SYNC_STEPS = 0.6, 512
"""TR-DPO's soft update as TRL has it: the share of the policy, and optimizer steps between updates."""


class MovingSettings(ReferenceSettings):
    """Settings of a moving reference; see `MovingReference`."""

    alpha: float = Field(MIXUP_ALPHA, gt=0, le=1)
    every: int = Field(SYNC_STEPS, gt=0)


class MovingReference(Reference):
    """The policy some steps ago, or an exponential moving average of it, computed in every step.

    Only trained weights are copied (an adapter, for example); the copy replaces them for a forward pass.

    Args:
        policy: the policy in its start state.
        alpha: share of the policy in the new reference; 1 is a hard update.
        every: optimizer steps from one update to the next.

    Raises:
        ConfigError: for an `alpha` outside (0, 1] or an `every` below 1.

    Reference: Gorbatovski et al. 2024, arXiv:2404.09656, eq. 2 and 3; the defaults are its soft and TRL's.
    """

    kind = "moving"
    settings_type = MovingSettings

    def __init__(self, policy: Policy, *, alpha: float = MIXUP_ALPHA, every: int = SYNC_STEPS) -> None:
        if not 0 < alpha <= 1 or every < 1:
            raise ConfigError(
                f"`alpha` must be in (0, 1] and `every` at least 1, got {alpha} and {every}.",
                remedy=f"Use {MIXUP_ALPHA} and {SYNC_STEPS}.",
            )
        self.policy = policy
        self.alpha = alpha
        self.every = every
        self._kept = KeptWeights(policy.model)

    @classmethod
    def make(cls, request: ReferenceRequest, settings: Any) -> Reference:
        """The reference `moving` of a recipe."""
        return cls(request.policy, alpha=settings.alpha, every=settings.every)

    def attach(self, batch: Batch, model: nn.Module) -> Batch:
        """Score the batch with the weights that are kept."""
        self.tokens_scored += batch.num_computed_tokens
        with in_mode(model), self._kept.in_place():
            return scored_by(self.policy, model, batch, keep_tokens=self.keep_tokens)

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Move towards the policy, every `every` steps."""
        if step % self.every == 0:
            for name, parameter in trained(self.policy.model):
                kept = self._kept.tensors[name].to(parameter.device)
                self._kept.tensors[name] = torch.lerp(kept, parameter.data, self.alpha)

    def state(self) -> dict[str, Tensor]:
        """The weights that are kept."""
        return {name: tensor.contiguous() for name, tensor in self._kept.tensors.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from kept weights.

        Raises:
            ConfigError: if they belong to another model.
        """
        if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in self._kept.tensors.items()}:
            raise ConfigError(
                "the checkpoint's reference belongs to another model or adapter.", remedy="Resume with the same recipe."
            )
        self._kept.tensors = dict(state)
