"""The errors that a user can fix: each says what was expected, what was given, and what to do.

A library names a parameter in backticks (`cap`, or with its value `cap=0`); `respelled` turns it into a command-line
option or a recipe's key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

_Error = TypeVar("_Error", bound="TropismError")
_PARAMETER = re.compile(r"`([A-Za-z_]\w*)(?:=([^`]*))?`")


class TropismError(ValueError):
    """An error that the user can fix.

    Args:
        problem: the fact, with what was expected and what was given (parameter, value, row).
        remedy: what to do about it, as an imperative sentence.

    Example:
        >>> str(TropismError("`beta` must be positive, got -1.", remedy="Use 0.1, the paper's value."))
        "`beta` must be positive, got -1. Use 0.1, the paper's value."
    """

    exit_status = 2

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy


class DataError(TropismError):
    """Data that cannot be read, or of which nothing can be used."""


class ConfigError(TropismError):
    """A setting, or a combination of settings, that is not valid."""


class ModelError(TropismError):
    """A model or tokenizer that cannot be loaded or does not fit the data."""


class OutputError(TropismError):
    """A file or folder that cannot be written."""

    exit_status = 3


class ReferenceMismatchError(TropismError):
    """A reference that differs from the policy's start state although it should be equal to it."""


class Interrupted(TropismError):  # noqa: N818  (an interruption is not a fault)
    """The user stopped a job; finished work is kept."""

    exit_status = 130


def respelled(error: _Error, spellings: Mapping[str, str]) -> _Error:
    """The same error with its parameters spelled as a user of the command line or of a recipe writes them.

    Args:
        error: names parameters in backticks, alone (`cap`) or with a value (`cap=0`).
        spellings: parameter to option (`--cap`) or to dotted key (`loss.dpo.beta`). Other names stay as they are.

    Returns:
        An error of the same class and attributes. With a value, an option reads `--truth majority` and a key
        `loss.dpo.beta=0.1`; a flag is written without its value, `--ties`.

    Example:
        >>> error = ConfigError("`cap` must be at least 1, got 0.", remedy="Omit it for no cap.")
        >>> str(respelled(error, {"cap": "--cap"}))
        '--cap must be at least 1, got 0. Omit it for no cap.'
        >>> str(respelled(ConfigError("`truth='majority'` has no effect.", remedy="Omit it."), {"truth": "--truth"}))
        '--truth majority has no effect. Omit it.'
    """

    def spell(found: re.Match[str]) -> str:
        name, value = found.groups()
        return found[0] if name not in spellings else _written(spellings[name], value)

    changed = error.__class__.__new__(error.__class__)
    changed.__dict__.update(error.__dict__)
    changed.problem, changed.remedy = (_PARAMETER.sub(spell, text) for text in (error.problem, error.remedy))
    changed.args = (f"{changed.problem} {changed.remedy}",)
    changed.__cause__, changed.__traceback__ = error.__cause__, error.__traceback__
    return changed


def _written(spelling: str, value: str | None) -> str:
    """An option or a key with its value, if it has one."""
    if value is None:
        return spelling
    if not spelling.startswith("--"):
        return f"{spelling}={value}"
    if value in ("True", "False"):
        return spelling if value == "True" else spelling.replace("--", "--no-", 1)
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return f"{spelling} {value[1:-1] if is_quoted else value}"
