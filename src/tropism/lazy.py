"""Public names of a package that import their module at first use, so that importing the package stays cheap."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Mapping


def lazy_names(
    package: str, homes: Mapping[str, Collection[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` (PEP 562) of a package whose public names live in other modules.

    Args:
        package: its `__name__`.
        homes: from module to the public names that it defines.

    Returns:
        `__getattr__`, which imports the module, keeps the value in the package and returns it; and `__dir__`.
    """
    module_of = {name: module for module, names in homes.items() for name in names}

    def load(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(module_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        dunders = [name for name in vars(sys.modules[package]) if name.startswith("__")]
        return sorted({*dunders, *module_of})

    return load, names
