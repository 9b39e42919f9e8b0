"""Writes docs/api.txt: every public name with its signature. `--check` fails if the file is out of date.

The public names of a package are those in its `__all__`. A name that appears, disappears or changes its signature shows
up as a change of this file, so no public name changes unnoticed.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import tropism

FILE = Path(__file__).with_name("api.txt")


def public_modules() -> list[str]:
    """`tropism` and every package in it that names public things."""
    found = ["tropism"]
    for module in pkgutil.iter_modules(tropism.__path__, "tropism."):
        if module.name.startswith(("tropism.__", "tropism.cli")):
            continue
        if hasattr(importlib.import_module(module.name), "__all__"):
            found.append(module.name)
    return found


def described(name: str, value: Any) -> str:
    """A public name in one line."""
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, BaseException) else "enum" if issubclass(value, Enum) else "class"
        return f"{kind} {name}{signature_of(value)}"
    if callable(value):
        return f"def {name}{signature_of(value)}"
    if isinstance(value, dict):
        return f"table {name}: {', '.join(map(str, value))}"
    return f"{name}: {type(value).__name__}"


def signature_of(value: Any) -> str:
    """A signature that is the same in every process: sets in order, functions by name and not by address."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return "(...)"
    shown = []
    for parameter in signature.parameters.values():
        default = parameter.default
        if isinstance(default, set | frozenset):
            parameter = parameter.replace(default=_Shown("{" + ", ".join(sorted(map(repr, default))) + "}"))
        shown.append(parameter)
    text = str(signature.replace(parameters=shown))
    return re.sub(r"<function (\S+) at 0x[0-9a-f]+>", r"\1", text)


class _Shown:
    """A default as text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def listing() -> str:
    """The whole file."""
    lines = ["# Public names and their signatures. Written by docs/make_api.py; do not edit."]
    for name in public_modules():
        module = importlib.import_module(name)
        lines += ["", name]
        lines += [f"  {described(one, getattr(module, one))}" for one in sorted(module.__all__) if one[0] != "_"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the file, or check it."""
    text = listing()
    if sys.argv[1:] == ["--check"]:
        if not FILE.exists() or FILE.read_text(encoding="utf-8") != text:
            print("docs/api.txt is out of date: run make docs.")  # noqa: T201
            return 1
        return 0
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
