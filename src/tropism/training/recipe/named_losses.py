"""The losses that a recipe names: rows of the table, and losses of one's own in `file.py:name`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tropism.errors import ConfigError
from tropism.functions import load_object
from tropism.losses import Loss, Mixture, make_mixture


def mixture_of(settings: Mapping[str, Mapping[str, Any]]) -> Mixture:
    """The mixture of a recipe's `loss`.

    Args:
        settings: from a loss's name to its arguments. A name with a colon, `file.py:name` or `module:name`, is a loss
            of one's own; its file is run as code.

    Raises:
        ConfigError: see `tropism.losses.make_mixture`; also if the file defines no loss of that name.
    """
    return make_mixture(settings, own={name: own_loss(name) for name in settings if ":" in name})


def own_loss(name: str) -> Loss:
    """A loss that a user's file or module defines, as a `Loss` or by `preference_loss`.

    Args:
        name: `file.py:name` or `module:name`.

    Raises:
        ConfigError: if it does not exist or is something else.
    """
    found = load_object(name, role="loss", remedy="Check the file and the name.")
    if not isinstance(found, Loss):
        raise ConfigError(
            f"{name!r} must be a Loss, got {type(found).__name__}.",
            remedy="Put @preference_loss(family=..., needs=...) of tropism.losses above the function.",
        )
    bad = [key for key, kind in found.settings.items() if kind is not float and not hasattr(kind, "__args__")]
    if bad:
        raise ConfigError(
            f"setting {bad[0]!r} of loss {name!r} must be a number or a Literal of words.",
            remedy="Annotate it as float, Positive or Literal.",
        )
    return found
