"""Answers of a thread become pairs, inside the engine."""

from __future__ import annotations

from typing import Literal, TypeAlias

import ibis
from ibis import Table

from tropism.errors import ConfigError
from tropism.signals.engines import expressions
from tropism.signals.engines.engine import count, scalar
from tropism.signals.kinds.vote_rules import VoteRule
from tropism.signals.parameter_checks import require_one_of

GapWeight: TypeAlias = Literal["one", "gap"]
GapMargin: TypeAlias = Literal["none", "gap"]

_SIDES = ("place", "level", "score", "time", "length", "mix")
_PRIME = 16_777_213


def to_pairs(answers: Table, rule: VoteRule, *, cap: int | None = None, ties: bool = False) -> Table:
    """Every pair of a thread that the rule passes, with what confounds need.

    Columns: thread, winner and loser (places), gap (of levels), `prob` (0.5 for a tie), `longer` and `earlier` (does
    the winner have more characters, was it written first: in halves, so that a tie is 1 and sums are exact; null for a
    tied pair, and `earlier` without both times), and `mix`, a hash of both responses.

    Args:
        answers: from `to_answers`, with `level`.
        rule: which pairs are preferences.
        cap: most pairs of a thread that will be kept; if the rule depends on the lead alone, pairs that this many
            others of their thread surpass are not made at all.
        ties: make a tied pair of every two answers on one level.
    """
    several = answers.filter(answers.size > 1)
    prune = cap is not None and rule.grows and not ties
    sides = (*_SIDES, "better", "worse") if prune else _SIDES
    winners = losers = several
    if prune:
        several = _ranked(several)
        # of a pair that fewer than `cap` others surpass, neither side is surpassed by so many answers
        winners, losers = several.filter(several.better < cap), several.filter(several.worse < cap)
    winners = winners.select("thread", **{f"winner_{side}": winners[side] for side in sides})
    losers = losers.select(loser_thread=losers.thread, **{f"loser_{side}": losers[side] for side in sides})
    leads = winners.winner_level > losers.loser_level
    if ties:
        leads |= (winners.winner_level == losers.loser_level) & (winners.winner_place < losers.loser_place)
    joined = winners.join(losers, [winners.thread == losers.loser_thread, leads], how="inner")
    decided = joined.winner_level > joined.loser_level
    passed = joined.filter(rule.passes(joined) | ~decided if ties else rule.passes(joined))
    if prune:
        # pairs with a larger gap: better winners with losers as bad or worse, and the other way round
        surpassing = (passed.winner_better + 1) * (passed.loser_worse + 1) - 1
        passed = passed.filter(surpassing < cap)
    decided = passed.winner_level > passed.loser_level
    return passed.select(
        "thread",
        winner=passed.winner_place,
        loser=passed.loser_place,
        gap=passed.winner_level - passed.loser_level,
        prob=decided.ifelse(1.0, 0.5) if ties else ibis.literal(1.0),
        longer=_where(decided, in_halves(passed.winner_length, passed.loser_length), ties),
        earlier=_where(decided, in_halves(passed.loser_time, passed.winner_time), ties),
        mix=(passed.winner_mix * 7_919 + passed.loser_mix * 104_729) % _PRIME,
    )


def check_cap(cap: int | None) -> None:
    """Refuse a cap below 1.

    Raises:
        ConfigError: naming it.
    """
    if cap is not None and cap < 1:
        raise ConfigError(f"`cap` must be at least 1, got {cap}.", remedy="Omit it for no cap.")


def check_pair_settings(cap: int | None, weight: str, margin: str) -> None:
    """Refuse a cap below 1, and an unknown weight or margin.

    Raises:
        ConfigError: naming the setting.
    """
    check_cap(cap)
    require_one_of("weight", weight, GapWeight)
    require_one_of("margin", margin, GapMargin)


def weighted(pairs: Table, *, weight: GapWeight, margin: GapMargin = "none") -> Table:
    """Edges with the requested `weight` and `margin`; a tie has weight 1 and margin 0."""
    tied = pairs.prob == 0.5
    gap = pairs.gap.cast("float64")
    return pairs.mutate(
        weight=tied.ifelse(1.0, gap) if weight == "gap" else ibis.literal(1.0),
        margin=gap if margin == "gap" else ibis.literal(0.0),
    )


