"""Fills the page's templates, with escaping always on.

Everything a model or a data set wrote is untrusted: the templates escape all of it, and the page forbids its browser
to load anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tropism.report.numbers import inside, size

_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {0x7F: 0x2421}
_CONTROLS |= dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)


def filled(template: str, **values: object) -> str:
    """A template with values put in; a value that it names and is not given is an error of ours.

    Args:
        template: its file's name.
        values: what it names; text among them is escaped, `Markup` is ours.

    Returns:
        HTML that needs no script, no network and no other file.
    """
    style = Markup(_style())  # noqa: S704  (our own file)
    return _environment().get_template(template).render(style=style, **values)


def listing(settings: Mapping[str, Any]) -> str:
    """Settings as YAML, in their own order."""
    if not settings:
        return "(empty)"
    return yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, width=100).rstrip("\n")


def visible(value: object) -> object:
    """Text with control characters and half characters replaced by signs that can be shown; all else as it is."""
    return value.translate(_CONTROLS) if type(value) is str else value


@cache
def _environment() -> Environment:
    """Where templates come from."""
    environment = Environment(
        loader=PackageLoader("tropism", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"size": size, "inside": inside}
    return environment


@cache
def _style() -> str:
    """The page's style sheet."""
    return resources.files("tropism.report").joinpath("style.css").read_text(encoding="utf-8")
