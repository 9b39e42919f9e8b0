"""Held-out comparisons: does the model's implicit reward order them, and does it know how sure it may be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import Field

from tropism.evals.core.items import Item, Measured, Settings, Statistic, Task
from tropism.evals.preference.scored_pairs import QUARTERS, ScoredPair, quarters, scored_pairs, table_by
from tropism.groups import PreferenceGroup
from tropism.metrics.bootstrap import mapped, mean_by_cluster, ratio_by_cluster
from tropism.records import Estimate, Matrix, Measure
from tropism.text.rendered import RenderedGroup

NUM_BINS = 10


class PreferenceSettings(Settings):
    """Settings of the eval.

    Args:
        max_groups: most held-out groups that are scored.
        beta: strength of the pull to the reference that turns a log-ratio margin into a probability; the value that
            the model was trained with.
    """

    max_groups: int = Field(400, gt=0)
    beta: float = Field(0.1, gt=0)


def preference(task: Task) -> Measured:
    """Pair accuracy and calibration of the implicit reward against the base, by source, length and strength.

    `pair_accuracy` orders by log-ratios to the base (equal ones count half, so the base has 0.5); `ranking_accuracy` by
    the model's own log-probability per token, without a reference. The probability that the model gives to people's
    choice is sigmoid(beta * margin); `log_loss` and `calibration_error` judge it. Ties are left out.

    Reference: implicit reward, Rafailov et al. 2023, arXiv:2305.18290, section 4; ranking accuracy, Chen et al. 2024,
    arXiv:2405.19534, section 2.
    """
    settings = task.settings_as(PreferenceSettings)
    pairs, skipped = scored_pairs(task, max_groups=settings.max_groups)
    decided = [pair for pair in pairs if pair.edge.prob != 0.5]
    items = [pair_item(pair, settings.beta) for pair in decided]
    ties = len(pairs) - len(decided)
    return Measured(
        items=items,
        matrices=tables(decided, items),
        series={"margin": [pair.margin for pair in decided]},
        skipped=skipped | ({"ties": ties} if ties else {}),
        notes=[f"Probabilities are taken with beta = {settings.beta:g}; another beta gives another calibration."],
    )


def pair_item(pair: ScoredPair, beta: float) -> Item:
    """What one comparison says about the implicit reward."""
    winner, loser = (one.nats / max(1, one.tokens) for one in (pair.winner_after, pair.loser_after))
    return Item(
        id=pair.id,
        cluster=pair.group.id,
        values={
            "pair_accuracy": half_if_equal(pair.winner_change, pair.loser_change),
            "ranking_accuracy": half_if_equal(winner, loser),
            "margin": pair.margin,
            "log_loss": softplus(-beta * pair.margin),
        },
        detail={
            "probability": math.exp(-softplus(-beta * pair.margin)),
            "source": pair.group.source,
            "winner_tokens": pair.winner_after.tokens,
            "loser_tokens": pair.loser_after.tokens,
        },
    )


def tables(pairs: Sequence[ScoredPair], items: Sequence[Item]) -> list[Matrix]:
    """Accuracy by source, by which side is longer, by how strongly people chose; and the reliability table."""
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
        table_by(items, length_row, name="accuracy by length", row_title="the preferred answer is", rows=LENGTHS,
                 columns=columns)
    )  # fmt: skip
    gaps = [strength(pair.group, pair) for pair in pairs]
    if len(set(gaps)) > 1:
        by_gap = dict(zip([item.id for item in items], quarters(gaps), strict=True))
        found.append(
            table_by(items, lambda item: by_gap[item.id], name="accuracy by people's margin",
                     row_title="how strongly people chose", rows=QUARTERS, columns=columns)
        )  # fmt: skip
    return [*found, reliability(items)]


LENGTHS = ("shorter", "about as long", "longer")


def length_row(item: Item) -> str:
    """Whether the winner is more than a tenth longer or shorter than the loser, in tokens."""
    ratio = item.detail["winner_tokens"] / max(1, item.detail["loser_tokens"])
    return LENGTHS[0] if ratio < 1 / 1.1 else LENGTHS[2] if ratio > 1.1 else LENGTHS[1]


def strength(group: PreferenceGroup, pair: ScoredPair) -> float:
    """How strongly people chose: the gap of their scores where they gave any, else the edge's margin."""
    winner, loser = group.responses[pair.edge.winner].score, group.responses[pair.edge.loser].score
    return winner - loser if winner is not None and loser is not None else pair.edge.margin


