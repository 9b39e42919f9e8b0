"""What others wrote does nothing on the page."""

import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tropism.data.label_choices import ChoiceItem, Option
from tropism.label.content import LONGEST_MARKDOWN, missing_images, text_html, turns_of
from tropism.label.images import ImageFolder

NO_IMAGES = ImageFolder(None)


class Seen(HTMLParser):
    """The tags and attributes of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://evil.example/i.png)",
        "![x](javascript:alert(1))",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "<javascript:alert(1)>",
        '[x](https://a.example/"onmouseover="alert(1))',
        "<style>body{display:none}</style>",
        "<iframe src=//evil.example></iframe>",
        '```"><script>alert(1)</script>\nx\n```',
        "| <b onclick=alert(1)> |\n|:-:|\n| x |",
        "[a]: https://evil.example 'x'\n\n[a] ![a]",
        "</div></section><form action=/undo>",
    ],
)
def test_nothing_runs_loads_or_leads_away(text: str) -> None:
    seen = Seen()
    seen.feed(str(text_html(text)))
    assert seen.tags <= {"p", "span", "pre", "code", "br", "table", "thead", "tbody", "tr", "th", "td"}
    assert seen.attributes <= {"class"}


def test_markdown_is_shown_and_links_and_images_become_words() -> None:
    assert text_html("**a** and *b*\nnew line") == "<p><strong>a</strong> and <em>b</em><br>\nnew line</p>\n"
    assert text_html("[w](https://a.example/) ![cat](c.png)") == (
        '<p><span class="link">w</span> <span class="address">(https://a.example/)</span> '
        '<span class="no-image">(image: cat)</span></p>\n'
    )
    assert text_html("<https://a.example/>") == '<p><span class="link">https://a.example/</span></p>\n'


def test_control_characters_and_direction_marks_become_visible() -> None:
    assert text_html("a\x00b\x1bc\u202ed\ud800") == "<p>a\u2400b\u241bc\ufffdd\ufffd</p>\n"


def test_a_text_too_long_for_markdown_is_shown_as_it_is() -> None:
    assert text_html("<b>" * LONGEST_MARKDOWN).startswith('<div class="verbatim">&lt;b&gt;')


def test_dialogues_become_turns() -> None:
    turns = turns_of(({"role": "user", "content": "Hi"}, {"role": "assistant", "content": None}), NO_IMAGES)
    assert [(turn.role, str(turn.html)) for turn in turns] == [("user", "<p>Hi</p>\n"), ("assistant", "")]
    assert [turn.role for turn in turns_of("Hi", NO_IMAGES)] == [""]


def image_content(reference: object) -> tuple[dict[str, object], ...]:
    return ({"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": "image", "image": reference}]},)


def test_images_come_from_the_folder_under_names_that_tell_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "model-x").mkdir(parents=True)
    (folder / "model-x" / "1.png").write_bytes(b"png")
    images = ImageFolder(folder)
    (turn,) = turns_of(image_content("model-x/1.png"), images)
    assert "model-x" not in turn.html
    key = turn.html.split("/images/")[1].split('"')[0]
    found = images.find(key)
    assert found is not None
    assert (found.path.name, found.media_type) == ("1.png", "image/png")
    assert images.find("0" * 16) is None
    assert images.key_of(str(folder / "model-x" / "1.png")) is not None


@pytest.mark.parametrize(
    "reference",
    ["../secret.png", "link.png", "missing.png", "page.svg", "https://evil.example/i.png", "x\x00.png", "a" * 5000, ""],
)
def test_nothing_outside_the_folder_is_an_image(tmp_path: Path, reference: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"png")
    (folder / "page.svg").write_text("<svg/>")
    os.symlink(tmp_path / "secret.png", folder / "link.png")
    images = ImageFolder(folder)
    assert images.key_of(reference) is None
    (turn,) = turns_of(image_content(reference), images)
    assert "<img" not in turn.html
    assert "image not available" in turn.html


def test_a_file_that_becomes_a_link_to_elsewhere_is_no_longer_served(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"png")
    (tmp_path / "secret.png").write_bytes(b"secret")
    images = ImageFolder(folder)
    key = images.key_of("a.png")
    assert key is not None
    (folder / "a.png").unlink()
    os.symlink(tmp_path / "secret.png", folder / "a.png")
    assert images.find(key) is None


def test_images_that_cannot_be_shown_are_counted() -> None:
    url = ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a.png"}}]},)
    items = [ChoiceItem("i", "g", url, (Option("x", "yes"), Option("y", image_content("b.png"))))]
    assert missing_images(items, NO_IMAGES) == 2
