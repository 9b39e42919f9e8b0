"""Where reference scores come from, and their cache on disk."""

from typing import TYPE_CHECKING

from tropism.lazy import lazy_names

if TYPE_CHECKING:
    from tropism.references.adapter import AdapterReference
    from tropism.references.cached import CachedReference
    from tropism.references.frozen import FrozenReference
    from tropism.references.moving import MovingReference
    from tropism.references.reference import NoReference, Reference, ReferenceSettings
    from tropism.references.reference_kinds import REFERENCES
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "tropism.references.adapter": ("AdapterReference",),
            "tropism.references.cached": ("CachedReference",),
            "tropism.references.frozen": ("FrozenReference",),
            "tropism.references.moving": ("MovingReference",),
            "tropism.references.reference": (
                "NoReference",
                "Reference",
                "ReferenceSettings",
            ),
            "tropism.references.reference_kinds": ("REFERENCES",),
        },
    )

__all__ = [
    "REFERENCES",
    "AdapterReference",
    "CachedReference",
    "FrozenReference",
    "MovingReference",
    "NoReference",
    "Reference",
    "ReferenceSettings",
]
