"""Contents as safe HTML: Markdown is rendered, then sanitized; nothing is loaded and no script runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

from tropism.data.label_choices import ChoiceItem
from tropism.groups import Content, Message
from tropism.label.images import ImageFolder
from tropism.visible import visible_text

LONGEST_MARKDOWN = 50_000
"""Characters; longer texts are shown without rendering."""

TAGS = {
    "p",
    "br",
    "hr",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "blockquote",
    "pre",
    "code",
    "em",
    "strong",
    "s",
    "ul",
    "ol",
}
TAGS |= {"li", "table", "thead", "tbody", "tr", "th", "td", "span"}
ATTRIBUTES = {"span": {"class"}, "ol": {"start"}}


class Turn(NamedTuple):
    """One turn of a dialogue as a page shows it.

    Args:
        role: the speaker, as the data name it.
        html: safe to insert into a page.
    """

    role: str
    html: Markup


def turns_of(content: Content, images: ImageFolder) -> tuple[Turn, ...]:
    """A prompt or an answer as turns; plain text becomes one turn without a role."""
    if isinstance(content, tuple):
        return tuple(Turn(str(turn.get("role") or ""), _parts(turn.get("content"), images)) for turn in content)
    return (Turn("", text_html("" if content is None else str(content))),)


@lru_cache(maxsize=4096)
def text_html(text: str) -> Markup:
    """A text's Markdown as HTML without links, images, scripts or styles.

    Example:
        >>> text_html("**Hi** <script>alert(1)</script>")
        Markup('<p><strong>Hi</strong> &lt;script&gt;alert(1)&lt;/script&gt;</p>\\n')
    """
    shown = visible_text(text)
    if len(shown) > LONGEST_MARKDOWN:
        return Markup('<div class="verbatim">{}</div>').format(shown)
    return Markup(nh3.clean(_markdown().render(shown), tags=TAGS, attributes=ATTRIBUTES))  # noqa: S704  (cleaned)


def missing_images(items: Sequence[ChoiceItem], images: ImageFolder) -> int:
    """The number of images that the items refer to and that cannot be shown."""
    return sum(
        images.key_of(reference) is None
        for item in items
        for content in (item.prompt, *(option.content for option in item.options))
        if isinstance(content, tuple)
        for turn in content
        for reference in _references(turn)
    )


def _references(turn: Message) -> Iterator[str]:
    """The paths of a turn's images."""
    parts = turn.get("content")
    for part in parts if isinstance(parts, list | tuple) else ():
        reference = _reference(part) if isinstance(part, Mapping) else None
        if reference is not None:
            yield reference


def _reference(part: Mapping[str, Any]) -> str | None:
    """The path of an image part, under any of the usual keys; None for another kind of part."""
    if part.get("type") not in ("image", "image_url"):
        return None
    value = next((part[name] for name in ("image", "path", "url", "image_url") if part.get(name)), "")
    return str(value.get("url") or value.get("path") or "") if isinstance(value, Mapping) else str(value)


def _parts(content: object, images: ImageFolder) -> Markup:
    """The content of a turn: text, or parts of text and images."""
    if not isinstance(content, list | tuple):
        return text_html("" if content is None else str(content))
    return Markup("").join(_part(part, images, place) for place, part in enumerate(content, start=1))


def _part(part: object, images: ImageFolder, place: int) -> Markup:
    """One part as HTML; the file name is not shown, because it may name the model that made the image."""
    if not isinstance(part, Mapping):
        return text_html(str(part))
    reference = _reference(part)
    if reference is None:
        return text_html(str(part.get("text") or ""))
    key = images.key_of(reference)
    if key is None:
        return Markup('<p class="no-image">(image not available)</p>')
    return Markup('<img src="/images/{}" alt="Image {}">').format(key, place)


class _Renderer(RendererHTML):
    """Shows links and images as text, so that nothing can be clicked or loaded."""

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """The link's text."""
        return '<span class="link">'

    def link_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """The address after the link's text, unless both are equal."""
        level, start = tokens[idx].level, idx
        while tokens[start].type != "link_open" or tokens[start].level != level:
            start -= 1
        address = str(tokens[start].attrs.get("href", ""))
        words = "".join(token.content for token in tokens[start:idx])
        return "</span>" if words == address else f'</span> <span class="address">({escape(address)})</span>'

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """The image's description as text."""
        return f'<span class="no-image">(image: {escape(tokens[idx].content or "no description")})</span>'


@cache
def _markdown() -> MarkdownIt:
    """CommonMark with tables and strike-through; HTML is shown as text, and a line break is kept."""
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    return parser.enable(["table", "strikethrough"])
