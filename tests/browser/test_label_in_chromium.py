"""The label page driven in a real Chromium."""

import os
import signal
import struct
import threading
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser.conftest import Server, Watched
from tropism.data.group_store import write_groups
from tropism.data.label_choices import read_choice_items
from tropism.groups import PreferenceGroup, Response, content_text

EVIL = (
    "<script>alert('ran')</script><img src=https://evil.example/a.png onerror=alert(1)> "
    "![x](https://evil.example/b.png) ![y](/images/x.png) [run](javascript:alert(2)) "
    "[away](https://evil.example/c) <style>body{display:none}</style><iframe src=https://evil.example></iframe>"
)
SLUGS = (
    "Slugs cross dry, sharp things unwillingly.\n\n1. Put a ring of **grit** or crushed egg shells around each plant.\n"
    "2. Water in the *morning*, so that the soil is dry at night.\n3. Go out with a torch after rain and collect them."
    "\n\nBeer traps work too, but they need to be emptied every day."
)
PELLETS = "Use slug pellets. The [list of the society](https://garden.example/slugs) says which are safe for hedgehogs."
DIALOGUE = (
    {"role": "user", "content": "I have a small garden, and it rains a lot."},
    {"role": "assistant", "content": "Lovely! What would you like to know?"},
    {"role": "user", "content": "How do I keep slugs off my lettuce?"},
)


@pytest.fixture
def thirty(tmp_path: Path) -> None:
    """Thirty pairs, every third one hostile."""
    groups = [
        PreferenceGroup(
            f"g{place}",
            (f"Question {place}?",),
            (
                Response("model-x", f"Yes, number {place}."),
                Response("model-y", f"{EVIL if place % 3 == 0 else 'No'}, number {place}."),
            ),
        )
        for place in range(30)
    ]
    write_groups(groups, tmp_path / "groups.parquet")


@pytest.mark.usefixtures("thirty")
def test_thirty_pairs_by_keyboard_with_an_undo_and_a_reload(
    make_server: Callable[..., Server], watch: Callable[..., Watched]
) -> None:
    server, seen = make_server(), watch()
    seen.enter(server.address, "Ada")
    expected: list[str | None] = []

    def answer(key: str) -> None:
        texts = [one.inner_text() for one in seen.page.locator(".answer").all()]
        expected.append(texts[int(key) - 1] if key in "12" else None)
        seen.press(key, num_answered=len(expected))

    for place in range(12):
        answer("12t1b2"[place % 6])
    seen.press("u", num_answered=11)
    assert "Undone." in seen.page.locator('[role="status"]').inner_text()
    expected.pop()
    shown = seen.page.locator("main").inner_text()
    seen.page.reload()
    assert seen.page.locator(".answers").inner_text() in shown  # it goes on where it was
    for _ in range(19):
        answer("2")
    seen.page.get_by_text("You are done.").wait_for()

    items = {item.item_id: item for item in read_choice_items(server.folder / "choices.sqlite")}
    made = server.choices
    assert len(made) == len(expected) == 30
    assert len({choice.item_id for choice in made}) == 30
    for choice, text in zip(made, expected, strict=True):
        contents = {option.id: content_text(option.content) for option in items[choice.item_id].options}
        if text is None:
            assert choice.winner is None
        else:
            assert choice.winner is not None
            assert contents[choice.winner].rsplit(",", 1)[-1] in text
            assert ("Yes" in text) == (choice.winner == "model-x")
    assert {choice.shown[0] for choice in made} == {"model-x", "model-y"}
    assert all(choice.seconds is not None and 0 <= choice.seconds < 60 for choice in made)
    assert seen.complaints == []


@pytest.mark.usefixtures("thirty")
def test_a_hostile_answer_runs_nothing_and_loads_nothing(
    make_server: Callable[..., Server], watch: Callable[..., Watched]
) -> None:
    server, seen = make_server(), watch()
    seen.enter(server.address, "Ada")
    num_hostile = 0
    for place in range(30):
        num_hostile += "evil.example" in seen.page.locator(".answers").inner_text()
        assert seen.page.locator(".answers").locator("script, img, iframe, style, a").count() == 0
        assert seen.page.locator("body").is_visible()
        seen.press("1", num_answered=place + 1)
    assert num_hostile == 10
    seen.page.wait_for_timeout(300)
    assert [url for url in seen.requests if not url.startswith(f"{server.address}/")] == []
    assert seen.dialogs == seen.complaints == []
    assert seen.page.url == f"{server.address}/"


@pytest.mark.usefixtures("thirty")
def test_a_choice_made_while_the_server_is_away_is_saved_when_it_is_back(
    make_server: Callable[..., Server], watch: Callable[..., Watched]
) -> None:
    server, seen = make_server(), watch()
    seen.enter(server.address, "Ada")
    seen.press("1", num_answered=1)
    server.stop(signal.SIGKILL)
    seen.page.keyboard.press("2")
    seen.page.get_by_text("Not saved yet. Retrying").wait_for()
    server.start()
    seen.page.locator(".progress b", has_text="2").wait_for()
    assert [choice.winner == choice.shown[place] for place, choice in enumerate(server.choices)] == [True, True]


@pytest.mark.usefixtures("thirty")
def test_reasons_are_ticked_by_keys_and_held_keys_count_once(
    make_server: Callable[..., Server], watch: Callable[..., Watched]
) -> None:
    server, seen = make_server("--reasons", "clear,kind"), watch()
    seen.enter(server.address, "Ada")
    seen.page.keyboard.press("w")
    seen.page.keyboard.press("Control+1")
    seen.page.keyboard.down("2")
    for _ in range(5):
        seen.page.keyboard.down("2")  # what a held key sends
    seen.page.keyboard.up("2")
    seen.page.locator(".progress b", has_text="1").wait_for()
    seen.page.wait_for_timeout(200)
    assert [(choice.reasons, choice.winner == choice.shown[1]) for choice in server.choices] == [(("kind",), True)]


