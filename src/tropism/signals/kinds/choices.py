"""Choices between two answers become preference groups, whoever and however many made them."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
from ibis import Table
from ibis.expr.types import NumericValue, StringValue, Value

from tropism.errors import DataError
from tropism.records import Account, Estimate
from tropism.signals.engines import expressions as values
from tropism.signals.engines.engine import count, keep, release
from tropism.signals.kinds.answers import UNREAD, Cleaning, Threaded, merged, nothing_said, to_answers, with_texts
from tropism.signals.kinds.columns import ChoiceColumns
from tropism.signals.kinds.games import GameWeight, Truth, agreement, judged_pairs, strengths
from tropism.signals.kinds.made import Built, nothing_used
from tropism.signals.kinds.spine import Kind, Middle, to_groups
from tropism.signals.privacy import redaction as privacy
from tropism.signals.statistics.confounds import share_of

MERGED = "choices merged with others of the same pair"
_FIRST = ("a", "1", "1.0", "first", "left", "response_a", "answer_a", "model_a", "chosen_a")
_SECOND = ("b", "2", "2.0", "second", "right", "response_b", "answer_b", "model_b", "chosen_b")
_TIE = ("tie", "t", "both", "equal", "same", "0", "0.0", "draw", "both_good", "tie (both good)")
_BAD = ("both_bad", "both bad", "neither", "none", "tie (bothbad)", "bothbad")
_SKIP = ("skip", "skipped", "unsure", "discarded")
SHOWN_FIRST = "shown_first"
"""Column of a table that says, by `a` or `b`, which answer of a row an annotator saw first."""

_TEXTS = ("prompt", "first", "second")
_TRUTHS = {
    "soft": "an edge's probability is the share of those who judged it",
    "majority": "the majority decides",
    "dawid-skene": "an edge's probability counts every annotator as far as others confirm them (Dawid and Skene 1979)",
}


def choices_to_groups(
    table: Table,
    columns: ChoiceColumns,
    *,
    truth: Truth = "soft",
    weight: GameWeight = "one",
    ties: bool = True,
    skip_bad: bool = False,
    cleaning: Cleaning | None = None,
    holdout: float | None = None,
    is_json: bool = False,
    source: str = "",
) -> Built:
    """Make preference groups of choices between two answers.

    Equal responses to a prompt are one response, whichever side they stood on; several choices of one pair become one
    edge. The card tells how far annotators agree, how often the answer that was shown first won and, where both answers
    name a source, how strong each source is.

    Args:
        table, skip_bad, cleaning, holdout, source: as in `votes_to_groups`; a row is one choice. Its column
            `shown_first`, if there is one, says which answer stood first; otherwise the order of the columns does.
        columns: the names of the columns.
        truth, weight, ties: what an edge says where people disagree; see `judged_pairs`.
        is_json: whether prompt and answers are JSON text already (turns of dialogues).

    Raises:
        DataError: for a row that cannot be read, or where no edge is left.
    """
    kind = _Choices(columns, truth=truth, weight=weight, ties=ties)
    return to_groups(table, kind, skip_bad=skip_bad, cleaning=cleaning, holdout=holdout, source=source, is_json=is_json)


@dataclass(frozen=True)
class _Choices(Kind):
    """Judgements of two answers; those of one pair become one edge."""

    columns: ChoiceColumns
    truth: Truth
    weight: GameWeight
    ties: bool

    def read(self, table: Table, cleaning: Cleaning) -> Table:
        given = self.columns.given()
        shown = {SHOWN_FIRST: SHOWN_FIRST} if SHOWN_FIRST in table.columns else {}
        return _read(with_texts(table, given | shown, cleaning, _TEXTS), given, cleaning)

    def texts(self, table: Table, cleaning: Cleaning) -> Table:
        """The texts of both sides, under the rows of `_sides`."""
        texts = with_texts(table, self.columns.given(), cleaning, _TEXTS)
        return ibis.union(
            *(
                texts.select("prompt", text_row=texts.row * 2 + place, response=texts[side])
                for place, side in enumerate(("first", "second"))
            )
        )

    def middle(self, threaded: Threaded) -> Middle:
        """The answers of both sides, and what was said of each two of them."""
        answers = keep(to_answers(merged(_sides(threaded.rows))))
        games = keep(_games(threaded.rows, answers, threaded.keys))
        release(threaded.rows)
        pairs = keep(judged_pairs(games, answers, truth=self.truth, weight=self.weight, ties=self.ties))
        table_of_strengths = strengths(games) if self.columns.first_source else None
        ties = f"ties are {'kept' if self.ties else 'left out'}"
        return Middle(
            answers,
            members=games.select("row", "thread", size=ibis.literal(2)),
            edges=pairs,
            rule=f"choices: {_TRUTHS[self.truth]}; an edge weighs {self.weight}; {ties}",
            nothing=_nothing,
            notes={MERGED: count(games) - count(games.select("thread", "low", "high").distinct())},
            confounds=_first_side(games) | agreement(games),
            tables=(table_of_strengths,) if table_of_strengths else (),
            passing=(games,),
        )


def _nothing(account: Account, source: str) -> DataError:
    return nothing_used(
        account, f"no choice of {source} makes an edge", remedy="Add choices, or keep ties with --ties."
    )


def _read(texts: Table, given: dict[str, str], cleaning: Cleaning) -> Table:
    """One lean row per choice; `value` is 1 where the first answer won, 0 where the second did, 0.5 for a tie.

    `swapped` is true where the second answer was shown first.
    """
    value = _value(texts.choice)
    word = values.filled(texts.choice).lower()
    empty = [
        (texts[role].isnull() | ~values.is_filled(texts[role]), f"empty {called}")
        for role, called in (("prompt", "prompt"), ("first", "response"), ("second", "response"))
    ]
    deleted = [
        (values.is_deleted(texts[role]), f"deleted {called}")
        for role, called in (("prompt", "prompt"), ("first", "response"), ("second", "response"))
    ]
    reason = ibis.cases(
        (nothing_said(texts, given), UNREAD),
        *empty,
        *deleted,
        *cleaning.exclude.reasons(texts, ("first", "second")),
        (texts.first == texts.second, "both responses are equal"),
        (texts.key.isnull(), "empty group key"),
        (values.is_missing(texts.choice), "missing choice"),
        (word.isin(_SKIP), "skipped by the annotator"),
        (word.isin(_BAD), "both responses were called bad"),
        (value.isnull(), "choice is no choice"),
        else_=ibis.null("string"),
    )
    sources = {
        role: _source(texts[role].cast("string"), cleaning) if role in given else ibis.null("string")
        for role in ("first_source", "second_source")
    }
    return texts.select(
        "row",
        "key",
        prompt_id=values.fingerprint(texts.prompt),
        first_id=values.fingerprint(texts.first),
        second_id=values.fingerprint(texts.second),
        first_length=texts.first.length().cast("int32"),
        second_length=texts.second.length().cast("int32"),
        value=value,
        swapped=(texts[SHOWN_FIRST] == "b").fill_null(False) if SHOWN_FIRST in texts.columns else ibis.literal(False),
        annotator=values.filled(texts.annotator) if "annotator" in given else ibis.null("string"),
        **sources,
        reason=reason,
    )


def _source(name: StringValue, cleaning: Cleaning) -> StringValue:
    """Who wrote an answer; a salted hash in the place of a name that holds personal data, where keys are hashed."""
    if cleaning.hash_key is None:
        return name
    return (privacy.scrub(name) == name).ifelse(name, cleaning.hash_key(name))


def _value(choice: Value) -> NumericValue:
    """What a choice says of the first answer; null where it says nothing that is known."""
    word = values.filled(choice).lower()
    said = ibis.cases((word.isin(_FIRST), 2), (word.isin(_SECOND), 0), (word.isin(_TIE), 1), else_=ibis.null("int8"))
    return said.cast("float64") / 2  # not 0.5 as it stands: Spark would read a decimal


def _sides(good: Table) -> Table:
    """Both answers of every choice, one a row; `row` leads back to the text of its side."""
    sides = [
        good.select(
            "thread",
            row=good.row * 2 + place,
            response_id=good[f"{side}_id"],
            length=good[f"{side}_length"],
            time=ibis.null("float64"),
            author=ibis.null("string"),
        )
        for place, side in enumerate(("first", "second"))
    ]
    return ibis.union(*sides)


def _games(good: Table, answers: Table, keys: Table) -> Table:
    """One row per choice with the places of its answers, the smaller one first."""
    placed = answers.select("thread", "response_id", "place")
    first = placed.select("thread", first_id="response_id", first_place="place")
    second = placed.select("thread", second_id="response_id", second_place="place")
    told = good.join(first, ["thread", "first_id"]).join(second, ["thread", "second_id"]).join(keys, "thread")
    in_order = told.first_place < told.second_place
    return told.select(
        "row",
        "thread",
        "key",
        "prompt_id",
        "annotator",
        low=in_order.ifelse(told.first_place, told.second_place),
        high=in_order.ifelse(told.second_place, told.first_place),
        value=in_order.ifelse(told.value, 1 - told.value),
        said=told.swapped.ifelse(1 - told.value, told.value),
        low_source=in_order.ifelse(told.first_source, told.second_source),
        high_source=in_order.ifelse(told.second_source, told.first_source),
    )


def _first_side(games: Table) -> dict[str, Estimate]:
    """How often the answer shown first won: far from one half, the side was chosen and not the answer."""
    return share_of(games, (games.said * 2).cast("int8"), "chosen_first")
