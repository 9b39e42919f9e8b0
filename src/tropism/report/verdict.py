"""The verdict in plain words: what a run's record allows to be said, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tropism.records import Estimate, Evaluation, Run
from tropism.report.metrics import Kind, Row, difference, kind_of, metric_of, rows_of
from tropism.report.numbers import SPACE, compact, decimals_of, interval_text, plain, value_text

NOT_MEASURED = "Nothing was measured on held-out prompts, so this report cannot say whether the model got better."


class Finding(NamedTuple):
    """One metric that moved, or did not: its name, what it was and is, and the change or the value's interval."""

    label: str
    numbers: str
    interval: str


def headline(run: Run) -> str:
    """The sentence at the top of the page.

    Where the 95 % interval holds "no difference", the sentence says so. Without an evaluation it says only that
    training ran.
    """
    metrics = run.evaluation.metrics if run.evaluation else {}
    if "win_rate" in metrics:
        return _win_sentence(metrics["win_rate"], metrics)
    if "pair_accuracy" in metrics:
        return _accuracy_sentence(metrics["pair_accuracy"])
    if metrics:
        return _count_sentence(rows_of(metrics))
    return _training_sentence(run)


def findings(evaluation: Evaluation | None) -> dict[Kind, list[Finding]]:
    """What got better, what got worse, what moved in no clear way and what merely changed."""
    found: dict[Kind, list[Finding]] = {"better": [], "worse": [], "unclear": [], "changed": []}
    for row in rows_of(evaluation.metrics if evaluation else {}):
        if row.kind in found:
            found[row.kind].append(Finding(row.metric.label, *_numbers(row)))
    return found


def _win_sentence(win_rate: Estimate, metrics: Mapping[str, Estimate]) -> str:
    """Who wins, and what became of the length, which judges mistake for quality."""
    share = _share(win_rate)
    against = f"{share} of {win_rate.n:,} held-out prompts against the model it started from"
    match kind_of(metric_of("win_rate"), win_rate, None):
        case "better":
            sentence = f"The tuned model\u2019s answers win {against}"
        case "worse":
            sentence = f"The tuned model got worse: its answers win only {against}"
        case _:
            sentence = f"No clear difference: the tuned model\u2019s answers win {against}"
    return f"{sentence}{_length_clause(metrics)}."


def _length_clause(metrics: Mapping[str, Estimate]) -> str:
    """How much longer or shorter the answers became."""
    if "words_before" not in metrics or "words_after" not in metrics:
        return ""
    change = difference(metrics["words_after"], metrics["words_before"])
    if kind_of(metric_of("words"), metrics["words_after"], change) == "unclear":
        return "; answers are about as long as before"
    words = plain(abs(change.value), 0 if abs(change.value) >= 2 else 1)
    unit = "word" if words == "1" else "words"
    return f"; answers are {words} {unit} {'longer' if change.value > 0 else 'shorter'}"


def _accuracy_sentence(accuracy: Estimate) -> str:
    """Whose side the model takes on held-out pairs; no answer was written."""
    pairs = f"{_share(accuracy)} of {accuracy.n:,} held-out pairs"
    rest = "Its own answers were not compared."
    match kind_of(metric_of("pair_accuracy"), accuracy, None):
        case "better":
            return f"The tuned model sides with people on {pairs}. {rest}"
        case "worse":
            return f"The tuned model sides against people: it agrees with them on only {pairs}. {rest}"
        case _:
            return f"No clear difference from a coin toss: the tuned model sides with people on {pairs}. {rest}"


def _count_sentence(rows: list[Row]) -> str:
    """How many of the measures moved which way, where answers and pairs were not compared."""
    kinds = [row.kind for row in rows]
    measures = f"{len(rows)} measure" + ("" if len(rows) == 1 else "s")
    better, worse = kinds.count("better"), kinds.count("worse")
    if not better and not worse:
        return f"No clear difference, for better or for worse, in {measures}; answers were not compared."
    return f"Of {measures}, {better} got clearly better and {worse} clearly worse; answers were not compared."


def _training_sentence(run: Run) -> str:
    """That training ran, where nothing else is known."""
    if not run.stages:
        return NOT_MEASURED
    stage = run.stages[-1]
    steps = f"{stage.steps:,} step" + ("" if stage.steps == 1 else "s")
    losses = f"a loss of {compact(stage.first_loss)} at first and {compact(stage.last_loss)} at last"
    return f"Training ended after {steps} with {losses}. {NOT_MEASURED}"


def _share(estimate: Estimate) -> str:
    """A share for the headline: whole percents, or tenths where a bound would round to one half."""
    near = any(abs(bound - 0.5) < 0.005 and bound != 0.5 for bound in (estimate.low, estimate.high))
    decimals = 1 if near else 0
    value = value_text(estimate, "share", decimals=decimals)
    return f"{value} {interval_text(estimate, 'share', decimals=decimals)}".replace(", ", f",{SPACE}")


def _numbers(row: Row) -> tuple[str, str]:
    """Before, after and the change with its interval; or the value with its interval."""
    unit = row.metric.unit
    if row.before is None or row.change is None:
        signed = row.metric.baseline == 0
        return value_text(row.after, unit, signed=signed), interval_text(row.after, unit, signed=signed)
    digits = 1 if unit == "share" else decimals_of(row.before, row.after)
    before, after = (value_text(estimate, unit, decimals=digits) for estimate in (row.before, row.after))
    change = plain((100 if unit == "share" else 1) * row.change.value, digits, signed=True)
    interval = interval_text(row.change, unit, decimals=digits, signed=True)
    return f"{before} \u2192 {after}", f"change {change} {interval}"
