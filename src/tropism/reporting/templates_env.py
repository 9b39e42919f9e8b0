"""Fills the page's template, with escaping always on.

Everything that a model or a data set wrote is untrusted: the template escapes all of it, and the page forbids the
browser to load anything.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tropism.reporting.numbers import counted, inside, size
from tropism.visible import visible_text


def filled(template: str, **values: object) -> str:
    """A template with values filled in; a value that it names and is not given raises an error.

    Args:
        template: its file's name.
        values: what it names; strings are escaped, `Markup` is inserted as it is.

    Returns:
        HTML that needs no script, no network and no other file.
    """
    style = Markup(_style())  # noqa: S704  (our own file)
    return _environment().get_template(template).render(style=style, **values)


def visible(value: object) -> object:
    """A string with control characters replaced by visible signs; anything else as it is."""
    return visible_text(value) if type(value) is str else value


@cache
def _environment() -> Environment:
    """The environment of all templates."""
    environment = Environment(
        loader=PackageLoader("tropism", "reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"size": size, "inside": inside, "counted": counted}
    return environment


@cache
def _style() -> str:
    """The page's style sheet."""
    return resources.files("tropism.reporting").joinpath("style.css").read_text(encoding="utf-8")
