"""Every loss, command and option that a remedy names exists."""

import ast
import re
from pathlib import Path

import typer

from tropism.cli import app
from tropism.losses import LOSSES, MIXTURES

SOURCE = Path(__file__).parents[1] / "src" / "tropism"
OTHER_PROGRAMS = {"--nproc-per-node"}


def remedies():
    """Every literal part of a `remedy=` argument, with its file and line."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for given in getattr(node, "keywords", ()) if isinstance(node, ast.Call) else ():
                if given.arg == "remedy":
                    text = " ".join(
                        one.value
                        for one in ast.walk(given.value)
                        if isinstance(one, ast.Constant) and isinstance(one.value, str)
                    )
                    yield f"{path.relative_to(SOURCE)}:{given.value.lineno}", text


def commands_and_options():
    """Names of commands and of their options, at any depth."""
    commands, options, todo = set(), {"--json", "--help", "--version"}, [typer.main.get_command(app)]
    while todo:
        one = todo.pop()
        options |= {option for parameter in one.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for name, child in getattr(one, "commands", {}).items():
            commands.add(name)
            todo.append(child)
    return commands, options


def test_every_name_in_a_remedy_exists():
    commands, options = commands_and_options()
    found = list(remedies())
    assert len(found) > 300
    losses = {*LOSSES, *MIXTURES}
    wrong = []
    for place, text in found:
        wrong += [
            (place, one) for one in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text) if one not in options | OTHER_PROGRAMS
        ]
        wrong += [(place, one) for one in re.findall(r"`tropism ([a-z-]+)", text) if one not in commands]
        named = re.findall(r"\bloss ([a-z]+_?[a-z_]*)\b|\bloss\.([a-z_]+)", text)
        wrong += [(place, one) for pair in named for one in pair if "_" in one and one not in losses]
    assert not wrong
