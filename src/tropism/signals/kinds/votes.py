"""Votes become preference groups: one group per thread, one edge per pair that a rule passes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import ibis
from ibis import Table

from tropism.signals.engines import expressions as values
from tropism.signals.engines.engine import count, keep_in_parts, release
from tropism.signals.kinds.answers import REPEATED, Cleaning, Measure, Threaded, repeated, to_answers
from tropism.signals.kinds.columns import VoteColumns
from tropism.signals.kinds.made import (
    OVER_CAP,
    SPLIT_KEYS,
    Built,
    Weight,
    check_cap,
    check_time,
    describe,
    nothing_made,
    weighted,
)
from tropism.signals.kinds.pairs import capped, count_pairs, to_pairs
from tropism.signals.kinds.rules import GapRule, ShpRule, VoteRule
from tropism.signals.kinds.spine import Middle, OneAnswer, to_groups

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
    check_time(rule, columns.time)
    check_cap(cap)
    kind = _Votes(columns, rule, cap=cap, weight=weight, margin=margin)
    return to_groups(table, kind, skip_bad=skip_bad, cleaning=cleaning, holdout=holdout, source=source)


@dataclass(frozen=True)
class _Votes(OneAnswer):
    """Answers with their votes; of equal ones the best."""

    columns: VoteColumns
    rule: VoteRule
    cap: int | None
    weight: Weight
    margin: Literal["none", "gap"]

    @property
    def needs_time(self) -> bool:
        return self.rule.needs_time

    def measure(self, text: Table) -> Measure:
        """A row's score, and where they are known the asker's mark and the prompt's score."""
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
        if "prompt_score" in text.columns and isinstance(self.rule, ShpRule):
            prompt_score, least = values.number(text.prompt_score), self.rule.min_prompt_score
            is_missing = values.is_missing(text.prompt_score)
            reasons.append((~is_missing & ~values.is_finite(prompt_score), "prompt score is not finite"))
            reasons.append((~is_missing & prompt_score.isnull(), "prompt score is not a number"))
            reasons.append((prompt_score < least, f"prompt has fewer than {least:g} votes"))
        return Measure(columns, tuple(reasons))

    def middle(self, threaded: Threaded) -> Middle:
        """Distinct answers, and the pairs that the rule passes; large data are sorted in parts."""
        num_rows = threaded.num_rows
        copies = keep_in_parts(partial(repeated, best_first="score"), threaded.rows, num_rows=num_rows)
        rule = self.rule.fitted(threaded.rows)
        answers = keep_in_parts(partial(_answers, copies, rule), threaded.rows, num_rows=num_rows)
        release(threaded.rows)
        pairs = keep_in_parts(partial(self._pairs, rule), answers, num_rows=num_rows)
        num_over = count_pairs(answers, rule) - count(pairs) if self.cap else 0
        return Middle(
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
        """What is asked of prompts, for the card."""
        if self.columns.prompt_score is None or not isinstance(self.rule, ShpRule):
            return ""
        return f"; prompts have at least {self.rule.min_prompt_score:g} votes where that is known"

    def _pairs(self, rule: VoteRule, answers: Table) -> Table:
        pairs = capped(to_pairs(answers, rule, cap=self.cap), self.cap)
        return weighted(pairs, weight=self.weight, margin=self.margin)


def _answers(copies: Table, rule: VoteRule, rows: Table) -> Table:
    """Distinct answers with the level that a rule compares."""
    answers = to_answers(rows.anti_join(copies, "row"))
    return answers.mutate(level=rule.level(answers))