def describe(rule: object, *, cap: int | None = None, weight: str = "one", margin: str = "none") -> str:
    """The rule and the other settings that decide which pairs are edges, for the card."""
    parts = [str(rule)]
    if cap is not None:
        parts.append(f"at most {cap} edge{'s' if cap > 1 else ''} per thread, the largest gaps first")
    if weight == "gap":
        parts.append("an edge weighs its gap")
    if margin == "gap":
        parts.append("an edge's margin is its gap")
    return "; ".join(parts)


def count_pairs(answers: Table, rule: VoteRule) -> int:
    """How many pairs a rule passes; if it depends on levels alone, answers of one level are counted together."""
    if not rule.grows:
        return count(to_pairs(answers, rule))
    levels = answers.group_by(["thread", "level"]).agg(n=answers.count())
    winners = levels.select("thread", winner_level="level", winners="n")
    losers = levels.select(loser_thread="thread", loser_level="level", losers="n")
    met = winners.join(
        losers, [winners.thread == losers.loser_thread, winners.winner_level > losers.loser_level], how="inner"
    )
    passed = met.filter(rule.prefers(met))
    return int(scalar((passed.winners * passed.losers).sum()) or 0)


def best_against_random(answers: Table, *, seed: int) -> Table:
    """One pair per thread: its best answer, and a worse one that is drawn by a hash.

    Reference: Tunstall et al. 2023 (Zephyr), arXiv:2310.16944, section 4, on UltraFeedback. Answers that share the
    best level are drawn from by the same hash.
    """
    several = answers.filter(answers.size > 1)
    drawn = several.mutate(draw=expressions.fingerprint(several.response_id.concat(f" {seed}")))
    best_first = ibis.window(group_by=drawn.thread, order_by=[ibis.desc(drawn.level), drawn.draw])
    ranked = drawn.mutate(at=ibis.row_number().over(best_first))
    best = ranked.filter(ranked["at"] == 0)
    sides = {side: best[side] for side in _SIDES}
    winners = best.select("thread", **{f"winner_{side}": value for side, value in sides.items()})
    joined = drawn.join(winners, "thread")
    worse = joined.filter(joined.level < joined.winner_level)
    first = ibis.window(group_by=worse.thread, order_by=worse.draw)
    chosen = worse.mutate(at=ibis.row_number().over(first))
    chosen = chosen.filter(chosen["at"] == 0)
    return chosen.select(
        "thread",
        winner=chosen.winner_place,
        loser=chosen.place,
        gap=chosen.winner_level - chosen.level,
        prob=ibis.literal(1.0),
        longer=in_halves(chosen.winner_length, chosen["length"]),
        earlier=in_halves(chosen.time, chosen.winner_time),
        mix=(chosen.winner_mix * 7_919 + chosen.mix * 104_729) % _PRIME,
    )


def capped(pairs: Table, cap: int | None) -> Table:
    """At most `cap` pairs of each thread: the largest gaps, ties in the order of a hash of both responses."""
    if cap is None:
        return pairs.drop("mix")
    best_first = ibis.window(
        group_by=pairs.thread, order_by=[ibis.desc(pairs.gap), pairs.mix, pairs.winner, pairs.loser]
    )
    ranked = pairs.mutate(at=ibis.row_number().over(best_first))
    return ranked.filter(ranked["at"] < cap).drop("at", "mix")


def in_halves(larger: ibis.Value, smaller: ibis.Value) -> ibis.Value:
    """2 if the first is larger, 1 if both are equal, 0 if it is smaller, null if one is missing."""
    return ((larger > smaller).cast("int8") + (larger >= smaller).cast("int8")).cast("int8")


def _ranked(answers: Table) -> Table:
    """The answers with the number of `better` and `worse` ones in their thread."""
    best_first = ibis.window(group_by=answers.thread, order_by=ibis.desc(answers.level))
    reached = (ibis.cume_dist().over(best_first) * answers["size"]).round().cast("int64")  # rows down to the last equal
    ranked = answers.mutate(better=ibis.rank().over(best_first), reached=reached)
    return ranked.mutate(worse=ranked["size"] - ranked.reached).drop("reached")


def _where(decided: ibis.Value, value: ibis.Value, ties: bool) -> ibis.Value:
    """A value for decided pairs, null for tied ones."""
    return decided.ifelse(value, ibis.null("int8")) if ties else value
