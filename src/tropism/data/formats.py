"""Files and hub data sets become groups, and a card says what became of every row."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

from tropism.data.forms import RowReading, find_form, read_row, shown_names
from tropism.data.group_keys import group_key, prompt_key, short_hash, unit_hash
from tropism.data.group_store import is_groups_file, read_card
from tropism.data.merge import Merger
from tropism.data.whole import valid_group
from tropism.errors import DataError
from tropism.groups import PreferenceGroup, Response, content_key
from tropism.ingest import NotRead, Row, Unusable, read_rows
from tropism.records import Account, DataCard

NUM_ROWS_TO_FIND_FORM = 100
OUTSIDE_FRACTION = "outside the fraction"


@dataclass(frozen=True)
class Source:
    """One file, folder or hub data set.

    Args:
        path: a local path or the hub's `owner/name`; folders and hub ids may end in `:SPLIT`.
        fraction: share of its prompts to take, in (0, 1]; which ones is a hash of the prompt and the seed.
    """

    path: str
    fraction: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise DataError(
                f"the fraction of {self.path} must lie in (0, 1], not {self.fraction}.", remedy="Use 1 for all of it."
            )


@dataclass(frozen=True)
class Loaded:
    """What `load` read.

    Args:
        groups: in the order in which their prompts were first seen.
        cards: one per source. `groups`, `responses`, `edges` and `labels` count what a source added to those before
            it, so that they sum to what is in `groups`.
    """

    groups: tuple[PreferenceGroup, ...]
    cards: tuple[DataCard, ...]


Found: TypeAlias = tuple[int, PreferenceGroup | str, tuple[str, ...]]
"""A row's number, its group or the reason why it has none, and notes."""


class OpenRows(NamedTuple):
    """A source that is being read.

    Args:
        rule: the name of its form, `groups` for a file that `write_groups` wrote.
        is_whole: True if each row is a finished group.
        found: its rows, one after the other.
    """

    rule: str
    is_whole: bool
    found: Iterator[Found]


def load(sources: Sequence[Source], *, seed: int = 0) -> Loaded:
    """Read preference data in any of the known forms as groups.

    Args:
        sources: the files; prompts that several of them share become one group.
        seed: which prompts a fraction takes.

    Returns:
        The groups, and a card per source with every row counted as used or dropped.

    Raises:
        DataError: if a source is missing, in no known form, or leaves no usable row.
    """
    if not sources:
        raise DataError("no data was named.", remedy="Name at least one file.")
    merger = Merger()
    cards = tuple(_add_source(merger, place, source, seed) for place, source in enumerate(sources))
    return Loaded(tuple(merger.groups()), cards)


def open_rows(path: str, unread: dict[str, None]) -> OpenRows:
    """Read a source row by row, each as a group of its own; nothing is merged, and little is in memory.

    Args:
        path: as of a `Source`.
        unread: takes the names of the columns that go unread.

    Raises:
        DataError: if the source is missing or in no known form.
    """
    local = Path(path)
    if local.is_file() and local.suffix == ".parquet" and is_groups_file(local):
        return OpenRows("groups", True, _whole_groups(path))
    rule, found = _row_groups(path, unread)
    return OpenRows(rule, False, found)


@dataclass
class _Tally:
    """What became of the rows so far."""

    num_read: int = 0
    num_used: int = 0
    dropped: NotRead = field(default_factory=NotRead)
    notes: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    unread: dict[str, None] = field(default_factory=dict)

    def note(self, note: str, number: int) -> None:
        """Count something that was changed."""
        self.notes[note] += 1
        self.dropped.remember(note, number)

    def account(self) -> Account:
        """The counts as a record."""
        unread = {f"columns not read ({shown_names(list(self.unread))})": len(self.unread)} if self.unread else {}
        made = {name: self.made[name] for name in ("groups", "responses", "edges", "labels", "ties")}
        return Account(
            rows_read=self.num_read,
            rows_used=self.num_used,
            dropped=dict(self.dropped.counts),
            notes=dict(self.notes) | unread,
            examples=self.dropped.examples,
            **made,
        )


