"""The safety gate at work: no edge prefers, and no label wants, a text that the gate stops; every hit is counted."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import ibis
import pyarrow as pa
from ibis import Table

from tropism.signals.engines.engine import engine_of, keep, release, rows
from tropism.signals.privacy.safety_gate import SafetyGate, gate_texts
from tropism.signals.sources.contents import words_of

TURNED = "edges turned round: the safety gate stops the winner"
SURE = "edges made certain: the safety gate stops one side of a tie, or the loser of a soft label"
CLOSED = "edges dropped: the safety gate stops both sides"
UNWANTED = "labels turned to undesirable by the safety gate"
_BATCH = 2_000


class Guarded(NamedTuple):
    """Edges or labels behind a gate.

    Args:
        table: what is left of them.
        notes: what was changed, and how often each of the gate's reasons was given, by distinct response.
    """

    table: Table
    notes: dict[str, int]


def guard_edges(pairs: Table, answers: Table, texts: Table, gate: SafetyGate, *, is_json: bool = False) -> Guarded:
    """Turn edges whose winner the gate stops, make sure of those whose loser it stops, drop those where it stops both.

    An edge whose direction is the gate's word and not people's, turned or a tie before, weighs 1 and has no margin.

    Args:
        pairs: with thread, winner, loser, prob and the rest.
        answers: with thread, place and row.
        texts: text_row and response.
        gate: judges every response that stands in an edge, once.
        is_json: whether responses are JSON text.
    """
    placed = ibis.union(pairs.select("thread", place="winner"), pairs.select("thread", place="loser"), distinct=True)
    stopped, reasons = _stopped(answers.semi_join(placed, ["thread", "place"]), texts, gate, is_json=is_json)
    winners = stopped.select("thread", winner="place", bad_winner=ibis.literal(True))
    losers = stopped.select("thread", loser="place", bad_loser=ibis.literal(True))
    told = pairs.left_join(winners, ["thread", "winner"]).select(pairs, "bad_winner")
    told = told.left_join(losers, ["thread", "loser"]).select(told, "bad_loser")
    told = told.mutate(bad_winner=told.bad_winner.fill_null(False), bad_loser=told.bad_loser.fill_null(False))
    told = keep(told)
    both = told.bad_winner & told.bad_loser
    turned = told.bad_winner & ~told.bad_loser
    sure = ((turned | told.bad_loser) & (told.prob == 0.5)) | (told.bad_loser & (told.prob != 1.0))
    counts = _counts(told, {TURNED: turned & (told.prob != 0.5), SURE: sure & ~both, CLOSED: both})
    left = told.filter(~both)
    turned = left.bad_winner
    decided = turned | (left.bad_loser & (left.prob == 0.5))
    even = ibis.literal(2).cast("int8")
    changed = left.mutate(
        winner=turned.ifelse(left.loser, left.winner),
        loser=turned.ifelse(left.winner, left.loser),
        longer=turned.ifelse((even - left.longer).cast("int8"), left.longer),
        earlier=turned.ifelse((even - left.earlier).cast("int8"), left.earlier),
        # a tie with a text that is stopped is no tie any more
        prob=(turned | left.bad_loser).ifelse(1.0, left.prob),
        weight=decided.ifelse(1.0, left.weight),
        margin=decided.ifelse(0.0, left.margin),
    ).drop("bad_winner", "bad_loser")
    kept = keep(changed)
    release(told)
    return Guarded(kept, {**counts, **reasons})


def guard_labels(labels: Table, answers: Table, texts: Table, gate: SafetyGate, *, is_json: bool = False) -> Guarded:
    """Turn desirable labels of texts that the gate stops into undesirable ones."""
    stopped, reasons = _stopped(answers.semi_join(labels, ["thread", "place"]), texts, gate, is_json=is_json)
    told = labels.left_join(stopped.mutate(bad=ibis.literal(True)), ["thread", "place"]).select(labels, "bad")
    turned = told.bad.fill_null(False) & told.desirable
    counts = _counts(told, {UNWANTED: turned})
    changed = told.mutate(desirable=turned.ifelse(False, told.desirable)).drop("bad")
    return Guarded(keep(changed), {**counts, **reasons})


def _stopped(answers: Table, texts: Table, gate: SafetyGate, *, is_json: bool) -> tuple[Table, dict[str, int]]:
    """`thread` and `place` of every response that the gate stops, and how often it gave each reason."""
    told = answers.join(texts, answers.row == texts.text_row).select("thread", "place", "response")
    found: list[tuple[int, int]] = []
    reasons: Counter[str] = Counter()
    for batch in engine_of(told).batches(told, num_rows=_BATCH):
        told_here = batch.to_pydict()
        words = [words_of(text, is_json=is_json) for text in told_here["response"]]
        for thread, place, reason in zip(told_here["thread"], told_here["place"], gate_texts(words, gate), strict=True):
            if reason:
                found.append((thread, place))
                reasons[f"responses that the safety gate stops: {reason}"] += 1
    threads, places = (pa.array([pair[at] for pair in found], pa.int64()) for at in (0, 1))
    hits = engine_of(told).put(pa.table({"thread": threads, "place": places.cast(pa.int32())}))
    return hits, dict(sorted(reasons.items()))


def _counts(table: Table, conditions: dict[str, ibis.Value]) -> dict[str, int]:
    """How many rows each condition holds for."""
    names = list(conditions)
    sums = {f"c{at}": conditions[name].cast("int64").sum() for at, name in enumerate(names)}
    told = rows(table.aggregate(**sums))[0]
    return {name: int(told[f"c{at}"] or 0) for at, name in enumerate(names)}
