"""What a file of feedback holds, found by its contents: the form of the file, and the kind of signal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tropism.errors import ConfigError, DataError
from tropism.ingest.csv_records import csv_header
from tropism.ingest.file_kinds import kind_of
from tropism.ingest.row_reader import read_rows
from tropism.signals.kinds.signal_settings import Form
from tropism.signals.sources import READERS
from tropism.signals.sources.argilla import read_argilla
from tropism.signals.sources.feedback_rows import AnswerRow, ChoiceRow, RankRow, RatingRow
from tropism.signals.sources.label_studio import read_label_studio
from tropism.signals.sources.names import Questions

DATABASES = (".sqlite", ".sqlite3", ".db")
TRAINED_ON = {
    "pairs": ("chosen", "rejected"),
    "labelled completions": ("completion", "label"),
    "preference groups": ("group_id", "prompts", "responses", "edges"),
}
"""Rows that `tropism train` reads as they are, with the columns that identify them."""
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "votes": ("prompt", "response", "score"),
    "ratings": ("prompt", "response", "score"),
    "rankings": ("prompt", "response", "rank"),
    "choices": ("prompt", "response_a", "response_b", "choice"),
    "labels": ("prompt", "response", "label"),
}
"""The columns that each kind of signal needs, in the order in which kinds are tried."""

_RECORDS = 20
_ROWS = 2_000
_KINDS = {AnswerRow: "votes", RatingRow: "ratings", RankRow: "rankings", ChoiceRow: "choices"}
_ASKING = {"argilla": read_argilla, "label-studio": read_label_studio}
_SIGNS: Mapping[Form, Callable[[Mapping[str, Any]], bool]] = {
    "posts": lambda values: {"post_id", "type", "body_html"} <= values.keys(),
    "oasst": lambda values: "message_tree_id" in values and isinstance(values.get("prompt"), dict),
    "imagereward": lambda values: isinstance(values.get("generations"), list) and "ranking" in values,
    "label-studio": lambda values: isinstance(values.get("annotations"), list) and isinstance(values.get("data"), dict),
    "argilla": lambda values: (
        (isinstance(values.get("fields"), dict) and isinstance(values.get("responses"), dict))
        or any(name.endswith(".responses") for name in values)
    ),
}
"""What a record of each tool looks like."""


class FoundSignal(NamedTuple):
    """What a file holds.

    Args:
        kind: of signal.
        form: of the file.
        others: further kinds that its columns fit.
        columns: those that decided.
    """

    kind: str
    form: Form
    others: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} (columns {', '.join(self.columns)})" if self.columns else f"{self.kind} (form {self.form})"


def find_form(path: Path) -> Form:
    """The form of a file: that of another tool, if its first records look so, else a table.

    Raises:
        DataError: if the file is missing, empty, or of an unknown type.
    """
    if path.suffix.lower() in DATABASES:
        return "label-page"
    for values in _first_records(path):
        for form, is_form in _SIGNS.items():
            if is_form(values):
                return form
    return "table"


def find_signal(path: Path, *, named: Mapping[str, str], kinds: Collection[str], question: str | None) -> FoundSignal:
    """The form of a file and the kind of signal that it holds.

    Args:
        path: the file.
        named: role to column, of the columns that the user named; other roles have their usual names.
        kinds: those that come into question.
        question: of an export with several questions, the one that counts; None for its only one.

    Raises:
        ConfigError: if the file fits none of the kinds, or holds several.
        DataError: if the file cannot be read, or needs no build.
    """
    form = find_form(path)
    if form == "table":
        return _by_columns(path, named, kinds)
    found = _kinds_of(path, form, question)
    chosen = [kind for kind in REQUIRED if kind in found and kind in kinds]
    if len(chosen) > 1:
        raise ConfigError(f"{path.name} holds {' and '.join(chosen)}.", remedy=_say_which(path, chosen))
    if found and not chosen:
        raise ConfigError(
            f"{path.name} holds {' and '.join(sorted(found))}, to which the given options do not apply.",
            remedy=_say_which(path, sorted(found)),
        )
    return FoundSignal((chosen or ["choices"])[0], form)


def refuse_pairs(path: Path, given: Mapping[str, str]) -> None:
    """Refuse a file that `tropism train` reads as it is, unless it has the columns of a signal, too.

    Raises:
        DataError: saying that no build is needed.
    """
    present = _columns(path)
    if present is None or all(name in present for name in given.values()):
        return
    for rows, signs in TRAINED_ON.items():
        if set(signs) <= set(present):
            raise DataError(
                f"{path.name} holds {rows} (columns {', '.join(signs)}): no build is needed.",
                remedy=f"Train on it directly: tropism train RECIPE.yaml data.train={path}.",
            )


def _by_columns(path: Path, named: Mapping[str, str], kinds: Collection[str]) -> FoundSignal:
    """The kind of signal whose columns a table has."""
    if not path.is_dir():
        kind_of(path)  # refuses a file that is missing, or of an unknown type
    present = _columns(path) or []
    needed = {kind: {role: named.get(role, role) for role in REQUIRED[kind]} for kind in REQUIRED if kind in kinds}
    fitting = [kind for kind, columns in needed.items() if all(name in present for name in columns.values())]
    if fitting:
        first, *others = fitting
        return FoundSignal(first, "table", tuple(others), tuple(needed[first].values()))
    refuse_pairs(path, needed[next(iter(needed))] if needed else {})
    if len(needed) == 1:  # the options leave one kind: it says what is missing
        return FoundSignal(next(iter(needed)), "table")
    wanted = "; ".join(f"{kind}: {', '.join(columns.values())}" for kind, columns in needed.items())
    listed = f"the columns {', '.join(present)}" if present else "no columns"
    raise ConfigError(
        f"{path.name} has {listed}, and no kind of feedback has all of its columns there ({wanted}).",
        remedy=f"Say what a row is, and name its columns: tropism build votes {path} --prompt COLUMN --response COLUMN "
        "--score COLUMN; see tropism build --help.",
    )


def _kinds_of(path: Path, form: Form, question: str | None) -> set[str]:
    """The kinds of signal among the first rows of another tool's file."""
    asked = Questions(None if question is None else {question})
    rows = _ASKING[form](path, questions=asked) if form in _ASKING else READERS[form](path)
    return {_KINDS[type(row)] for row in islice(rows, _ROWS) if type(row) in _KINDS}


def _columns(path: Path) -> list[str] | None:
    """The columns of a table; of JSON those of the first records; None if the file cannot be read as a table."""
    if not path.exists() or path.is_dir():
        return None  # read, or refused, by the engine
    kind = kind_of(path)
    if kind == "parquet":
        try:
            return list(pq.read_schema(path).names)
        except (pa.ArrowException, OSError):
            return None
    if kind in ("csv", "tsv"):
        try:
            return list(csv_header(path, tab=kind == "tsv").names)
        except DataError:
            return None
    names = [name for values in _first_records(path) for name in values]
    return list(dict.fromkeys(names))


def _first_records(path: Path) -> Iterator[Mapping[str, Any]]:
    """The first objects of a JSON file; none of a file of another type."""
    if not path.is_file() or kind_of(path) not in ("json", "jsonl"):
        return
    try:
        for row in islice(read_rows(path), _RECORDS):
            if not row.problem:
                yield row.values
    except DataError:
        return  # the engine says what is wrong with the file


def _say_which(path: Path, kinds: list[str]) -> str:
    return "Say which: " + ", or ".join(f"tropism build {kind} {path}" for kind in kinds) + "."
