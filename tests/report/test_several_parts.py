"""The parts of the page of several models, by hand-worked numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from synthetic import estimate
from tropism.report.clouds import MOST_POINTS, Place, clouds_of, span_of, thinned
from tropism.report.dossier import Dossier
from tropism.report.entries import Entry, suite_entries
from tropism.report.evidence import remarks_of
from tropism.report.extremes import pair_groups, sample_groups
from tropism.report.frontier import Point, best_of, run_frontier
from tropism.report.judgement import change_of, doubts_of, headline, highest
from tropism.report.looks import MARKS, NUM_COLOURS, looks_of
from tropism.report.matrices import MATRICES, matrix_groups
from tropism.report.metrics import Metric, Row
from tropism.report.overlay import settings_apart
from tropism.report.strips import Scale, glance_of, panel_of, scale_of
from tropism.report.suite_words import EVALS, MEASURES

from tests.report.synthetic_suite import BASE, comparison, full_dossier, full_suite, result, share, trained
from tropism.records import Estimate, Matrix, SuitePair
from tropism.report.numbers import SPACE

SHARE = Metric("Win rate", "share", "higher", "", 0.5)
COUNT = Metric("Words", "number", "neither", "")


def entry(value: float, half: float = 0.01, *, kind: str = "better", model: str = "a", metric: Metric = SHARE) -> Entry:
    before = estimate(0.5, 0.02)
    gap = estimate(value - 0.5, half)
    return Entry("win_rate", model, Row("rate", metric, before, estimate(value, half), gap, kind), 0.01)


def test_a_verdict_is_the_records_and_unsure_is_no_clear_difference() -> None:
    suite = full_suite()
    moved = comparison("preference", "pair_accuracy", "over")
    doubtful = moved.model_copy(update={"p_adjusted": 0.2})
    entries = suite_entries(suite.model_copy(update={"comparisons": [moved, doubtful], "results": []}))
    assert [one.row.kind for one in entries] == ["better", "unclear"]


def test_measures_without_a_comparison_stand_alone() -> None:
    suite = full_suite()
    entries = suite_entries(suite.model_copy(update={"comparisons": [], "results": [result("drift", BASE)]}))
    assert {one.row.kind for one in entries} == {"note"}
    assert {one.model for one in entries} == {BASE}


def test_a_change_of_a_share_is_in_points() -> None:
    change = change_of(entry(0.762, 0.041))
    assert (change.value, change.interval) == ("+26.2", "[+22.1, +30.3]")


def test_an_eval_of_which_all_is_unsure_is_named_once() -> None:
    both = [entry(0.51, kind="unclear"), entry(0.9, kind="better")]
    assert [(doubt.labels, doubt.is_all) for doubt in doubts_of(both)] == [(["Win rate"], False)]
    assert [doubt.is_all for doubt in doubts_of(both[:1])] == [True]


def test_headline_of_many_names_the_highest() -> None:
    entries = [entry(0.5 + 0.05 * place, model=f"m{place}") for place in range(4)]
    assert highest(entries) == f"; the highest win rate measured is m3’s, 65.0{SPACE}% [64.0, 66.0]"
    assert highest([]) == ""


def test_headline_without_any_measure_gives_no_verdict() -> None:
    dossier = Dossier("x", None, (trained("sane"),))
    assert headline([], [], dossier).endswith("no verdict is possible.")


def test_a_strip_places_values_by_its_scale_and_keeps_outsiders_at_the_ends() -> None:
    scale = Scale(0.2, 0.6)
    assert [scale.at(value) for value in (0.2, 0.3, 0.6, 0.9, -1.0)] == ["0.0%", "25.0%", "100.0%", "100.0%", "0.0%"]


def test_a_scale_holds_all_intervals_and_a_share_stays_within_one() -> None:
    scale = scale_of([share(0.02, 50), share(0.98, 50)], SHARE)
    assert scale is not None
    assert (scale.low, scale.high) == (0.0, 1.0)
    assert scale_of([Estimate(value=math.nan, low=math.nan, high=math.nan, n=0)], COUNT) is None
    flat = scale_of([Estimate(value=3, low=3, high=3, n=1)], COUNT)
    assert flat is not None
    assert flat.low < 3 < flat.high


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_strip_of_numbers_that_are_not_finite_is_drawn_without_them(bad: float) -> None:
    looks = looks_of(["a"], base=BASE)
    odd = Row("rate", SHARE, None, Estimate(value=0.5, low=bad, high=bad, n=3), None, "unclear")
    panel = panel_of([Entry("win_rate", "a", odd)], looks)
    assert panel is not None
    assert "nan" not in panel.strips[0].drawing.split("aria-label")[0]
    assert 'class="interval' not in panel.strips[0].drawing


def test_measures_that_stood_still_are_counted_and_not_drawn() -> None:
    looks = looks_of(["a"], base=BASE)
    glance = glance_of([entry(0.5, kind="unclear")], looks)
    assert (glance.judged, glance.others, glance.num_still) == ([], [], 1)
    assert len(glance_of([entry(0.8)], looks).judged) == 1


def test_the_frontier_leaves_out_whoever_is_beaten_at_less_divergence() -> None:
    points = [Point(None, estimate(kl, 0), estimate(reward, 0)) for kl, reward in ((5, 0.7), (1, 0.6), (3, 0.55))]
    assert [point.kl.value for point in best_of(points)] == [1, 5]


def test_a_frontier_over_checkpoints_needs_three() -> None:
    probes = trained("over").run.stages[-1].probes
    assert run_frontier(probes[:2], None, name="x") is None
    found = run_frontier(probes, 40, name="x")
    assert found is not None
    assert [line.step for line in found.lines if line.is_best] == ["40"]


def test_tables_whose_cells_are_all_alike_become_a_sentence() -> None:
    same = Matrix(name="attack success rate", row_title="attack", column_title="position", rows=["a", "b"],
                  columns=["start", "end"], cells=[[share(0.0, 20)] * 2] * 2)  # fmt: skip
    results = [result("injection", name).model_copy(update={"matrices": [same]}) for name in (BASE, "sane")]
    (group,) = matrix_groups(results, looks_of([BASE, "sane"], base=BASE), base=BASE)
    assert group.views == []
    assert group.alike.replace(SPACE, " ") == "0 % [0, 6], n = 20, in each of the 8 cells of 2 models."


def test_tables_of_one_column_stand_side_by_side_as_one() -> None:
    one = Matrix(name="mood", row_title="mood", column_title="", rows=["glad"], columns=["x"], cells=[[share(0.2, 9)]])
    other = one.model_copy(update={"cells": [[share(0.4, 9)]]})
    results = [
        result("my_eval", name).model_copy(update={"matrices": [matrix]})
        for name, matrix in (("sane", one), ("over", other))
    ]
    (group,) = matrix_groups(results, looks_of([BASE, "sane", "over"], base=BASE), base=BASE)
    assert [view.columns for view in group.views] == [["sane", "over"]]
    assert [cell.value for cell in group.views[0].rows[0].cells] == ["0.20", "0.4"]


def test_columns_and_rows_without_any_estimate_are_left_out() -> None:
    (group,) = matrix_groups([result("hierarchy", "sane")], looks_of(["sane"], base=BASE), base=BASE)
    (view,) = group.views
    assert view.columns == ["L1 developer", "L2 user settings", "L3 user", "L4 data"]
    assert [row.name for row in view.rows] == ["L0 platform", "L1 developer", "L2 user settings", "L3 user"]


def test_what_is_said_of_every_model_is_said_once() -> None:
    results = [result("preference", name) for name in (BASE, "sane")]
    assert [remark.models for remark in remarks_of(results)] == [()]
    assert [remark.models for remark in remarks_of([result("injection", "over"), result("injection", "sft")])] == [
        ("over",)
    ]


def test_clouds_are_thinned_and_without_numbers_left_out() -> None:
    places = [Place(float(i), 0.0) for i in range(3 * MOST_POINTS + 1)]
    assert len(thinned(places)) <= MOST_POINTS
    assert thinned(places[:5]) == places[:5]
    span = span_of([-1.0, 1.0])
    assert span is not None
    assert (round(span.low, 2), round(span.high, 2)) == (-1.12, 1.12)
    looks = looks_of(["sane"], base=BASE)
    empty = result("displacement", "sane").model_copy(
        update={"series": {"winner_change": [math.nan], "loser_change": [0.0], "margin": []}}
    )
    assert clouds_of([empty], looks, name="x") == []


def test_samples_without_scores_are_the_first_ones_and_say_so() -> None:
    suite = full_suite(hostile=False)
    bare = suite.model_copy(update={"samples": [one.model_copy(update={"scores": {}}) for one in suite.samples]})
    looks = looks_of([model.name for model in suite.models], base=BASE)
    (group,) = sample_groups(bare, looks)
    assert group.look is None
    assert "The first 6 of 12 prompts" in group.note
    assert [len(sample.answers) for sample in group.samples] == [4] * 6
    assert sample_groups(suite.model_copy(update={"samples": []}), looks) == []


def test_pairs_are_gains_then_losses_of_each_model() -> None:
    pairs = [
        SuitePair(prompt=str(gain), winner="w", loser="l", winner_change={"a": gain}, loser_change={"a": -1.0})
        for gain in (1.0, -5.0, 3.0, -0.5, 2.0)
    ]
    suite = full_suite().model_copy(update={"pairs": pairs})
    (group,) = pair_groups(suite, looks_of(["a"], base=BASE))
    assert [pair.prompt for pair in group.pairs] == ["3.0", "2.0", "1.0", "-5.0", "-0.5"]
    assert [pair.is_gain for pair in group.pairs] == [True] * 3 + [False] * 2


def test_settings_that_all_runs_share_are_not_listed() -> None:
    runs = [trained("sane", hostile=False), trained("over", hostile=False)]
    assert [(one.key, one.values) for one in settings_apart(runs)] == [("loss.dpo.beta", ["0.3", "0.01"])]
    assert settings_apart([runs[0], replace(runs[0], name="again")]) == []


def test_looks_repeat_only_after_thirty_models() -> None:
    looks = looks_of([str(number) for number in range(30)])
    assert len({(look.colour, look.mark) for look in looks.values()}) == NUM_COLOURS * len(MARKS) == 30


def test_every_table_and_measure_in_words_belongs_to_an_eval_that_is_known() -> None:
    from tropism.evals.eval_table import EVALS as KNOWN

    assert set(EVALS) == set(KNOWN)
    assert {name.partition(".")[0] for name in (*MEASURES, *MATRICES)} <= set(KNOWN)
    for name, row in KNOWN.items():
        for metric in (*row.measures, *row.statistics):
            assert f"{name}.{metric}" in MEASURES, f"{name}.{metric} has no words"


def test_names_of_runs_in_a_dossier_differ() -> None:
    run = trained("sane")
    with pytest.raises(AssertionError, match="two runs have one name"):
        Dossier("x", None, (run, run))
    assert full_dossier().run_named("over") is not None
