"""Feedback of any kind, in a file or a table, becomes preference groups: what `tropism build` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
from ibis import Table
from ibis.expr import operations

from tropism.errors import ConfigError, DataError
from tropism.ingest.file_kinds import nearest
from tropism.signals.detect import find_form, refuse_pairs
from tropism.signals.engines.duck import DuckEngine, connect
from tropism.signals.engines.engine import open_source
from tropism.signals.kinds.built_groups import BuiltGroups, noted, with_dropped
from tropism.signals.kinds.columns import SignalColumns, aspects_in_words
from tropism.signals.kinds.signal_kind import to_groups
from tropism.signals.kinds.signal_settings import Form, SignalSettings
from tropism.signals.privacy.replacement_counts import counting_scrub, hashed_sources, replaced_in
from tropism.signals.sources import READERS
from tropism.signals.sources.argilla import read_argilla
from tropism.signals.sources.aspects import weighed
from tropism.signals.sources.feedback_rows import AnswerRow, Aside, ChoiceRow, Feedback, RankRow, RatingRow, Refused
from tropism.signals.sources.flat_table import flattened
from tropism.signals.sources.label_studio import read_label_studio
from tropism.signals.sources.names import Questions, few_reasons
from tropism.signals.statistics.card import probed

FeedbackData: TypeAlias = str | Path | pd.DataFrame | pa.Table | Table
"""Where feedback is read from: a file, a pandas DataFrame, an Arrow table or an Ibis table."""

OTHER_KIND = "feedback of another kind"
_ASKING = {"argilla": read_argilla, "label-studio": read_label_studio}
"""Readers of files that may hold answers to several questions."""
_ROWS: dict[str, type] = {"votes": AnswerRow, "ratings": RatingRow, "rankings": RankRow, "choices": ChoiceRow}
"""What a reader of another tool's file yields for each kind of signal."""


def build_groups(data: FeedbackData, settings: SignalSettings) -> BuiltGroups:
    """Make preference groups of feedback.

    Args:
        data: a file, a pandas DataFrame, an Arrow table or an Ibis table; only the named columns are read.
        settings: the kind of signal and what to make of it.

    Raises:
        ConfigError: for a setting that is out of range or has no effect.
        DataError: for a row that cannot be read, or if no edge or label is left.
    """
    if not isinstance(data, str | Path):
        return _of_table(as_table(data), settings, source=settings.source or "")
    path = Path(data)
    source = settings.source or path.name
    form = find_form(path) if settings.form == "auto" else settings.form
    if form not in ("table", *settings.forms):
        raise DataError(
            f"{path.name} is a file of the form {form}, which does not hold {settings.name}.",
            remedy="Choose another kind, or set `form='table'` to read the file as a table.",
        )
    return _of_table_file(path, settings, source) if form == "table" else _of_tool_file(path, form, settings, source)


def as_table(data: Any) -> Table:
    """A table in memory, or of another library, as an Ibis table.

    Raises:
        ConfigError: for anything else.
    """
    if isinstance(data, Table) and not isinstance(data.op(), operations.InMemoryTable):
        return data
    if isinstance(data, pd.DataFrame):
        data = pa.Table.from_pandas(data, preserve_index=False)
    if isinstance(data, Table):
        data = data.to_pyarrow()
    if isinstance(data, pa.Table):
        # a table of our own: Ibis drops its tables of data in memory when one of several expressions is freed
        columns = [(field.name, pa.string() if pa.types.is_null(field.type) else field.type) for field in data.schema]
        return DuckEngine(connect()).put(data.cast(pa.schema(columns)))
    raise ConfigError(
        f"`data` must be a path, a pandas DataFrame, an Arrow table or an Ibis table, got {type(data).__name__}.",
        remedy="Convert it, for example with pyarrow.Table.from_pylist.",
    )


def _of_table_file(path: Path, settings: SignalSettings, source: str) -> BuiltGroups:
    """Groups of a file with a column for everything."""
    columns = settings.columns
    settings.exclude.check(columns)
    names = dict.fromkeys([*columns.given().values(), *settings.exclude.roles().values()])
    refuse_pairs(path, columns.given())
    try:
        opened = open_source(path, list(names), engine=settings.engine, skip_bad=settings.skip_bad)
    except DataError as error:
        raise _with_role(error, settings) from error.__cause__
    built = with_dropped(
        _of_table(opened.table, settings, source=source), opened.not_read.counts, opened.not_read.examples
    )
    return noted(built, opened.notes)


def _of_table(table: Table, settings: SignalSettings, *, source: str) -> BuiltGroups:
    """Groups of a table with a column for everything."""
    columns = settings.columns
    settings.exclude.check(columns)
    _require_columns(table, settings, source)
    settings.check(table, columns, source=source)
    built = to_groups(
        table,
        settings.kind(columns),
        skip_bad=settings.skip_bad,
        cleaning=settings.cleaning(),
        holdout=settings.holdout,
        source=source,
    )
    if settings.private:
        built = noted(built, replaced_in(table, _columns_of(columns, "prompt", "response")))
        built = noted(built, hashed_sources(table, _columns_of(columns, "source")))
    return probed(built, seed=settings.seed)


