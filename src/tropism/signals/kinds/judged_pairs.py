"""Pairs that several annotators judged become edges: a share of votes as a soft label, or the majority with a weight.

A game is one judgement of one pair: thread, the two places (`low` < `high`), `value` (1 if `low` won, 0 if `high` did,
0.5 for a tie), the annotator (null if unknown), and the thread's `key` and `prompt_id`.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import ibis
import numpy as np
import pyarrow as pa
from ibis import Table
from numpy.typing import NDArray

from tropism.records import Estimate, Matrix
from tropism.signals.engines import expressions
from tropism.signals.engines.engine import count, engine_of, in_memory
from tropism.signals.kinds.answer_pairs import in_halves
from tropism.signals.statistics.bradley_terry import Games, bootstrap_bradley_terry
from tropism.signals.statistics.dawid_skene import FIRST_WINS, SECOND_WINS, TIE, first_is_better, fit_pairs
from tropism.signals.statistics.edge_confounders import share
from tropism.signals.statistics.pair_agreement import FIRST, SECOND, agreement_of_counts

Truth: TypeAlias = Literal["soft", "majority", "dawid-skene"]
VoteWeight: TypeAlias = Literal["one", "agreement", "count"]

MOST_ITEMS = 20_000
"""Pairs to measure agreement on, and games to fit strengths to; chosen by a hash."""


def judged_pairs(games: Table, answers: Table, *, truth: Truth, weight: VoteWeight, ties: bool) -> Table:
    """Edges of games.

    Args:
        games: thread, low, high, value, annotator.
        answers: from `to_answers`.
        truth: `soft`, the share of the judgements as the edge's probability; `majority`, a plain edge; `dawid-skene`,
            the probability when every annotator counts as far as the others confirm them.
        weight: `one`; `agreement`, the distance of the share from one half, doubled; `count`, the number of judgements.
        ties: keep pairs that are even.

    Returns:
        Columns as `to_pairs` makes them, and `weight`, `margin`.
    """
    pairs = games.group_by(["thread", "low", "high"]).agg(votes=games.count(), share=games.value.mean())
    if truth == "dawid-skene" and count(games):
        pairs = pairs.drop("share").join(_true_shares(games), ["thread", "low", "high"])
    pairs = pairs.mutate(share=pairs.share.round(9))
    low_wins = pairs.share >= 0.5
    lead = (2 * pairs.share - 1).abs()
    pairs = pairs.mutate(
        winner=low_wins.ifelse(pairs.low, pairs.high),
        loser=low_wins.ifelse(pairs.high, pairs.low),
        gap=lead,
        decided=pairs.share != 0.5,
        sure=low_wins.ifelse(pairs.share, 1 - pairs.share),
    )
    if not ties:
        pairs = pairs.filter(pairs.decided)
    sides = answers.select("thread", "place", "length", "time")
    winners = sides.select("thread", winner="place", winner_length="length", winner_time="time")
    losers = sides.select("thread", loser="place", loser_length="length", loser_time="time")
    joined = pairs.join(winners, ["thread", "winner"]).join(losers, ["thread", "loser"])
    weights = {"one": ibis.literal(1.0), "agreement": joined.gap, "count": joined.votes.cast("float64")}
    unsaid = ibis.null("int8")
    return joined.select(
        "thread",
        "winner",
        "loser",
        "gap",
        prob=joined.decided.ifelse(joined.sure if truth != "majority" else ibis.literal(1.0), 0.5),
        weight=joined.decided.ifelse(weights[weight], weights["count" if weight == "count" else "one"]),
        margin=ibis.literal(0.0),
        longer=joined.decided.ifelse(in_halves(joined.winner_length, joined.loser_length), unsaid),
        earlier=joined.decided.ifelse(in_halves(joined.loser_time, joined.winner_time), unsaid),
    )


def agreement(games: Table) -> dict[str, Estimate]:
    """How far annotators agree: on pairs that several of them judged, at most `MOST_ITEMS`, chosen by a hash.

    An annotator who judged a pair several times counts once, for the side that won more of these judgements, ties
    apart. Judgements without an annotator do not count, because the number of people who made them is unknown. Which
    answer is `low` does not matter: see `pair_agreement`.

    Returns:
        `annotator_agreement`, the share of two annotators of one pair who said the same, and `krippendorff_alpha`
        (nominal); empty if no pair was judged twice.
    """
    named = games.filter(games.annotator.notnull())
    said = named.group_by(["thread", "low", "high", "annotator", "key", "prompt_id"]).agg(value=_said(named))
    people = said.group_by(["thread", "low", "high"]).agg(people=said.count())
    judged = _sample(said.semi_join(people.filter(people.people > 1), ["thread", "low", "high"]))
    pairs, pair = np.unique(np.stack([judged["thread"], judged["low"], judged["high"]]), axis=1, return_inverse=True)
    counts = np.zeros((pairs.shape[1], 3))
    np.add.at(counts, (pair.ravel(), (2 * judged["value"]).astype(np.int64)), 1)
    found = agreement_of_counts(counts, pairs[0])
    both = {"annotator_agreement": found.raw, "krippendorff_alpha": found.alpha}
    return {name: estimate for name, estimate in both.items() if estimate is not None}


def strengths(games: Table) -> Matrix | None:
    """Bradley-Terry strengths of the answers' sources, with bootstrap intervals over threads; ties are half wins.

    Each strength comes with the share of games won, with Wilson's interval at the effective number of games.

    Args:
        games: with `low_source` and `high_source`.
    """
    joined = _sample(games.filter(games.low_source != games.high_source))  # null, as false, if one is unknown
    low, high, value = joined["low_source"].astype(str), joined["high_source"].astype(str), joined["value"]
    names = sorted({*low, *high})
    if len(names) < 2:
        return None
    place = {name: at for at, name in enumerate(names)}
    first, second = (np.array([place[name] for name in side]) for side in (low, high))
    played = Games(
        winner=np.where(value >= 0.5, first, second),
        loser=np.where(value >= 0.5, second, first),
        tie=value == 0.5,
        cluster=joined["thread"],
    )
    shares = [
        _share_won(
            np.concatenate([value[first == at], 1 - value[second == at]]),
            np.concatenate([joined["thread"][first == at], joined["thread"][second == at]]),
        )
        for at in range(len(names))
    ]
    fit = bootstrap_bradley_terry(played, names=names, prior=1e-3)
    order = np.argsort(-fit.log_strengths)
    return Matrix(
        name="strengths",
        row_title="source",
        column_title="Bradley-Terry",
        rows=[fit.names[at] for at in order],
        columns=["log-strength", "win share"],
        cells=[
            [
                Estimate(
                    value=float(fit.log_strengths[at]), low=float(fit.low[at]), high=float(fit.high[at]),
                    n=int(fit.games[at]),
                ),
                shares[at],
            ]
            for at in order
        ],
    )  # fmt: skip


def _said(games: Table) -> ibis.expr.types.NumericValue:
    """1, 0 or 0.5 of several judgements: the side that won more of them."""
    lead = games.value.sum() * 2 - games.count()
    return (lead.sign().cast("float64") + 1) / 2


def _share_won(score: NDArray[np.float64], thread: NDArray[np.int64]) -> Estimate:
    """The share of one player's games that were won, a tie one half; games of one thread are not independent."""
    halves, played = np.bincount(thread, weights=2 * score), np.bincount(thread)
    return share(halves.astype(np.int64), played)


