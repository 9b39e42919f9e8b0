"""Checks of single parameters; each error names the parameter, the value it got, and what to do."""

from __future__ import annotations

import math
from typing import Any, get_args

from tropism.errors import ConfigError


def require_number(name: str, value: float | None, *, least: float | None = None, above: float | None = None) -> None:
    """Refuse a number out of range; None passes.

    Args:
        name: of the parameter.
        value: what was given.
        least: smallest allowed value.
        above: largest value that is not allowed any more.

    Raises:
        ConfigError: naming the parameter.

    Example:
        >>> require_number("cap", 3, least=1)
    """
    if value is None:
        return
    if least is not None and not (math.isfinite(value) and value >= least):
        raise ConfigError(
            f"`{name}` must be a number of at least {least:g}, got {value}.", remedy=f"Use {least:g} or more."
        )
    if above is not None and not (math.isfinite(value) and value > above):
        raise ConfigError(f"`{name}` must be a number above {above:g}, got {value}.", remedy=f"Raise `{name}`.")


def require_share(name: str, value: float | None, *, example: float) -> None:
    """Refuse a share that is not between 0 and 1, both excluded; None passes.

    Raises:
        ConfigError: naming the parameter.
    """
    if value is not None and not 0 < value < 1:
        raise ConfigError(f"`{name}` must be between 0 and 1, got {value}.", remedy=f"Use {example:g}, for example.")


def require_one_of(name: str, value: object, allowed: Any) -> None:
    """Refuse a value that a `Literal` type does not list.

    Raises:
        ConfigError: naming the parameter and the values.
    """
    values = get_args(allowed)
    if value not in values:
        listed = f"{', '.join(values[:-1])} or {values[-1]}"
        raise ConfigError(f"`{name}` must be {listed}, got {value!r}.", remedy=f"Use {values[0]!r}, the default.")
