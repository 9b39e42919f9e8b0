"""Rankings become preference groups: within each annotator's ranking, every two answers are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import ibis
from ibis import Table

from tropism.errors import ConfigError, DataError
from tropism.records import Account
from tropism.signals.build import FeedbackData, build_groups
from tropism.signals.engines import expressions
from tropism.signals.engines.engine import count, data_errors, engine_of, keep, release
from tropism.signals.kinds.answer_pairs import capped, check_cap
from tropism.signals.kinds.answers import RowValues, Threaded, members_of, merged, to_answers
from tropism.signals.kinds.built_groups import OVER_CAP, BuiltGroups, nothing_used
from tropism.signals.kinds.columns import RankingColumns, SignalColumns
from tropism.signals.kinds.exclusions import Exclusions
from tropism.signals.kinds.judged_pairs import Truth, VoteWeight, agreement, judged_pairs
from tropism.signals.kinds.signal_kind import AnswerKind, Judgements
from tropism.signals.kinds.signal_settings import AnswerSettings, Form, Gate
from tropism.signals.parameter_checks import require_one_of

MERGED = "ranks merged with others of the same response"
MIXED = "several rankings of a thread without an annotator"

_TOOL = RankingColumns("prompt", "response", "rank", "group", annotator="annotator")


def from_rankings(
    data: FeedbackData,
    *,
    prompt: str = "prompt",
    response: str = "response",
    rank: str = "rank",
    group: str | None = None,
    time: str | None = None,
    author: str | None = None,
    annotator: str | None = None,
    question: str | None = None,
    truth: Truth = "soft",
    weight: VoteWeight = "one",
    ties: bool = False,
    cap: int | None = None,
    exclude: Exclusions | None = None,
    keep_bots: bool = False,
    private: bool = False,
    salt: str | None = None,
    gate: Gate | None = None,
    holdout: float | None = None,
    skip_bad: bool = False,
    form: Form = "auto",
    engine: str = "duckdb",
    seed: int = 0,
    source: str | None = None,
) -> BuiltGroups:
    """Make preference groups of ranked answers; the smallest rank is the best.

    An edge goes from the better ranked answer to the worse; if several annotators ranked the same answers, its
    probability is the share of them who agree. Every response carries its rank in the mean ranking. Rows of a thread
    without an annotator are one ranking; if they give one answer different ranks, they are several rankings that cannot
    be distinguished, and are dropped.

    Args:
        data: one ranked answer a row: a file, a pandas DataFrame, an Arrow table or an Ibis table; Open Assistant
            trees, ImageReward lists, an export of Argilla or Label Studio, or a file of `tropism label`.
        prompt, response, group, time, author: columns, as in `from_votes`.
        rank: column of the answer's rank; equal ranks are ties.
        annotator: column of who ranked.
        question: of an export, the question whose rankings count; None is its only one.
        truth, weight: what an edge says if annotators disagree; see `judged_pairs`.
        ties: keep even pairs as tied edges.
        cap: most edges of a thread, those that most annotators agree on; None keeps all.
        exclude, keep_bots, private, salt, gate, holdout, skip_bad, engine, seed, source: as in `from_votes`.
        form: `table`, `oasst`, `imagereward`, `argilla`, `label-studio` or `label-page`; `auto` finds it.

    Returns:
        The groups, in the order of their ids, and a card that accounts for every row.

    Raises:
        ConfigError: for a setting that is out of range or has no effect.
        DataError: for a row that cannot be read, or if no edge is left.

    Example:
        >>> import pandas as pd
        >>> ranks = pd.DataFrame({"prompt": ["Slugs?"] * 3, "response": ["Grit.", "Salt.", "lol"], "rank": [1, 2, 3]})
        >>> (group,) = from_rankings(ranks)
        >>> len(group.edges)
        3
    """
    settings = RankingSettings(
        columns=RankingColumns(prompt, response, rank, group, time, author, annotator),
        question=question,
        truth=truth,
        weight=weight,
        ties=ties,
        cap=cap,
        exclude=exclude or Exclusions(),
        keep_bots=keep_bots,
        private=private,
        salt=salt,
        gate=gate,
        holdout=holdout,
        skip_bad=skip_bad,
        form=form,
        engine=engine,
        seed=seed,
        source=source,
    )
    return build_groups(data, settings)


@dataclass(frozen=True, kw_only=True)
class RankingSettings(AnswerSettings):
    """Settings of a build of rankings; see `from_rankings`."""

    columns: RankingColumns = field(default_factory=RankingColumns)
    question: str | None = None
    truth: Truth = "soft"
    weight: VoteWeight = "one"
    ties: bool = False
    cap: int | None = None

    name = "rankings"
    forms = dict.fromkeys(("oasst", "imagereward", "argilla", "label-studio", "label-page"), _TOOL)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_cap(self.cap)
        require_one_of("truth", self.truth, Truth)
        require_one_of("weight", self.weight, VoteWeight)

    def kind(self, columns: SignalColumns, *, is_json: bool = False) -> RankingKind:
        assert isinstance(columns, RankingColumns)
        return RankingKind(columns, truth=self.truth, weight=self.weight, ties=self.ties, cap=self.cap)

    def asked(self) -> Mapping[str, float] | None:
        return None if self.question is None else {self.question: 1.0}

    def check(self, table: Table, columns: SignalColumns, *, source: str) -> None:
        if (self.truth, self.weight) == ("soft", "one"):
            return
        name = columns.given().get("annotator")
        with data_errors(source, engine_of(table)):
            is_known = name is not None and count(table.filter(~expressions.is_missing(table[name]))) > 0
        if not is_known:
            setting = f"`truth={self.truth!r}`" if self.truth != "soft" else f"`weight={self.weight!r}`"
            raise ConfigError(
                f"{setting} has no effect on rankings without annotators: {source or 'the table'} is read as one "
                "ranking per thread.",
                remedy="Name the column with `annotator`, or omit it." if name is None else "Omit it.",
            )


@dataclass(frozen=True)
class RankingKind(AnswerKind):
    """Ranked answers; those of one annotator meet each other."""

    columns: RankingColumns
    truth: Truth
    weight: VoteWeight
    ties: bool
    cap: int | None

    def measure(self, text: Table) -> RowValues:
        """A row's rank, and whose ranking it is part of."""
        rank = expressions.number(text.rank)
        annotator = (
            expressions.filled(text.annotator).fill_null("") if "annotator" in text.columns else ibis.literal("")
        )
        return RowValues(
            {"rank": rank, "annotator": annotator},
            (
                (expressions.is_missing(text.rank), "missing rank"),
                (~expressions.is_finite(rank), "rank is not finite"),
                (rank.isnull(), "rank is not a number"),
            ),
        )

    def judge(self, threaded: Threaded) -> Judgements:
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
        return Judgements(
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
        rule = f"rankings: the better ranked is preferred; ties are {'kept' if self.ties else 'dropped'}"
        if self.cap is not None:
            rule += f"; at most {self.cap} edge{'s' if self.cap > 1 else ''} per thread"
        if self.columns.annotator:
            rule += f"; several annotators: {self.truth}, an edge weighs {self.weight}"
        return rule


def _nothing(account: Account, source: str) -> DataError:
    return nothing_used(
        account,
        f"no ranking of {source} prefers anything",
        remedy="Name with `group` the column that answers to one prompt have in common, or set `ties=True`.",
    )


def _mixed(good: Table) -> Table:
    """`row` and reason of rows without an annotator, in threads in which such rows give an answer different ranks."""
    unnamed = good.filter(good.annotator == "")
    spread = unnamed.group_by(["thread", "response_id"]).agg(least=unnamed["rank"].min(), most=unnamed["rank"].max())
    several = spread.filter(spread.least < spread.most).select("thread").distinct()
    return unnamed.semi_join(several, "thread").select("row", reason=ibis.literal(MIXED))


def _games(good: Table, answers: Table, keys: Table) -> Table:
    """Every two answers of one annotator's ranking, the smaller place first; one ranked twice has its mean rank."""
    names = ["thread", "response_id"]
    joined = good.select(*names, "annotator", "rank").join(answers.select(*names, "place"), names)
    ranked = joined.group_by(["thread", "annotator", "place"]).agg(rank=joined["rank"].mean().round(9))
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
    """Pairs with a hash of both responses, which orders equal leads."""
    mixes = answers.select("thread", "place", "mix")
    winners = mixes.select("thread", winner="place", winner_mix="mix")
    losers = mixes.select("thread", loser="place", loser_mix="mix")
    joined = pairs.join(winners, ["thread", "winner"]).join(losers, ["thread", "loser"])
    return joined.mutate(mix=(joined.winner_mix * 7_919 + joined.loser_mix * 104_729) % 16_777_213).drop(
        "winner_mix", "loser_mix"
    )
