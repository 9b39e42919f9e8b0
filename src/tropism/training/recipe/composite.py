"""A formula that chooses a checkpoint: arithmetic over names of metrics, parsed without running any code."""

from __future__ import annotations

import ast
import difflib
import math
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from tropism.errors import ConfigError

OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
LONGEST = 500
"""Most characters of a formula."""


@dataclass(frozen=True)
class Composite:
    """A checked formula; higher is better.

    Args:
        text: as the user wrote it.
        tree: its syntax, of numbers, names and the four operations alone.
        names: what it reads.
    """

    text: str
    tree: ast.expr
    names: frozenset[str]

    def value(self, metrics: Mapping[str, float]) -> float:
        """The formula's value; minus infinity if that is not finite.

        Raises:
            ConfigError: if a name is not measured in this run.
        """
        missing = sorted(self.names - metrics.keys())
        if missing:
            raise ConfigError(
                f"alarms.choose reads {missing[0]!r}, which is not measured in this run.",
                remedy=f"Measured here: {', '.join(sorted(metrics))}.",
            )
        try:
            found = evaluate(self.tree, metrics)
        except (ZeroDivisionError, OverflowError):
            return -math.inf
        return found if math.isfinite(found) else -math.inf


def parse_composite(text: str, *, known: Collection[str]) -> Composite:
    """Read a formula of numbers, names, + - * / and parentheses.

    Args:
        text: such as `pair_accuracy - 0.01 * kl`.
        known: the names that it may read.

    Raises:
        ConfigError: for anything else, and for unknown names, naming the nearest.

    Example:
        >>> formula = parse_composite("pair_accuracy - 0.5 * (kl + 1)", known=["pair_accuracy", "kl"])
        >>> formula.value({"pair_accuracy": 2.0, "kl": 1.0})
        1.0
    """
    if len(text) > LONGEST:
        raise ConfigError(
            f"alarms.choose must have at most {LONGEST} characters, got {len(text)}.", remedy="Shorten it."
        )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise refused(text, "is not a formula") from None
    names = set()
    for node in walk(tree, text):
        if isinstance(node, ast.Name):
            names.add(node.id)
    for name in sorted(names - set(known)):
        close = difflib.get_close_matches(name, known, n=1)
        did_you_mean = f"Did you mean {close[0]!r}? " if close else ""
        raise ConfigError(
            f"alarms.choose reads {name!r}, which is unknown.", remedy=f"{did_you_mean}Known: {', '.join(known)}."
        )
    return Composite(text, tree, frozenset(names))


def walk(node: ast.expr, text: str) -> list[ast.expr]:
    """The node and all below it; a kind of node that a formula may not hold is an error."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return [node, *walk(node.left, text), *walk(node.right, text)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return [node, *walk(node.operand, text)]
    is_number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
    if not (is_number or isinstance(node, ast.Name)):
        raise refused(text, f"holds {ast.unparse(node)[:60]!r}")
    return [node]


def evaluate(node: ast.expr, values: Mapping[str, float]) -> float:
    """The value of a checked tree."""
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](evaluate(node.left, values), evaluate(node.right, values))
    if isinstance(node, ast.UnaryOp):
        operand = evaluate(node.operand, values)
        return -operand if isinstance(node.op, ast.USub) else operand
    if isinstance(node, ast.Name):
        return values[node.id]
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, int | float)
    return float(node.value)


def refused(text: str, fault: str) -> ConfigError:
    """The error for a text that is not a formula."""
    return ConfigError(
        f"alarms.choose {text[:80]!r} {fault}: it may hold names of metrics, numbers, + - * / and parentheses.",
        remedy='Try "pair_accuracy - 0.01 * kl".',
    )
