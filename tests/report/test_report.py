"""The page of a single run: what it says, that it is safe, and that it needs nothing."""

from __future__ import annotations

import itertools
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from parsed import Page, words
from synthetic import HOSTILE, account, dpo_log, evaluation, full_run, page_records
from typer.testing import CliRunner

from tropism.errors import DataError
from tropism.records import StepLog, SuiteSample, write_json
from tropism.reporting.figures.curves import MOST_POINTS, series
from tropism.reporting.figures.plots import margin_histogram
from tropism.reporting.model_styles import styles_of
from tropism.reporting.page import render_page, write_report
from tropism.reporting.sections.accounts import account_table
from tropism.reporting.sections.configuration import listing
from tropism.reporting.sections.costs import cost_parts, cost_total
from tropism.reporting.summary import summary_lines

STYLE = styles_of(["a"])["a"]


@pytest.fixture(scope="module")
def html() -> str:
    return render_page(page_records())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_model_output_is_shown_as_text_and_never_as_markup(html: str, page: Page) -> None:
    assert "<script" not in html.lower()
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert html.count("</style>") == 1
    for text in HOSTILE[:4]:
        assert text in page.text
    assert "\u202e" not in html
    assert HOSTILE[4].translate({0x202E: 0xFFFD, 0x202C: 0xFFFD}) in page.text
    assert "{{7*7}}" in page.text
    assert HOSTILE[6] in page.text
    assert "\x00" not in html
    assert "\u2400" in page.text


def test_page_reaches_for_nothing_outside_itself(page: Page, html: str) -> None:
    for tag, name, value in page.attributes:
        assert name not in {"src", "srcset", "action", "background", "data"}, (tag, name)
        if name in {"href", "xlink:href"}:
            assert value.startswith("#") or value == "data:,", (tag, value)
        if name == "style":
            assert not re.search(r"url\((?!#)", value)
        assert not name.startswith("on"), (tag, name)
    assert "@import" not in html
    assert "url(" not in html[html.index("<style>") : html.index("</style>")]
    policy = [value for tag, name, value in page.attributes if tag == "meta" and name == "content"]
    assert any(value.startswith("default-src 'none'") for value in policy)


def test_every_id_is_unique_and_every_link_inside_the_page_leads_somewhere(page: Page) -> None:
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value[1:] for _, name, value in page.attributes if name == "href" and value.startswith("#")}
    assert "alarms" in ids
    links |= {found for _, _, value in page.attributes for found in re.findall(r"url\(#([^)]+)\)", value)}
    assert links <= set(ids)


def test_figures_have_labels_and_follow_the_theme(html: str, page: Page) -> None:
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) >= 18
    assert all(labels)
    drawn = re.findall(r"<svg[^>]*>", html)
    assert all('aria-label="' in one or "aria-hidden" in one or ' y="' in one for one in drawn)
    drawings = " ".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawings)) == set()
    assert "var(--m1)" in drawings
    assert "DejaVu" not in drawings
    panels = html.count('<figure class="panel">') - html.count("Margins on held-out pairs")
    assert html.count("How to read this:") >= panels


def test_tables_have_captions_and_headings_do_not_skip_a_level(page: Page) -> None:
    assert page.tags.count("caption") == page.tags.count("table")
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_numbers_come_with_intervals_and_unknown_metrics_are_shown(page: Page) -> None:
    text = words(page.text)
    assert (
        "Win rate, ties as half 50.0 % 70.5 % [63.0, 78.0] +20.5 [+13.0, +28.0] 57 won, 27 tied, 16 lost better" in text
    )
    assert "14.2 [13.7, 14.7] 16.9 [16.3, 17.5] +2.7 [+1.9, +3.5] < 0.0001 1,624 worse" in text
    assert "Refusal rate" in text
    assert "0.031 [0.019, 0.043]" in text
    assert "The winner is longer 58.1 % [56.7, 59.5] 7,311" in text
    assert "26 % below zero" in text
    assert "mean 2.27 · median 2.00 · most 41.0 · share of the top 1 % 9.4 %" in text


def test_first_screen_is_verdict_then_few_measures_and_everything_else_is_folded(html: str) -> None:
    first, _, rest = html.partition("<details")
    assert first.count("<tbody>") == 5
    assert "57 won, 27 tied, 16 lost" in first
    assert "the longer answer reaches 58.1" in first.replace("\u00a0", " ")
    assert "<table" in rest
    assert "open" not in re.findall(r"<details[^>]*>", html)[0]
    assert html.count("<h2>") == 2


def test_values_are_coloured_by_their_verdict_and_not_by_their_side(html: str) -> None:
    assert re.search(r'class="n after worse" data-name="After">\u22124\.2', html)
    assert re.search(r'class="n after better" data-name="After">70\.5', html)
    assert re.search(r'class="n after changed" data-name="After">\+11\.4', html)


def test_what_was_set_is_listed_and_defaults_fold(html: str) -> None:
    whole = html[html.index('id="configuration"') :]
    chosen, _, defaults = whole.partition("<summary>Defaults</summary>")
    assert "beta: 0.05" in chosen
    assert "layout: forest" not in chosen
    assert "layout: forest" in defaults
    assert "beta: 0.05" not in defaults.partition("</details>")[0]


def test_counts_add_up_to_a_total_line(page: Page) -> None:
    text = words(page.text)
    assert "used 17,120 85.6 % dropped: deleted comment 2,110 10.6 % row 14, row 92, row 101" in text
    assert "read, in total 20,000" in text
    table = account_table(account(), "")
    assert sum(int(line.num_rows.replace(",", "")) for line in table.lines) == int(table.total.replace(",", ""))
    assert "3,218 groups · 9,402 responses · 7,311 edges · 0 labels · 214 ties" in text


