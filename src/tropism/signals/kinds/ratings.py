"""Ratings become preference groups: the ratings of an answer become one number, and pairs of answers are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias

import ibis
from ibis import Table

from tropism.errors import ConfigError
from tropism.signals.build import FeedbackData, build_groups
from tropism.signals.engines import expressions
from tropism.signals.engines.engine import count, keep, release
from tropism.signals.kinds.answer_pairs import (
    GapMargin,
    GapWeight,
    best_against_random,
    capped,
    check_pair_settings,
    describe,
    to_pairs,
    weighted,
)
from tropism.signals.kinds.answers import RowValues, Threaded, members_of, merged, to_answers
from tropism.signals.kinds.built_groups import OVER_CAP, BuiltGroups, nothing_made
from tropism.signals.kinds.columns import RatingColumns, SignalColumns, aspects_in_words
from tropism.signals.kinds.exclusions import Exclusions
from tropism.signals.kinds.signal_kind import AnswerKind, Judgements
from tropism.signals.kinds.signal_settings import AnswerSettings, Form, Gate
from tropism.signals.kinds.vote_rules import LeadRule, VoteRule, check_time, rule_name
from tropism.signals.parameter_checks import require_one_of

Pairing: TypeAlias = Literal["all", "best-random"]

MERGED = "ratings merged with others of the same response"

_TOOL = RatingColumns("prompt", "response", {"score": 1.0}, "group")


def from_ratings(
    data: FeedbackData,
    *,
    prompt: str = "prompt",
    response: str = "response",
    score: str | Mapping[str, float] | None = None,
    group: str | None = None,
    time: str | None = None,
    author: str | None = None,
    rule: VoteRule | None = None,
    pairing: Pairing = "all",
    ties: bool = False,
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
    """Make preference groups of rated answers.

    A row's rating is the weighted mean of its aspects; an answer's rating is the mean of its rows.

    Args:
        data: one rating of one answer a row: a file, a pandas DataFrame, an Arrow table or an Ibis table, or an export
            of Argilla or Label Studio.
        prompt, response, group, time, author: columns, as in `from_votes`.
        score: a column of numbers, or each rated aspect with its weight, > 0; None is the column `score`, or the only
            aspect of an export.
        rule: which pairs are preferences; None is `LeadRule()`, any lead.
        pairing: `all` pairs, or `best-random`: the best answer against a random worse one.
        ties: make a tied edge of every two equally rated answers.
        cap, weight, margin: as in `from_votes`.
        exclude, keep_bots, private, salt, gate, holdout, skip_bad, engine, source: as in `from_votes`.
        form: `table`, `argilla` or `label-studio`; `auto` finds it.
        seed: of the random worse answer.

    Returns:
        The groups, in the order of their ids, and a card that accounts for every row.

    Raises:
        ConfigError: for a setting that is out of range or has no effect.
        DataError: for a row that cannot be read, or if no edge is left.

    Example:
        >>> import pandas as pd
        >>> stars = {"prompt": "Slugs?", "response": ["Grit.", "Salt."], "help": [5, 4], "tone": [3, 5]}
        >>> (group,) = from_ratings(pd.DataFrame(stars), score={"help": 3, "tone": 1})
        >>> sorted((response.content, response.score) for response in group.responses)
        [('Grit.', 4.5), ('Salt.', 4.25)]
    """
    settings = RatingSettings(
        columns=RatingColumns(prompt, response, score, group, time, author),
        rule=rule or LeadRule(),
        pairing=pairing,
        ties=ties,
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
class RatingSettings(AnswerSettings):
    """Settings of a build of ratings; see `from_ratings`."""

    columns: RatingColumns = field(default_factory=RatingColumns)
    rule: VoteRule = field(default_factory=LeadRule)
    pairing: Pairing = "all"
    ties: bool = False
    cap: int | None = None
    weight: GapWeight = "one"
    margin: GapMargin = "none"

    name = "ratings"
    forms = {"argilla": _TOOL, "label-studio": _TOOL}  # noqa: RUF012  (a literal table)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pair_settings(self.cap, self.weight, self.margin)
        require_one_of("pairing", self.pairing, Pairing)
        if self.pairing == "best-random":
            self._refuse_with_random()

    def kind(self, columns: SignalColumns, *, is_json: bool = False) -> RatingKind:
        assert isinstance(columns, RatingColumns)
        check_time(self.rule, columns.time)
        return RatingKind(
            columns,
            self.rule,
            self.pairing,
            ties=self.ties,
            seed=self.seed,
            cap=self.cap,
            weight=self.weight,
            margin=self.margin,
        )

    def asked(self) -> Mapping[str, float] | None:
        return None if self.columns.score is None else self.columns.aspects

    def _refuse_with_random(self) -> None:
        """Refuse what has no effect if one pair of a thread is drawn."""
        given = {
            "`ties=True`": self.ties,
            "`cap`": self.cap is not None,
            f"`rule={rule_name(self.rule)!r}`": not isinstance(self.rule, LeadRule),
            "`later`": self.rule.later,
            "`min_score`": self.rule.min_score is not None,
            "`length_match`": self.rule.length_match is not None,
        }
        for parameter, is_given in given.items():
            if is_given:
                raise ConfigError(
                    f"{parameter} has no effect with `pairing='best-random'`, which makes one untied pair per thread.",
                    remedy="Omit it.",
                )


@dataclass(frozen=True)
class RatingKind(AnswerKind):
    """Rated answers; several ratings of one answer are averaged."""

    columns: RatingColumns
    rule: VoteRule
    pairing: Pairing
    ties: bool
    seed: int
    cap: int | None
    weight: GapWeight
    margin: GapMargin

    @property
    def needs_time(self) -> bool:
        return self.rule.needs_time

    def measure(self, text: Table) -> RowValues:
        """A row's rating: the weighted mean of its aspects."""
        total = weights = ibis.literal(0.0)
        reasons = []
        for place, (name, weight) in enumerate(self.columns.aspects.items()):
            value = text[f"score {place}"]
            number = expressions.number(value)
            is_missing = expressions.is_missing(value)
            called = "score" if len(self.columns.aspects) == 1 else name
            reasons.append((~is_missing & ~expressions.is_finite(number), f"{called} is not finite"))
            reasons.append((~is_missing & number.isnull(), f"{called} is not a number"))
            total += is_missing.ifelse(0.0, number.fill_null(0.0) * weight).cast("float64")
            weights += is_missing.ifelse(0.0, weight).cast("float64")
        reasons.append((weights == 0, "missing rating"))
        return RowValues({"score": total / weights.nullif(0.0)}, tuple(reasons))

    def judge(self, threaded: Threaded) -> Judgements:
        """The mean of every answer, and the pairs that the rule passes or that are drawn."""
        good = threaded.rows
        # rounded, so that the order of additions in an engine cannot turn a tie into a lead
        answers = to_answers(merged(good, score=good.score.mean().round(9)))
        answers = keep(answers.mutate(level=answers.score))
        members = keep(members_of(good, answers))
        release(good)
        pairs, num_over = self._random_pairs(answers) if self.pairing == "best-random" else self._pairs(answers)
        rule = (
            f"best against random: the best rated and one worse answer (seed {self.seed})"
            if self.pairing == "best-random"
            else str(self.rule)
        )
        words = describe(rule, cap=self.cap, weight=self.weight, margin=self.margin) + _aspects(self.columns)
        return Judgements(
            answers,
            members=members,
            edges=pairs,
            rule=f"{words}; ties are kept" if self.ties else words,
            nothing=partial(nothing_made, answers=answers, rule=rule),
            notes={OVER_CAP: num_over, MERGED: count(members) - count(answers)},
            passing=(members,),
        )

    def _pairs(self, answers: Table) -> tuple[Table, int]:
        """Every pair that the rule passes, and how many the cap removes."""
        every = to_pairs(answers, self.rule, ties=self.ties)
        pairs = keep(weighted(capped(every, self.cap), weight=self.weight, margin=self.margin))
        return pairs, count(every) - count(pairs) if self.cap else 0

    def _random_pairs(self, answers: Table) -> tuple[Table, int]:
        """One pair per thread; none is removed."""
        drawn = best_against_random(answers, seed=self.seed).drop("mix")
        return keep(weighted(drawn, weight=self.weight, margin=self.margin)), 0


def _aspects(columns: RatingColumns) -> str:
    """The aspects and their weights, for the card."""
    return "" if len(columns.aspects) == 1 else f"; {aspects_in_words(columns.aspects)}"
