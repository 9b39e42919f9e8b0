"""How the command line spells the parameters that library errors name: taken from the commands themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer


def spellings(app: typer.Typer, arguments: Sequence[str]) -> dict[str, str]:
    """The options of the command that was called, by the names of its parameters.

    Args:
        app: the whole command line.
        arguments: everything after `tropism`.

    Returns:
        Parameter to its long option (`min_gap` to `--min-gap`), or to an argument's name in capitals (`FILE`).
    """
    command: Any = typer.main.get_command(app)
    for argument in arguments:
        if argument not in getattr(command, "commands", {}):
            break
        command = command.commands[argument]
    # of a group whose command is found by itself, the options of all its commands
    found = list(getattr(command, "commands", {}).values()) if command.name == "build" else []
    parameters = [parameter for one in (*found, command) for parameter in one.params]
    return {parameter.name: _spelling(parameter) for parameter in parameters}


def _spelling(parameter: Any) -> str:
    """The long option of a parameter; an argument's name in capitals."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper()
    return str(next((option for option in parameter.opts if option.startswith("--")), parameter.opts[0]))
