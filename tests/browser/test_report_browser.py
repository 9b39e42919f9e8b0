"""The report's pages in a real Chromium: no network, no script, nothing wider than the screen, both themes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.conftest import Watched
from tests.report.synthetic import page_records
from tests.report.synthetic_suite import single_records, suite_records, sweep_records
from tropism.reporting.page import render_page

WIDTHS = (1280, 768, 390)
PAPER = 673
"""Pixels between the margins of A4."""
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every kind of page, with texts that attack."""
    folder = tmp_path_factory.mktemp("report")
    made = {
        "run": render_page(page_records()),
        "alarms": render_page(single_records()),
        "suite": render_page(suite_records()),
        "sweep": render_page(sweep_records()),
    }
    for name, html in made.items():
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["run", "alarms", "suite", "sweep"])
def test_page_is_quiet_self_contained_and_as_wide_as_its_screen(
    pages: dict[str, Path], watch: Callable[..., Watched], *, name: str, width: int, theme: str
) -> None:
    path = pages[name]
    assert path.stat().st_size <= MOST_BYTES
    seen = watch(width=width, theme=theme)
    seen.page.goto(path.as_uri())
    assert seen.requests == [path.as_uri()]
    assert seen.complaints == []
    assert seen.dialogs == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.locator("h1").is_visible()
    assert seen.page.locator("script, iframe, img").count() == 0


def test_page_is_whole_without_scripts(pages: dict[str, Path], watch: Callable[..., Watched]) -> None:
    seen = watch(scripts=False)
    seen.page.goto(pages["suite"].as_uri())
    assert seen.page.get_by_role("heading", name="Evidence").is_visible()
    seen.page.locator("details summary").first.click()
    assert seen.page.locator("details[open] .reading").first.is_visible()


MOST_PIXELS = 3000


@pytest.mark.parametrize("name", ["run", "alarms", "suite", "sweep"])
def test_page_is_short_until_a_section_is_opened(
    pages: dict[str, Path], watch: Callable[..., Watched], name: str
) -> None:
    seen = watch(width=1280)
    seen.page.goto(pages[name].as_uri())
    assert seen.page.evaluate("document.documentElement.scrollHeight") < MOST_PIXELS
    table = seen.page.locator(".key table")
    assert table.bounding_box()["y"] < 400
    assert seen.page.locator("details[open]").count() == 0


def test_link_of_an_alarm_opens_its_section(pages: dict[str, Path], watch: Callable[..., Watched]) -> None:
    seen = watch(width=1280)
    seen.page.goto(pages["alarms"].as_uri())
    seen.page.get_by_role("link", name="What that means").click()
    assert seen.page.locator("#training[open] .alarm").first.is_visible()


def test_text_of_both_themes_stands_out_from_its_ground(pages: dict[str, Path], watch: Callable[..., Watched]) -> None:
    for theme in ("light", "dark"):
        seen = watch(theme=theme)
        seen.page.goto(pages["suite"].as_uri())
        low = seen.page.evaluate(CONTRASTS)
        assert low == [], f"{theme}: {low}"


def test_print_fits_the_paper_and_opens_what_is_folded(pages: dict[str, Path], watch: Callable[..., Watched]) -> None:
    seen = watch()
    seen.page.goto(pages["suite"].as_uri())
    folded = seen.page.locator("details pre").first
    assert not folded.is_visible()
    seen.page.set_viewport_size({"width": PAPER, "height": 1000})
    seen.page.emulate_media(media="print")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= PAPER
    assert folded.evaluate("element => element.getBoundingClientRect().height") > 0


CONTRASTS = """() => {
  const parse = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = colour => {
    const [r, g, b] = colour.map(part => part / 255).map(
      part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(document.documentElement);
  const probe = document.createElement('i');
  document.body.append(probe);
  const colour = name => { probe.style.color = `var(--${name})`; return parse(getComputedStyle(probe).color); };
  const low = [];
  for (const ground of ['paper', 'raised', 'wash', 'warn-wash'])
    for (const text of ['ink', 'muted', 'before', 'better', 'worse', 'm1', 'm2', 'm3', 'm4', 'm5', 'm6']) {
      const [one, two] = [light(colour(ground)), light(colour(text))].sort((a, b) => b - a);
      const contrast = (one + 0.05) / (two + 0.05);
      if (contrast < 4.5) low.push(`${text} on ${ground}: ${contrast.toFixed(2)}`);
    }
  return low;
}"""
"""Pairs of text and ground in the page's palette with a contrast below 4.5, WCAG 2.2's criterion 1.4.3."""
