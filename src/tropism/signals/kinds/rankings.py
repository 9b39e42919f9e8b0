"""Rankings become preference groups: within each annotator's ranking every answer meets every other one."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
from ibis import Table

from tropism.errors import DataError
from tropism.records import Account
from tropism.signals.engines import expressions as values
from tropism.signals.engines.engine import count, keep, release
from tropism.signals.kinds.answers import Cleaning, Measure, Threaded, members_of, merged, to_answers
from tropism.signals.kinds.columns import RankingColumns
from tropism.signals.kinds.games import GameWeight, Truth, agreement, judged_pairs
from tropism.signals.kinds.made import OVER_CAP, Built, check_cap, nothing_used
from tropism.signals.kinds.pairs import capped
from tropism.signals.kinds.spine import Middle, OneAnswer, to_groups

MERGED = "ranks merged with others of the same response"
MIXED = "several rankings of a thread without an annotator"


def rankings_to_groups(
    table: Table,
    columns: RankingColumns,
    *,
    truth: Truth = "soft",
    weight: GameWeight = "one",
    ties: bool = False,
    cap: int | None = None,
    skip_bad: bool = False,
    cleaning: Cleaning | None = None,
    holdout: float | None = None,
    is_json: bool = False,
    source: str = "",
) -> Built:
    """Make preference groups of ranked answers; the smallest rank is the best.

    An edge goes from the better ranked to the worse; where several annotators ranked the same answers, its probability
    is the share of them who agree. Every response carries its place in the mean ranking. Rows of a thread whose
    annotator is empty are one ranking; where they give an answer different ranks they are several, which nothing tells
    apart, and are left out.

    Args:
        table, skip_bad, cleaning, holdout, source: as in `votes_to_groups`; a row is one ranked answer.
        columns: the names of the columns.
        truth, weight: what an edge says where annotators disagree; see `judged_pairs`.
        ties: True keeps pairs that are even as tied edges.
        cap: most edges of a thread, those that most annotators agree on; None keeps all.
        is_json: whether prompt and answers are JSON text already (turns of dialogues, image references).

    Raises:
        DataError: for a row that cannot be read, or where no edge is left.
    """
    check_cap(cap)
    kind = _Rankings(columns, truth=truth, weight=weight, ties=ties, cap=cap)
    return to_groups(table, kind, skip_bad=skip_bad, cleaning=cleaning, holdout=holdout, source=source, is_json=is_json)


@dataclass(frozen=True)
class _Rankings(OneAnswer):
    """Ranked answers; those of one annotator meet each other."""

    columns: RankingColumns
    truth: Truth
    weight: GameWeight
    ties: bool
    cap: int | None

    def measure(self, text: Table) -> Measure:
        """A row's rank, and whose ranking it is part of."""
        rank = values.number(text.rank)
        annotator = values.filled(text.annotator).fill_null("") if "annotator" in text.columns else ibis.literal("")
        return Measure(
            {"rank": rank, "annotator": annotator},
            (
                (values.is_missing(text.rank), "missing rank"),
                (~values.is_finite(rank), "rank is not finite"),
                (rank.isnull(), "rank is not a number"),
            ),
        )

    def middle(self, threaded: Threaded) -> Middle:
        """The mean rank of every answer, and the pairs that annotators' rankings make."""
        good, mixed = threaded.rows, None
        if self.columns.annotator:
            mixed = keep(_mixed(good))
            good = good.anti_join(mixed, "row")
        answers = to_answers(merged(good, mean_rank=good.rank.mean().round(9)))
        by_rank = ibis.window(group_by=answers.thread, order_by=answers.mean_rank)
        answers = keep(answers.mutate(rank=ibis.dense_rank().over(by_rank).cast("int32")))
        games = keep(_games(good, answers, threaded.keys))
        members = keep(members_of(good, answers))
        release(threaded.rows)
        every = judged_pairs(games, answers, truth=self.truth, weight=self.weight, ties=self.ties)
        pairs = keep(capped(_with_mix(every, answers), self.cap))
        num_over = count(every) - count(pairs) if self.cap else 0
        return Middle(
            answers,
            members=members,
            edges=pairs,
            rule=self._described(),
            nothing=_nothing,
            lost=mixed,
            notes={MERGED: count(members) - count(answers), OVER_CAP: num_over},
            confounds=agreement(games) if self.columns.annotator else {},
            passing=(games, members, mixed) if mixed is not None else (games, members),
        )

    def _described(self) -> str:
        rule = f"rankings: the better ranked is preferred; ties are {'kept' if self.ties else 'left out'}"
        if self.cap is not None:
            rule += f"; at most {self.cap} edge{'s' if self.cap > 1 else ''} of a thread"
        if self.columns.annotator:
            rule += f"; several annotators: {self.truth}, an edge weighs {self.weight}"
        return rule


def _nothing(account: Account, source: str) -> DataError:
    return nothing_used(
        account,
        f"no ranking of {source} prefers anything",
        remedy="Name with --group the column that holds the answers to one prompt together, or keep --ties.",
    )


def _mixed(good: Table) -> Table:
    """`row` and reason of what nobody ranked by name, in threads where an answer has different ranks of that kind."""
    unnamed = good.filter(good.annotator == "")
    spread = unnamed.group_by(["thread", "response_id"]).agg(least=unnamed["rank"].min(), most=unnamed["rank"].max())
    several = spread.filter(spread.least < spread.most).select("thread").distinct()
    return unnamed.semi_join(several, "thread").select("row", reason=ibis.literal(MIXED))


def _games(good: Table, answers: Table, keys: Table) -> Table:
    """Every two answers of one annotator's ranking, the smaller place first; one ranked twice has its mean rank."""
    names = ["thread", "response_id"]
    told = good.select(*names, "annotator", "rank").join(answers.select(*names, "place"), names)
    ranked = told.group_by(["thread", "annotator", "place"]).agg(rank=told["rank"].mean().round(9))
    ranked = ranked.join(keys, "thread")
    low = ranked.select("thread", "annotator", "key", "prompt_id", low="place", low_rank="rank")
    high = ranked.select(other="thread", judge="annotator", high="place", high_rank="rank")
    met = low.join(high, [low.thread == high.other, low.annotator == high.judge, low.low < high.high], how="inner")
    doubled = ibis.cases((met.low_rank < met.high_rank, 2), (met.low_rank > met.high_rank, 0), else_=1)
    return met.select(
        "thread",
        "key",
        "prompt_id",
        "low",
        "high",
        annotator=met.annotator.nullif(""),
        value=doubled.cast("float64") / 2,
    )


def _with_mix(pairs: Table, answers: Table) -> Table:
    """Pairs with a hash of both responses, by which even leads are put in order."""
    mixes = answers.select("thread", "place", "mix")
    winners = mixes.select("thread", winner="place", winner_mix="mix")
    losers = mixes.select("thread", loser="place", loser_mix="mix")
    told = pairs.join(winners, ["thread", "winner"]).join(losers, ["thread", "loser"])
    return told.mutate(mix=(told.winner_mix * 7_919 + told.loser_mix * 104_729) % 16_777_213).drop(
        "winner_mix", "loser_mix"
    )
