"""HTML of forum posts as Markdown, for a model to read: paragraphs, lists, quotes, code, emphasis, links.

Nothing is fetched or run. Scripts and styles are dropped; an image leaves its description; a link keeps its address
only if that is one of the web's or of mail. Text is not escaped: what was written stays as it was written.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tropism.signals.sources.html_tokens import Tag, tokens

LONGEST = 200_000
"""Characters of HTML beyond which a text is refused; Stack Exchange allows 30,000."""

_DEEPEST = 8
_MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*", "s": "~~", "strike": "~~", "del": "~~"}
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_BLOCKS = {"p", "div", "section", "article", "table", "tr", "dl", "dt", "dd", *_HEADINGS}
_UNSEEN = {"script", "style", "template", "head", "title", "noscript", "iframe", "object", "svg"}
_SAFE_LINK = re.compile(r"https?://|mailto:|[/#?]", re.IGNORECASE)
_NO_DESCRIPTION = {"", "enter image description here"}


class TooLongError(ValueError):
    """HTML that is longer than any post."""


def to_markdown(html: str) -> str:
    """Render HTML as Markdown.

    Raises:
        TooLongError: if it has more than `LONGEST` characters.

    Example:
        >>> print(to_markdown('<p>Use <b>fresh</b> <a href="https://a.org/x">beans</a>:</p><ol><li>a<li>b</ol>'))
        Use **fresh** [beans](https://a.org/x):
        <BLANKLINE>
        1. a
        2. b
    """
    if len(html) > LONGEST:
        raise TooLongError
    writer = _Writer()
    for token in tokens(html):
        if isinstance(token, str):
            writer.add_text(token)
        elif token.closes:
            writer.end_tag(token.name)
        else:
            writer.begin_tag(token)
    writer.end_block()
    return writer.text()


class _Container:
    """A quote, a list or an item of one; `mark` is what its first line begins with."""

    def __init__(self, kind: str, mark: str = "") -> None:
        self.kind, self.mark = kind, mark
        self.num_items = 0
        self.is_begun = False

    def prefix(self) -> str:
        """What the next line inside begins with."""
        if self.kind == "blockquote":
            return "> "
        if self.kind != "li":
            return ""
        first, self.is_begun = not self.is_begun, True
        return self.mark if first else self.margin()

    def margin(self) -> str:
        """What every line but the first begins with."""
        return "> " if self.kind == "blockquote" else " " * len(self.mark)


class _Span(NamedTuple):
    """Text inside a tag that is still open: what closes it, and an address if it is a link."""

    tag: str
    address: str
    parts: list[str]


class _Writer:
    """Collects blocks while it is told of tags and text."""

    def __init__(self) -> None:
        self._written: list[str] = []
        self._containers: list[_Container] = []
        self._last: list[_Container] = []
        self._spans = [_Span("", "", [])]
        self._heading = ""
        self._unseen = 0
        self._code: list[str] | None = None

    def text(self) -> str:
        """All blocks."""
        return "".join(self._written)

    def end_block(self) -> None:
        """Write the text since the last block, if there is any."""
        if self._code is not None:
            code, self._code = "".join(self._code).strip("\n"), None
            fence = "`" * max(3, 1 + _longest_run(code))
            self._write([fence, *code.split("\n"), fence])
            return
        while len(self._spans) > 1:
            self._end_span(self._spans[-1].tag)
        lines = [" ".join(line.split()) for line in "".join(self._spans[0].parts).split("\n")]
        self._spans[0].parts.clear()
        if any(lines):
            self._write([self._heading + lines[0], *lines[1:]])
        self._heading = ""

    def begin_tag(self, opened: Tag) -> None:
        """A tag that opens."""
        tag = opened.name
        if tag in _UNSEEN:
            self._unseen += 1
        elif self._code is not None or self._unseen:
            return
        elif tag == "pre":
            self.end_block()
            self._code = []
        elif tag in ("blockquote", "ul", "ol"):
            self.end_block()
            self._open(_Container(tag))
        elif tag == "li":
            self._begin_item()
        elif tag in _BLOCKS:
            self.end_block()
            self._heading = _HEADINGS.get(tag, "")
        else:
            self._inline(tag, opened.attributes)

    def end_tag(self, tag: str) -> None:
        """A tag that closes."""
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif self._unseen or (self._code is not None and tag != "pre"):
            return
        elif tag == "pre" or tag in _BLOCKS:
            self.end_block()
        elif tag in ("blockquote", "ul", "ol", "li"):
            self.end_block()
            self._close(tag)
        elif tag in ("td", "th"):
            self._add(" ")
        else:
            self._end_span(tag)

    def add_text(self, text: str) -> None:
        """Text between tags."""
        if self._unseen:
            return
        if self._code is not None:
            self._code.append(text)
        else:
            self._add(re.sub(r"\s+", " ", text))

    def _inline(self, tag: str, attributes: dict[str, str]) -> None:
        """A tag inside a line of text."""
        if tag == "br":
            self._add("\n")
        elif tag == "hr":
            self.end_block()
            self._write(["---"])
        elif tag == "img":
            description = " ".join(attributes.get("alt", "").split())
            self._add("" if description.lower() in _NO_DESCRIPTION else description)
        elif (tag in _MARKS or tag in ("a", "code")) and len(self._spans) <= _DEEPEST:
            self._spans.append(_Span(tag, _address(attributes.get("href", "")), []))

    def _add(self, text: str) -> None:
        self._spans[-1].parts.append(text)

    def _end_span(self, tag: str) -> None:
        """Close the innermost span of a tag, and what was left open inside it."""
        if tag not in (span.tag for span in self._spans[1:]):
            return
        while True:
            span = self._spans.pop()
            inside = "".join(span.parts)
            core = inside.strip()
            before, after = (" " if inside[:1].isspace() else ""), (" " if inside[-1:].isspace() else "")
            self._add(f"{before}{_marked(span, core)}{after}" if core else before)
            if span.tag == tag:
                return

    def _begin_item(self) -> None:
        """A new item of the innermost list; HTML may leave the end of the last one out."""
        self.end_block()
        self._close("li", inside=("ul", "ol"))
        around = next((one for one in reversed(self._containers) if one.kind in ("ul", "ol")), None)
        if around is None:
            around = _Container("ul")
            self._open(around)
        around.num_items += 1
        self._open(_Container("li", f"{around.num_items}. " if around.kind == "ol" else "- "))

    def _open(self, container: _Container) -> None:
        if len(self._containers) < 2 * _DEEPEST:
            self._containers.append(container)

    def _close(self, kind: str, *, inside: tuple[str, ...] = ()) -> None:
        """Close the innermost container of a kind, and all in it; look no farther out than a kind it is inside of."""
        for place in range(len(self._containers) - 1, -1, -1):
            if self._containers[place].kind == kind:
                del self._containers[place:]
                return
            if self._containers[place].kind in inside:
                return

    def _write(self, lines: list[str]) -> None:
        """Add a block, after an empty line unless it is the next item of a list."""
        if self._written:
            shared = [one for one in self._last if one in self._containers]
            next_item = any(one.kind == "li" and not one.is_begun for one in self._containers)
            tight = next_item and any(one.kind in ("ul", "ol") for one in shared)
            self._written.append("\n" if tight else f"\n{''.join(one.margin() for one in shared).rstrip()}\n")
        self._last = list(self._containers)
        prefixed = ["".join(one.prefix() for one in self._containers) + line for line in lines]
        self._written.append("\n".join(line.rstrip() for line in prefixed))


def _marked(span: _Span, core: str) -> str:
    """The text of a span in its marks."""
    if span.tag == "a":
        return f"[{core}]({span.address})" if span.address and span.address != core else core
    if span.tag == "code":
        ticks = "`" * (1 + _longest_run(core))
        space = " " if core.startswith("`") or core.endswith("`") else ""
        return f"{ticks}{space}{core}{space}{ticks}"
    mark = _MARKS[span.tag]
    return f"{mark}{core}{mark}"


def _address(href: str) -> str:
    """An address that is safe to follow, in characters that end no link; empty for any other."""
    plain = "".join(letter for letter in href if letter.isprintable()).strip()
    if not _SAFE_LINK.match(plain):
        return ""
    return plain.replace(" ", "%20").replace("(", "%28").replace(")", "%29").replace("<", "%3C").replace(">", "%3E")


def _longest_run(text: str) -> int:
    """The most backticks in a row."""
    return max((len(run) for run in re.findall("`+", text)), default=0)
