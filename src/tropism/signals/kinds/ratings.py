"""Ratings become preference groups: several aspects and several people to one number per answer, and pairs of those."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import ibis
from ibis import Table

from tropism.errors import ConfigError
from tropism.signals.engines import expressions as values
from tropism.signals.engines.engine import count, keep, release
from tropism.signals.kinds.answers import Cleaning, Measure, Threaded, members_of, merged, to_answers
from tropism.signals.kinds.columns import RatingColumns, aspects_in_words
from tropism.signals.kinds.made import (
    OVER_CAP,
    Built,
    Weight,
    check_cap,
    check_time,
    describe,
    nothing_made,
    weighted,
)
from tropism.signals.kinds.pairs import best_against_random, capped, to_pairs
from tropism.signals.kinds.rules import LeadRule, VoteRule
from tropism.signals.kinds.spine import Middle, OneAnswer, to_groups

Pairing: TypeAlias = Literal["all", "best-random"]

MERGED = "ratings merged with others of the same response"


def ratings_to_groups(
    table: Table,
    columns: RatingColumns,
    *,
    rule: VoteRule | None = None,
    pairing: Pairing = "all",
    ties: bool = False,
    seed: int = 0,
    cap: int | None = None,
    weight: Weight = "one",
    margin: Literal["none", "gap"] = "none",
    skip_bad: bool = False,
    cleaning: Cleaning | None = None,
    holdout: float | None = None,
    source: str = "",
) -> Built:
    """Make preference groups of rated answers.

    A row's rating is the weighted mean of the aspects it gives; an answer's is the mean of its rows.

    Args:
        table, cap, weight, margin, skip_bad, cleaning, holdout, source: as in `votes_to_groups`.
        columns: the names of the columns, and the weights of the aspects.
        rule: which pairs are preferences; every lead unless given.
        pairing: `all` pairs, or the best answer against a random worse one.
        ties: True makes a tied edge of every two equally rated answers.
        seed: of the random worse answer.

    Raises:
        ConfigError: for settings that exclude each other.
        DataError: for a row that cannot be read, or where no edge is left.
    """
    rule = rule or LeadRule()
    check_time(rule, columns.time)
    check_cap(cap)
    if pairing == "best-random":
        _refuse_with_random(rule, ties=ties, cap=cap)
    kind = _Ratings(columns, rule, pairing, ties=ties, seed=seed, cap=cap, weight=weight, margin=margin)
    return to_groups(table, kind, skip_bad=skip_bad, cleaning=cleaning, holdout=holdout, source=source)


@dataclass(frozen=True)
class _Ratings(OneAnswer):
    """Rated answers; several ratings of one answer are averaged."""

    columns: RatingColumns
    rule: VoteRule
    pairing: Pairing
    ties: bool
    seed: int
    cap: int | None
    weight: Weight
    margin: Literal["none", "gap"]

    @property
    def needs_time(self) -> bool:
        return self.rule.needs_time

    def measure(self, text: Table) -> Measure:
        """A row's rating: the weighted mean of the aspects that are there."""
        total = weights = ibis.literal(0.0)
        reasons = []
        for place, (name, weight) in enumerate(self.columns.aspects.items()):
            value = text[f"score {place}"]
            number = values.number(value)
            is_missing = values.is_missing(value)
            called = "score" if len(self.columns.aspects) == 1 else name
            reasons.append((~is_missing & ~values.is_finite(number), f"{called} is not finite"))
            reasons.append((~is_missing & number.isnull(), f"{called} is not a number"))
            total += is_missing.ifelse(0.0, number.fill_null(0.0) * weight).cast("float64")
            weights += is_missing.ifelse(0.0, weight).cast("float64")
        reasons.append((weights == 0, "missing rating"))
        return Measure({"score": total / weights.nullif(0.0)}, tuple(reasons))

    def middle(self, threaded: Threaded) -> Middle:
        """The mean of every answer, and the pairs that the rule passes or that are drawn."""
        good = threaded.rows
        # rounded, so that the order in which an engine adds up makes no tie a lead
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
        return Middle(
            answers,
            members=members,
            edges=pairs,
            rule=f"{words}; ties are kept" if self.ties else words,
            nothing=partial(nothing_made, answers=answers, rule=rule),
            notes={OVER_CAP: num_over, MERGED: count(members) - count(answers)},
            passing=(members,),
        )

    def _pairs(self, answers: Table) -> tuple[Table, int]:
        """Every pair that the rule passes, and how many the cap leaves out."""
        every = to_pairs(answers, self.rule, ties=self.ties)
        pairs = keep(weighted(capped(every, self.cap), weight=self.weight, margin=self.margin))
        return pairs, count(every) - count(pairs) if self.cap else 0

    def _random_pairs(self, answers: Table) -> tuple[Table, int]:
        """One pair of every thread; none is left out."""
        drawn = best_against_random(answers, seed=self.seed).drop("mix")
        return keep(weighted(drawn, weight=self.weight, margin=self.margin)), 0


def _aspects(columns: RatingColumns) -> str:
    """The aspects and their weights, for the card."""
    return "" if len(columns.aspects) == 1 else f"; {aspects_in_words(columns.aspects)}"


def _refuse_with_random(rule: VoteRule, *, ties: bool, cap: int | None) -> None:
    """Refuse what has no effect where one pair of a thread is drawn."""
    given = {
        "--ties": ties,
        "--cap": cap is not None,
        "--rule": not isinstance(rule, LeadRule),
        "--later": rule.later,
        "--min-score": rule.min_score is not None,
        "--length-match": rule.length_match is not None,
    }
    for name, is_given in given.items():
        if is_given:
            raise ConfigError(
                f"{name} has no effect with --pairing best-random, which makes one untied pair of a thread.",
                remedy=f"Leave {name} away.",
            )
