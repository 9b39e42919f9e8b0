"""The parts of the page, by numbers worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from synthetic import estimate

from tests.report.synthetic_suite import (
    BASE,
    comparison,
    full_suite,
    result,
    share,
    single_records,
    suite_records,
    trained,
)
from tropism.records import Estimate, EvalWords, Matrix, Measure, SuitePair, SuiteRun, TableWords
from tropism.records.confounders import CONFOUNDERS
from tropism.reporting.figures.frontier import FrontierPoint, best_of, checkpoint_points, frontiers_of
from tropism.reporting.figures.scatter_figures import MOST_POINTS, ScatterPoint, range_of, scatter_figures, thinned
from tropism.reporting.figures.small_multiples import Scale, overview_of, panel_of, scale_of
from tropism.reporting.measured_changes import MeasuredChange, changes_of
from tropism.reporting.model_styles import MARKS, NUM_COLOURS, styles_of
from tropism.reporting.numbers import SPACE
from tropism.reporting.page_records import PageRecords
from tropism.reporting.sections.configuration import settings_apart
from tropism.reporting.sections.evidence import remarks_of
from tropism.reporting.sections.matrices import matrix_groups
from tropism.reporting.sections.model_verdicts import change_in_words, unsure_of
from tropism.reporting.sections.notable_prompts import pair_groups, prompt_groups
from tropism.reporting.verdict import headline

SHARE = Measure(label="Win rate", unit="share", better="higher", baseline=0.5)
COUNT = Measure(label="Words")


def change(
    value: float, half: float = 0.01, *, verdict: str = "better", model: str = "a", measure: Measure = SHARE
) -> MeasuredChange:
    gap = estimate(value - 0.5, half)
    return MeasuredChange(
        "win_rate", "rate", model, measure, estimate(0.5, 0.02), estimate(value, half), gap, verdict, 0.01
    )  # fmt: skip


def records_of(suite: SuiteRun) -> PageRecords:
    return PageRecords("x", (suite,), ())


def test_a_verdict_is_the_records_own() -> None:
    moved = comparison("preference", "pair_accuracy", "over")
    doubtful = comparison("preference", "pair_accuracy", "sane").model_copy(update={"p_adjusted": 0.2})
    suite = full_suite().model_copy(update={"comparisons": [moved, doubtful], "results": []})
    assert [one.verdict for one in changes_of(records_of(suite))] == ["better", "unsure"]


def test_measures_without_a_comparison_stand_alone() -> None:
    suite = full_suite().model_copy(update={"comparisons": [], "results": [result("drift", BASE)]})
    changes = changes_of(records_of(suite))
    assert {one.verdict for one in changes} == {"note"}
    assert {one.model for one in changes} == {BASE}


def test_a_change_of_a_share_is_in_points() -> None:
    found = change_in_words(change(0.762, 0.041), [])
    assert (found.value, found.interval) == ("+26.2", "[+22.1, +30.3]")


def test_an_eval_of_which_all_is_unsure_is_named_once() -> None:
    records = records_of(full_suite())
    both = [change(0.51, verdict="unsure"), change(0.9, verdict="better")]
    assert [(part.labels, part.is_all) for part in unsure_of(both, records)] == [(["Win rate"], False)]
    assert [part.is_all for part in unsure_of(both[:1], records)] == [True]


def test_headline_without_any_measure_gives_no_verdict() -> None:
    records = PageRecords("x", (), (trained("sane"), trained("over")))
    assert headline([], [], records).endswith("no verdict is possible.")


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
    models = styles_of(["a"], bases=[BASE])
    odd = Estimate(value=0.5, low=bad, high=bad, n=3)
    panel = panel_of([MeasuredChange("win_rate", "rate", "a", SHARE, None, odd, None, "unsure")], models)
    assert panel is not None
    assert "nan" not in panel.strips[0].drawing.split("aria-label")[0]
    assert 'class="interval' not in panel.strips[0].drawing


def test_measures_that_did_not_move_are_counted_and_not_drawn() -> None:
    models = styles_of(["a"], bases=[BASE])
    overview = overview_of([change(0.5, verdict="unsure")], models)
    assert (overview.judged, overview.others, overview.num_still) == ([], [], 1)
    assert len(overview_of([change(0.8)], models).judged) == 1


def test_the_frontier_omits_points_that_others_exceed_at_less_divergence() -> None:
    style = styles_of(["a"])["a"]
    points = [FrontierPoint(style, estimate(kl, 0), estimate(r, 0)) for kl, r in ((5, 0.7), (1, 0.6), (3, 0.55))]
    assert [point.kl.value for point in best_of(points)] == [1, 5]


def test_a_frontier_over_checkpoints_needs_three_and_marks_the_one_that_was_kept() -> None:
    records = single_records()
    models = styles_of(records.models, bases=records.bases)
    (found,) = frontiers_of([], models, records)
    assert len(found.lines) == 11
    stage = records.runs[0].run.stages[-1]
    points = checkpoint_points(stage.probes, models["over"], 40)
    assert [point.step for point in points if point.is_kept] == [40]
    short = stage.model_copy(update={"probes": stage.probes[:2]})
    run = replace(records.runs[0], run=records.runs[0].run.model_copy(update={"stages": [short]}))
    assert frontiers_of([], models, replace(records, runs=(run,))) == []


def test_tables_whose_cells_are_all_alike_become_a_sentence() -> None:
    same = Matrix(name="attack success rate", row_title="attack", column_title="position", rows=["a", "b"],
                  columns=["start", "end"], cells=[[share(0.0, 20)] * 2] * 2)  # fmt: skip
    results = [result("injection", name).model_copy(update={"matrices": [same]}) for name in (BASE, "sane")]
    (group,) = matrix_groups(results, styles_of([BASE, "sane"], bases=[BASE]), records_of(full_suite()))
    assert group.views == []
    assert group.alike.replace(SPACE, " ") == "0 % [0, 6], n = 20, in each of the 8 cells of 2 models."


def test_a_table_without_words_goes_by_its_own_name_and_one_without_the_base_omits_it() -> None:
    models = styles_of([BASE, "sane"], bases=[BASE])
    suite = full_suite()
    results = [result("injection", name) for name in (BASE, "sane")]
    words = EvalWords(title="x", tables={"attack success rate": TableWords(title="Attacks", with_base=False)})
    (group,) = matrix_groups(results, models, records_of(suite.model_copy(update={"evals": {"injection": words}})))
    assert (group.title, [view.model.name for view in group.views if view.model]) == ("Attacks", ["sane"])
    (group,) = matrix_groups(results, models, records_of(suite.model_copy(update={"evals": {}})))
    assert (group.title, len(group.views)) == ("Attack success rate", 2)


def test_tables_of_one_column_stand_side_by_side_as_one() -> None:
    one = Matrix(name="mood", row_title="mood", column_title="", rows=["glad"], columns=["x"], cells=[[share(0.2, 9)]])
    other = one.model_copy(update={"cells": [[share(0.4, 9)]]})
    results = [
        result("my_eval", name).model_copy(update={"matrices": [matrix]})
        for name, matrix in (("sane", one), ("over", other))
    ]
    (group,) = matrix_groups(results, styles_of([BASE, "sane", "over"], bases=[BASE]), records_of(full_suite()))
    assert [view.columns for view in group.views] == [["sane", "over"]]
    assert [cell.value for cell in group.views[0].rows[0].cells] == ["0.20", "0.4"]


def test_columns_and_rows_without_any_estimate_are_left_out() -> None:
    (group,) = matrix_groups([result("hierarchy", "sane")], styles_of(["sane"], bases=[BASE]), records_of(full_suite()))
    (view,) = group.views
    assert view.columns == ["L1 developer", "L2 user settings", "L3 user", "L4 data"]
    assert [row.name for row in view.rows] == ["L0 platform", "L1 developer", "L2 user settings", "L3 user"]


def test_what_is_said_of_every_model_is_said_once() -> None:
    results = [result("preference", name) for name in (BASE, "sane")]
    assert [remark.models for remark in remarks_of(results, [BASE])] == [()]
    only_one = [result("injection", "over"), result("injection", "sft")]
    assert [remark.models for remark in remarks_of(only_one, [BASE])] == [("over",)]


def test_scatter_plots_are_thinned_and_without_numbers_omitted() -> None:
    places = [ScatterPoint(float(i), 0.0) for i in range(3 * MOST_POINTS + 1)]
    assert len(thinned(places)) <= MOST_POINTS
    assert thinned(places[:5]) == places[:5]
    span = range_of([-1.0, 1.0])
    assert span is not None
    assert (round(span.low, 2), round(span.high, 2)) == (-1.12, 1.12)
    models = styles_of(["sane"], bases=[BASE])
    empty = result("displacement", "sane").model_copy(
        update={"series": {"winner_change": [math.nan], "loser_change": [0.0], "margin": []}}
    )
    assert scatter_figures([empty], models, name="x") == []


def test_samples_without_scores_are_the_first_ones_and_say_so() -> None:
    suite = full_suite(hostile=False)
    bare = suite.model_copy(update={"samples": [one.model_copy(update={"scores": {}}) for one in suite.samples]})
    models = styles_of([model.name for model in suite.models], bases=[BASE])
    (group,) = prompt_groups(records_of(bare), models)
    assert group.model is None
    assert "The first 8 of the 12 prompts" in group.note
    assert [len(prompt.answers) for prompt in group.prompts] == [4] * 8
    assert prompt_groups(records_of(suite.model_copy(update={"samples": []})), models) == []


def test_pairs_are_gains_then_losses_of_each_model() -> None:
    pairs = [
        SuitePair(prompt=str(gain), winner="w", loser="l", winner_change={"a": gain}, loser_change={"a": -1.0})
        for gain in (1.0, -5.0, 3.0, -0.5, 2.0)
    ]
    whole = full_suite()
    models = [whole.models[0], whole.models[1].model_copy(update={"name": "a"})]
    suite = whole.model_copy(update={"pairs": pairs, "models": models})
    (group,) = pair_groups(records_of(suite), styles_of(["a"], bases=[BASE]))
    assert [pair.prompt for pair in group.pairs] == ["3.0", "2.0", "1.0", "-5.0", "-0.5"]
    assert [pair.is_gain for pair in group.pairs] == [True] * 3 + [False] * 2


def test_settings_that_all_runs_share_are_not_listed() -> None:
    runs = [trained("sane", hostile=False), trained("over", hostile=False)]
    assert [(one.key, one.values) for one in settings_apart(runs)] == [("loss.dpo.beta", ["0.3", "0.01"])]
    assert settings_apart([runs[0], replace(runs[0], name="again")]) == []


def test_styles_repeat_only_after_thirty_models() -> None:
    models = styles_of([str(number) for number in range(30)])
    assert len({(model.colour, model.mark) for model in models.values()}) == NUM_COLOURS * len(MARKS) == 30


def test_every_confounder_that_a_card_may_hold_has_words() -> None:
    assert {"chosen_longer", "chosen_first", "bag_of_words_accuracy", "annotator_agreement"} <= set(CONFOUNDERS)


def test_names_of_runs_of_a_page_differ() -> None:
    run = trained("sane")
    with pytest.raises(AssertionError, match="two runs have one name"):
        PageRecords("x", (), (run, run))
    assert suite_records().run_named("over") is not None