def _of_tool_file(path: Path, form: Form, settings: SignalSettings, source: str) -> BuiltGroups:
    """Groups of a file of another tool."""
    settings.refuse_named(form, source)
    columns = settings.forms[form]
    replaced: Counter[str] = Counter()
    merged: Counter[str] = Counter()
    with ExitStack() as stack:
        rows = _rows(path, form, settings, merged)
        clean = counting_scrub(replaced) if settings.private else None
        flat = stack.enter_context(flattened(rows, source=source, engine=settings.engine, clean=clean))
        _refuse_unknown_marks(settings, flat.table, source)
        settings.check(flat.table, columns, source=source)
        built = to_groups(
            flat.table,
            settings.kind(columns, is_json=flat.is_json),
            skip_bad=settings.skip_bad,
            cleaning=replace(settings.cleaning(), scrub=None),
            holdout=settings.holdout,
            source=source,
            is_json=flat.is_json,
        )
        built = with_dropped(built, flat.not_read.counts, flat.not_read.examples, flat.numbers)
        built = _naming_questions(built, settings)
        built = noted(built, {**merged, **{f"replaced: {name}": number for name, number in sorted(replaced.items())}})
        if settings.private:
            built = noted(built, hashed_sources(flat.table, _columns_of(columns, "source")))
        built = probed(built, seed=settings.seed)
        built.groups.own(stack.pop_all())
    return built


def _rows(
    path: Path, form: Form, settings: SignalSettings, merged: Counter[str]
) -> Iterator[Feedback | Aside | Refused]:
    """The rows of another tool's file that count, with one rating for each annotator and response."""
    asked = Questions(settings.asked())
    found = _ASKING[form](path, questions=asked) if form in _ASKING else READERS[form](path)
    wanted = _of_kind(found, settings.name, path.name)
    is_rated = settings.name == "ratings"
    questions = None if is_rated else asked
    rows = weighed(wanted, settings.asked(), source=path.name, questions=questions, notes=merged)
    return few_reasons(rows, private=settings.private)


def _of_kind(
    rows: Iterator[Feedback | Aside | Refused], name: str, source: str
) -> Iterator[Feedback | Aside | Refused]:
    """The rows of one kind of signal; an aside for each row of another.

    Raises:
        DataError: if the file only holds feedback of other kinds.
    """
    others: Counter[str] = Counter()
    num_wanted = 0
    for row in rows:
        if isinstance(row, Aside | Refused):
            yield row
        elif isinstance(row, _ROWS[name]):
            num_wanted += 1
            yield row
        else:
            others[next(kind for kind, row_type in _ROWS.items() if isinstance(row, row_type))] += 1
            yield Aside(row.number, OTHER_KIND)
    if others and not num_wanted:
        raise DataError(f"{source} holds {' and '.join(others)}, not {name}.", remedy=f"Build {next(iter(others))}.")


def _naming_questions(built: BuiltGroups, settings: SignalSettings) -> BuiltGroups:
    """The same groups, with the questions or aspects that count in the card's rule."""
    asked = settings.asked()
    if asked is None:
        return built
    words = aspects_in_words(asked) if settings.name == "ratings" else f"asked by {', '.join(asked)}"
    return replace(built, card=built.card.model_copy(update={"rule": f"{built.card.rule}; {words}"}))


def _refuse_unknown_marks(settings: SignalSettings, table: Table, source: str) -> None:
    """Refuse marks that the rows of another tool's file do not have."""
    known = [name for name, kind in table.schema().items() if kind.is_boolean()]
    for name in settings.exclude.marks:
        if name not in known:
            raise ConfigError(
                f"`marks` names {name!r}, which {source} does not have.",
                remedy=f"Use {' or '.join(known)}." if known else "Omit it.",
            )


def _require_columns(table: Table, settings: SignalSettings, source: str) -> None:
    """Refuse a table without one of the named columns, and name the parameter."""
    for role, name in {**settings.columns.given(), **settings.exclude.roles()}.items():
        if name not in table.columns:
            error = DataError(
                f"{source or 'the table'} has no column {name!r}; its columns are {', '.join(table.columns)}.",
                remedy=_meant(name, list(table.columns)),
            )
            raise _named(error, role)


def _with_role(error: DataError, settings: SignalSettings) -> DataError:
    """The error of a file without one of the named columns, with the parameter that named it."""
    for role, name in {**settings.columns.given(), **settings.exclude.roles()}.items():
        if f"has no column {name!r}" in error.problem:
            return _named(error, role)
    return error


def _named(error: DataError, role: str) -> DataError:
    """An error with the parameter that a role's column is named with."""
    parameter = role.split()[0].replace("mark", "marks")
    remedy = f"{error.remedy} Name it" if error.remedy.endswith("?") else "Name one of them"
    return DataError(error.problem, remedy=f"{remedy} with `{parameter}`.")


def _meant(name: str, present: list[str]) -> str:
    """What to do about a column that is not there."""
    found = nearest(name, present)
    return f"Did you mean {found!r}?" if found else "Name one of them."


def _columns_of(columns: SignalColumns, *roles: str) -> list[str]:
    """The columns of the roles that begin with one of the words."""
    return [name for role, name in columns.given().items() if role in roles or role[:-2] in roles]