@pytest.mark.usefixtures("thirty")
def test_the_page_works_without_scripts_and_shows_where_the_focus_is(
    make_server: Callable[..., Server], watch: Callable[..., Watched]
) -> None:
    server = make_server()
    plain = watch(scripts=False)
    plain.enter(server.address, "Ada")
    plain.page.get_by_role("button", name="Answer 2 is better").click()
    plain.page.get_by_text("Saved.").wait_for()
    plain.page.get_by_role("button", name="Undo").click()
    plain.page.get_by_text("Undone.").wait_for()
    assert server.choices == []
    seen = watch()
    seen.enter(server.address, "Bob")
    names = []
    for _ in range(13):
        seen.page.keyboard.press("Tab")
        focused = seen.page.locator(":focus")
        box = (
            focused.locator("xpath=following-sibling::span") if focused.get_attribute("type") == "checkbox" else focused
        )
        style = box.evaluate("one => getComputedStyle(one).outlineStyle + getComputedStyle(one).outlineWidth")
        names.append(focused.get_attribute("aria-label") or focused.get_attribute("value") or focused.inner_text())
        assert style == "solid3px", names
    assert "Answer 1 is better" in names


@pytest.mark.usefixtures("thirty")
def test_a_link_with_the_token_lets_in_and_without_it_nobody_comes(
    make_server: Callable[..., Server], watch: Callable[..., Watched]
) -> None:
    server = make_server("--token", "annotators-token")
    seen = watch()
    answer = seen.page.goto(server.address)
    assert answer is not None
    assert answer.status == 401
    seen.enter(f"{server.address}/?token=annotators-token", "Ada")
    seen.press("1", num_answered=1)
    assert "annotators-token" not in seen.page.content()
    answer = seen.page.goto(f"{server.address}/results")
    assert answer is not None
    assert answer.status == 401


class EvilSite(BaseHTTPRequestHandler):
    """A page on another origin that posts to ours by itself."""

    target = ""

    def do_GET(self) -> None:
        body = (
            f'<form id="f" method="post" action="{self.target}/name"><input name="name" value="Mallory"></form>'
            "<script>f.submit()</script>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.mark.usefixtures("thirty")
def test_a_form_on_another_site_is_refused(make_server: Callable[..., Server], watch: Callable[..., Watched]) -> None:
    server, seen = make_server(), watch()
    seen.enter(server.address, "Ada")
    EvilSite.target = server.address
    evil = ThreadingHTTPServer(("127.0.0.1", 0), EvilSite)
    thread = threading.Thread(target=evil.serve_forever, daemon=True)
    thread.start()
    try:
        with seen.page.expect_response(f"{server.address}/name") as refused:
            seen.page.goto(f"http://localhost:{evil.server_address[1]}/")
        assert refused.value.status == 403
        seen.page.goto(server.address)
        assert seen.page.locator(".name").inner_text() == "Ada"
    finally:
        evil.shutdown()
        evil.server_close()
        thread.join()


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(colour) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_images_come_from_the_folder_and_show(
    make_server: Callable[..., Server], watch: Callable[..., Watched], tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "model-x.png").write_bytes(png(40, 30, (15, 122, 92)))
    (tmp_path / "images" / "model-y.png").write_bytes(png(40, 30, (150, 60, 20)))
    answers = tuple(
        Response(name, ({"role": "assistant", "content": [{"type": "image", "image": f"{name}.png"}]},))
        for name in ("model-x", "model-y")
    )
    write_groups([PreferenceGroup("g", ("A leaf",), answers)], tmp_path / "groups.parquet")
    server, seen = make_server("--images", "images"), watch()
    seen.enter(server.address, "Ada")
    widths = [one.evaluate("one => one.naturalWidth") for one in seen.page.locator(".answer img").all()]
    assert widths == [40, 40]
    assert "model-" not in seen.page.content()
    assert seen.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_fit_a_desktop_and_a_phone(
    make_server: Callable[..., Server], watch: Callable[..., Watched], tmp_path: Path, theme: str
) -> None:
    """Writes the screenshots of docs/label.md where `TROPISM_SCREENSHOTS` names a folder."""
    answers = (Response("model-x", SLUGS), Response("model-y", PELLETS), Response("model-z", "word" * 200))
    groups = [PreferenceGroup("g0", (DIALOGUE,), answers[:2]), PreferenceGroup("g1", ("w" * 300,), answers)]
    write_groups(groups, tmp_path / "groups.parquet")
    server = make_server("--overlap", "9")
    folder = Path(os.environ.get("TROPISM_SCREENSHOTS", tmp_path))
    for width, height, person in ((1280, 800, "Ada"), (390, 844, "Grace"), (320, 568, "Emmy")):
        seen = watch(width=width, height=height, theme=theme)
        seen.enter(server.address, person)
        for num_skipped in range(1, 5):
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
            if "I have a small garden" in seen.page.content():
                seen.page.locator('.reasons label:has-text("clear")').click()
                seen.page.screenshot(path=folder / f"label-{theme}-{width}.png")
            seen.press("s", num_answered=num_skipped)
        seen.page.get_by_text("You are done.").wait_for()
        seen.page.goto(f"{server.address}/results")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(253, 252, 249)", "dark": "rgb(21, 24, 27)"}[theme]
