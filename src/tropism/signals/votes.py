"""Votes become preference groups: one group per thread, one edge per pair that a rule passes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import ibis
from ibis import Table

from tropism.errors import ConfigError
from tropism.signals import values
from tropism.signals.answers import (
    REPEATED,
    Cleaning,
    Measure,
    in_threads,
    read_rows,
    refuse_bad_rows,
    repeated,
    split_keys,
    to_answers,
    with_texts,
)
from tropism.signals.columns import VoteColumns
from tropism.signals.engines import ROW, count, data_errors, engine_of, keep, keep_in_parts, release
from tropism.signals.made import (
    OVER_CAP,
    SPLIT_KEYS,
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
from tropism.signals.pairs import capped, count_pairs, to_pairs
from tropism.signals.rules import GapRule, ShpRule, VoteRule
from tropism.signals.stream import Threads

__all__ = ["SPLIT_KEYS", "Built", "GapRule", "ShpRule", "VoteColumns", "VoteRule", "votes_to_groups"]


def votes_to_groups(
    table: Table,
    columns: VoteColumns,
    rule: VoteRule,
    *,
    cap: int | None = None,
    weight: Weight = "one",
    margin: Literal["none", "gap"] = "none",
    skip_bad: bool = False,
    cleaning: Cleaning | None = None,
    holdout: float | None = None,
    source: str = "",
) -> Built:
    """Make preference groups of answers that people voted on.

    The order of the rows has no effect. Equal responses to a prompt count once, with the highest score. A response
    without an edge stays in its group; a thread without an edge is dropped and counted.

    Args:
        table: one row per answer, from `open_file` or of your own.
        columns: the names of its columns.
        rule: which pairs are preferences.
        cap: most edges of a thread, those with the largest gap; None keeps all.
        weight: `one`, or `gap` for the winner's lead in votes.
        margin: `none`, or `gap`: the lead as the offset of the edge's margin.
        skip_bad: True drops and counts rows whose score or time cannot be read, which is an error otherwise.
        cleaning: what is done to texts, keys and authors before anything else.
        holdout: share of groups that are marked as held out, by a hash of the prompt; None marks none.
        source: the name of the data, for the groups and the card.

    Raises:
        ConfigError: for a rule that needs a time where no column holds it, or a cap below 1.
        DataError: for a row that cannot be read, or where no edge is left.
    """
    _check_settings(columns, rule, cap)
    if ROW not in table.columns:
        table = table.mutate(**{ROW: ibis.row_number() + 1})
    given, cleaning = columns.given(), cleaning or Cleaning()
    with data_errors(source, engine_of(table)):
        lean = keep(read_rows(table, given, _measure(rule), cleaning=cleaning, needs_time=rule.needs_time))
        if not skip_bad:
            refuse_bad_rows(lean, table, given)
        threaded = in_threads(lean)
        num_rows = threaded.num_rows
        copies = keep_in_parts(partial(repeated, best_first="score"), threaded.rows, num_rows=num_rows)
        fitted = rule.fitted(threaded.rows)
        answers = keep_in_parts(partial(_answers, copies, fitted), threaded.rows, num_rows=num_rows)
        release(threaded.rows)
        pairs = keep_in_parts(
            lambda part: weighted(capped(to_pairs(part, fitted, cap=cap), cap), weight=weight, margin=margin),
            answers,
            num_rows=num_rows,
        )
        num_over = count_pairs(answers, fitted) - count(pairs) if cap else 0
        texts = with_texts(table, given, cleaning, ("prompt", "response")).select("prompt", "response", text_row="row")
        pairs, notes = guarded(pairs, answers, texts, cleaning)
        made = Made(
            refused=threaded.refused,
            num_rows=threaded.num_rows,
            members=answers.select("row", "thread", "size"),
            threads=Threads(
                of_threads(answers, pairs),
                threaded.keys,
                pairs,
                None,
                texts,
                keep(split_keys(threaded.keys)),
                holdout=holdout,
            ),
            lost=copies.select("row", reason=ibis.literal(REPEATED)),
            notes={OVER_CAP: num_over, **notes},
        )
        if not count(pairs):
            raise nothing_made(account_of(made), answers, fitted, source)
        done = built(
            made,
            source=source,
            rule=describe(fitted, cap=cap, weight=weight, margin=margin),
            with_time=bool(columns.time),
            with_author=bool(columns.author),
        )
        release(copies, answers)
    return done


def _answers(copies: Table, rule: VoteRule, rows: Table) -> Table:
    """Distinct answers with the level that a rule compares."""
    answers = to_answers(rows.anti_join(copies, "row"))
    return answers.mutate(level=rule.level(answers))


def _measure(rule: VoteRule) -> Callable[[Table], Measure]:
    """What is read of a row of votes: its score, and where they are known the asker's mark and the prompt's score."""

    def measure(text: Table) -> Measure:
        score = values.number(text.score)
        columns = {"score": score}
        reasons = [
            (values.is_missing(text.score), "missing score"),
            (~values.is_finite(score), "score is not finite"),
            (score.isnull(), "score is not a number"),
        ]
        if "accepted" in text.columns:
            accepted = values.flag(text.accepted)
            columns["accepted"] = accepted.cast("int8")
            reasons.append((~values.is_missing(text.accepted) & accepted.isnull(), "accepted is not true or false"))
        if "prompt_score" in text.columns and isinstance(rule, ShpRule):
            prompt_score = values.number(text.prompt_score)
            reasons.append(
                (~values.is_missing(text.prompt_score) & prompt_score.isnull(), "prompt score is not a number")
            )
            reasons.append(
                (prompt_score < rule.min_prompt_score, f"prompt has fewer than {rule.min_prompt_score:g} votes")
            )
        return Measure(columns, tuple(reasons))

    return measure


def _check_settings(columns: VoteColumns, rule: VoteRule, cap: int | None) -> None:
    if rule.needs_time and columns.time is None:
        raise ConfigError(
            f'the rule "{rule}" compares when answers were written, but no column holds that.',
            remedy="Name the column with --time.",
        )
    check_cap(cap)
