"""The page of several models: what it says, that it is safe, that it needs nothing, and that nothing in it is empty."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from parsed import Page, words
from synthetic import HOSTILE, full_run
from typer.testing import CliRunner

from tests.report.synthetic_suite import (
    BASE,
    MODELS,
    comparison,
    full_suite,
    suite_records,
    sweep_records,
    trained,
)
from tropism.errors import DataError
from tropism.records import RoundRecord, Rounds, Run, StepLog, SuiteRun, Sweep, SweepRun, write_json
from tropism.reporting.page import render_page, write_report
from tropism.reporting.page_records import PageRecords, gather


@pytest.fixture(scope="module")
def html() -> str:
    return render_page(suite_records())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def text() -> str:
    """The words of a page without hostile texts."""
    return words(Page(render_page(suite_records(hostile=False))).text)


def test_verdict_of_each_model_leads_the_page(text: str) -> None:
    assert (
        "Of 21 measures against pocket: sane is better at 6, worse at 7; over is better at 6, worse at 9; "
        "sft is better at 4, worse at 3." in text
    )
    assert "Better at Answers that are preferred Win rate, ties as half +12.1 [+8.9, +15.3]" in text
    assert "Worse at Where probability went Preferred answers, change in nats −3.1 [−4.1, −2.1]" in text
    assert "Prompt injection: all 4 measures" in text
    assert "2 alarms while over trained: displacement at step 80, kl at step 120." in text
    sections = ("Of 21 measures", "Evidence", "What moved", "Reward and divergence", "How it was made", "Training")
    places = [text.index(section) for section in sections]
    assert places == sorted(places)


def test_every_comparison_has_before_after_difference_p_and_number_of_samples(text: str) -> None:
    one = comparison("preference", "pair_accuracy", "sane")
    assert round(one.difference.value, 3) == 0.182
    assert "1 sane 50.0 % [47.0, 53.0] 68.2 % [65.2, 71.2] +18.2 [+15.8, +20.6] 0.0040 400 better" in text


def test_what_the_models_wrote_is_shown_as_text_and_never_as_markup(html: str, page: Page) -> None:
    assert "<script" not in html.lower()
    assert {"script", "img", "iframe"}.isdisjoint(page.tags)
    assert html.count("</style>") == 1
    for hostile in HOSTILE[:4]:
        assert hostile in page.text
    assert "{{7*7}}" in page.text
    assert "by <i>mood</i>".capitalize() in page.text
    assert "\x00" not in html
    assert 'aria-label="sane' in html


def test_names_of_models_are_escaped_in_labels_too() -> None:
    evil = '"><script>alert(1)</script>'
    suite = full_suite()
    renamed = SuiteRun.model_validate_json(suite.model_dump_json().replace('"over"', json.dumps(evil)))
    runs = (trained("sane"), trained("sft"))
    html = render_page(PageRecords(evil, (renamed,), runs, commands=(evil,), missing=(evil,)))
    assert "<script" not in html.lower()
    page = Page(html)
    assert evil in page.text
    assert any(evil in value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label"))


def test_page_reaches_for_nothing_outside_itself(page: Page, html: str) -> None:
    for tag, name, value in page.attributes:
        assert name not in {"src", "srcset", "action", "background", "data"}, (tag, name)
        if name in {"href", "xlink:href"}:
            assert value.startswith("#") or value == "data:,", (tag, value)
        if name == "style":
            assert not re.search(r"url\((?!#)", value)
        assert not name.startswith("on"), (tag, name)
    policy = [value for tag, name, value in page.attributes if tag == "meta" and name == "content"]
    assert any(value.startswith("default-src 'none'") for value in policy)
    assert len(html.encode()) < 1_000_000


def test_every_id_is_unique_and_every_link_leads_somewhere(page: Page) -> None:
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value[1:] for _, name, value in page.attributes if name == "href" and value.startswith("#")}
    assert links <= set(ids)


def test_figures_have_labels_and_headings_do_not_skip_a_level(page: Page) -> None:
    drawn = [dict(group) for group in by_tag(page, "svg")]
    assert all(one.get("aria-label") or one.get("aria-hidden") or "y" in one for one in drawn)
    assert page.tags.count("caption") == page.tags.count("table")
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def by_tag(page: Page, tag: str) -> list[list[tuple[str, str]]]:
    """Attributes of every element of a tag; elements follow one another, so a name that comes again begins one."""
    groups: list[list[tuple[str, str]]] = []
    for element, name, value in page.attributes:
        if element != tag:
            continue
        if not groups or name in {known for known, _ in groups[-1]}:
            groups.append([])
        groups[-1].append((name, value))
    return groups


def test_heat_maps_show_every_cell_with_its_interval_and_shade(html: str, text: str) -> None:
    assert html.count('class="n shaded"') > 4 * 8 * 3
    assert "n = 20 in every cell" in text
    assert "level that must win" in text
    shades = [int(share) for share in re.findall(r"--shade-share:(\d+)%", html)]
    assert min(shades) >= 0
    assert max(shades) <= 62


def test_frontier_marks_the_models_that_no_other_exceeds(html: str, text: str) -> None:
    assert "Win rate, ties as half against KL: the numbers" in text
    assert html.count('<tr class="best">') == 2 * 3
    assert "Pair accuracy against KL during training" in text


def test_samples_are_the_greatest_gains_and_losses_by_the_judges_score() -> None:
    suite = full_suite(hostile=False)
    changes = sorted(sample.scores["sane"] - sample.scores[BASE] for sample in suite.samples)
    text = words(Page(render_page(suite_records(hostile=False))).text)
    assert f"gained {changes[-1]:.2f}" in text
    assert f"lost {-changes[0]:.2f}" in text
    assert "chosen because they are extreme" in text


def test_comparisons_that_moved_most_are_shown(text: str) -> None:
    pair = max(full_suite(hostile=False).pairs, key=lambda pair: pair.winner_change["over"])
    assert f"gained {pair.winner_change['over']:.1f} nats" in text


def test_a_sweep_says_which_run_is_highest_and_which_failed() -> None:
    page = Page(render_page(sweep_records()))
    text = words(page.text)
    assert "Of 8 models against pocket, 8 got better at something and 8 got worse at something" in text
    assert "beta-0.08 has the highest win rate, ties as half: 57.8 % [53.8, 61.8] (478 won, 200 tied, 322 lost)" in text
    assert "beta-9 failed: out of <memory>" in text
    assert "loss.dpo.beta" in text


def test_no_section_is_empty_if_there_is_next_to_nothing() -> None:
    suite = full_suite().model_copy(update={"results": [], "comparisons": [], "samples": [], "pairs": []})
    bare = trained("sane").run.model_copy(update={"stages": [], "evaluation": None, "cards": [], "environment": {}})
    for records in (
        PageRecords("nothing", (suite.model_copy(update={"settings": {}, "environment": {}}),), ()),
        PageRecords("runs", (), tuple(replace(trained(name), run=bare, logs={}) for name in MODELS)),
    ):
        page = Page(render_page(records))
        text = words(page.text)
        assert {"figure", "article"}.isdisjoint(page.tags)
        for title in ("What moved", "Reward and divergence", "Answers", "Better at", "Last stage of every run"):
            assert title not in text
        assert "no verdict is possible" in text


def test_a_single_comparison_of_one_model_makes_a_page() -> None:
    suite = full_suite(hostile=False)
    only = comparison("win_rate", "rate", "sane")
    models = [model for model in suite.models if model.name in (BASE, "sane")]
    results = [one for one in suite.results if one.eval == "win_rate" and one.model in (BASE, "sane")]
    bare = suite.model_copy(update={"models": models, "results": results, "comparisons": [only], "samples": []})
    text = words(Page(render_page(PageRecords(bare.title, (bare,), ()))).text)
    assert "preferred to its start’s: a win rate, ties as half, of 62 % [58, 66] on 400 held-out prompts." in text
    assert "Of 1 measure with a direction, 1 got better" in text
    assert "Training" not in text


def test_equal_records_make_equal_bytes(html: str) -> None:
    assert render_page(suite_records()) == html


def write_run(folder: Path, run: Run) -> Path:
    """A run's folder with its record and a short log."""
    write_json(run, folder / "run.json")
    log = folder / run.stages[-1].log
    log.parent.mkdir(parents=True, exist_ok=True)
    lines = [StepLog(step=step, values={"loss": 0.69 - 0.01 * step}) for step in range(1, 4)]
    log.write_text("".join(json.dumps({"step": line.step, **line.values}) + "\n" for line in lines))
    return folder


