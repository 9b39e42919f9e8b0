"""The start of a stage, kept beside the model that is trained, to change places with it for the time of a pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


class StartWeights:
    """What is trained of a model (an adapter, say) as it is now, on the CPU.

    The two change places tensor by tensor, so the device never holds both, and every bit comes back.

    Args:
        model: whose weights are kept; not sharded.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._kept = {name: one.detach().to("cpu", copy=True) for name, one in trained(model)}

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model at its start, for the time of a block."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, parameter in trained(self.model):
            own = parameter.detach().to("cpu", copy=True)
            parameter.copy_(self._kept[name])
            self._kept[name] = own
        torch.clear_autocast_cache()  # it knows a weight by its tensor, not by what stands in it


def trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters that training changes."""
    return [(name, one) for name, one in model.named_parameters() if one.requires_grad]
