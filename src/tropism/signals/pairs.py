"""Answers of a thread become pairs, inside the engine."""

from __future__ import annotations

import ibis
from ibis import Table

from tropism.signals.rules import VoteRule

_SIDES = ("place", "score", "time", "words", "mix")
_PRIME = 16_777_213


def to_pairs(answers: Table, rule: VoteRule) -> Table:
    """Every pair of a thread that the rule passes, with what confounds need.

    Columns: thread, winner and loser (places), gap (votes), `longer` and `earlier` (does the winner have more words,
    was it written first: in halves, so that a tie is 1 and sums are exact; `earlier` is null without both times), and
    `mix`, a hash of both responses.
    """
    several = answers.filter(answers.size > 1)
    winners = several.select("thread", **{f"winner_{side}": several[side] for side in _SIDES})
    losers = several.select(loser_thread=several.thread, **{f"loser_{side}": several[side] for side in _SIDES})
    joined = winners.join(
        losers, [winners.thread == losers.loser_thread, winners.winner_score > losers.loser_score], how="inner"
    )
    passed = joined.filter(rule.passes(joined))
    return passed.select(
        "thread",
        winner=passed.winner_place,
        loser=passed.loser_place,
        gap=passed.winner_score - passed.loser_score,
        longer=in_halves(passed.winner_words, passed.loser_words),
        earlier=in_halves(passed.loser_time, passed.winner_time),
        mix=(passed.winner_mix * 7_919 + passed.loser_mix * 104_729) % _PRIME,
    )


def capped(pairs: Table, cap: int | None) -> Table:
    """At most `cap` pairs of each thread: the largest gaps, ties in the order of a hash of both responses.

    `num_pairs` tells how many the thread had.
    """
    num_pairs = pairs.thread.count().over(ibis.window(group_by=pairs.thread))
    if cap is None:
        return pairs.mutate(num_pairs=num_pairs).drop("mix")
    best_first = ibis.window(
        group_by=pairs.thread, order_by=[ibis.desc(pairs.gap), pairs.mix, pairs.winner, pairs.loser]
    )
    ranked = pairs.mutate(at=ibis.row_number().over(best_first), num_pairs=num_pairs)
    return ranked.filter(ranked["at"] < cap).drop("at", "mix")


def in_halves(larger: ibis.Value, smaller: ibis.Value) -> ibis.Value:
    """2 where the first is larger, 1 where both are equal, 0 where it is smaller, null where one is missing."""
    return ((larger > smaller).cast("int8") + (larger >= smaller).cast("int8")).cast("int8")
