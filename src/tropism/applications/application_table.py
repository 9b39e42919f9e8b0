"""The table of applications: a new one is a folder and a row."""

from __future__ import annotations

from tropism.applications.application import Application
from tropism.applications.quickstart.forum_application import QUICKSTART
from tropism.errors import ConfigError
from tropism.functions import load_object

APPLICATIONS: dict[str, Application] = {"quickstart": QUICKSTART}
"""Name to application."""


def find_application(name: str) -> Application:
    """An application by its name in the table, or a user's own as `file.py:APP` or `module:APP`, which is run as code.

    Raises:
        ConfigError: if there is no such application.

    Example:
        >>> find_application("quickstart").name
        'quickstart'
    """
    if ":" not in name:
        if name not in APPLICATIONS:
            raise ConfigError(
                f"unknown application {name!r}; available: {', '.join(APPLICATIONS)}.",
                remedy="Use one of them, or file.py:NAME for your own.",
            )
        return APPLICATIONS[name]
    found = load_object(name, role="application", remedy="Check the name.")
    if not isinstance(found, Application):
        raise ConfigError(
            f"the application {name!r} must be an Application, got {type(found).__name__}.", remedy="Check the name."
        )
    return found
