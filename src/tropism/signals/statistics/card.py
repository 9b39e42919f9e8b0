"""The part of a data card that reads texts: probes on a sample of whole threads, chosen by a hash."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tropism.records import DataCard, Estimate
from tropism.signals.engines import expressions
from tropism.signals.engines.engine import count, data_errors, engine_of, in_memory
from tropism.signals.engines.group_stream import Threads
from tropism.signals.kinds.built_groups import BuiltGroups
from tropism.signals.sources.contents import words_of
from tropism.signals.statistics import probes
from tropism.signals.statistics.probes import ProbeEdge


def probed(made: BuiltGroups, *, seed: int) -> BuiltGroups:
    """The same groups, with confounders from words, near-duplicates and large threads on their card.

    Args:
        made: groups and card.
        seed: of the folds of the word probe.
    """
    threads = made.groups.threads
    with data_errors(made.groups.source, engine_of(threads.answers)):
        spread = _spread(threads)
        sample = _sample(threads)
    found: dict[str, Estimate] = {}
    if sample:
        near = probes.near_duplicates(sample)
        found = {
            "bag_of_words_accuracy": probes.bag_of_words_accuracy(sample, seed=seed),
            "near_duplicate_responses": near.responses,
            "near_duplicate_edges": near.edges,
            "topic_leak": probes.topic_leak(sample),
        }
    known = {name: estimate for name, estimate in found.items() if estimate.n}
    card: DataCard = made.card.model_copy(update={"confounds": made.card.confounds | known, "pairs_per_thread": spread})
    return replace(made, card=card)


def _spread(threads: Threads) -> dict[str, float]:
    """How edges are spread over threads."""
    per_thread = in_memory(threads.edges.group_by("thread").agg(edges=threads.edges.count()))
    if not per_thread.num_rows:
        return {}
    found = probes.pairs_per_thread(per_thread["edges"].to_numpy().astype(np.int64))
    return {
        "mean": found.mean,
        "median": found.median,
        "most": float(found.max),
        "share of the top 1 %": found.top_share,
    }


def _sample(threads: Threads) -> list[ProbeEdge]:
    """At most `SAMPLE_EDGES` edges that are not ties, with their texts; edges without words are omitted."""
    decided = threads.edges.filter(threads.edges.prob != 0.5).select("thread", "winner", "loser")
    share = min(1.0, probes.SAMPLE_EDGES / max(1, count(decided)))
    keys = threads.keys
    keys = keys.select("thread", name=keys.key.concat("/", keys.prompt_id), draw=expressions.mix(keys.prompt_id))
    keys = keys.filter(keys.draw <= share * 16**6)
    chosen = threads.answers.join(keys, "thread").select("thread", "place", "draw", "row", "name")
    texts = threads.texts
    placed = texts.join(chosen, texts.text_row == chosen.row).select(
        "thread", "place", "draw", "name", "prompt", "response"
    )
    placed = engine_of(placed).keep(placed)
    winners = placed.select("thread", "draw", "name", "prompt", winner="place", winner_text="response")
    losers = placed.select("thread", loser="place", loser_text="response")
    edges = decided.join(winners, ["thread", "winner"]).join(losers, ["thread", "loser"])
    ordered = edges.order_by(["draw", "name", "winner", "loser"]).limit(probes.SAMPLE_EDGES)
    rows = in_memory(ordered.select("name", "prompt", "winner_text", "loser_text")).to_pylist()
    engine_of(placed).release(placed)

    def said(text: str) -> str:
        return words_of(text, is_json=threads.is_json)

    sample = [
        ProbeEdge(row["name"], said(row["prompt"]), said(row["winner_text"]), said(row["loser_text"])) for row in rows
    ]
    return [edge for edge in sample if edge.winner.strip() or edge.loser.strip()]
