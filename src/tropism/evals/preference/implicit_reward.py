"""The eval `preference`: does the model's implicit reward order held-out comparisons, and is it calibrated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import Field

from tropism.evals.core.items import Item, Measured, Settings, Statistic, Task
from tropism.evals.preference.scored_pairs import QUARTERS, ScoredPair, quarters, scored_pairs, table_by
from tropism.evals.preference.trivial_rules import TRIVIAL_MEASURES, trivial_credits
from tropism.groups import PreferenceGroup
from tropism.metrics.pair_order import order_credit
from tropism.records import Matrix, Measure

NUM_BINS = 10


class PreferenceSettings(Settings):
    """Settings of the eval.

    Args:
        max_groups: maximum number of held-out groups that are scored.
        beta: turns a log-ratio margin into a probability; use the value that the model was trained with.
    """

    max_groups: int = Field(400, gt=0)
    beta: float = Field(0.1, gt=0)


def preference(task: Task) -> Measured:
    """Pair accuracy and calibration of the implicit reward against the base, by source, length and strength.

    `pair_accuracy` orders by log-ratios to the base (equal ones count half, so the base has 0.5); `ranking_accuracy` by
    the model's own log-probability per token, without a reference; `rule_longer_answer` and `rule_bag_of_words` are
    what trivial rules reach on the same pairs. The model's probability of people's choice is sigmoid(beta * margin);
    `log_loss` and `calibration_error` measure it. Ties are skipped.

    Reference: implicit reward, Rafailov et al. 2023, arXiv:2305.18290, section 4; ranking accuracy, Chen et al. 2024,
    arXiv:2405.19534, section 2.
    """
    settings = task.settings_as(PreferenceSettings)
    pairs, skipped = scored_pairs(task, max_groups=settings.max_groups)
    decided = [pair for pair in pairs if pair.edge.prob != 0.5]
    trivial = trivial_credits([(pair.group, pair.edge) for pair in decided], seed=task.seed)
    items = [pair_item(pair, settings.beta, rules) for pair, rules in zip(decided, trivial, strict=True)]
    ties = len(pairs) - len(decided)
    return Measured(
        items=items,
        matrices=tables(decided, items),
        series={"margin": [pair.margin for pair in decided]},
        skipped=skipped | ({"ties": ties} if ties else {}),
        notes=[f"Log loss and calibration use beta = {settings.beta:g}; another beta gives other values."],
    )


def pair_item(pair: ScoredPair, beta: float, trivial: Mapping[str, float]) -> Item:
    """The measures of one comparison."""
    winner, loser = (one.nats / max(1, one.tokens) for one in (pair.winner_after, pair.loser_after))
    return Item(
        id=pair.id,
        cluster=pair.group.id,
        values={
            "pair_accuracy": order_credit(pair.winner_change, pair.loser_change),
            "ranking_accuracy": order_credit(winner, loser),
            "margin": pair.margin,
            "log_loss": softplus(-beta * pair.margin),
            **trivial,
        },
        detail={
            "probability": math.exp(-softplus(-beta * pair.margin)),
            "source": pair.group.source,
            "winner_tokens": pair.winner_after.tokens,
            "loser_tokens": pair.loser_after.tokens,
        },
    )


def tables(pairs: Sequence[ScoredPair], items: Sequence[Item]) -> list[Matrix]:
    """Accuracy by source, by relative length and by strength of the preference; and the reliability table."""
    found = []
    columns = ("pair_accuracy", "ranking_accuracy", "margin")
    sources = sorted({item.detail["source"] for item in items})
    if len(sources) > 1:
        by_source = {item.id: item.detail["source"] for item in items}
        found.append(
            table_by(
                items, lambda item: by_source[item.id], name="accuracy by source", row_title="source", rows=sources,
                columns=columns,
            )
        )  # fmt: skip
    found.append(
        table_by(items, _length_row, name="accuracy by length", row_title="the preferred answer is", rows=LENGTHS,
                 columns=columns)
    )  # fmt: skip
    gaps = [_strength(pair.group, pair) for pair in pairs]
    if len(set(gaps)) > 1:
        by_gap = dict(zip([item.id for item in items], quarters(gaps), strict=True))
        found.append(
            table_by(items, lambda item: by_gap[item.id], name="accuracy by people's margin",
                     row_title="how strongly people chose", rows=QUARTERS, columns=columns)
        )  # fmt: skip
    return [*found, reliability(items)]


LENGTHS = ("shorter", "about as long", "longer")


def _length_row(item: Item) -> str:
    """Whether the winner is more than a tenth longer or shorter than the loser, in tokens."""
    ratio = item.detail["winner_tokens"] / max(1, item.detail["loser_tokens"])
    return LENGTHS[0] if ratio < 1 / 1.1 else LENGTHS[2] if ratio > 1.1 else LENGTHS[1]


def _strength(group: PreferenceGroup, pair: ScoredPair) -> float:
    """How strong the preference is: the gap between people's scores if there are any, else the edge's margin."""
    winner, loser = group.responses[pair.edge.winner].score, group.responses[pair.edge.loser].score
    return winner - loser if winner is not None and loser is not None else pair.edge.margin


def reliability(items: Sequence[Item]) -> Matrix:
    """Mean confidence and accuracy by confidence.

    Reference: Guo et al. 2017, arXiv:1706.04599, section 2, on the side that the model prefers.
    """
    rows = [f"{50 + 5 * k} to {55 + 5 * k} %" for k in range(NUM_BINS)]
    sure = [
        Item(item.id, item.cluster, {"sure": _confidence(item), "right": item.values["pair_accuracy"]})
        for item in items
    ]
    return table_by(
        sure, lambda item: rows[_confidence_bin(item.values["sure"])], name="reliability", row_title="how sure",
        rows=rows, columns=("sure", "right"),
    )  # fmt: skip


def calibration_error(items: Sequence[Item]) -> float:
    """Expected calibration error over ten bins of confidence.

    Reference: Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    gaps = [0.0] * NUM_BINS
    for item in items:
        gaps[_confidence_bin(_confidence(item))] += item.values["pair_accuracy"] - _confidence(item)
    return sum(map(abs, gaps)) / len(items)