def _add_source(merger: Merger, place: int, source: Source, seed: int) -> DataCard:
    """Add one source's groups and say what became of its rows."""
    tally = _Tally()
    opened = open_rows(source.path, tally.unread)
    stored = read_card(Path(source.path)) if opened.is_whole else None
    for number, group, notes in opened.found:
        tally.num_read += 1
        if isinstance(group, str):
            tally.dropped.add(group, number)
        elif unit_hash(group_key(group), purpose=f"fraction {seed}") >= source.fraction:
            tally.dropped.counts[OUTSIDE_FRACTION] += 1
        else:
            tally.num_used += 1
            change = merger.add(group, source=place, is_whole=opened.is_whole)
            tally.made += change.made
            for note in (*notes, *change.notes):
                tally.note(note, number)
    if not tally.num_used:
        raise _nothing_usable(source.path, tally)
    return DataCard(
        source=source.path,
        rule=stored.rule if stored and stored.rule else opened.rule,
        account=tally.account(),
        confounds=stored.confounds if stored else {},
    )


def _whole_groups(path: str) -> Iterator[Found]:
    """The groups of a file that `write_groups` wrote."""
    for row in read_rows(path):
        try:
            yield row.number, valid_group(row.values), ()
        except Unusable as reason:
            yield row.number, row.problem or str(reason), ()


def _row_groups(path: str, unread: dict[str, None]) -> tuple[str, Iterator[Found]]:
    """The name of a file's form, and what each of its rows says as a group of its own.

    The columns that go unread are put into `unread`.
    """
    rows = read_rows(path)
    first: list[Row] = []
    num_sound = 0
    for row in rows:
        first.append(row)
        num_sound += not row.problem
        if num_sound == NUM_ROWS_TO_FIND_FORM:
            break
    if not num_sound:
        return "", ((row.number, row.problem, ()) for row in first)
    form = find_form([row.values for row in first if not row.problem], path)

    form_columns = {*form.columns, *form.optional}

    def groups() -> Iterator[Found]:
        for row in chain(first, rows):
            if row.problem:
                yield row.number, row.problem, ()
                continue
            try:
                reading, extra = read_row(form, row.values)
            except Unusable as reason:
                yield row.number, str(reason), ()
                continue
            unread.update(dict.fromkeys(name for name in row.values if name not in form_columns))
            yield row.number, _group(reading, extra, path), reading.notes

    return form.name, groups()


def groups_of_rows(rows: Iterable[Mapping[str, object]], *, source: str) -> tuple[list[PreferenceGroup], Account]:
    """One group for every row of a table in memory, in its order; nothing is merged.

    Args:
        rows: in any of the known forms.
        source: what to call the table.

    Returns:
        The groups, and an account of every row.

    Raises:
        DataError: if the columns fit no form, or no row can be used.
    """
    stream = iter(rows)
    first = list(islice(stream, NUM_ROWS_TO_FIND_FORM))
    if not first:
        raise DataError(f"{source} holds no rows.", remedy="Give a data set that holds rows.")
    form = find_form(first, source)
    groups: list[PreferenceGroup] = []
    dropped = NotRead()
    for number, row in enumerate(chain(first, stream)):
        try:
            reading, extra = read_row(form, row)
            group = _group(reading, extra, source)
            groups.append(dataclasses.replace(group, id=f"{source}[{number}]"))
        except (Unusable, DataError) as error:
            dropped.add(str(error), number)
    if not groups:
        raise DataError(f"no row of {source} can be used: {dropped}.", remedy="Correct the rows.")
    return groups, Account(
        rows_read=len(groups) + sum(dropped.counts.values()),
        rows_used=len(groups),
        dropped=dict(dropped.counts),
        groups=len(groups),
        responses=sum(len(group.responses) for group in groups),
        edges=sum(len(group.edges) for group in groups),
        labels=sum(len(group.labels) for group in groups),
        examples=dropped.examples,
    )


def _group(reading: RowReading, extra: dict[str, object], source: str) -> PreferenceGroup:
    """What one row says as a group of its own."""
    answers = reading.answers
    return PreferenceGroup(
        id=short_hash(prompt_key([reading.prompt], extra, answers[0].content)),
        prompts=(reading.prompt,),
        responses=tuple(
            Response(short_hash(content_key(a.content)), a.content, rank=a.rank, score=a.score) for a in answers
        ),
        edges=reading.edges,
        labels=reading.labels,
        source=source,
        extra=extra,
    )


def _nothing_usable(path: str, tally: _Tally) -> DataError:
    """The error for a source without a usable row."""
    if not tally.num_read:
        return DataError(f"{path} holds no rows.", remedy="Name a file that holds rows.")
    return DataError(
        f"none of the {tally.num_read} rows of {path} can be used: {tally.dropped}.", remedy="Correct the rows."
    )
