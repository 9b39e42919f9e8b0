"""Ratings become preference groups: several aspects and several people to one number per answer, and pairs of those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import ibis
from ibis import Table

from tropism.errors import ConfigError
from tropism.signals import values
from tropism.signals.answers import (
    Cleaning,
    Measure,
    in_threads,
    members_of,
    merged,
    read_rows,
    refuse_bad_rows,
    split_keys,
    to_answers,
    with_texts,
)
from tropism.signals.columns import RatingColumns
from tropism.signals.engines import ROW, count, data_errors, engine_of, keep, release
from tropism.signals.made import (
    OVER_CAP,
    Built,
    Made,
    Weight,
    account_of,
    built,
    check_cap,
    describe,
    guarded,
    nothing_made,
    of_threads,
    weighted,
)
from tropism.signals.pairs import best_against_random, capped, to_pairs
from tropism.signals.rules import LeadRule, VoteRule
from tropism.signals.stream import Threads

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
    _check_settings(columns, rule, pairing, ties=ties, cap=cap)
    if ROW not in table.columns:
        table = table.mutate(**{ROW: ibis.row_number() + 1})
    given, cleaning = columns.given(), cleaning or Cleaning()
    with data_errors(source, engine_of(table)):
        lean = keep(read_rows(table, given, _measure(columns), cleaning=cleaning, needs_time=rule.needs_time))
        if not skip_bad:
            refuse_bad_rows(lean, table, given)
        threaded = in_threads(lean)
        good = threaded.rows
        # rounded, so that the order in which an engine adds up makes no tie a lead
        answers = to_answers(merged(good, score=good.score.mean().round(9)))
        answers = keep(answers.mutate(level=answers.score))
        if pairing == "best-random":
            pairs, num_over = (
                keep(weighted(best_against_random(answers, seed=seed).drop("mix"), weight=weight, margin=margin)),
                0,
            )
        else:
            every = to_pairs(answers, rule, ties=ties)
            pairs = keep(weighted(capped(every, cap), weight=weight, margin=margin))
            num_over = count(every) - count(pairs) if cap else 0
        texts = with_texts(table, given, cleaning, ("prompt", "response")).select("prompt", "response", text_row="row")
        pairs, notes = guarded(pairs, answers, texts, cleaning)
        made = Made(
            refused=threaded.refused,
            num_rows=threaded.num_rows,
            members=members_of(good, answers),
            threads=Threads(
                of_threads(answers, pairs),
                threaded.keys,
                pairs,
                None,
                texts,
                keep(split_keys(threaded.keys)),
                holdout=holdout,
            ),
            notes={OVER_CAP: num_over, MERGED: count(good) - count(answers), **notes},
        )
        described = (
            rule if pairing == "all" else f"best against random: the best rated and one worse answer (seed {seed})"
        )
        if not count(pairs):
            raise nothing_made(account_of(made), answers, described, source)
        words = describe(described, cap=cap, weight=weight, margin=margin) + _aspects(columns)
        done = built(
            made,
            source=source,
            rule=f"{words}; ties are kept" if ties else words,
            with_time=bool(columns.time),
            with_author=bool(columns.author),
        )
        release(answers)
    return done


def _measure(columns: RatingColumns) -> Callable[[Table], Measure]:
    """A row's rating: the weighted mean of the aspects that are there."""

    def measure(text: Table) -> Measure:
        total = weights = ibis.literal(0.0)
        reasons = []
        for place, (name, weight) in enumerate(columns.aspects.items()):
            value = text[f"score {place}"]
            number = values.number(value)
            is_missing = values.is_missing(value)
            called = "score" if len(columns.aspects) == 1 else name
            reasons.append((~is_missing & ~values.is_finite(number), f"{called} is not finite"))
            reasons.append((~is_missing & number.isnull(), f"{called} is not a number"))
            total += is_missing.ifelse(0.0, number.fill_null(0.0) * weight).cast("float64")
            weights += is_missing.ifelse(0.0, weight).cast("float64")
        reasons.append((weights == 0, "missing rating"))
        return Measure({"score": total / weights.nullif(0.0)}, tuple(reasons))

    return measure


def _aspects(columns: RatingColumns) -> str:
    """The aspects and their weights, for the card."""
    if len(columns.aspects) == 1:
        return ""
    return "; rated by the mean of " + ", ".join(f"{name} ({weight:g})" for name, weight in columns.aspects.items())


def _check_settings(columns: RatingColumns, rule: VoteRule, pairing: Pairing, *, ties: bool, cap: int | None) -> None:
    check_cap(cap)
    if rule.needs_time and columns.time is None:
        raise ConfigError(
            f'the rule "{rule}" compares when answers were written, but no column holds that.',
            remedy="Name the column with --time.",
        )
    if pairing == "best-random":
        for name, is_given in (
            ("--ties", ties),
            ("--cap", cap is not None),
            ("--rule", not isinstance(rule, LeadRule)),
        ):
            if is_given:
                raise ConfigError(
                    f"{name} has no effect with --pairing best-random, which makes one untied pair of a thread.",
                    remedy=f"Leave {name} away.",
                )
