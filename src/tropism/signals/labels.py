"""Thumbs become labelled groups for KTO and its kin: per answer the majority of those who judged it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import ibis
from ibis import Table

from tropism.errors import DataError
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
from tropism.signals.columns import LabelColumns
from tropism.signals.engines import ROW, count, data_errors, engine_of, keep, release
from tropism.signals.guard import guard_labels
from tropism.signals.made import Built, Made, account_of, built, of_threads
from tropism.signals.stream import Threads

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
    if ROW not in table.columns:
        table = table.mutate(**{ROW: ibis.row_number() + 1})
    given, cleaning = columns.given(), cleaning or Cleaning()
    with data_errors(source, engine_of(table)):
        lean = keep(read_rows(table, given, _measure, cleaning=cleaning))
        if not skip_bad:
            refuse_bad_rows(lean, table, given)
        threaded = in_threads(lean)
        good = threaded.rows
        answers = keep(to_answers(merged(good, up=good.up.sum(), total=good.count())))
        lead = (2 * answers.up - answers.total).cast("float64")
        decided = answers.filter(lead != 0)
        strength = {"one": ibis.literal(1.0), "agreement": lead.abs() / answers.total, "count": lead.abs()}[weight]
        labels = keep(decided.select("thread", "place", desirable=lead > 0, weight=strength))
        undecided = answers.filter(lead == 0)
        texts = with_texts(table, given, cleaning, ("prompt", "response")).select("prompt", "response", text_row="row")
        notes: dict[str, int] = {}
        if cleaning.gate:
            labels, notes = guard_labels(labels, answers, texts, cleaning.gate)
        threads = Threads(
            of_threads(answers, labels),
            threaded.keys,
            _no_edges(answers),
            labels,
            texts,
            keep(split_keys(threaded.keys)),
            holdout=holdout,
        )
        made = Made(
            refused=threaded.refused,
            num_rows=threaded.num_rows,
            members=members_of(good, answers),
            threads=threads,
            notes={
                MERGED: count(good) - count(answers),
                f"responses with {SPLIT_VOTE}, without a label": count(undecided),
                **notes,
            },
        )
        if not count(labels):
            account = account_of(made)
            reasons = ", ".join(f"{number} x {reason}" for reason, number in account.dropped.items())
            raise DataError(
                f"no thumb of {source or 'the table'} can be used ({account.rows_read} rows: {reasons}).",
                remedy="Add rows with a prompt, a response and a thumb.",
            )
        done = built(
            made, source=source, rule=f"thumbs: the majority decides; a label weighs {weight}", with_time=False,
            with_author=False,
        )  # fmt: skip
        release(answers)
    return done


def _measure(text: Table) -> Measure:
    """1 for a thumb up, 0 for one down."""
    flag = values.flag(text.label)
    if text.label.type().is_boolean():
        up = flag.cast("int8")
    else:
        word = values.filled(text.label).lower()
        up = ibis.cases(
            (word.isin(_UP), 1), (word.isin(_DOWN), 0), (flag, 1), (~flag, 0), else_=ibis.null("int8")
        ).cast("int8")
    return Measure({"up": up}, ((values.is_missing(text.label), "missing label"), (up.isnull(), "label is no label")))


def _no_edges(answers: Table) -> Table:
    """A table of edges without a row."""
    none = answers.filter(ibis.literal(False))
    return keep(
        none.select(
            "thread",
            winner="place",
            loser="place",
            gap=none.words.cast("float64"),
            prob=ibis.literal(1.0),
            weight=ibis.literal(1.0),
            margin=ibis.literal(0.0),
            longer=ibis.null("int8"),
            earlier=ibis.null("int8"),
        )
    )