def _true_shares(games: Table) -> Table:
    """thread, low, high and `share`: the probability that `low` is better, by Dawid and Skene's model of annotators.

    Which answer is `low` depends on a hash of its text, so the model used is the one without sides. An unknown
    annotator is a new one in every game.
    """
    joined = _columns(games.select("thread", "low", "high", "value", "annotator"))
    keys = np.stack([joined["thread"], joined["low"], joined["high"]])
    items, item = np.unique(keys, axis=1, return_inverse=True)
    label = np.select([joined["value"] == FIRST, joined["value"] == SECOND], [FIRST_WINS, SECOND_WINS], TIE)
    better = first_is_better(fit_pairs(item.ravel(), _people(joined["annotator"]), label))
    table = pa.table(
        {
            "thread": pa.array(items[0].astype(np.int64)),
            "low": pa.array(items[1].astype(np.int32)),
            "high": pa.array(items[2].astype(np.int32)),
            "share": pa.array(better),
        }
    )
    return engine_of(games).put(table)


def _people(names: NDArray[Any]) -> NDArray[np.int64]:
    """Annotators as numbers; an unknown one gets a new number, [games]."""
    known = np.array([name is not None for name in names], dtype=bool)
    person = np.empty(len(names), dtype=np.int64)
    person[known] = np.unique(names[known].astype(str), return_inverse=True)[1]
    person[~known] = len(names) + np.arange((~known).sum())
    return person


def _sample(games: Table) -> dict[str, NDArray[Any]]:
    """About `MOST_ITEMS` pairs with all their judgements: whole threads, chosen by a hash of the prompt.

    Threads are numbered in the order of their keys and prompts, so the order of the rows has no effect.
    """
    num_pairs = count(games.select("thread", "low", "high").distinct())
    share = min(1.0, MOST_ITEMS / max(1, num_pairs))
    chosen = games.filter(expressions.mix(games.prompt_id) <= share * 16**6)
    joined = _columns(chosen.order_by(["key", "prompt_id", "low", "high", "annotator", "value"]))
    starts = np.diff(joined["thread"], prepend=-1) != 0
    return joined | {"thread": np.cumsum(starts)}


def _columns(table: Table) -> dict[str, NDArray[Any]]:
    """A table's columns in memory."""
    found = in_memory(table)
    return {name: found[name].to_numpy(zero_copy_only=False) for name in found.column_names}
