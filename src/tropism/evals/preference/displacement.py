"""Where probability went: did preferred answers become likelier, or only less unlikely than the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import Field

from tropism.evals.core.items import Item, Measured, Settings, Task
from tropism.evals.core.subject import Scored
from tropism.evals.preference.scored_pairs import QUARTERS, ScoredPair, quarters, scored_pairs, table_by
from tropism.groups import content_text
from tropism.metrics.bootstrap import quantile_by_cluster
from tropism.records import Matrix, Measure

MOST_CHARACTERS = 1500
"""Of each text that is kept with an item."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class DisplacementSettings(Settings):
    """Settings of the eval.

    Args:
        max_groups: most held-out groups that are scored.
    """

    max_groups: int = Field(400, gt=0)


def displacement(task: Task) -> Measured:
    """How the log-probability of winners and losers moved from the base's, by quantile, and where the mass went.

    Of each pair: `winner_change` and `loser_change` (nats, and per token), `winners_lost` (the winner became less
    likely), `mass_to_loser` (it did, and the loser gained), `both_fell` (both did: the mass went to other answers),
    `pair_mass_change` (of log(p_winner + p_loser)), and the same of probabilities per token, so that a long answer
    counts as much as a short one.

    Reference: likelihood displacement, Razin et al. 2024, arXiv:2410.08847, section 3.
    """
    settings = task.settings_as(DisplacementSettings)
    pairs, skipped = scored_pairs(task, max_groups=settings.max_groups)
    items = [displacement_item(pair) for pair in pairs]
    return Measured(
        items=items,
        matrices=[_by_quantile(items), _by_reference(pairs, items)] if items else [],
        series={
            "winner_change": [pair.winner_change for pair in pairs],
            "loser_change": [pair.loser_change for pair in pairs],
        },
        skipped=skipped,
    )


def displacement_item(pair: ScoredPair) -> Item:
    """What happened to the two sides of one comparison."""
    winner, loser = pair.winner_change, pair.loser_change
    return Item(
        id=pair.id,
        cluster=pair.group.id,
        values={
            "winner_change": winner,
            "loser_change": loser,
            "winner_change_per_token": winner / max(1, pair.winner_after.tokens),
            "loser_change_per_token": loser / max(1, pair.loser_after.tokens),
            "winners_lost": float(winner < 0),
            "mass_to_loser": float(winner < 0 < loser),
            "both_fell": float(winner < 0 and loser < 0),
            "pair_mass_change": _log_sum(pair.winner_after.nats, pair.loser_after.nats)
            - _log_sum(pair.winner_before.nats, pair.loser_before.nats),
            "pair_mass_change_per_token": _log_sum(rate(pair.winner_after), rate(pair.loser_after))
            - _log_sum(rate(pair.winner_before), rate(pair.loser_before)),
        },
        detail={"winner_nats": pair.winner_after.nats, "loser_nats": pair.loser_after.nats, **texts(pair)},
    )


def texts(pair: ScoredPair) -> dict[str, str]:
    """The beginnings of prompt and answers, for reading."""
    group, edge = pair.group, pair.edge
    winner, loser = group.responses[edge.winner], group.responses[edge.loser]
    contents = {"prompt": group.prompts[winner.prompt], "winner": winner.content, "loser": loser.content}
    return {name: content_text(content)[:MOST_CHARACTERS] for name, content in contents.items()}


def rate(scored: Scored) -> float:
    """Nats per token."""
    return scored.nats / max(1, scored.tokens)


def _log_sum(first: float, second: float) -> float:
    """log(exp(first) + exp(second)).

    Example:
        >>> round(math.exp(_log_sum(math.log(0.25), math.log(0.5))), 12)
        0.75
    """
    top = max(first, second)
    return top + math.log1p(math.exp(min(first, second) - top))


def _by_quantile(items: Sequence[Item]) -> Matrix:
    """Quantiles of the change (nats) of winners and of losers."""
    clusters = [item.cluster for item in items]
    rows = {"preferred answers": "winner_change", "rejected answers": "loser_change"}
    return Matrix(
        name="change by quantile",
        row_title="answers",
        column_title="quantile of the change, nats",
        rows=list(rows),
        columns=[f"{100 * quantile:g} %" for quantile in QUANTILES],
        cells=[
            [quantile_by_cluster([item.values[name] for item in items], clusters, quantile=q) for q in QUANTILES]
            for name in rows.values()
        ],
    )


def _by_reference(pairs: Sequence[ScoredPair], items: Sequence[Item]) -> Matrix:
    """Changes by how likely (per token) the base found the preferred answer."""
    quarter = dict(
        zip(
            [item.id for item in items],
            quarters([rate(pair.winner_before) for pair in pairs]),
            strict=True,
        )
    )
    return table_by(
        items,
        lambda item: quarter[item.id],
        name="change by the base's likelihood",
        row_title="how likely the base found the preferred answer",
        rows=QUARTERS,
        columns=("winner_change", "loser_change", "winners_lost"),
    )


MEASURES: Mapping[str, Measure] = {
    "winner_change": Measure(
        label="Preferred answers, change in nats",
        better="higher",
        meaning="Mean change of a preferred answer's log-probability. Below 0, training made even these answers less "
        "likely.",
        baseline=0.0,
    ),
    "loser_change": Measure(
        label="Rejected answers, change in nats",
        meaning="Mean change of a rejected answer's log-probability.",
        baseline=0.0,
    ),
    "winner_change_per_token": Measure(
        label="Preferred answers, change in nats per token",
        better="higher",
        meaning="The change divided by the answer's length.",
        baseline=0.0,
    ),
    "loser_change_per_token": Measure(
        label="Rejected answers, change in nats per token",
        meaning="The change divided by the answer's length.",
        baseline=0.0,
    ),
    "winners_lost": Measure(
        label="Preferred answers that became less likely",
        unit="share",
        meaning="Share of pairs whose preferred answer lost probability.",
    ),
    "mass_to_loser": Measure(
        label="Preferred fell, rejected rose",
        unit="share",
        meaning="Share of pairs whose preferred answer lost probability while the rejected one gained.",
    ),
    "both_fell": Measure(
        label="Both fell",
        unit="share",
        meaning="Share of pairs in which both answers lost probability to answers outside the data.",
    ),
    "pair_mass_change": Measure(
        label="Probability of the pair, change in nats",
        meaning="Change of the log of both answers' summed probability.",
        baseline=0.0,
    ),
    "pair_mass_change_per_token": Measure(
        label="Probability of the pair per token, change in nats",
        meaning="Change of the log of both answers' summed probability per token.",
        baseline=0.0,
    ),
}
"""The base's shares are 0 by definition, so a higher share is a change; the mean change shows whether it is a loss."""
