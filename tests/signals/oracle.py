"""Votes to edges in plain Python, loop by loop: the slow twin that the engines are compared with."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from tropism.signals.kinds.vote_rules import GapRule, Log2Rule, QuantileRule, RatioRule, ShpRule, VoteRule


class Answer(NamedTuple):
    """An answer of one thread; `time` in seconds."""

    text: str
    score: float
    time: float | None
    accepted: bool


def edges(rows: Iterable[dict[str, Any]], rule: VoteRule) -> set[tuple[Any, str, str]]:
    """Thread, winner's text and loser's text of every pair that a rule passes; rows have thread, a, votes, at."""
    best: dict[tuple[Any, str], Answer] = {}
    for row in rows:
        answer = Answer(row["a"], float(row["votes"]), row.get("at"), bool(row.get("yes")))
        key = (row["thread"], row["a"])
        if key not in best or answer.score > best[key].score:
            best[key] = answer
    threads: dict[Any, list[Answer]] = defaultdict(list)
    for (thread, _), answer in best.items():
        threads[thread].append(answer)
    passes = _condition(rule, [answer.score for answer in best.values()])
    return {
        (thread, winner.text, loser.text)
        for thread, answers in threads.items()
        for winner in answers
        for loser in answers
        if passes(winner, loser) and _limits(rule, winner, loser)
    }


def _condition(rule: VoteRule, scores: list[float]) -> Callable[[Answer, Answer], bool]:
    match rule:
        case GapRule():
            return lambda w, o: w.score > o.score and _leads(w.score, o.score, rule.min_gap)
        case RatioRule():
            return lambda w, o: w.score > o.score and _is_times(w.score, o.score, rule.min_ratio)
        case ShpRule():
            return lambda w, o: (
                w.score > o.score
                and w.time is not None
                and o.time is not None
                and w.time >= o.time
                and _is_times(w.score, o.score, rule.min_ratio)
                and _leads(w.score, o.score, rule.min_gap)
            )
        case Log2Rule():
            return lambda w, o: _leads(_level(w), _level(o), rule.min_gap)
        case QuantileRule():
            ordered = sorted(scores)
            high = ordered[max(0, math.ceil((1 - rule.high) * len(ordered) - 1e-9) - 1)]
            low = ordered[max(0, math.ceil(rule.low * len(ordered) - 1e-9) - 1)]
            return lambda w, o: w.score >= high and o.score <= low and _leads(w.score, o.score, rule.min_gap)
    raise AssertionError(rule)


def _leads(winner: float, loser: float, least: float) -> bool:
    """In decimals as they are written, without rounding."""
    return Decimal(str(winner)) - Decimal(str(loser)) >= Decimal(str(least))


def _is_times(winner: float, loser: float, ratio: float) -> bool:
    """In decimals as they are written, without rounding."""
    return Decimal(str(winner)) >= Decimal(str(ratio)) * Decimal(str(loser))


def _level(answer: Answer) -> float:
    return -1 if answer.score < 0 else round(math.log2(1 + answer.score)) + answer.accepted


def _limits(rule: VoteRule, winner: Answer, loser: Answer) -> bool:
    if rule.later and not (winner.time is not None and loser.time is not None and winner.time > loser.time):
        return False
    if rule.min_score is not None and min(winner.score, loser.score) < rule.min_score:
        return False
    lengths = len(winner.text) / len(loser.text)
    return rule.length_match is None or abs(math.log(lengths)) <= rule.length_match
