"""A reference that is a second model, never trained."""

from __future__ import annotations

from typing import Any

from torch import nn

from tropism.errors import ConfigError
from tropism.layout.batch import Batch
from tropism.policies.base import Policy
from tropism.references.reference import Reference, ReferenceRequest, ReferenceSettings, scored_by


class FrozenSettings(ReferenceSettings):
    """Settings of a frozen reference.

    Args:
        model: folder or hub id of the second model.
    """

    model: str


class FrozenReference(Reference):
    """A second model that is never trained, computed in every step.

    Args:
        policy: the second model with the policy's own tokenizer and layout.
    """

    kind = "frozen"
    settings_type = FrozenSettings
    is_start = False

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        policy.model.eval().requires_grad_(False)

    @classmethod
    def make(cls, request: ReferenceRequest, settings: Any) -> Reference:
        """The reference `frozen` of a recipe.

        Raises:
            ConfigError: if the two models read prepared groups differently.
        """
        frozen = request.open_policy(settings.model)
        if not frozen.shares_tokens(request.policy):
            raise ConfigError(
                f"the frozen reference {settings.model} has another vocabulary than the model.",
                remedy="Use a reference with the same tokenizer.",
            )
        return cls(frozen)

    def attach(self, batch: Batch, model: nn.Module) -> Batch:
        """Score the batch with the second model."""
        self.policy.model.to(batch.input_ids.device)
        self.tokens_scored += batch.num_computed_tokens
        return scored_by(self.policy, self.policy.model, batch, keep_tokens=self.keep_tokens)
