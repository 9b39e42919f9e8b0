"""Kinds of policy and of reference in recipes: found by name, added by users, with checked settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tropism.errors import ConfigError
from tropism.functions import load_function

Row = TypeVar("Row")


class KindSettings(BaseModel):
    """Keys of a recipe for a kind other than `kind`; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def find_kind(table: Mapping[str, Row], name: str, *, base: type, role: str) -> Row | type:
    """The row of a table by its name, or a user's class by `file.py:Class` or `module:Class`.

    Args:
        table: from kind to row.
        name: as a recipe gives it; the file or module is run as code, so it must be one that the user trusts.
        base: what the user's class must derive from.
        role: `policy` or `reference`, for messages.

    Raises:
        ConfigError: if there is no such kind.
    """
    if name in table:
        return table[name]
    if ":" not in name:
        raise ConfigError(
            f"unknown {role} {name!r}; available: {', '.join(table)}.",
            remedy="Use one of them, or a class of your own as file.py:Class or module:Class.",
        )
    found = load_function(name, role=role, remedy="Check the file and the name of the class.")
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(
            f"the {role} {name!r} must be a class derived from {base.__name__}, got {found!r}.",
            remedy="Name such a class.",
        )
    return found


def require_free(table: Mapping[str, Any], name: str) -> None:
    """Refuse to add a kind by a name that is taken or not an identifier."""
    if not name.isidentifier() or name in table:
        raise ConfigError(
            f"`name` must be an identifier that is not taken, got {name!r}; taken: {', '.join(table)}.",
            remedy="Choose another name.",
        )


def checked_settings(kind: type[BaseModel], settings: Mapping[str, Any], *, what: str) -> Any:
    """The keys of a recipe for a kind, as its settings.

    Args:
        kind: the type of the settings.
        settings: the recipe's keys other than `kind`.
        what: the kind's name, for messages.

    Raises:
        ConfigError: for the first setting that is wrong.
    """
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{what}: {key}: {first['msg'][:1].lower()}{first['msg'][1:]}.",
            remedy=f"Available besides kind: {', '.join(kind.model_fields) or 'nothing'}.",
        ) from None
