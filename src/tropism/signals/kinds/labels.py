"""Thumbs become labelled groups for KTO and its kin: per answer the majority of those who judged it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import ibis
from ibis import Table

from tropism.errors import DataError
from tropism.records import Account
from tropism.signals.engines import expressions as values
from tropism.signals.engines.engine import count, keep, release
from tropism.signals.kinds.answers import Cleaning, Measure, Threaded, members_of, merged, to_answers
from tropism.signals.kinds.columns import LabelColumns
from tropism.signals.kinds.made import Built, nothing_used
from tropism.signals.kinds.spine import Middle, OneAnswer, to_groups

LabelWeight: TypeAlias = Literal["one", "agreement", "count"]

SPLIT_VOTE = "as many thumbs up as down"
MERGED = "thumbs merged with others of the same response"
_UP = ("up", "good", "like", "liked", "positive", "desirable", "+1", "👍")
_DOWN = ("down", "bad", "dislike", "disliked", "negative", "undesirable", "-1", "-1.0", "👎")


def labels_to_groups(
    table: Table,
    columns: LabelColumns,
    *,
    weight: LabelWeight = "one",
    skip_bad: bool = False,
    cleaning: Cleaning | None = None,
    holdout: float | None = None,
    source: str = "",
) -> Built:
    """Make labelled groups of thumbs.

    Args:
        table, skip_bad, cleaning, holdout, source: as in `votes_to_groups`.
        columns: the names of the columns.
        weight: of a label: `one`; `agreement`, the majority's lead as a share of all thumbs; `count`, the lead itself.

    Raises:
        DataError: for a row that cannot be read, or where no label is left.
    """
    kind = _Labels(columns, weight)
    return to_groups(table, kind, skip_bad=skip_bad, cleaning=cleaning, holdout=holdout, source=source)


@dataclass(frozen=True)
class _Labels(OneAnswer):
    """Thumbs; of several for one answer the majority."""

    columns: LabelColumns
    weight: LabelWeight

    def measure(self, text: Table) -> Measure:
        """1 for a thumb up, 0 for one down."""
        flag = values.flag(text.label)
        if text.label.type().is_boolean():
            up = flag.cast("int8")
        else:
            word = values.filled(text.label).lower()
            up = ibis.cases(
                (word.isin(_UP), 1), (word.isin(_DOWN), 0), (flag, 1), (~flag, 0), else_=ibis.null("int8")
            ).cast("int8")
        reasons = ((values.is_missing(text.label), "missing label"), (up.isnull(), "label is no label"))
        return Measure({"up": up}, reasons)

    def middle(self, threaded: Threaded) -> Middle:
        """The thumbs of every answer, and a label where more people said one thing than the other."""
        good = threaded.rows
        answers = keep(to_answers(merged(good, up=good.up.sum(), total=good.count())))
        members = keep(members_of(good, answers))
        release(good)
        lead = (2 * answers.up - answers.total).cast("float64")
        decided = answers.filter(lead != 0)
        strengths = {"one": ibis.literal(1.0), "agreement": lead.abs() / answers.total, "count": lead.abs()}
        labels = keep(decided.select("thread", "place", desirable=lead > 0, weight=strengths[self.weight]))
        return Middle(
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
