"""Choices between two answers become preference groups, by one annotator or by many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import ibis
from ibis import Table
from ibis.expr.types import NumericValue, StringValue, Value

from tropism.errors import DataError
from tropism.records import Account, Estimate
from tropism.signals.build import FeedbackData, build_groups
from tropism.signals.engines import expressions
from tropism.signals.engines.engine import count, keep, release
from tropism.signals.kinds.answers import UNREAD, Cleaning, Threaded, merged, nothing_said, to_answers, with_texts
from tropism.signals.kinds.built_groups import BuiltGroups, nothing_used
from tropism.signals.kinds.columns import ChoiceColumns, SignalColumns
from tropism.signals.kinds.exclusions import Exclusions
from tropism.signals.kinds.judged_pairs import Truth, VoteWeight, agreement, judged_pairs, strengths
from tropism.signals.kinds.signal_kind import Judgements, SignalKind
from tropism.signals.kinds.signal_settings import Form, Gate, SignalSettings
from tropism.signals.parameter_checks import require_one_of
from tropism.signals.privacy import redaction
from tropism.signals.statistics.edge_confounders import share_of

MERGED = "choices merged with others of the same pair"
_TOOL = ChoiceColumns("prompt", "response_a", "response_b", "choice", "group", "annotator", "source_a", "source_b")
_FIRST = ("a", "1", "1.0", "first", "left", "response_a", "answer_a", "model_a", "chosen_a")
_SECOND = ("b", "2", "2.0", "second", "right", "response_b", "answer_b", "model_b", "chosen_b")
_TIE = ("tie", "t", "both", "equal", "same", "0", "0.0", "draw", "both_good", "tie (both good)")
_BAD = ("both_bad", "both bad", "neither", "none", "tie (bothbad)", "bothbad")
_SKIP = ("skip", "skipped", "unsure", "discarded")
SHOWN_FIRST = "shown_first"
"""Column that says, by `a` or `b`, which answer of a row the annotator saw first."""

_SIDES = ("response_a", "response_b")
_TEXTS = ("prompt", *_SIDES)
_TRUTHS = {
    "soft": "an edge's probability is the share of those who judged it",
    "majority": "the majority decides",
    "dawid-skene": "an edge's probability counts every annotator as far as others confirm them (Dawid and Skene 1979)",
}


def from_choices(
    data: FeedbackData,
    *,
    prompt: str = "prompt",
    response_a: str = "response_a",
    response_b: str = "response_b",
    choice: str = "choice",
    group: str | None = None,
    annotator: str | None = None,
    source_a: str | None = None,
    source_b: str | None = None,
    question: str | None = None,
    truth: Truth = "soft",
    weight: VoteWeight = "one",
    ties: bool = True,
    exclude: Exclusions | None = None,
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
    """Make preference groups of choices between two answers.

    Equal responses to a prompt are one response, on whichever side they were; several choices of one pair become one
    edge. The card says how far annotators agree, how often the answer that was shown first won and, if both answers
    name a source, how strong each source is.

    Args:
        data: one choice a row: a file, a pandas DataFrame, an Arrow table or an Ibis table, an export of Argilla or
            Label Studio, or a file of `tropism label`. A column `shown_first` of a table, if there is one, says which
            answer was shown first; otherwise it is `response_a`.
        prompt, group: columns, as in `from_votes`.
        response_a, response_b: columns of both answers.
        choice: column of the choice: a, b, tie, both_bad or skip.
        annotator: column of who chose.
        source_a, source_b: columns of the models or people who wrote the answers.
        question: of an export, the question whose choices count; None is its only one.
        truth, weight: what an edge says if annotators disagree; see `judged_pairs`.
        ties: keep even pairs as tied edges.
        exclude, private, salt, gate, holdout, skip_bad, engine, seed, source: as in `from_votes`.
        form: `table`, `argilla`, `label-studio` or `label-page`; `auto` finds it.

    Returns:
        The groups, in the order of their ids, and a card that accounts for every row.

    Raises:
        ConfigError: for a setting that is out of range or has no effect.
        DataError: for a row that cannot be read, or if no edge is left.

    Example:
        >>> import pandas as pd
        >>> columns = {"prompt": "Slugs?", "response_a": "Grit.", "response_b": "Salt.", "choice": ["a", "a", "b"]}
        >>> (group,) = from_choices(pd.DataFrame(columns))
        >>> round(group.edges[0].prob, 3)
        0.667
    """
    settings = ChoiceSettings(
        columns=ChoiceColumns(prompt, response_a, response_b, choice, group, annotator, source_a, source_b),
        question=question,
        truth=truth,
        weight=weight,
        ties=ties,
        exclude=exclude or Exclusions(),
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
class ChoiceSettings(SignalSettings):
    """Settings of a build of choices; see `from_choices`."""

    columns: ChoiceColumns = field(default_factory=ChoiceColumns)
    question: str | None = None
    truth: Truth = "soft"
    weight: VoteWeight = "one"
    ties: bool = True

    name = "choices"
    forms = dict.fromkeys(("argilla", "label-studio", "label-page"), _TOOL)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("truth", self.truth, Truth)
        require_one_of("weight", self.weight, VoteWeight)

    def kind(self, columns: SignalColumns, *, is_json: bool = False) -> ChoiceKind:
        assert isinstance(columns, ChoiceColumns)
        return ChoiceKind(columns, truth=self.truth, weight=self.weight, ties=self.ties)

    def asked(self) -> Mapping[str, float] | None:
        return None if self.question is None else {self.question: 1.0}


@dataclass(frozen=True)
class ChoiceKind(SignalKind):
    """Judgements of two answers; those of one pair become one edge."""

    columns: ChoiceColumns
    truth: Truth
    weight: VoteWeight
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
                for place, side in enumerate(_SIDES)
            )
        )

    def judge(self, threaded: Threaded) -> Judgements:
        """The answers of both sides, and what was said of each two of them."""
        answers = keep(to_answers(merged(_sides(threaded.rows))))
        games = keep(_games(threaded.rows, answers, threaded.keys))
        release(threaded.rows)
        pairs = keep(judged_pairs(games, answers, truth=self.truth, weight=self.weight, ties=self.ties))
        table_of_strengths = strengths(games) if self.columns.source_a else None
        ties = f"ties are {'kept' if self.ties else 'dropped'}"
        return Judgements(
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
        account, f"no choice of {source} makes an edge", remedy="Add choices, or keep ties with `ties=True`."
    )


def _read(texts: Table, given: dict[str, str], cleaning: Cleaning) -> Table:
    """One lean row per choice; `value` is 1 if answer a won, 0 if answer b did, 0.5 for a tie.

    `swapped` is true if answer b was shown first.
    """
    value = _value(texts.choice)
    word = expressions.filled(texts.choice).lower()
    empty = [
        (texts[role].isnull() | ~expressions.is_filled(texts[role]), f"empty {called}")
        for role, called in zip(_TEXTS, ("prompt", "response", "response"), strict=True)
    ]
    deleted = [
        (expressions.is_deleted(texts[role]), f"deleted {called}")
        for role, called in zip(_TEXTS, ("prompt", "response", "response"), strict=True)
    ]
    reason = ibis.cases(
        (nothing_said(texts, given), UNREAD),
        *empty,
        *deleted,
        *cleaning.exclude.reasons(texts, _SIDES),
        (texts.response_a == texts.response_b, "both responses are equal"),
        (texts.key.isnull(), "empty group key"),
        (expressions.is_missing(texts.choice), "missing choice"),
        (word.isin(_SKIP), "skipped by the annotator"),
        (word.isin(_BAD), "both responses were called bad"),
        (value.isnull(), "choice is not a known choice"),
        else_=ibis.null("string"),
    )
    sources = {
        role: _source(texts[role].cast("string"), cleaning) if role in given else ibis.null("string")
        for role in ("source_a", "source_b")
    }
    return texts.select(
        "row",
        "key",
        prompt_id=expressions.fingerprint(texts.prompt),
        response_a_id=expressions.fingerprint(texts.response_a),
        response_b_id=expressions.fingerprint(texts.response_b),
        response_a_length=texts.response_a.length().cast("int32"),
        response_b_length=texts.response_b.length().cast("int32"),
        value=value,
        swapped=(texts[SHOWN_FIRST] == "b").fill_null(False) if SHOWN_FIRST in texts.columns else ibis.literal(False),
        annotator=expressions.filled(texts.annotator) if "annotator" in given else ibis.null("string"),
        **sources,
        reason=reason,
    )


def _source(name: StringValue, cleaning: Cleaning) -> StringValue:
    """Who wrote an answer; if keys are hashed, a salted hash replaces a name that holds personal data."""
    if cleaning.hash_key is None:
        return name
    return (redaction.scrub(name) == name).ifelse(name, cleaning.hash_key(name))


def _value(choice: Value) -> NumericValue:
    """What a choice says of answer a; null if it is not a known choice."""
    word = expressions.filled(choice).lower()
    said = ibis.cases((word.isin(_FIRST), 2), (word.isin(_SECOND), 0), (word.isin(_TIE), 1), else_=ibis.null("int8"))
    return said.cast("float64") / 2  # not a literal 0.5, which Spark reads as a decimal


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
        for place, side in enumerate(_SIDES)
    ]
    return ibis.union(*sides)


def _games(good: Table, answers: Table, keys: Table) -> Table:
    """One row per choice with the places of its answers, the smaller one first."""
    placed = answers.select("thread", "response_id", "place")
    first = placed.select("thread", response_a_id="response_id", place_a="place")
    second = placed.select("thread", response_b_id="response_id", place_b="place")
    placed_choices = (
        good.join(first, ["thread", "response_a_id"]).join(second, ["thread", "response_b_id"]).join(keys, "thread")
    )
    in_order = placed_choices.place_a < placed_choices.place_b
    return placed_choices.select(
        "row",
        "thread",
        "key",
        "prompt_id",
        "annotator",
        low=in_order.ifelse(placed_choices.place_a, placed_choices.place_b),
        high=in_order.ifelse(placed_choices.place_b, placed_choices.place_a),
        value=in_order.ifelse(placed_choices.value, 1 - placed_choices.value),
        said=placed_choices.swapped.ifelse(1 - placed_choices.value, placed_choices.value),
        low_source=in_order.ifelse(placed_choices.source_a, placed_choices.source_b),
        high_source=in_order.ifelse(placed_choices.source_b, placed_choices.source_a),
    )


def _first_side(games: Table) -> dict[str, Estimate]:
    """How often the answer shown first won; far from one half, annotators chose a side and not an answer."""
    return share_of(games, (games.said * 2).cast("int8"), "chosen_first")
