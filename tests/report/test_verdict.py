"""The verdict's sentences, by numbers worked by hand."""

from __future__ import annotations

import math

from parsed import words
from synthetic import METRICS, estimate, evaluation, full_run, page_records

from tropism.records import Estimate
from tropism.reporting.measured_changes import changes_of, tally_of
from tropism.reporting.model_styles import styles_of
from tropism.reporting.sections.change_tables import change_line
from tropism.reporting.sections.model_verdicts import model_verdicts
from tropism.reporting.verdict import NOT_MEASURED, counts_in_words, headline, key_changes

Pair = tuple[Estimate | None, Estimate]
HALF = estimate(0.5, 0)
ZERO = estimate(0, 0)


def records_with(metrics: dict[str, Pair] | None):
    suite = None if metrics is None else evaluation(metrics)
    return page_records(full_run().model_copy(update={"evaluation": suite}))


def verdict(metrics: dict[str, Pair] | None) -> str:
    records = records_with(metrics)
    changes = changes_of(records)
    models = styles_of(records.models, bases=records.bases)
    return words(headline(model_verdicts(changes, models, records), changes, records))


def wins(won: int, tied: int, lost: int) -> dict[str, Pair]:
    """The metrics of so many answers."""
    num = won + tied + lost
    return {
        "win_rate.rate": (HALF, estimate((won + tied / 2) / num, 0.07, num)),
        "win_rate.won": (None, estimate(won / num, 0.07, num)),
        "win_rate.ties": (None, estimate(tied / num, 0.07, num)),
        "win_rate.lost": (None, estimate(lost / num, 0.07, num)),
    }


def test_wins_are_told_with_ties_and_losses() -> None:
    assert verdict(METRICS) == (
        "The tuned model’s answers are preferred to its start’s: 57 won, 27 tied, 16 lost on 100 held-out prompts; "
        "answers are 9 words longer."
    )
    assert str(tally_of(changes_of(records_with(wins(57, 27, 16))), "a")) == "57 won, 27 tied, 16 lost"


def test_verdict_of_a_worse_model() -> None:
    metrics = wins(16, 27, 57) | {"drift.words": (estimate(60, 0.5), estimate(58.6, 0.5))}
    assert verdict(metrics) == (
        "The tuned model got worse: against its start’s answers 16 won, 27 tied, 57 lost on 100 held-out prompts; "
        "answers are 1.4 words shorter."
    )


def test_verdict_without_a_clear_difference() -> None:
    metrics = wins(40, 25, 35) | {"drift.words": (estimate(60, 2), estimate(61, 2))}
    assert verdict(metrics) == (
        "No clear difference between the tuned model’s answers and its start’s: 40 won, 25 tied, 35 lost on 100 "
        "held-out prompts; answers are about as long as before."
    )
    undefined = {"win_rate.rate": (HALF, Estimate(value=0.6, low=math.nan, high=0.8, n=99))}
    assert verdict(undefined).startswith("No clear difference")


def test_a_bound_beside_one_half_is_not_rounded_to_it() -> None:
    assert "55.0 % [50.2, 59.8]" in verdict({"preference.pair_accuracy": (HALF, estimate(0.55, 0.048))})


def test_a_pair_accuracy_is_told_with_the_trivial_rule_on_the_same_pairs() -> None:
    accuracy: dict[str, Pair] = {"preference.pair_accuracy": METRICS["preference.pair_accuracy"]}
    longer: dict[str, Pair] = {"preference.rule_longer_answer": (None, estimate(0.581, 0.02, 812))}
    assert verdict(accuracy | longer) == (
        "The tuned model agrees with people on 71 % [68, 74] of 812 held-out pairs; the longer answer reaches "
        "58 %. Its own answers were not judged."
    )
    beaten: dict[str, Pair] = {"preference.rule_longer_answer": (None, estimate(0.754, 0.02, 812))}
    assert "pairs, which a trivial rule matches: the longer answer reaches 75 %." in verdict(accuracy | beaten)
    assert verdict({"preference.pair_accuracy": (HALF, estimate(0.4, 0.02))}).startswith("The tuned model got worse")


def test_a_model_whose_kl_interval_contains_zero_hardly_moved_and_gets_no_verdict_from_signs() -> None:
    metrics: dict[str, Pair] = {
        "preference.pair_accuracy": (HALF, estimate(0.71, 0.05, 167)),
        "drift.kl": (ZERO, Estimate(value=0.0, low=-0.018, high=0.019, n=100)),
    }
    assert verdict(metrics) == (
        "The tuned model hardly moved from its start: its KL is 0.000 [−0.018, 0.019] nats per answer. The signs of "
        "its log-ratios agree with people on 71 % [66, 76] of 167 held-out pairs."
    )
    records = records_with(metrics)
    changes = changes_of(records)
    assert [(one.metric, one.verdict) for one in changes if one.model == "a"] == [
        ("pair_accuracy", "unsure"),
        ("kl", "unsure"),
    ]
    style = styles_of(["a"])["a"]
    assert change_line(changes[0], style, changes).outcome == "the model hardly moved"


def test_verdict_without_a_leading_measure_counts_and_without_any_says_so() -> None:
    half = {"perplexity.preferred": METRICS["perplexity.preferred"]}
    assert verdict(half) == "Of 1 measure with a direction, 0 got better and 1 got worse."
    assert verdict(None) == (
        f"Training ended after 600 steps; the loss was 0.693 at first and 0.413 at last. {NOT_MEASURED}"
    )


def test_first_screen_has_what_training_is_for_then_what_got_worse_then_the_cost() -> None:
    records = records_with(METRICS)
    changes = changes_of(records)
    assert [change.key for change in key_changes(changes, records)] == [
        "win_rate.rate",
        "preference.pair_accuracy",
        "displacement.winner_change",
        "drift.distinct_2",
        "drift.kl",
    ]
    models = styles_of(records.models, bases=records.bases)
    assert counts_in_words(model_verdicts(changes, models, records)) == (
        "Of 7 measures with a direction, 3 got better, 3 got worse and 1 is unclear."
    )


def test_what_got_worse_is_listed_with_numbers() -> None:
    records = records_with(METRICS)
    changes = changes_of(records)
    (found,) = model_verdicts(changes, styles_of(records.models, bases=records.bases), records)
    assert {one.label: words(f"{one.value} {one.interval}") for part in found.worse for one in part.changes} == {
        "Preferred answers, change in nats": "−4.2 [−5.0, −3.4]",
        "Distinct word pairs": "−4.1 [−5.3, −2.9]",
        "Perplexity of preferred answers": "+2.7 [+1.9, +3.5]",
    }
    assert [part.labels for part in found.unsure] == [["On topic"]]
