"""A function of the user's, loaded by name: `file.py:function` or `module:function`."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tropism.errors import ConfigError


def load_function(name: str, *, role: str, remedy: str) -> Callable[..., Any]:
    """Load a function; its file or module is run as code, so the user must trust it.

    Args:
        name: `file.py:function`, or `module:function` of an installed package.
        role: what it is for, such as `judge`, for messages.
        remedy: what to do if it cannot be loaded.

    Raises:
        ConfigError: if the file, module or function does not exist, or is not a function.

    Example:
        >>> load_function("math:sqrt", role="rule", remedy="Check the name.")(9)
        3.0
    """
    function = load_object(name, role=role, remedy=remedy)
    if not callable(function):
        raise ConfigError(f"the {role} {name!r} is not a function.", remedy=remedy)
    return function


def load_object(name: str, *, role: str, remedy: str) -> Any:
    """Load anything that a file or module defines, by the rules of `load_function`."""
    place, colon, attribute = name.rpartition(":")
    if not colon:
        raise ConfigError(
            f"a {role} is named `file.py:function` or `module:function`, not {name!r}.",
            remedy="Add the function's name.",
        )
    try:
        module = _run_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        return getattr(module, attribute)
    except Exception as error:
        raise ConfigError(f"the {role} {name!r} cannot be loaded: {error}.", remedy=remedy) from error


def _run_file(path: Path) -> Any:
    """The module that a file becomes when it is run."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
