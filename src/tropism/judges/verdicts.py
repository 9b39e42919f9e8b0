"""From pairs of answers to verdicts: degenerate answers never win, and the place bias of a judge is measured."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from tropism.judges.degenerate import fault_of
from tropism.judges.judge import AnswerPair, Judge, Verdict
from tropism.metrics.bootstrap import mean_by_cluster
from tropism.records import Estimate

MOST_FLIPS = 0.1
"""Share of verdicts that may change with the order before a reader is told."""


def decide(
    judge: Judge, answer_pairs: Sequence[AnswerPair], *, progress: Callable[[int], None] | None = None
) -> list[Verdict | None]:
    """A verdict for every answer_pair. An empty or looping answer never wins, whatever the judge would say.

    Against a sound answer it loses; two such answers tie. The judge is not asked about them.

    Returns:
        One verdict per answer_pair; None if the judge has none.
    """
    ruled = [_by_rule(answer_pair) for answer_pair in answer_pairs]
    open_places = [place for place, verdict in enumerate(ruled) if verdict is None]
    if progress:
        progress(len(answer_pairs) - len(open_places))
    found: list[Verdict | None] = list(ruled)
    judged = judge.compare_all([answer_pairs[place] for place in open_places], progress=progress)
    for place, verdict in zip(open_places, judged, strict=True):
        found[place] = verdict
    return found


def _by_rule(answer_pair: AnswerPair) -> Verdict | None:
    """The verdict on a pair of answers with a degenerate answer in it; None where both answers may say something."""
    first_is_sound, second_is_sound = (fault_of(answer) is None for answer in (answer_pair.first, answer_pair.second))
    if first_is_sound and second_is_sound:
        return None
    return Verdict(0.5 if first_is_sound == second_is_sound else float(first_is_sound), decided_by="rule")


class PlaceBias(NamedTuple):
    """How far a judge's verdicts depend on which answer stands first.

    Attributes:
        flips: share of pairs of answers whose winner changes when the answers change places.
        first_place: share of single verdicts that go to whichever answer stands first (a tie counts half); one half is
            fair.
    """

    flips: Estimate
    first_place: Estimate

    def sentence(self) -> str:
        """What a reader must know, or nothing where the judge is fair as far as can be told."""
        leans = self.first_place.low > 0.5 or self.first_place.high < 0.5
        if not leans and self.flips.value <= MOST_FLIPS:
            return ""
        first = self.first_place
        place, share = ("first", first) if first.value > 0.5 else ("second", _complement(first))
        lean = (
            f"The judge prefers whichever answer stands {place}: {shown(share)} of its single verdicts go there. "
            if leans
            else ""
        )
        return (
            f"{lean}With the order of the answers {shown(self.flips)} of its verdicts change to the other side; every "
            "pair was asked in both orders, and such a pair counts as a tie."
        )


def place_bias(verdicts: Sequence[Verdict | None], clusters: Sequence[Hashable]) -> PlaceBias | None:
    """Position bias of a judge that was asked in both orders; None for one that sees no order.

    Args:
        verdicts: of one judge.
        clusters: the prompt of each.
    """
    flips: list[float] = []
    first_place: list[float] = []
    owners: list[Hashable] = []
    for verdict, cluster in zip(verdicts, clusters, strict=True):
        if verdict is not None and verdict.by_place is not None:
            there, back = verdict.by_place
            flips.append(float((there - 0.5) * (back - 0.5) < 0))
            first_place.append((there + 1 - back) / 2)
            owners.append(cluster)
    flipped, first = mean_by_cluster(flips, owners), mean_by_cluster(first_place, owners)
    return PlaceBias(flipped, first) if flipped is not None and first is not None else None


def _complement(share: Estimate) -> Estimate:
    """One less a share."""
    return Estimate(value=1 - share.value, low=1 - share.high, high=1 - share.low, n=share.n)


def shown(share: Estimate) -> str:
    """A share as people read it, with its interval and count."""
    return f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}] (n = {share.n:,})"
