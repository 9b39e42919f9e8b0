"""A reference that follows the policy: trust-region DPO's soft and hard updates, kept with the checkpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tropism.errors import ConfigError
from tropism.layout.batch import Batch
from tropism.policies.base import Policy, response_sums
from tropism.references.reference import Reference

MIXUP_ALPHA, SYNC_STEPS = 0.6, 512
"""TR-DPO's soft update as TRL has it: the share of the policy, and optimizer steps between updates."""


class MovingReference(Reference):
    """The policy some steps ago, or a decaying mean of it, computed in every step.

    Only what is trained is kept twice (an adapter, say), and changed places with the policy's for the time of a pass.

    Args:
        policy: the policy in its start state.
        alpha: share of the policy in the new reference; 1 is a hard update.
        every: optimizer steps from one update to the next.

    Raises:
        ConfigError: for an `alpha` outside (0, 1] or an `every` below 1.

    Reference: Gorbatovski et al. 2024, arXiv:2404.09656, eq. 2 and 3; the defaults are its soft and TRL's.
    """

    kind = "moving"

    def __init__(self, policy: Policy, *, alpha: float = MIXUP_ALPHA, every: int = SYNC_STEPS) -> None:
        if not 0 < alpha <= 1 or every < 1:
            raise ConfigError(
                f"a moving reference needs alpha in (0, 1] and every >= 1, not {alpha} and {every}.",
                remedy="Try {kind: moving, alpha: 0.6, every: 512}.",
            )
        self.policy = policy
        self.alpha = alpha
        self.every = every
        self._kept = {name: parameter.detach().clone() for name, parameter in self._trained()}

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        return [(name, one) for name, one in self.policy.model.named_parameters() if one.requires_grad]

    @contextlib.contextmanager
    def _in_place(self) -> Iterator[None]:
        """The policy with the reference's weights, for the time of a block."""
        own = {name: parameter.data for name, parameter in self._trained()}
        try:
            for name, parameter in self._trained():
                self._kept[name] = self._kept[name].to(parameter.device)
                parameter.data = self._kept[name]
            torch.clear_autocast_cache()  # it knows a weight by its tensor, not by what stands in it
            yield
        finally:
            for name, parameter in self._trained():
                parameter.data = own[name]
            torch.clear_autocast_cache()

    @torch.no_grad()
    def attach(self, batch: Batch, model: nn.Module) -> Batch:
        """Score the batch with the weights that are kept."""
        self.tokens_scored += batch.num_computed_tokens
        was_training = model.training
        model.eval()
        with self._in_place():
            logp = self.policy.token_logp(model, batch)
        model.train(was_training)
        return batch.with_reference(response_sums(logp, batch), logp if self.keep_tokens else None)

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Move towards the policy, every so many steps."""
        if step % self.every == 0:
            for name, parameter in self._trained():
                kept = self._kept[name].to(parameter.device)
                self._kept[name] = torch.lerp(kept, parameter.data, self.alpha)

    def state(self) -> dict[str, Tensor]:
        """The weights that are kept."""
        return {name: tensor.contiguous() for name, tensor in self._kept.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on from kept weights.

        Raises:
            ConfigError: where they belong to another model.
        """
        if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in self._kept.items()}:
            raise ConfigError(
                "the checkpoint's reference belongs to another model or adapter.", remedy="Resume with the same recipe."
            )
        self._kept = dict(state)
