"""The HTML of the label page: filled templates, and the static files that they load."""

from __future__ import annotations

import hashlib
import uuid
from functools import cache
from importlib import resources
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from tropism.data.label_choices import ChoiceItem
from tropism.label.content import Turn, turns_of
from tropism.label.images import ImageFolder
from tropism.label.label_service import ShownItem
from tropism.label.queue import Progress
from tropism.label.results import Results
from tropism.visible import visible_text

STATIC_TYPES = {
    "label.css": "text/css; charset=utf-8",
    "label.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
REASON_KEYS = "qweryiop"
"""Keys of the reasons; `t`, `b`, `s` and `u` are used for answers."""


class StaticFile(NamedTuple):
    """A file that the pages load."""

    body: bytes
    media_type: str


class AnswerView(NamedTuple):
    """An answer as shown on the page, without its id or origin."""

    place: int
    name: str
    verb: str
    turns: tuple[Turn, ...]


class Reason(NamedTuple):
    """A tag that may be selected, and its key."""

    name: str
    key: str


@cache
def static_file(name: str) -> StaticFile | None:
    """One of the static files; None for any other name."""
    if name not in STATIC_TYPES:
        return None
    body = resources.files("tropism.label").joinpath("static", name).read_bytes()
    return StaticFile(body, STATIC_TYPES[name])


def name_page(*, problem: str = "", given: str = "") -> str:
    """The page that asks for the annotator's name."""
    return _render("name.html.j2", problem=problem, given=given)


def choice_page(
    served: ShownItem, annotator: str, *, images: ImageFolder, reasons: tuple[str, ...], is_owner: bool, note: str = ""
) -> str:
    """The page of one item.

    Args:
        served: the item in the annotator's order.
        annotator: shown on the page, so that no one answers under another's name by mistake.
        images: the folder of images.
        reasons: the tags.
        is_owner: whether to link to the results.
        note: the result of the last action, as a sentence.
    """
    return _render(
        "choice.html.j2",
        item_id=served.item.item_id,
        choice_id=_new_id(),
        undo_id=_new_id(),
        prompt=_prompt_turns(served.item, images),
        answers=_answers(served, images),
        reasons=_keyed(reasons),
        progress=served.progress,
        annotator=annotator,
        is_owner=is_owner,
        note=note,
    )


def done_page(progress: Progress, annotator: str, *, is_owner: bool, note: str = "") -> str:
    """The page for an annotator without items left."""
    return _render(
        "done.html.j2", undo_id=_new_id(), progress=progress, annotator=annotator, is_owner=is_owner, note=note
    )


def results_page(results: Results) -> str:
    """The owner's page with progress and agreement."""
    return _render("results.html.j2", results=results)


def message_page(title: str, sentence: str) -> str:
    """A page with one message."""
    return _render("message.html.j2", title=title, sentence=sentence)


def _new_id() -> str:
    """An id for a choice that a page may submit once."""
    return str(uuid.uuid4())


def _prompt_turns(item: ChoiceItem, images: ImageFolder) -> tuple[Turn, ...]:
    """The prompt's turns; a single user turn is shown without its role."""
    turns = turns_of(item.prompt, images)
    return (Turn("", turns[0].html),) if len(turns) == 1 and turns[0].role == "user" else turns


def _answers(served: ShownItem, images: ImageFolder) -> tuple[AnswerView, ...]:
    """The answers in the order shown; a single turn is shown without its role."""
    is_pair = len(served.options) == 2
    views = []
    for place, option in enumerate(served.options, start=1):
        turns = turns_of(option.content, images)
        if len(turns) == 1:
            turns = (Turn("", turns[0].html),)
        views.append(AnswerView(place, f"Answer {place}", "is better" if is_pair else "is best", turns))
    return tuple(views)


def _keyed(reasons: tuple[str, ...]) -> tuple[Reason, ...]:
    """The tags with their keys, as far as there are keys."""
    keys = REASON_KEYS.ljust(len(reasons))
    return tuple(Reason(name, key.strip()) for name, key in zip(reasons, keys, strict=False))


def _render(name: str, **values: object) -> str:
    """A filled template."""
    return _environment().get_template(name).render(values)


@cache
def _environment() -> Environment:
    """The template environment: escaping is always on, and a missing name is an error."""
    environment = Environment(
        loader=PackageLoader("tropism.label", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = _asset
    return environment


def _asset(name: str) -> str:
    """The address of a static file, with a hash of its content so that browsers may cache it."""
    file = static_file(name)
    assert file is not None, name
    return f"/static/{name}?v={hashlib.sha256(file.body).hexdigest()[:12]}"


def _visible(value: object) -> object:
    """Text with its control characters made visible; HTML stays unchanged."""
    return visible_text(value) if type(value) is str else value
