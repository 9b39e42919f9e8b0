"""A reference that is the policy's own model with its LoRA adapter switched off."""

from __future__ import annotations

from typing import Any

from peft import PeftModel
from torch import nn

from tropism.errors import ConfigError
from tropism.layout.batch import Batch
from tropism.policies.base import Policy
from tropism.references.reference import Reference, ReferenceRequest, scored_by


class AdapterReference(Reference):
    """The policy's own model with its adapter switched off, computed in every step.

    Raises:
        ConfigError: if the model has no adapter.
    """

    kind = "adapter"

    def __init__(self, policy: Policy) -> None:
        if not isinstance(policy.model, PeftModel):
            raise ConfigError(
                "reference 'adapter' switches a LoRA adapter off, but the model has none.",
                remedy="Set `lora: {r: 16}`, or use reference: cached.",
            )
        self.policy = policy
        self._adapted = policy.model

    @classmethod
    def make(cls, request: ReferenceRequest, settings: Any) -> Reference:
        """The reference `adapter` of a recipe."""
        return cls(request.policy)

    def attach(self, batch: Batch, model: nn.Module) -> Batch:
        """Score the batch with the adapter off; adapter dropout, if any, is off with it."""
        self.tokens_scored += batch.num_computed_tokens
        with self._adapted.disable_adapter():
            return scored_by(self.policy, model, batch, keep_tokens=self.keep_tokens)
