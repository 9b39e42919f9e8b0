"""From the rows of a table to groups: the steps that all kinds of signal share, and the one that each kind supplies."""

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
    RowValues,
    Threaded,
    in_threads,
    read_rows,
    refuse_bad_rows,
    split_keys,
    with_texts,
)
from tropism.signals.kinds.built_groups import AccountTables, BuiltGroups, account_of, of_threads, with_card
from tropism.signals.kinds.columns import SignalColumns
from tropism.signals.privacy.guard import Guarded, guard_edges, guard_labels


@dataclass(frozen=True)
class Judgements:
    """What a kind of signal makes of rows in threads; tables are computed.

    Args:
        answers: thread, place, row (into the texts), response_id, size and length; released when the groups are made.
        members: row, thread and size of the thread, of every row that went into an answer.
        rule: what was done, in words, for the card.
        nothing: makes the error for data without an edge or label, from the account and the name of the data.
        edges: thread, winner, loser and the rest; None if the kind makes labels.
        labels: thread, place, desirable, weight; None if the kind makes edges.
        lost: row and reason of further rows that are not used; None if there are none.
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


class SignalKind(ABC):
    """One kind of signal: what is read of a row, and what is made of rows in threads."""

    columns: SignalColumns

    @abstractmethod
    def read(self, table: Table, cleaning: Cleaning) -> Table:
        """One lean row per record, with the reason why it cannot be used."""

    @abstractmethod
    def texts(self, table: Table, cleaning: Cleaning) -> Table:
        """The prompt and response of every `text_row`, which the `row` of an answer names."""

    @abstractmethod
    def judge(self, threaded: Threaded) -> Judgements:
        """Rows in threads to answers and edges or labels; releases `threaded.rows` as soon as it has read them."""


class AnswerKind(SignalKind):
    """A kind of signal whose rows hold one answer each."""

    @property
    def needs_time(self) -> bool:
        """Whether a row without a time cannot be used."""
        return False

    @abstractmethod
    def measure(self, text: Table) -> RowValues:
        """What is read of a row in addition to its texts; columns have the names of their roles."""

    def read(self, table: Table, cleaning: Cleaning) -> Table:
        given = self.columns.given()
        return read_rows(table, given, self.measure, cleaning=cleaning, needs_time=self.needs_time)

    def texts(self, table: Table, cleaning: Cleaning) -> Table:
        texts = with_texts(table, self.columns.given(), cleaning, ("prompt", "response"))
        return texts.select("prompt", "response", text_row="row")


def to_groups(
    table: Table,
    kind: SignalKind,
    *,
    skip_bad: bool,
    cleaning: Cleaning | None,
    holdout: float | None,
    source: str,
    is_json: bool = False,
) -> BuiltGroups:
    """Groups of a table.

    Args:
        table: of feedback; any engine.
        kind: the kind of signal of its rows.
        skip_bad: drop and count rows with a value that cannot be read, which is an error otherwise.
        cleaning: what is done to texts, keys, authors and winners; None does nothing.
        holdout: share of groups to mark as held out, by a hash of the prompt; None marks none.
        source: the name of the data, for the groups and the card.
        is_json: whether contents are JSON text already.

    Raises:
        DataError: for a row that cannot be read, or if no edge or label is left.
    """
    if ROW not in table.columns:
        table = table.mutate(**{ROW: ibis.row_number() + 1})
    cleaning, given = cleaning or Cleaning(), kind.columns.given()
    cleaning.exclude.check(kind.columns)
    with data_errors(source, engine_of(table)):
        cleaning = replace(cleaning, exclude=cleaning.exclude.dated(table, given))
        lean = keep(kind.read(table, cleaning))
        if not skip_bad:
            refuse_bad_rows(lean, table, given | cleaning.exclude.column_names())
        threaded = in_threads(lean)
        judgements = kind.judge(threaded)
        texts = kind.texts(table, cleaning)
        judged, notes = _guarded(judgements, texts, cleaning, is_json=is_json)
        answers, labelled = judgements.answers, judgements.labels is not None
        tables = AccountTables(
            refused=threaded.refused,
            num_rows=threaded.num_rows,
            members=judgements.members,
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
            lost=judgements.lost,
            notes={**judgements.notes, **notes},
            confounds=judgements.confounds,
            tables=judgements.tables,
        )
        if not count(judged):
            raise judgements.nothing(account_of(tables), source or "the table")
        with_author = "author" in given and "score" in answers.columns
        rule = f"{judgements.rule}{cleaning.exclude}"
        built = with_card(tables, source=source, rule=rule, with_time="time" in given, with_author=with_author)
        release(answers, *judgements.passing)
    return built


def _guarded(judgements: Judgements, texts: Table, cleaning: Cleaning, *, is_json: bool) -> Guarded:
    """Edges or labels after the safety gate, if there is one."""
    is_labelled = judgements.labels is not None
    judged, guard = (judgements.labels, guard_labels) if is_labelled else (judgements.edges, guard_edges)
    assert judged is not None, "a kind of signal makes edges or labels"
    if cleaning.gate is None:
        return Guarded(judged, {})
    return guard(judged, judgements.answers, texts, cleaning.gate, is_json=is_json)


def _no_edges(answers: Table) -> Table:
    """An empty table of edges."""
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