def test_an_evaluation_finds_the_runs_of_its_models_and_says_which_are_gone(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "sane", full_run(hostile=False))
    suite = full_suite(hostile=False)
    models = [
        model.model_copy(update={"run": f"{tmp_path}/runs/{model.name}"}) if model.name in MODELS else model
        for model in suite.models
    ]
    write_json(suite.model_copy(update={"models": models}), tmp_path / "eval" / "eval.json")
    records = gather([tmp_path / "eval"])
    assert [run.name for run in records.runs] == ["sane"]
    assert [sentence.partition("\u2019")[0] for sentence in records.missing] == [
        "The record of over",
        "The record of sft",
    ]
    page = write_report([tmp_path / "eval"])
    assert page == tmp_path / "eval" / "report.html"
    assert "was not found in" in Page(page.read_text(encoding="utf-8")).text


def test_runs_of_one_name_are_told_apart_and_a_run_given_twice_counts_once(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name / "run", full_run()) for name in ("a", "b")]
    records = gather([*folders, folders[0]])
    assert [run.name for run in records.runs] == ["run", "b/run"]
    target = write_report(folders, tmp_path / "out" / "both.html")
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_every_round_is_a_model_of_the_page(tmp_path: Path) -> None:
    run = full_run(hostile=False)
    for number in (1, 2):
        write_run(tmp_path / f"round-{number}" / "run", run)
    rounds = Rounds(
        title="t", command="tropism train --rounds 2", recipe={},
        rounds=[
            RoundRecord(number=number, start_model="a", groups="g", run=f"round-{number}/run", model="m",
                        card=run.cards[0])
            for number in (1, 2)
        ],
    )  # fmt: skip
    write_json(rounds, tmp_path / "rounds.json")
    assert [one.name for one in gather([tmp_path]).runs] == ["round 1", "round 2"]