def reliability(items: Sequence[Item]) -> Matrix:
    """By how sure the model is of either side: how sure on average, and how often it is right.

    Reference: Guo et al. 2017, arXiv:1706.04599, section 2, on the surer side of each pair.
    """
    rows = [f"{50 + 5 * k} to {55 + 5 * k} %" for k in range(NUM_BINS)]
    sure = [
        Item(item.id, item.cluster, {"sure": confidence(item), "right": item.values["pair_accuracy"]}) for item in items
    ]
    return table_by(
        sure, lambda item: rows[confidence_bin(item.values["sure"])], name="reliability", row_title="how sure",
        rows=rows, columns=("sure", "right"),
    )  # fmt: skip


def calibration_error(items: Sequence[Item]) -> float:
    """Expected calibration error over ten bins of how sure the model is of the side that it prefers.

    Reference: Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    gaps = [0.0] * NUM_BINS
    for item in items:
        gaps[confidence_bin(confidence(item))] += item.values["pair_accuracy"] - confidence(item)
    return sum(map(abs, gaps)) / len(items)


def confidence(item: Item) -> float:
    """How sure the model is of the side that it prefers, in [0.5, 1]."""
    return max(item.detail["probability"], 1 - item.detail["probability"])


def confidence_bin(sure: float) -> int:
    """The bin of a confidence in [0.5, 1]."""
    return min(NUM_BINS - 1, int((sure - 0.5) * 2 * NUM_BINS))


def half_if_equal(winner: float, loser: float) -> float:
    """1 where the winner leads, 0 where the loser does, one half where they are equal."""
    return 0.5 if winner == loser else float(winner > loser)


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
}
STATISTICS: Mapping[str, Statistic] = {"calibration_error": calibration_error}


class HeldOut(NamedTuple):
    """Numbers on held-out comparisons, and the margin (nats) of every edge for a histogram."""

    metrics: dict[str, Estimate]
    margins: list[float]


def held_out(groups: Sequence[RenderedGroup], before: Mapping[bytes, float], after: Mapping[bytes, float]) -> HeldOut:
    """Pair accuracy of the implicit reward, displacement of winners and losers, and perplexity.

    Args:
        groups: held-out groups.
        before: log-probability of every response (by its key) under the start model, nats.
        after: the same under the tuned model.

    Returns:
        `pair_accuracy` (edges that are no ties; an equal reward counts half), `winners_logp_change` and
        `losers_logp_change` (nats per response), `perplexity_before` and `perplexity_after` (per scored token, over all
        held-out responses). Intervals draw groups.

    Reference: the implicit reward is Rafailov et al. 2023, arXiv:2305.18290, section 4, without beta, which does not
    change an order.
    """
    margins: list[float] = []
    correct: list[float] = []
    decided: list[str] = []
    won: list[float] = []
    lost: list[float] = []
    owners: list[str] = []
    for group in groups:
        keys = [group.response_key(response) for response in group.responses]
        for edge in group.edges:
            winner = after[keys[edge.winner]] - before[keys[edge.winner]]
            loser = after[keys[edge.loser]] - before[keys[edge.loser]]
            margins.append(winner - loser)
            won.append(winner)
            lost.append(loser)
            owners.append(group.group.id)
            if edge.prob != 0.5:
                correct.append(0.5 if winner == loser else float(winner > loser))
                decided.append(group.group.id)
    metrics = {
        "pair_accuracy": mean_by_cluster(correct, decided),
        "winners_logp_change": mean_by_cluster(won, owners),
        "losers_logp_change": mean_by_cluster(lost, owners),
        "perplexity_before": perplexity(groups, before),
        "perplexity_after": perplexity(groups, after),
    }
    return HeldOut({name: value for name, value in metrics.items() if value is not None}, margins)


def perplexity(groups: Sequence[RenderedGroup], logp: Mapping[bytes, float]) -> Estimate | None:
    """exp of the mean negative log-probability per scored token, over the responses of all groups."""
    rows = [
        (-logp[group.response_key(response)], float(response.num_scored), group.group.id)
        for group in groups
        for response in group.responses
    ]
    if not rows:
        return None
    nats, tokens, owners = zip(*rows, strict=True)
    return mapped(ratio_by_cluster(nats, tokens, owners), lambda nats_per_token: math.exp(min(nats_per_token, 700.0)))
