"""What the metrics of an evaluation mean: their names for people, which way is better, and whether they moved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from tropism.records import Estimate
from tropism.report.numbers import Unit

Better: TypeAlias = Literal["higher", "lower", "neither"]
Kind: TypeAlias = Literal["better", "worse", "unclear", "changed", "note"]
"""How a metric moved; `changed` is neither good nor bad by itself, `note` has nothing to be compared with."""


class Metric(NamedTuple):
    """A metric in words.

    Args:
        label: its name for people.
        unit: a share of a whole, or a number.
        better: the direction that people want.
        meaning: one plain sentence.
        baseline: the value that means "no difference", where the metric has one of its own.
    """

    label: str
    unit: Unit
    better: Better
    meaning: str
    baseline: float | None = None

    def with_direction(self, better: Better) -> Metric:
        """The same metric, of which people want more or less."""
        return self._replace(better=better)


METRICS: dict[str, Metric] = {
    "win_rate": Metric(
        "Win rate",
        "share",
        "higher",
        "How often the judge prefers the answer after training to the one before, for the same prompt; a tie counts "
        "one half. 50 % is no difference.",
        0.5,
    ),
    "ties": Metric("Ties", "share", "neither", "How often the two answers were called equal."),
    "pair_accuracy": Metric(
        "Pair accuracy",
        "share",
        "higher",
        "How often the model sides with people on pairs of answers that it never trained on. 50 % is a coin toss.",
        0.5,
    ),
    "judge_score": Metric(
        "Judge\u2019s score", "number", "higher", "What the judge gives an answer, on its own scale."
    ),
    "on_topic": Metric("On topic", "share", "higher", "How many answers stay with what the prompt asks about."),
    "parsed": Metric("Well formed", "share", "higher", "How many answers have the form that was asked for."),
    "words": Metric("Words per answer", "number", "neither", "How long answers are. Judges often like long ones."),
    "distinct_1": Metric(
        "Distinct-1",
        "number",
        "higher",
        "Variety: the share of words in the answers that are different ones. It also falls when answers grow longer.",
    ),
    "distinct_2": Metric(
        "Distinct-2",
        "number",
        "higher",
        "Variety: the share of word pairs in the answers that are different ones. It also falls when answers grow "
        "longer.",
    ),
    "perplexity": Metric(
        "Perplexity",
        "number",
        "lower",
        "How much the held-out answers, preferred and rejected, surprise the model. 1 is not at all.",
    ),
    "kl": Metric(
        "KL from the start",
        "number",
        "neither",
        "How far the model has moved, in nats per answer. 0 is not at all.",
    ),
    "winners_logp_change": Metric(
        "Log-probability of preferred answers",
        "number",
        "higher",
        "Change in nats per answer. Below 0, even the preferred answers became less likely.",
        0.0,
    ),
    "losers_logp_change": Metric(
        "Log-probability of rejected answers",
        "number",
        "neither",
        "Change in nats per answer. It should fall below the preferred answers\u2019 change.",
        0.0,
    ),
}

CONFOUNDS: dict[str, Metric] = {
    "chosen_longer": Metric("The winner is the longer one", "share", "neither", "", 0.5),
    "length_only_accuracy": Metric("Winners found by length alone", "share", "neither", "", 0.5),
    "chosen_earlier": Metric("The winner came first", "share", "neither", "", 0.5),
    "author_only_accuracy": Metric("Winners found by author alone", "share", "neither", "", 0.5),
    "chosen_first": Metric("The winner was shown first", "share", "neither", "", 0.5),
    "bag_of_words_accuracy": Metric(
        "Winners found by counting words", "share", "neither", "In threads that the count has not seen.", 0.5
    ),
    "topic_leak": Metric(
        "Prompts with a near-duplicate in training", "share", "neither", "Of a tenth that is held out at random."
    ),
    "near_duplicate_responses": Metric("Answers with a near-duplicate elsewhere", "share", "neither", ""),
    "near_duplicate_edges": Metric("Comparisons of near-duplicates", "share", "neither", ""),
    "annotator_agreement": Metric(
        "Two annotators say the same", "share", "neither", "On comparisons that several people made."
    ),
    "krippendorff_alpha": Metric(
        "Krippendorff\u2019s alpha", "number", "neither", "Agreement beyond chance: 1 is perfect, 0 is chance."
    ),
}
"""What a winner could be told by without reading it. An unknown one is shown as a number under its own name."""

FEWEST = 10
"""A change seen on fewer samples is never called clear: resampling so few makes intervals that are too narrow."""


class Row(NamedTuple):
    """A metric as the report shows it: alone, or before and after with the change between them."""

    name: str
    metric: Metric
    before: Estimate | None
    after: Estimate
    change: Estimate | None
    kind: Kind


def humanise(name: str) -> str:
    """A name that no table knows, as words.

    Example:
        >>> humanise("refusal_rate")
        'Refusal rate'
    """
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def metric_of(name: str) -> Metric:
    """The metric or confound of that name; one that no table knows is a number without a direction."""
    return METRICS.get(name) or CONFOUNDS.get(name) or Metric(humanise(name), "number", "neither", "")


def difference(after: Estimate, before: Estimate) -> Estimate:
    """The change between two estimates, with an interval made from theirs.

    The estimates are treated as independent. On the same prompts they mostly rise and fall together, so that the
    interval errs on the wide side.

    Reference: Zou and Donner 2008, Statistics in Medicine 27 (the MOVER, for a difference).
    """
    value = after.value - before.value
    down = math.hypot(after.value - after.low, before.high - before.value)
    up = math.hypot(after.high - after.value, before.value - before.low)
    return Estimate(value=value, low=value - down, high=value + up, n=min(after.n, before.n))


def kind_of(metric: Metric, after: Estimate, change: Estimate | None) -> Kind:
    """Whether a metric moved: only where the 95 % interval leaves out "no difference", on enough samples."""
    moved, still = (change, 0.0) if change is not None else (after, metric.baseline)
    if still is None:
        return "note"
    bounds = (moved.low, moved.value, moved.high)
    if moved.n < FEWEST or not all(map(math.isfinite, bounds)) or moved.low <= still <= moved.high:
        return "unclear"
    if metric.better == "neither":
        return "changed"
    return "better" if (moved.value > still) == (metric.better == "higher") else "worse"


def rows_of(metrics: Mapping[str, Estimate]) -> list[Row]:
    """Every metric once: `<name>_before` joins `<name>_after` (or `<name>`), known names first."""
    rows, used = [], set()
    for name in metrics:
        stem = name.removesuffix("_before")
        partner = next((other for other in (f"{stem}_after", stem) if other in metrics), None)
        if stem != name and partner is not None:
            rows.append(_row(stem, metrics[partner], metrics[name]))
            used |= {name, partner}
    rows += [_row(name, estimate, None) for name, estimate in metrics.items() if name not in used]
    order = list(METRICS)
    return sorted(rows, key=lambda row: order.index(row.name) if row.name in METRICS else len(order))


def _row(name: str, after: Estimate, before: Estimate | None) -> Row:
    """One metric, alone or with what it was before."""
    metric = metric_of(name)
    change = None if before is None else difference(after, before)
    return Row(name, metric, before, after, change, kind_of(metric, after, change))
