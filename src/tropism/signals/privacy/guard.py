"""Applies a safety gate: no edge may prefer, and no label may call desirable, a text that the gate stops."""

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
    """Edges or labels after the gate.

    Args:
        table: the remaining rows.
        notes: counts of changes, and of each of the gate's reasons by distinct response.
    """

    table: Table
    notes: dict[str, int]


def guard_edges(pairs: Table, answers: Table, texts: Table, gate: SafetyGate, *, is_json: bool = False) -> Guarded:
    """Reverse edges whose winner is stopped, make those certain whose loser is stopped, drop those with both stopped.

    An edge that was reversed, or was a tie, gets its direction from the gate alone: it has weight 1 and no margin.

    Args:
        pairs: edges with thread, winner, loser, prob and the other columns of edges.
        answers: with thread, place and row.
        texts: text_row and response.
        gate: applied once to every response that is part of an edge.
        is_json: whether responses are JSON text.
    """
    placed = ibis.union(pairs.select("thread", place="winner"), pairs.select("thread", place="loser"), distinct=True)
    stopped, reasons = _stopped(answers.semi_join(placed, ["thread", "place"]), texts, gate, is_json=is_json)
    winners = stopped.select("thread", winner="place", bad_winner=ibis.literal(True))
    losers = stopped.select("thread", loser="place", bad_loser=ibis.literal(True))
    marked = pairs.left_join(winners, ["thread", "winner"]).select(pairs, "bad_winner")
    marked = marked.left_join(losers, ["thread", "loser"]).select(marked, "bad_loser")
    marked = marked.mutate(bad_winner=marked.bad_winner.fill_null(False), bad_loser=marked.bad_loser.fill_null(False))
    marked = keep(marked)
    both = marked.bad_winner & marked.bad_loser
    turned = marked.bad_winner & ~marked.bad_loser
    sure = ((turned | marked.bad_loser) & (marked.prob == 0.5)) | (marked.bad_loser & (marked.prob != 1.0))
    counts = _counts(marked, {TURNED: turned & (marked.prob != 0.5), SURE: sure & ~both, CLOSED: both})
    left = marked.filter(~both)
    turned = left.bad_winner
    decided = turned | (left.bad_loser & (left.prob == 0.5))
    even = ibis.literal(2).cast("int8")
    changed = left.mutate(
        winner=turned.ifelse(left.loser, left.winner),
        loser=turned.ifelse(left.winner, left.loser),
        longer=turned.ifelse((even - left.longer).cast("int8"), left.longer),
        earlier=turned.ifelse((even - left.earlier).cast("int8"), left.earlier),
        # a tie with a stopped text becomes certain
        prob=(turned | left.bad_loser).ifelse(1.0, left.prob),
        weight=decided.ifelse(1.0, left.weight),
        margin=decided.ifelse(0.0, left.margin),
    ).drop("bad_winner", "bad_loser")
    kept = keep(changed)
    release(marked)
    return Guarded(kept, {**counts, **reasons})


def guard_labels(labels: Table, answers: Table, texts: Table, gate: SafetyGate, *, is_json: bool = False) -> Guarded:
    """Make desirable labels of texts that the gate stops undesirable."""
    stopped, reasons = _stopped(answers.semi_join(labels, ["thread", "place"]), texts, gate, is_json=is_json)
    marked = labels.left_join(stopped.mutate(bad=ibis.literal(True)), ["thread", "place"]).select(labels, "bad")
    turned = marked.bad.fill_null(False) & marked.desirable
    counts = _counts(marked, {UNWANTED: turned})
    changed = marked.mutate(desirable=turned.ifelse(False, marked.desirable)).drop("bad")
    return Guarded(keep(changed), {**counts, **reasons})


def _stopped(answers: Table, texts: Table, gate: SafetyGate, *, is_json: bool) -> tuple[Table, dict[str, int]]:
    """`thread` and `place` of every response that the gate stops, and the count of each reason."""
    texts_of_answers = answers.join(texts, answers.row == texts.text_row).select("thread", "place", "response")
    found: list[tuple[int, int]] = []
    reasons: Counter[str] = Counter()
    for batch in engine_of(texts_of_answers).batches(texts_of_answers, num_rows=_BATCH):
        columns = batch.to_pydict()
        words = [words_of(text, is_json=is_json) for text in columns["response"]]
        for thread, place, reason in zip(columns["thread"], columns["place"], gate_texts(words, gate), strict=True):
            if reason:
                found.append((thread, place))
                reasons[f"responses that the safety gate stops: {reason}"] += 1
    threads, places = (pa.array([pair[at] for pair in found], pa.int64()) for at in (0, 1))
    hits = engine_of(texts_of_answers).put(pa.table({"thread": threads, "place": places.cast(pa.int32())}))
    return hits, dict(sorted(reasons.items()))


def _counts(table: Table, conditions: dict[str, ibis.Value]) -> dict[str, int]:
    """How many rows each condition holds for."""
    names = list(conditions)
    sums = {f"c{at}": conditions[name].cast("int64").sum() for at, name in enumerate(names)}
    sums_row = rows(table.aggregate(**sums))[0]
    return {name: int(sums_row[f"c{at}"] or 0) for at, name in enumerate(names)}
