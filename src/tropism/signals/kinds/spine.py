"""The way from the rows of a table to groups, which every kind of signal goes; each fills in its own middle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import ibis
from ibis import Table

from tropism.errors import DataError
from tropism.records import Account, Estimate, Matrix
from tropism.signals.engines.engine import ROW, count, data_errors, engine_of, keep, release
from tropism.signals.engines.group_stream import Threads
from tropism.signals.kinds.answers import (
    Cleaning,
    Measure,
    Threaded,
    in_threads,
    read_rows,
    refuse_bad_rows,
    split_keys,
    with_texts,
)
from tropism.signals.kinds.columns import Columns
from tropism.signals.kinds.made import Built, Made, account_of, built, of_threads
from tropism.signals.privacy.guard import Guarded, guard_edges, guard_labels


@dataclass(frozen=True)
class Middle:
    """What a kind of signal makes of rows in threads; tables are computed.

    Args:
        answers: thread, place, row (into the texts), response_id, size and length; released when the groups are made.
        edges: from pairs; None where the kind makes labels.
        labels: thread, place, desirable, weight; None where the kind makes edges.
        members: row, thread and size of the thread, of every row that went into an answer.
        rule: what was done, in words, for the card.
        nothing: the error where no edge or label is left, from the account and the name of the data.
        lost: row and reason of further rows that are not used; None where there are none.
        notes: counts of what was changed but not dropped.
        confounds, tables: what the kind adds to the card.
        passing: tables that the account may still read, to release with the answers.
    """

    answers: Table
    members: Table
    rule: str
    nothing: Callable[[Account, str], DataError]
    edges: Table | None = None
    labels: Table | None = None
    lost: Table | None = None
    notes: Mapping[str, int] = field(default_factory=dict)
    confounds: Mapping[str, Estimate] = field(default_factory=dict)
    tables: tuple[Matrix, ...] = ()
    passing: tuple[Table, ...] = ()


class Kind(ABC):
    """One kind of signal: what is read of a row, and what is made of rows in threads."""

    columns: Columns

    @abstractmethod
    def read(self, table: Table, cleaning: Cleaning) -> Table:
        """One lean row per record, with the reason why it cannot be used."""

    @abstractmethod
    def texts(self, table: Table, cleaning: Cleaning) -> Table:
        """The prompt and response of every `text_row`, which the `row` of an answer names."""

    @abstractmethod
    def middle(self, threaded: Threaded) -> Middle:
        """Rows in threads to answers and edges or labels; releases `threaded.rows` as soon as it has read them."""


class OneAnswer(Kind):
    """A kind of signal whose rows hold one answer each."""

    @property
    def needs_time(self) -> bool:
        """Whether a row without a time cannot be used."""
        return False

    @abstractmethod
    def measure(self, text: Table) -> Measure:
        """What is read of a row beside its texts; columns have the names of their roles."""

    def read(self, table: Table, cleaning: Cleaning) -> Table:
        given = self.columns.given()
        return read_rows(table, given, self.measure, cleaning=cleaning, needs_time=self.needs_time)

    def texts(self, table: Table, cleaning: Cleaning) -> Table:
        texts = with_texts(table, self.columns.given(), cleaning, ("prompt", "response"))
        return texts.select("prompt", "response", text_row="row")


def to_groups(
    table: Table,
    kind: Kind,
    *,
    skip_bad: bool,
    cleaning: Cleaning | None,
    holdout: float | None,
    source: str,
    is_json: bool = False,
) -> Built:
    """Groups of a table.

    Args:
        table, skip_bad, cleaning, holdout, source: as in `votes_to_groups`.
        kind: the kind of signal that its rows are.
        is_json: whether contents are JSON text already.

    Raises:
        DataError: for a row that cannot be read, or where no edge or label is left.
    """
    if ROW not in table.columns:
        table = table.mutate(**{ROW: ibis.row_number() + 1})
    cleaning, given = cleaning or Cleaning(), kind.columns.given()
    cleaning.exclude.check(given)
    with data_errors(source, engine_of(table)):
        cleaning = replace(cleaning, exclude=cleaning.exclude.dated(table, given))
        lean = keep(kind.read(table, cleaning))
        if not skip_bad:
            refuse_bad_rows(lean, table, given | cleaning.exclude.column_names())
        threaded = in_threads(lean)
        middle = kind.middle(threaded)
        texts = kind.texts(table, cleaning)
        judged, notes = _guarded(middle, texts, cleaning, is_json=is_json)
        answers, labelled = middle.answers, middle.labels is not None
        made = Made(
            refused=threaded.refused,
            num_rows=threaded.num_rows,
            members=middle.members,
            threads=Threads(
                of_threads(answers, judged),
                threaded.keys,
                _no_edges(answers) if labelled else judged,
                judged if labelled else None,
                texts,
                keep(split_keys(threaded.keys)),
                is_json=is_json,
                holdout=holdout,
            ),
            lost=middle.lost,
            notes={**middle.notes, **notes},
            confounds=middle.confounds,
            tables=middle.tables,
        )
        if not count(judged):
            raise middle.nothing(account_of(made), source or "the table")
        with_author = "author" in given and "score" in answers.columns
        rule = f"{middle.rule}{cleaning.exclude}"
        done = built(made, source=source, rule=rule, with_time="time" in given, with_author=with_author)
        release(answers, *middle.passing)
    return done


def _guarded(middle: Middle, texts: Table, cleaning: Cleaning, *, is_json: bool) -> Guarded:
    """Edges or labels behind the safety gate, if there is one."""
    judged, guard = (middle.edges, guard_edges) if middle.labels is None else (middle.labels, guard_labels)
    assert judged is not None, "a kind of signal makes edges or labels"
    if cleaning.gate is None:
        return Guarded(judged, {})
    return guard(judged, middle.answers, texts, cleaning.gate, is_json=is_json)


def _no_edges(answers: Table) -> Table:
    """A table of edges without a row."""
    none = answers.filter(ibis.literal(False))
    return keep(
        none.select(
            "thread",
            winner="place",
            loser="place",
            gap=none["length"].cast("float64"),
            prob=ibis.literal(1.0),
            weight=ibis.literal(1.0),
            margin=ibis.literal(0.0),
            longer=ibis.null("int8"),
            earlier=ibis.null("int8"),
        )
    )