def test_a_base_that_runs_share_has_one_name_and_another_base_has_its_own(tmp_path: Path) -> None:
    run = full_run(hostile=False)
    assert run.evaluation is not None
    models = [one.model_copy(update={"fingerprint": "other"}) for one in run.evaluation.models]
    other = run.model_copy(update={"evaluation": run.evaluation.model_copy(update={"models": models})})
    folders = [write_run(tmp_path / name, one) for name, one in (("x", run), ("y", run), ("z", other))]
    records = gather(folders)
    assert [(suite.base, suite.others) for suite in records.suites] == [
        ("pocket", ["x"]),
        ("pocket", ["y"]),
        ("start of z", ["z"]),
    ]
    assert "against where each run started" in words(Page(render_page(records)).text).lower()


def test_two_evaluations_and_empty_folders_are_errors_for_people(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_json(full_suite(), tmp_path / name / "eval.json")
    with pytest.raises(DataError, match="`paths` must hold at most one evaluation, got 2"):
        gather([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(DataError, match="holds no finished run"):
        gather([tmp_path])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "sweep.json").write_text('{"kind": "tropism.sweep"}')
    with pytest.raises(DataError, match="not a record of this version"):
        gather([tmp_path / "c"])


def test_command_writes_one_page_of_several(tmp_path: Path) -> None:
    import typer

    from tropism.cli.report import report

    app = typer.Typer()
    app.command()(report)
    folders = [str(write_run(tmp_path / name, full_run())) for name in ("a", "b")]
    target = tmp_path / "both.html"
    result = CliRunner().invoke(app, [*folders, "-o", str(target), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1]) == {"report": str(target)}
    assert "a, b" in Page(target.read_text(encoding="utf-8")).text


def test_a_sweeps_folder_gives_its_runs_and_its_failures(tmp_path: Path) -> None:
    write_run(tmp_path / "beta-0.1", full_run(hostile=False))
    runs = [
        SweepRun(name="beta-0.1", folder="beta-0.1", settings={"loss.dpo.beta": 0.1}),
        SweepRun(name="beta-9", folder="beta-9", settings={"loss.dpo.beta": 9}, error="no <memory>"),
    ]
    write_json(Sweep(title="t over beta", command="c", recipe={}, grid={}, runs=runs), tmp_path / "sweep.json")
    records = gather([tmp_path])
    assert [run.name for run in records.runs] == ["beta-0.1"]
    assert "beta-9 failed: no <memory>" in words(Page(render_page(records)).text)
