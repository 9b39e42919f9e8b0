"""HTML as a stream of tags and text, in one pass: time grows with its length, whatever it holds.

The standard library's parser takes half a minute for 200,000 characters of opened comments, and trips over a
character reference of 5,000 digits; files of posts come from anywhere.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

_LONGEST_TAG = 4_096
_TAG = re.compile(r"""<(/?)([A-Za-z][A-Za-z0-9-]*)((?:[^<>"']|"[^"]*"|'[^']*')*)>""")
_ATTRIBUTE = re.compile(r"""([A-Za-z][A-Za-z0-9_:-]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_LONG_REFERENCE = re.compile(r"&#[0-9]{8,};?")
_RAW = ("script", "style")


class Tag(NamedTuple):
    """A tag: its name in lower case, whether it closes, and the attributes of one that opens."""

    name: str
    closes: bool
    attributes: dict[str, str]


def tokens(text: str) -> Iterator[Tag | str]:
    """Tags, and the text between them with its character references resolved.

    Comments, declarations and the contents of scripts and styles are left out; one that does not end takes all that
    follows, as it does in browsers. A `<` that begins no tag is text.

    Example:
        >>> list(tokens("1 &lt; 2 <!-- no --><A HREF='x'>"))
        ['1 < 2 ', Tag(name='a', closes=False, attributes={'href': 'x'})]
    """
    place, begun = 0, 0
    while (found := text.find("<", place)) >= 0:
        end, tag = _markup(text, found)
        if end == found:
            place = found + 1
            continue
        if found > begun:
            yield _resolved(text[begun:found])
        if tag is not None:
            yield tag
            if tag.name in _RAW and not tag.closes:
                end = _end_of_raw(text, end, tag.name)
        place = begun = end
    if begun < len(text):
        yield _resolved(text[begun:])


def _markup(text: str, place: int) -> tuple[int, Tag | None]:
    """Where the markup at a `<` ends, and its tag if it is one; the place itself if it is none."""
    if text.startswith("<!--", place):
        return _after(text, "-->", place + 4), None
    if text.startswith(("<!", "<?"), place):
        return _after(text, ">", place + 2), None
    match = _TAG.match(text, place, place + _LONGEST_TAG)
    if match is None:
        return place, None
    slash, name, rest = match.groups()
    attributes = {} if slash else {one[1].lower(): _resolved(one[2] or one[3] or one[4] or "") for one in _pairs(rest)}
    return match.end(), Tag(name.lower(), bool(slash), attributes)


def _pairs(rest: str) -> Iterator[re.Match[str]]:
    """The attributes of a tag; the first of two with one name counts, so they come from last to first."""
    return reversed(list(_ATTRIBUTE.finditer(rest)))


def _after(text: str, mark: str, place: int) -> int:
    """The place after the next mark, or the end."""
    found = text.find(mark, place)
    return len(text) if found < 0 else found + len(mark)


def _end_of_raw(text: str, place: int, name: str) -> int:
    """Where the closing tag of a script or style begins, or the end."""
    match = re.compile(f"</{name}", re.IGNORECASE).search(text, place)
    return match.start() if match else len(text)


def _resolved(text: str) -> str:
    """Text with its character references resolved; a number that is no character becomes the mark for that."""
    return html.unescape(_LONG_REFERENCE.sub("\ufffd", text)) if "&" in text else text
