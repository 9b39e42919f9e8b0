"""Writes docs/map.md from the first sentence of every module; with --check it says whether the page is fresh."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

PAGE = Path(__file__).with_name("map.md")
ROOT = PAGE.parent.parent
SOURCE = ROOT / "src" / "tropism"

HEAD = """# Map of the source

Made by `make docs` from the first sentence of each module; `make check` fails when it is stale.

Signals become groups; a policy scores a group's responses; a loss turns the scores into terms; the trainer follows
them; evaluations measure what changed; a report shows it. To follow one run from the command line to the formula, read
`cli/train.py`, then `training/runs/run.py`, `training/loop/trainer.py`, `policies/text.py` and `losses/pairwise.py`.

Packages are listed in the order of their layers: each imports only packages that come later on this page.
"""


def page() -> str:
    """The whole page: the modules at the top, then every package from the command line down to the formulas."""
    parts = [HEAD, "## tropism\n\n" + lines(SOURCE)]
    for name in layers():
        if (SOURCE / name).is_dir():
            folders = [SOURCE / name, *sorted(path for path in (SOURCE / name).rglob("*") if is_package(path))]
            parts += [section(folder) for folder in folders]
    return "\n".join(parts)


def layers() -> list[str]:
    """The packages and modules below `tropism`, in the order that import-linter holds."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    rows = next(one["layers"] for one in tools["importlinter"]["contracts"] if one["type"] == "layers")
    return [name.strip() for row in rows for name in re.split(r"[|:]", row)]


def is_package(path: Path) -> bool:
    """Whether a path is a folder of modules."""
    return (path / "__init__.py").is_file()


def section(folder: Path) -> str:
    """One package: what it is for, and a line for each of its modules."""
    name = folder.relative_to(SOURCE).as_posix()
    level = "##" if "/" not in name else "###"
    return f"{level} {name}/\n\n{first_sentence(folder / '__init__.py')}\n\n{lines(folder)}"


def lines(folder: Path) -> str:
    """A line for each module of one package, by name."""
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    return "".join(f"* `{path.name}`: {first_sentence(path)}\n" for path in modules)


def first_sentence(path: Path) -> str:
    """The first sentence of a module's docstring, in one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        raise SystemExit(f"{path.relative_to(ROOT)} must begin with a docstring.")
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.?!])\s+(?=[A-Z`])", paragraph)[0]


if __name__ == "__main__":
    if "--check" in sys.argv:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
        sys.exit(0 if fresh else "docs/map.md is stale: run `make docs` and commit it.")
    PAGE.write_text(page(), encoding="utf-8")
