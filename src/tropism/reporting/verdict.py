"""The first screen: the verdict in one sentence, and the few measures that matter most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tropism.records import Estimate
from tropism.reporting.measured_changes import MeasuredChange, by_eval, by_measure, tally_of
from tropism.reporting.numbers import SPACE, compact, counted, inside, interval_text, plain, value_text
from tropism.reporting.page_records import PageRecords
from tropism.reporting.sections.change_tables import best_rule
from tropism.reporting.sections.model_verdicts import ModelVerdict

NOT_MEASURED = "Nothing was measured on held-out data, so this report cannot say whether the model got better."
LEADING = ("win_rate.rate", "preference.pair_accuracy", "reward_accuracy.pair_accuracy")
"""What training is for."""
COSTS = ("drift.kl", "drift.words")
"""What it usually costs."""
MOST_MEASURES = 5
MOST_LINES = 9
MOST_WORSE = 2
"""So many measures that got worse precede what training costs."""
MOST_IN_HEADLINE = 4


def headline(verdicts: Sequence[ModelVerdict], changes: Sequence[MeasuredChange], records: PageRecords) -> str:
    """The sentence at the top of the page. It claims no difference that the intervals and tests do not show."""
    if len(records.models) == 1:
        return _one_model(changes, records)
    return _several_models(verdicts, changes, records)


def key_changes(changes: Sequence[MeasuredChange], records: PageRecords) -> list[MeasuredChange]:
    """The changes of the first screen: what training is for, what got worse, what it cost, then what got better.

    The more models a page has, the fewer measures it shows there.
    """
    groups = by_measure([change for change in changes if change.verdict != "note"])
    worse, better, unsure = (_keys(groups, verdict) for verdict in ("worse", "better", "unsure"))
    ranked = [*LEADING, *worse[:MOST_WORSE], *COSTS, *worse, *better, *unsure]
    keys = [key for key in dict.fromkeys(ranked) if key in groups]
    count = min(MOST_MEASURES, max(1, MOST_LINES // max(1, len(records.models))))
    return [change for key in keys[:count] for change in groups[key]]


def counts_in_words(verdicts: Sequence[ModelVerdict]) -> str:
    """How many measures of a single model moved which way; empty if there are several models or no measure."""
    if len(verdicts) != 1 or not verdicts[0].num_judged:
        return ""
    one = verdicts[0]
    unsure = one.num_judged - one.num_better - one.num_worse
    return (
        f"Of {counted(one.num_judged, 'measure')} with a direction, {one.num_better} got better, {one.num_worse} got "
        f"worse and {unsure} {'is' if unsure == 1 else 'are'} unclear."
    )


def _keys(groups: Mapping[str, Sequence[MeasuredChange]], verdict: str) -> list[str]:
    """Measures with a direction that have a verdict in some model; the first of every eval, then the others."""
    found = [
        group[0] for group in groups.values() if any(one.is_judged and one.verdict == verdict for one in group)
    ]  # fmt: skip
    first = [own[0].key for own in by_eval(found).values()]
    return first + [change.key for change in found]


def _one_model(changes: Sequence[MeasuredChange], records: PageRecords) -> str:
    """The sentence on a single model."""
    own = {change.key: change for change in changes if change.model == records.models[0] and change.verdict != "note"}
    if "win_rate.rate" in own:
        return _win_sentence(own, changes)
    accuracy = next((own[key] for key in LEADING if key in own), None)
    if accuracy:
        return _accuracy_sentence(accuracy, own, changes)
    if own:
        return _count_sentence(list(own.values()))
    return _training_sentence(records)


def _win_sentence(own: Mapping[str, MeasuredChange], changes: Sequence[MeasuredChange]) -> str:
    """How answers compare with the base's, and how their length changed, which judges often reward."""
    rate = own["win_rate.rate"]
    tally = tally_of(changes, rate.model)
    won = (
        f"{tally} on {tally.won + tally.tied + tally.lost:,} held-out prompts"
        if tally
        else f"a win rate, ties as half, of {_share(rate.after)} on {rate.after.n:,} held-out prompts"
    )
    match rate.verdict:
        case "better":
            sentence = f"The tuned model\u2019s answers are preferred to its start\u2019s: {won}"
        case "worse":
            sentence = f"The tuned model got worse: against its start\u2019s answers {won}"
        case _:
            sentence = f"No clear difference between the tuned model\u2019s answers and its start\u2019s: {won}"
    return f"{sentence}{_length_clause(own.get('drift.words'))}."


def _length_clause(words: MeasuredChange | None) -> str:
    """How much longer or shorter the answers became."""
    if words is None or words.difference is None:
        return ""
    if words.verdict == "unsure":
        return "; answers are about as long as before"
    size = abs(words.difference.value)
    number = plain(size, 0 if size >= 2 else 1)
    unit = "word" if number == "1" else "words"
    return f"; answers are {number} {unit} {'longer' if words.difference.value > 0 else 'shorter'}"


