"""A model in training or evaluation mode for the time of a block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def in_mode(model: nn.Module, *, training: bool = False) -> Iterator[None]:
    """Put a model into evaluation or training mode, and back into its own when the block ends.

    Args:
        model: any module; all of its parts change with it.
        training: whether it is in training mode in the block.
    """
    was_training = model.training
    model.train(training)
    try:
        yield
    finally:
        model.train(was_training)
