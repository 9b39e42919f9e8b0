"""No module imports itself by way of others: neither at its top nor inside a function."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

import tropism

SOURCE = Path(tropism.__file__).parent


def module_name(path: Path) -> str:
    """A file's name as Python imports it."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, package: str, modules: Collection[str]) -> Iterator[str]:
    """Every module that code imports, except for type checkers alone; `from package import module` is the module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*up, *([node.module] if node.module else [])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            yield from names
            if not names.issubset(modules):
                yield base
        else:
            yield from imported(node, package, modules)


def graph() -> dict[str, set[str]]:
    """Every module, and those that it imports. A package is what its `__init__` imports."""
    paths = {module_name(path): path for path in SOURCE.rglob("*.py")}
    found: dict[str, set[str]] = {}
    for name, path in paths.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        names = set(imported(ast.parse(path.read_text(encoding="utf-8")), package, paths.keys()))
        found[name] = {other for other in names if other in paths} - {name}
    return found


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Modules that reach each other, as Tarjan finds them."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(edges[name]):
            if other not in index:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for name in sorted(edges):
        if name not in index:
            visit(name)
    return found


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_no_modules_import_each_other() -> None:
    edges = graph()
    assert "tropism.signals.engines.duck" in edges["tropism.signals.engines.engine"]
    assert "tropism.signals.engines.spark" in edges["tropism.signals.engines.engine"], "imports in functions count"
    assert circles(edges) == []
