"""A copy of a model's trained weights, which can replace them within a block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class KeptWeights:
    """A copy of the trained weights of a model (of an adapter, for example) as they are now.

    The copy and the model's own weights are swapped tensor by tensor, and restored exactly.

    Args:
        model: its weights are copied; they must not be sharded.
        on_cpu: keeps the copy on the CPU, so that the model's device never holds both; else the copy follows the model
            to its device, and a swap moves no memory.

    Attributes:
        tensors: the copy, by name of the parameter.
    """

    def __init__(self, model: nn.Module, *, on_cpu: bool = False) -> None:
        self.model = model
        self.on_cpu = on_cpu
        self.tensors = {
            name: parameter.detach().to("cpu" if on_cpu else parameter.device, copy=True)
            for name, parameter in trained(model)
        }

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with the copy's weights, for the time of a block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in trained(self.model):
            self.tensors[name] = self._swapped(parameter, self.tensors[name])
        torch.clear_autocast_cache()  # it knows a weight by its tensor, not by its values

    def _swapped(self, parameter: nn.Parameter, kept: Tensor) -> Tensor:
        """Give a parameter the copy's values, and return its own."""
        if self.on_cpu and parameter.device.type != "cpu":
            own = parameter.detach().to("cpu", copy=True)
            parameter.copy_(kept)
            return own
        own = parameter.data
        parameter.data = kept.to(parameter.device)
        return own


def trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters that training changes."""
    return [(name, one) for name, one in model.named_parameters() if one.requires_grad]
