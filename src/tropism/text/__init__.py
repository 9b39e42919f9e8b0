"""Dialogues and text to token ids."""

from typing import TYPE_CHECKING

from tropism.lazy import lazy_names

if TYPE_CHECKING:
    from tropism.text.prepared import Prepared, prepare_each
    from tropism.text.render import Renderer, RenderRules
    from tropism.text.rendered import RenderedGroup, RenderedResponse
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "tropism.text.prepared": (
                "Prepared",
                "prepare_each",
            ),
            "tropism.text.render": (
                "RenderRules",
                "Renderer",
            ),
            "tropism.text.rendered": (
                "RenderedGroup",
                "RenderedResponse",
            ),
        },
    )

__all__ = [
    "Prepared",
    "RenderRules",
    "RenderedGroup",
    "RenderedResponse",
    "Renderer",
    "prepare_each",
]
