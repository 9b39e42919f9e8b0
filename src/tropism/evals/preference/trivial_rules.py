"""What trivial rules reach on the same pairs: any accuracy that they reach too says little about a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tropism.groups import Edge, PreferenceGroup, content_text
from tropism.metrics.pair_order import order_credit
from tropism.records import Measure
from tropism.signals.statistics.probes import ProbeEdge, bag_of_words_margins

FEWEST_PAIRS = 20
"""A bag of words is not fitted to fewer pairs."""


def trivial_credits(pairs: Sequence[tuple[PreferenceGroup, Edge]], *, seed: int) -> list[dict[str, float]]:
    """Credit of each rule on each pair, as `metrics.pair_order` gives it.

    `rule_longer_answer` takes the answer with more characters. `rule_bag_of_words` counts words; it is fitted to
    the pairs of the other four of five folds of groups, so it has not seen the group of the pair.

    Args:
        pairs: comparisons that are not ties.
        seed: which groups share a fold.
    """
    texts = [
        (content_text(group.responses[edge.winner].content), content_text(group.responses[edge.loser].content))
        for group, edge in pairs
    ]
    credits = [{"rule_longer_answer": order_credit(len(winner), len(loser))} for winner, loser in texts]
    if len(pairs) < FEWEST_PAIRS:
        return credits
    edges = [ProbeEdge(group.id, "", *both) for (group, _), both in zip(pairs, texts, strict=True)]
    margins = bag_of_words_margins(edges, seed=seed)
    return [
        {**one, "rule_bag_of_words": order_credit(margin, 0.0)}
        for one, margin in zip(credits, margins.tolist(), strict=True)
    ]


TRIVIAL_MEASURES: Mapping[str, Measure] = {
    "rule_longer_answer": Measure(
        label="The longer answer",
        unit="share",
        meaning="Pair accuracy of a rule that takes the longer answer, on the same pairs.",
        baseline=0.5,
    ),
    "rule_bag_of_words": Measure(
        label="A bag of words",
        unit="share",
        meaning="Pair accuracy of a bag of words that is fitted to pairs of other groups, on the same pairs.",
        baseline=0.5,
    ),
}