def _confidence(item: Item) -> float:
    """The model's probability of the side that it prefers, in [0.5, 1]."""
    return max(item.detail["probability"], 1 - item.detail["probability"])


def _confidence_bin(sure: float) -> int:
    """The bin of a confidence in [0.5, 1]."""
    return min(NUM_BINS - 1, int((sure - 0.5) * 2 * NUM_BINS))


def softplus(value: float) -> float:
    """log(1 + exp(value)), for any size of value."""
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


MEASURES: Mapping[str, Measure] = {
    "pair_accuracy": Measure(
        label="Pair accuracy",
        unit="share",
        better="higher",
        meaning="Share of pairs in which training raised the preferred answer more than the rejected one; the base has "
        "50 % by definition.",
        baseline=0.5,
    ),
    "ranking_accuracy": Measure(
        label="Ranking accuracy",
        unit="share",
        better="higher",
        meaning="Share of pairs in which the preferred answer is more likely per token.",
        baseline=0.5,
    ),
    "margin": Measure(
        label="Margin",
        meaning="How much further training raised the preferred answer than the rejected one, in nats.",
        baseline=0.0,
    ),
    "log_loss": Measure(
        label="Log loss",
        better="lower",
        meaning="Loss of the predicted preferences; 0.693 is a coin toss, 0 is sure and right.",
    ),
    "calibration_error": Measure(
        label="Calibration error",
        unit="share",
        meaning="Mean gap between how sure the model is and how often it is right.",
    ),
    **TRIVIAL_MEASURES,
}
STATISTICS: Mapping[str, Statistic] = {"calibration_error": calibration_error}
