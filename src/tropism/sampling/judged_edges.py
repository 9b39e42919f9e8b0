"""A judge compares the answers of groups: which verdicts become edges, and with what weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, NamedTuple

from tropism.evals.core.items import Progress
from tropism.groups import Edge, PreferenceGroup, content_text
from tropism.judges.degenerate import fault_of
from tropism.judges.judge import AnswerPair, Judge, Verdict
from tropism.judges.verdicts import decide, place_bias
from tropism.records import Estimate


@dataclass(frozen=True)
class Pairing:
    """Which verdicts become edges, and what the gap between two scores does to an edge.

    The gap is the difference of the judge's scores; for a judge that gives none, the distance of its preference from a
    tie, in [0, 1]. Where the rule against degenerate answers decided, there is no gap: weight 1, margin 0.

    Args:
        pairs: every pair that is no tie, or of each prompt the best answer against the worst.
        weight: 1, or the gap.
        margin: 0, or the gap.
    """

    pairs: Literal["all", "best-worst"] = "all"
    weight: Literal["one", "gap"] = "one"
    margin: Literal["none", "gap"] = "none"


class JudgedGroups(NamedTuple):
    """Groups with edges, how the edges came about, and what a reader must know of the judge."""

    groups: list[PreferenceGroup]
    rule: str
    flips: Estimate | None
    notes: tuple[str, ...]


def judge_groups(
    groups: Sequence[PreferenceGroup],
    judge: Judge,
    pairing: Pairing,
    *,
    notes: Counter[str],
    progress: Progress,
) -> JudgedGroups:
    """Compare the answers of every group, all pairs of them, and make edges of the verdicts.

    Args:
        groups: without edges.
        judge: who compares.
        pairing: which verdicts become edges.
        notes: counts of ties, missing verdicts and degenerate answers are added here.
        progress: makes a progress bar.
    """
    pairs = [(place, a, b) for place, one in enumerate(groups) for a, b in combinations(range(len(one.responses)), 2)]
    answer_pairs = [
        AnswerPair(one.prompts[0], content_text(one.responses[a].content), content_text(one.responses[b].content))
        for one, a, b in ((groups[place], a, b) for place, a, b in pairs)
    ]
    with progress(f"Judging pairs of answers ({judge.name})", len(answer_pairs)) as done:
        verdicts = decide(judge, answer_pairs, progress=done)
    found: list[dict[tuple[int, int], Verdict]] = [{} for _ in groups]
    for (place, a, b), verdict in zip(pairs, verdicts, strict=True):
        if verdict is None:
            notes["pairs without a verdict"] += 1
        else:
            found[place][a, b] = verdict
            notes["pairs that tie"] += verdict.first == 0.5
    notes["answers that repeat themselves, which never win"] += sum(
        fault_of(content_text(response.content)) is not None for one in groups for response in one.responses
    )
    bias = place_bias(verdicts, [place for place, _, _ in pairs])
    sentence = bias.sentence() if bias else ""
    which = "all pairs that are no tie" if pairing.pairs == "all" else "the best against the worst"
    return JudgedGroups(
        [with_edges(one, seen, pairing) for one, seen in zip(groups, found, strict=True)],
        f"judge {judge.name}: {which}, weight {pairing.weight}, margin {pairing.margin}",
        bias.flips if bias else None,
        (sentence,) if sentence else (),
    )


def with_edges(
    group: PreferenceGroup, verdicts: Mapping[tuple[int, int], Verdict], pairing: Pairing
) -> PreferenceGroup:
    """A group with the judge's scores and the edges that its verdicts stand for."""
    scores: dict[int, float] = {}
    for (a, b), verdict in verdicts.items():
        if verdict.scores:
            scores[a], scores[b] = verdict.scores
    chosen = verdicts if pairing.pairs == "all" else best_against_worst(verdicts)
    edges = [edge_of(a, b, verdict, pairing) for (a, b), verdict in chosen.items() if verdict.first != 0.5]
    responses = [replace(response, score=scores.get(place)) for place, response in enumerate(group.responses)]
    return replace(group, responses=tuple(responses), edges=tuple(edges))


def best_against_worst(verdicts: Mapping[tuple[int, int], Verdict]) -> dict[tuple[int, int], Verdict]:
    """The verdict between the answer that won most of its answer_pairs and the one that won fewest."""
    points: dict[int, float] = {}
    for (a, b), verdict in verdicts.items():
        points[a] = points.get(a, 0.0) + verdict.first
        points[b] = points.get(b, 0.0) + 1 - verdict.first
    order = sorted(points, key=lambda place: (-points[place], place))
    if not order:
        return {}
    ends = (min(order[0], order[-1]), max(order[0], order[-1]))
    return {ends: verdicts[ends]} if ends in verdicts else {}


def edge_of(first: int, second: int, verdict: Verdict, pairing: Pairing) -> Edge:
    """The edge that an untied verdict stands for; a preference that is not unanimous is a soft label."""
    winner, loser = (first, second) if verdict.first > 0.5 else (second, first)
    gap: float | None = None
    if verdict.decided_by == "judge":
        gap = abs(verdict.scores[0] - verdict.scores[1]) if verdict.scores else abs(2 * verdict.first - 1)
    return Edge(
        winner,
        loser,
        weight=gap if gap is not None and pairing.weight == "gap" else 1.0,
        margin=gap if gap is not None and pairing.margin == "gap" else 0.0,
        prob=max(verdict.first, 1 - verdict.first),
    )