def _accuracy_sentence(
    accuracy: MeasuredChange, own: Mapping[str, MeasuredChange], changes: Sequence[MeasuredChange]
) -> str:
    """How many held-out pairs the model orders as people did, and whether a trivial rule does as well."""
    pairs = f"{_share(accuracy.after)} of {accuracy.after.n:,} held-out pairs{_rule_clause(accuracy, changes)}"
    if accuracy.is_sign:
        kl = own["drift.kl"].after
        interval = interval_text(kl, "number").replace(", ", f",{SPACE}")
        return (
            f"The tuned model hardly moved from its start: its KL is {value_text(kl, 'number')} {interval} nats per "
            f"answer. The signs of its log-ratios agree with people on {pairs}."
        )
    match accuracy.verdict:
        case "better":
            return f"The tuned model agrees with people on {pairs}. Its own answers were not judged."
        case "worse":
            return f"The tuned model got worse: it agrees with people on only {pairs}. Its own answers were not judged."
        case _:
            return (
                f"No clear difference: the tuned model agrees with people on {pairs}. Its own answers were not judged."
            )


def _rule_clause(accuracy: MeasuredChange, changes: Sequence[MeasuredChange]) -> str:
    """What the best trivial rule reaches on the same pairs."""
    rule = best_rule(accuracy, changes)
    if rule is None:
        return ""
    reached = f"{inside(rule.measure.label)} reaches {value_text(rule.after, 'share', decimals=0)}"
    return f"; {reached}" if accuracy.after.value > rule.after.value else f", which a trivial rule matches: {reached}"


def _count_sentence(own: Sequence[MeasuredChange]) -> str:
    """How many of the measures moved which way."""
    judged = [change.verdict for change in own if change.is_judged]
    better, worse = judged.count("better"), judged.count("worse")
    if not better and not worse:
        return f"No clear difference, for better or for worse, in {counted(len(judged), 'measure')} with a direction."
    return f"Of {counted(len(judged), 'measure')} with a direction, {better} got better and {worse} got worse."


def _training_sentence(records: PageRecords) -> str:
    """That training ran, if nothing else is known."""
    stages = records.runs[0].run.stages if records.runs else []
    if not stages:
        return NOT_MEASURED
    stage = stages[-1]
    losses = f"the loss was {compact(stage.first_loss)} at first and {compact(stage.last_loss)} at last"
    return f"Training ended after {counted(stage.steps, 'step')}; {losses}. {NOT_MEASURED}"


def _several_models(verdicts: Sequence[ModelVerdict], changes: Sequence[MeasuredChange], records: PageRecords) -> str:
    """The sentence on several models: the counts of each, or of all if there are many."""
    judged = [one for one in verdicts if one.num_judged]
    if not judged:
        models = counted(len(records.models), "model")
        return f"{models}; nothing was measured on held-out data, so no verdict is possible."
    start = f"against {records.bases[0]}" if len(records.bases) == 1 else "against where each run started"
    if len(judged) > MOST_IN_HEADLINE:
        better, worse = (sum(bool(getattr(one, side)) for one in judged) for side in ("num_better", "num_worse"))
        return (
            f"Of {len(judged)} models {start}, {better} got better at something and {worse} got worse at something"
            f"{_highest(changes)}."
        )
    counts = {one.num_judged for one in judged}
    if len(counts) > 1:
        says = "; ".join(f"{one.model.name} {_stance(one)} of {counted(one.num_judged, 'measure')}" for one in judged)
        return f"{start.capitalize()}: {says}."
    says = "; ".join(f"{one.model.name} {_stance(one)}" for one in judged)
    return f"Of {counted(counts.pop(), 'measure')} {start}: {says}."


def _stance(verdict: ModelVerdict) -> str:
    """A model's counts, to follow its name."""
    if not verdict.num_better and not verdict.num_worse:
        return "shows no clear difference in any"
    return f"is better at{SPACE}{verdict.num_better or 'none'}, worse at{SPACE}{verdict.num_worse or 'none'}"


def _highest(changes: Sequence[MeasuredChange]) -> str:
    """Which model has the highest value of what training is for; empty if it was not measured."""
    for key in LEADING:
        known = [change for change in changes if change.key == key and change.verdict != "note"]
        if known:
            best = max(known, key=lambda change: change.after.value)
            value = f"{value_text(best.after, 'share')} {interval_text(best.after, 'share')}"
            tally = tally_of(changes, best.model) if key == "win_rate.rate" else None
            says = f"{value} ({tally})" if tally else value
            return f"; {best.model} has the highest {inside(best.measure.label)}: {says}"
    return ""


def _share(estimate: Estimate) -> str:
    """A share in whole percents, or in tenths if a bound would round to one half."""
    near = any(abs(bound - 0.5) < 0.005 and bound != 0.5 for bound in (estimate.low, estimate.high))
    decimals = 1 if near else 0
    value = value_text(estimate, "share", decimals=decimals)
    return f"{value} {interval_text(estimate, 'share', decimals=decimals)}".replace(", ", f",{SPACE}")
