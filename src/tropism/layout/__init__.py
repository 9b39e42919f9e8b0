"""Where groups become tensors: padded rows, or forests in which every distinct token is computed once."""

from typing import TYPE_CHECKING

from tropism.lazy import lazy_names

if TYPE_CHECKING:
    from tropism.layout.batch import Batch
    from tropism.layout.forest import ForestBatch
    from tropism.layout.padded import PaddedBatch
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "tropism.layout.batch": ("Batch",),
            "tropism.layout.forest": ("ForestBatch",),
            "tropism.layout.padded": ("PaddedBatch",),
        },
    )

__all__ = [
    "Batch",
    "ForestBatch",
    "PaddedBatch",
]
