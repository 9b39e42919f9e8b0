"""The kinds of reference that a recipe can name: `REFERENCES`, from kind to its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tropism.policies.kinds import checked_settings, find_kind, require_free
from tropism.references.adapter import AdapterReference
from tropism.references.cached import CachedReference
from tropism.references.frozen import FrozenReference
from tropism.references.moving import MovingReference
from tropism.references.reference import NoReference, Reference, ReferenceSettings

REFERENCES: dict[str, type[Reference]] = {
    "cached": CachedReference,
    "adapter": AdapterReference,
    "frozen": FrozenReference,
    "moving": MovingReference,
    "none": NoReference,
}


def register_reference(name: str, reference: type[Reference]) -> None:
    """Add a kind of reference, so that recipes of this process can name it.

    Args:
        name: a Python identifier that is not taken.
        reference: a class with `make`.

    Raises:
        ConfigError: if the name is taken or not an identifier.
    """
    require_free(REFERENCES, name)
    REFERENCES[name] = reference


def reference_kind(name: str) -> type[Reference]:
    """The kind of reference by its name in `REFERENCES`, or a class by `file.py:Class` or `module:Class`.

    Raises:
        ConfigError: if there is no such kind.
    """
    return find_kind(REFERENCES, name, base=Reference, role="reference")


def reference_settings(name: str, settings: Mapping[str, Any]) -> ReferenceSettings:
    """Check what a recipe says for a kind of reference.

    Raises:
        ConfigError: for an unknown kind, and for the first setting that is wrong.
    """
    found: ReferenceSettings = checked_settings(
        reference_kind(name).settings_type, settings, what=f"reference {name!r}"
    )
    return found
