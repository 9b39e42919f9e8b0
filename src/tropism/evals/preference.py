"""Held-out comparisons: does the model's implicit reward order them, and where did the probability go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tropism.evals.task import mapped, mean_by_cluster, ratio_by_cluster
from tropism.layout.rendered import RenderedGroup
from tropism.records import Estimate


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
