"""The verdict's sentences, worked by hand."""

from __future__ import annotations

import math

from parsed import words
from synthetic import METRICS, estimate, full_run
from tropism.report.metrics import difference, rows_of

from tropism.records import Estimate, Evaluation, Run
from tropism.report.verdict import NOT_MEASURED, findings, headline


def run_with(metrics: dict[str, Estimate]) -> Run:
    evaluation = Evaluation(before="a", after="b", metrics=metrics)
    return full_run().model_copy(update={"evaluation": evaluation})


def verdict(metrics: dict[str, Estimate]) -> str:
    return words(headline(run_with(metrics)))


def test_verdict_of_a_better_model() -> None:
    assert verdict(METRICS) == (
        "The tuned model’s answers win 77 % [73, 81] of 400 held-out prompts against the model it started from; "
        "answers are 9 words longer."
    )


def test_verdict_of_a_worse_model() -> None:
    metrics = {
        "win_rate": estimate(0.31, 0.04, 500),
        "words_before": estimate(60, 1),
        "words_after": estimate(58.6, 0.5),
    }
    assert verdict(metrics) == (
        "The tuned model got worse: its answers win only 31 % [27, 35] of 500 held-out prompts against the model it "
        "started from; answers are 1.4 words shorter."
    )


def test_verdict_without_a_clear_difference() -> None:
    metrics = {"win_rate": estimate(0.53, 0.05), "words_before": estimate(60, 2), "words_after": estimate(61, 2)}
    assert verdict(metrics) == (
        "No clear difference: the tuned model’s answers win 53 % [48, 58] of 400 held-out prompts against the model "
        "it started from; answers are about as long as before."
    )
    assert verdict({"win_rate": Estimate(value=1, low=1, high=1, n=3)}).startswith("No clear difference")
    assert verdict({"win_rate": Estimate(value=0.6, low=math.nan, high=0.8, n=99)}).startswith("No clear difference")


def test_a_bound_beside_one_half_is_not_rounded_to_it() -> None:
    assert "55.0 % [50.2, 59.8]" in verdict({"win_rate": estimate(0.55, 0.048)})


def test_verdict_falls_back_to_pairs_then_to_counts_then_to_training() -> None:
    assert verdict({"pair_accuracy": METRICS["pair_accuracy"]}) == (
        "The tuned model sides with people on 71 % [68, 74] of 812 held-out pairs. Its own answers were not compared."
    )
    assert verdict({"pair_accuracy": estimate(0.4, 0.02)}).startswith("The tuned model sides against people")
    assert "coin toss" in verdict({"pair_accuracy": estimate(0.51, 0.02)})
    half = {name: METRICS[name] for name in ("perplexity_before", "perplexity_after")}
    assert verdict(half) == "Of 1 measure, 0 got clearly better and 1 clearly worse; answers were not compared."
    nothing = words(headline(full_run().model_copy(update={"evaluation": None})))
    assert nothing == f"Training ended after 600 steps with a loss of 0.693 at first and 0.413 at last. {NOT_MEASURED}"


def test_what_got_worse_is_listed_with_numbers() -> None:
    found = findings(Evaluation(before="a", after="b", metrics=METRICS))
    worse = {finding.label: words(f"{finding.numbers} {finding.interval}") for finding in found["worse"]}
    assert worse == {
        "Distinct-2": "0.742 → 0.701 change −0.041 [−0.053, −0.029]",
        "Perplexity": "14.2 → 16.9 change +2.7 [+1.9, +3.5]",
        "Log-probability of preferred answers": "−4.2 [−5.0, −3.4]",
    }
    assert [finding.label for finding in found["unclear"]] == ["On topic"]


def test_difference_by_hand() -> None:
    change = difference(Estimate(value=10, low=7, high=14, n=30), Estimate(value=4, low=1, high=8, n=20))
    assert change == Estimate(value=6, low=6 - 5, high=6 + 5, n=20)


def test_before_joins_after_or_the_bare_name_and_nothing_is_lost() -> None:
    one = estimate(0.5, 0.1)
    metrics = dict.fromkeys(
        ("x_before", "x_after", "pair_accuracy", "pair_accuracy_before", "y_before", "z_after"), one
    )
    rows = {row.name: row.before is not None for row in rows_of(metrics)}
    assert rows == {"pair_accuracy": True, "x": True, "y_before": False, "z_after": False}