def test_cost_adds_up(page: Page) -> None:
    text = words(page.text)
    assert "sft 160 3 min 4 s 2,114,802 2,070,113 1.02 812,330" in text
    assert "Everything else (loading, evaluation) 1 min 3 s" in text
    assert "Whole run 760 7 min 12 s 4,229,604 4,140,226 1.02 1,624,660 3.2 GB" in text


def test_a_resumed_run_took_at_least_as_long_as_its_stages() -> None:
    run = full_run().model_copy(update={"seconds": 245.0})
    assert [line.label for line in cost_parts(run)] == ["sft", "dpo"]
    assert cost_total(run, "all").time == "6 min 8 s"


def test_without_scores_only_the_first_samples_are_shown_and_their_number_is_said() -> None:
    own = [SuiteSample(prompt=f"prompt {i}", answers={"pocket": "a\n  b", "a": f"after {i}"}) for i in range(11)]
    suite = evaluation().model_copy(update={"samples": own})
    text = Page(render_page(page_records(full_run().model_copy(update={"evaluation": suite}), {}))).text
    assert "The first 8 of the 11 prompts" in text
    assert "after 7" in text
    assert "after 8" not in text
    assert "a\n  b" in text


def test_report_of_a_run_with_next_to_nothing() -> None:
    bare = full_run(hostile=False).model_copy(update={"evaluation": None, "cards": [], "environment": {}, "recipe": {}})
    for logs in ({}, {"dpo": dpo_log(1)}, {"dpo": [StepLog(step=1, values={"loss": math.nan, "margin": math.inf})]}):
        page = Page(render_page(page_records(bare, logs)))
        assert "Nothing was measured on held-out data" in page.text
        assert ("svg" in page.tags) == (logs.get("dpo") == dpo_log(1))
    empty = bare.model_copy(update={"stages": []})
    assert "0 steps" in Page(render_page(page_records(empty, {}))).text


@pytest.mark.parametrize("margins", [[0.0], [0.0] * 5, [-3.0], [1e-9, 2e-9], [1e6, -1e6], [math.nan, 2.0]])
def test_histogram_of_odd_margins(margins: list[float]) -> None:
    assert margin_histogram(margins, STYLE, name="x") is not None


def test_histogram_without_margins_is_omitted() -> None:
    assert margin_histogram([], STYLE, name="x") is None
    assert margin_histogram([math.nan], STYLE, name="x") is None


def test_a_long_log_is_thinned_to_means() -> None:
    log = [StepLog(step=i, values={"loss": float(i)}) for i in range(1, 10 * MOST_POINTS + 1)]
    line = series(log, "loss")
    assert line is not None
    assert len(line.values) == MOST_POINTS
    assert line.values[0] == line.steps[0] == 5.5
    assert (line.first, line.last) == (1.0, 10.0 * MOST_POINTS)


def test_equal_runs_make_equal_bytes_of_modest_size(html: str) -> None:
    assert render_page(page_records()) == html
    assert len(html.encode()) < 300_000


def test_recipe_is_listed_in_its_own_order() -> None:
    assert listing({"model": "m", "loss": {"dpo": {"beta": 0.1}}, "lora": None}) == (
        "model: m\nloss:\n  dpo:\n    beta: 0.1\nlora: null"
    )


def write_run(folder: Path) -> None:
    run = full_run()
    write_json(run, folder / "run.json")
    for stage in run.stages[1:]:
        path = folder / stage.log
        path.parent.mkdir()
        path.write_text("".join(json.dumps({"step": s.step} | s.values) + "\n" for s in dpo_log(5)))


def test_write_report_reads_the_folder_and_survives_a_missing_log(tmp_path: Path) -> None:
    write_run(tmp_path)
    path = write_report(tmp_path)
    assert path == tmp_path / "report.html"
    text = Page(path.read_text(encoding="utf-8")).text
    assert "This stage left no log" in text
    assert "Stage 2: dpo" in text


def test_terminal_ends_with_the_verdict_and_the_measures_of_the_first_screen(tmp_path: Path) -> None:
    write_json(full_run(hostile=False), tmp_path / "run.json")
    lines = summary_lines([tmp_path])
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 11
    assert words(" ".join(lines[:2])).startswith("The tuned model’s answers are preferred to its start’s: 57 won")
    assert words(lines[4]) == "Win rate, ties as half 50.0 % 70.5 % +20.5 [+13.0, +28.0] better"
    assert words(lines[6]) == "on the same pairs, the longer answer reaches 58.1 % [56.1, 60.1]"
    assert lines[-1] == "Of 7 measures with a direction, 3 got better, 3 got worse and 1 is unclear."


def test_write_report_of_no_run_is_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no finished run"):
        write_report(tmp_path)


def test_command_prints_its_path_and_one_json_line(tmp_path: Path) -> None:
    import typer

    from tropism.cli.report import report

    app = typer.Typer()
    app.command()(report)
    write_run(tmp_path)
    result = CliRunner().invoke(app, [str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1]) == {"report": str(tmp_path / "report.html")}
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert f"Wrote {tmp_path / 'report.html'}" in result.stdout
    assert "Next: python -m webbrowser" in result.stdout


def test_report_imports_no_torch_and_matplotlib_only_to_draw() -> None:
    code = (
        "import sys, tropism.reporting.page\n"
        "assert 'matplotlib' not in sys.modules, 'matplotlib is imported early'\n"
        "from synthetic import *\n"
        "tropism.reporting.page.render_page(page_records())\n"
        "bad = {'torch', 'transformers', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
