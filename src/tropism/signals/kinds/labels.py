"""Thumbs become labelled groups for KTO and similar losses: the majority of those who judged an answer decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import ibis
from ibis import Table

from tropism.errors import DataError
from tropism.records import Account
from tropism.signals.build import FeedbackData, build_groups
from tropism.signals.engines import expressions
from tropism.signals.engines.engine import count, keep, release
from tropism.signals.kinds.answers import RowValues, Threaded, members_of, merged, to_answers
from tropism.signals.kinds.built_groups import BuiltGroups, nothing_used
from tropism.signals.kinds.columns import LabelColumns, SignalColumns
from tropism.signals.kinds.exclusions import Exclusions
from tropism.signals.kinds.signal_kind import AnswerKind, Judgements
from tropism.signals.kinds.signal_settings import AnswerSettings, Form, Gate
from tropism.signals.parameter_checks import require_one_of

LabelWeight: TypeAlias = Literal["one", "agreement", "count"]

SPLIT_VOTE = "as many thumbs up as down"
MERGED = "thumbs merged with others of the same response"
_UP = ("up", "good", "like", "liked", "positive", "desirable", "+1", "👍")
_DOWN = ("down", "bad", "dislike", "disliked", "negative", "undesirable", "-1", "-1.0", "👎")


def from_labels(
    data: FeedbackData,
    *,
    prompt: str = "prompt",
    response: str = "response",
    label: str = "label",
    group: str | None = None,
    time: str | None = None,
    author: str | None = None,
    weight: LabelWeight = "one",
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
    """Make labelled groups of thumbs.

    Args:
        data: one thumb a row: a file, a pandas DataFrame, an Arrow table or an Ibis table.
        prompt, response, group, time, author: columns, as in `from_votes`.
        label: column of the thumb: up, down, true, false, 1, 0, -1 and similar words.
        weight: of a label: `one`; `agreement`, the majority's lead as a share of all thumbs; `count`, the lead itself.
        exclude, keep_bots, private, salt, gate, holdout, skip_bad, engine, seed, source: as in `from_votes`.
        form: `table`, or `auto`.

    Returns:
        The groups, in the order of their ids, and a card that accounts for every row.

    Raises:
        ConfigError: for a setting that is out of range or has no effect.
        DataError: for a row that cannot be read, or if no label is left.

    Example:
        >>> import pandas as pd
        >>> thumbs = pd.DataFrame({"prompt": ["Slugs?"] * 3, "response": "Grit.", "label": ["up", "up", "down"]})
        >>> (group,) = from_labels(thumbs)
        >>> group.labels[0].desirable
        True
    """
    settings = LabelSettings(
        columns=LabelColumns(prompt, response, label, group, time, author),
        weight=weight,
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
class LabelSettings(AnswerSettings):
    """Settings of a build of thumbs; see `from_labels`."""

    columns: LabelColumns = field(default_factory=LabelColumns)
    weight: LabelWeight = "one"

    name = "labels"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("weight", self.weight, LabelWeight)

    def kind(self, columns: SignalColumns, *, is_json: bool = False) -> LabelKind:
        assert isinstance(columns, LabelColumns)
        return LabelKind(columns, self.weight)


@dataclass(frozen=True)
class LabelKind(AnswerKind):
    """Thumbs; several of one answer are decided by majority."""

    columns: LabelColumns
    weight: LabelWeight

    def measure(self, text: Table) -> RowValues:
        """1 for a thumb up, 0 for one down."""
        flag = expressions.flag(text.label)
        if text.label.type().is_boolean():
            up = flag.cast("int8")
        else:
            word = expressions.filled(text.label).lower()
            up = ibis.cases(
                (word.isin(_UP), 1), (word.isin(_DOWN), 0), (flag, 1), (~flag, 0), else_=ibis.null("int8")
            ).cast("int8")
        reasons = ((expressions.is_missing(text.label), "missing label"), (up.isnull(), "label is not a thumb"))
        return RowValues({"up": up}, reasons)

    def judge(self, threaded: Threaded) -> Judgements:
        """The thumbs of every answer, and a label if one side has the majority."""
        good = threaded.rows
        answers = keep(to_answers(merged(good, up=good.up.sum(), total=good.count())))
        members = keep(members_of(good, answers))
        release(good)
        lead = (2 * answers.up - answers.total).cast("float64")
        decided = answers.filter(lead != 0)
        strengths = {"one": ibis.literal(1.0), "agreement": lead.abs() / answers.total, "count": lead.abs()}
        labels = keep(decided.select("thread", "place", desirable=lead > 0, weight=strengths[self.weight]))
        return Judgements(
            answers,
            members=members,
            labels=labels,
            rule=f"thumbs: the majority decides; a label weighs {self.weight}",
            nothing=_nothing,
            notes={
                MERGED: count(members) - count(answers),
                f"responses with {SPLIT_VOTE}, without a label": count(answers.filter(lead == 0)),
            },
            passing=(members,),
        )


def _nothing(account: Account, source: str) -> DataError:
    return nothing_used(
        account,
        f"no thumb of {source} can be used",
        remedy="Add rows with a prompt, a response and a thumb.",
    )
