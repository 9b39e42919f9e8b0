"""A page as its text, tags and attributes."""

from __future__ import annotations

from html.parser import HTMLParser

from tropism.reporting.numbers import SPACE

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Text, tags and attributes of a page; fails on a tag that is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag in {"td", "th", "span"}:
            self.text += " "

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> is out of order"

    def handle_data(self, data):
        self.text += data


def words(text: str) -> str:
    """Text with every kind of white space made a plain space."""
    return " ".join(text.replace(SPACE, " ").split())
