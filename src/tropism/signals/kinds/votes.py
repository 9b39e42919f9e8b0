"""Votes become preference groups: one group per thread, one edge per pair that a rule passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import ibis
from ibis import Table

from tropism.errors import ConfigError
from tropism.signals.build import FeedbackData, build_groups
from tropism.signals.engines import expressions
from tropism.signals.engines.engine import count, keep_in_parts, release
from tropism.signals.kinds.answer_pairs import (
    GapMargin,
    GapWeight,
    capped,
    check_pair_settings,
    count_pairs,
    describe,
    to_pairs,
    weighted,
)
from tropism.signals.kinds.answers import REPEATED, RowValues, Threaded, repeated, to_answers
from tropism.signals.kinds.built_groups import OVER_CAP, BuiltGroups, nothing_made
from tropism.signals.kinds.columns import SignalColumns, VoteColumns
from tropism.signals.kinds.exclusions import Exclusions
from tropism.signals.kinds.signal_kind import AnswerKind, Judgements
from tropism.signals.kinds.signal_settings import AnswerSettings, Form, Gate
from tropism.signals.kinds.vote_rules import VOTE_RULES, GapRule, ShpRule, VoteRule, check_time, rule_name

_POSTS = VoteColumns("prompt", "response", "score", "group", "time", "author", accepted="accepted")


def from_votes(
    data: FeedbackData,
    *,
    prompt: str = "prompt",
    response: str = "response",
    score: str = "score",
    group: str | None = None,
    time: str | None = None,
    author: str | None = None,
    accepted: str | None = None,
    prompt_score: str | None = None,
    rule: VoteRule | None = None,
    cap: int | None = None,
    weight: GapWeight = "one",
    margin: GapMargin = "none",
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
    """Make preference groups of answers that people voted on.

    The order of the rows has no effect. Equal responses to a prompt count once, with the highest score. A response
    without an edge stays in its group; a thread without an edge is dropped and counted.

    Args:
        data: one row per answer: a file (JSONL, JSON, CSV, TSV, Parquet, or Stack Exchange posts), a pandas DataFrame,
            an Arrow table or an Ibis table.
        prompt, response, score: columns of the text that was answered, of the answer, and of its votes.
        group: column of the thread's key; None puts answers to equal prompts together.
        time: column of when the answer was written: ISO 8601, or seconds since 1970.
        author: column of who wrote it; bots are dropped.
        accepted: column of whether the asker accepted the answer, for `Log2Rule`.
        prompt_score: column of the prompt's own votes, for `ShpRule`.
        rule: which pairs are preferences; None is `GapRule()`, a lead of one vote.
        cap: most edges of a thread, those with the largest gaps; None keeps all.
        weight: of an edge: `one`, or `gap` for the winner's lead in votes.
        margin: of an edge: `none`, or `gap` for the lead as the offset of the edge's margin.
        exclude: which usable rows are excluded; None excludes none.
        keep_bots: keep answers whose author is a bot.
        private: replace personal data by placeholders, and hash keys.
        salt: of the hashes; None draws a new one.
        gate: a function from a text to whether no edge may prefer it, or the name of a safety gate.
        holdout: share of groups to mark as held out, by a hash of the prompt; None marks none.
        skip_bad: drop and count rows with a value that cannot be read, which is an error otherwise.
        form: `table`, or `posts` of Stack Exchange; `auto` finds it.
        engine: `duckdb`, `spark` (this machine), or the address of a Spark cluster.
        seed: of random choices.
        source: the name of the data, for groups and card; None is the name of the file.

    Returns:
        The groups, in the order of their ids, and a card that accounts for every row.

    Raises:
        ConfigError: for a setting that is out of range or has no effect.
        DataError: for a row that cannot be read, or if no edge is left.

    Example:
        >>> import pandas as pd
        >>> votes = pd.DataFrame({"prompt": ["Slugs?"] * 2, "response": ["Grit.", "No idea."], "score": [9, 1]})
        >>> (group,) = from_votes(votes, rule=GapRule(min_gap=2))
        >>> group.responses[group.edges[0].winner].content
        'Grit.'
    """
    settings = VoteSettings(
        columns=VoteColumns(prompt, response, score, group, time, author, accepted, prompt_score),
        rule=rule or GapRule(),
        cap=cap,
        weight=weight,
        margin=margin,
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
class VoteSettings(AnswerSettings):
    """Settings of a build of votes; see `from_votes`."""

    columns: VoteColumns = field(default_factory=VoteColumns)
    rule: VoteRule = field(default_factory=GapRule)
    cap: int | None = None
    weight: GapWeight = "one"
    margin: GapMargin = "none"

    name = "votes"
    forms = {"posts": _POSTS}  # noqa: RUF012  (a literal table)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pair_settings(self.cap, self.weight, self.margin)
        for column in ("accepted", "prompt_score"):
            if column in self.columns.given() and column not in self.rule.reads:
                reading = next(name for name, rule in VOTE_RULES.items() if column in rule.reads)
                raise ConfigError(
                    f"`{column}` has no effect with the rule {rule_name(self.rule)}.",
                    remedy=f"Omit it, or use the rule {reading}.",
                )
        is_limited = isinstance(self.rule, ShpRule) and self.rule.min_prompt_score is not None
        if is_limited and self.columns.prompt_score is None:
            raise ConfigError(
                "`min_prompt_score` has no effect without `prompt_score`.",
                remedy="Name the column with `prompt_score`.",
            )

    def kind(self, columns: SignalColumns, *, is_json: bool = False) -> VoteKind:
        assert isinstance(columns, VoteColumns)
        check_time(self.rule, columns.time)
        return VoteKind(columns, self.rule, cap=self.cap, weight=self.weight, margin=self.margin)


@dataclass(frozen=True)
class VoteKind(AnswerKind):
    """Answers with their votes; of equal ones the best."""

    columns: VoteColumns
    rule: VoteRule
    cap: int | None
    weight: GapWeight
    margin: GapMargin

    @property
    def needs_time(self) -> bool:
        return self.rule.needs_time

    def measure(self, text: Table) -> RowValues:
        """A row's score and, if they are known, the asker's mark and the prompt's score."""
        score = expressions.number(text.score)
        columns = {"score": score}
        reasons = [
            (expressions.is_missing(text.score), "missing score"),
            (~expressions.is_finite(score), "score is not finite"),
            (score.isnull(), "score is not a number"),
        ]
        if "accepted" in text.columns:
            accepted = expressions.flag(text.accepted)
            columns["accepted"] = accepted.cast("int8")
            is_missing = expressions.is_missing(text.accepted)
            reasons.append((~is_missing & accepted.isnull(), "accepted is not true or false"))
        if "prompt_score" in text.columns and isinstance(self.rule, ShpRule):
            prompt_score, least = expressions.number(text.prompt_score), self.rule.least_prompt_score
            is_missing = expressions.is_missing(text.prompt_score)
            reasons.append((~is_missing & ~expressions.is_finite(prompt_score), "prompt score is not finite"))
            reasons.append((~is_missing & prompt_score.isnull(), "prompt score is not a number"))
            reasons.append((prompt_score < least, f"prompt has fewer than {least:g} votes"))
        return RowValues(columns, tuple(reasons))

    def judge(self, threaded: Threaded) -> Judgements:
        """Distinct answers, and the pairs that the rule passes; large data are sorted in parts."""
        num_rows = threaded.num_rows
        copies = keep_in_parts(partial(repeated, best_first="score"), threaded.rows, num_rows=num_rows)
        rule = self.rule.fitted(threaded.rows)
        answers = keep_in_parts(partial(_answers, copies, rule), threaded.rows, num_rows=num_rows)
        release(threaded.rows)
        pairs = keep_in_parts(partial(self._pairs, rule), answers, num_rows=num_rows)
        num_over = count_pairs(answers, rule) - count(pairs) if self.cap else 0
        return Judgements(
            answers,
            members=answers.select("row", "thread", "size"),
            edges=pairs,
            rule=describe(rule, cap=self.cap, weight=self.weight, margin=self.margin) + self._of_prompts(),
            nothing=partial(nothing_made, answers=answers, rule=rule),
            lost=copies.select("row", reason=ibis.literal(REPEATED)),
            notes={OVER_CAP: num_over},
            passing=(copies,),
        )

    def _of_prompts(self) -> str:
        """What is required of prompts, for the card."""
        if self.columns.prompt_score is None or not isinstance(self.rule, ShpRule):
            return ""
        return f"; prompts have at least {self.rule.least_prompt_score:g} votes if that is known"

    def _pairs(self, rule: VoteRule, answers: Table) -> Table:
        pairs = capped(to_pairs(answers, rule, cap=self.cap), self.cap)
        return weighted(pairs, weight=self.weight, margin=self.margin)


def _answers(copies: Table, rule: VoteRule, rows: Table) -> Table:
    """Distinct answers with the level that a rule compares."""
    answers = to_answers(rows.anti_join(copies, "row"))
    return answers.mutate(level=rule.level(answers))
