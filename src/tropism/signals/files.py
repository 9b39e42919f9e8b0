"""Files as tables of DuckDB, and what is checked of a file before any engine opens it."""

from __future__ import annotations

import csv
import difflib
import glob
import gzip
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import ibis
from ibis import Table
from ibis.backends.duckdb import Backend

from tropism.errors import DataError
from tropism.signals.duck import DuckEngine, connect
from tropism.signals.engines import ROW, data_errors, scalar

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")


def open_in_duckdb(path: Path, columns: Sequence[str], *, lenient: bool = False) -> Table:
    """Open some columns of a file; see `engines.open_file`."""
    suffix = suffix_of(path)
    connection = connect()
    with data_errors(str(path), DuckEngine(connection)):
        if suffix == ".parquet":
            table = connection.read_parquet(_literal(path), file_row_number=True)
            require_columns(path, columns, table.drop("file_row_number").columns)
            require_plain(path, table, columns)
            return table.select(*columns, **{ROW: table.file_row_number + 1})
        if suffix in (".csv", ".tsv"):
            table = _open_csv(connection, path, columns, tab=suffix == ".tsv", lenient=lenient)
        else:
            table = _open_json(connection, path, columns, lines=suffix != ".json", lenient=lenient)
        # not Ibis' own row_number(): its window has a frame, for which DuckDB gathers all rows first
        name, told = ibis.util.gen_name("tropism_file"), table.select(*columns)
        connection.create_view(name, told)
        schema = {**told.schema(), ROW: "int64"}
        return connection.sql(f'SELECT *, row_number() OVER () AS "{ROW}" FROM "{name}"', schema=schema)  # noqa: S608  (our own names)


def suffix_of(path: Path) -> str:
    """The kind of a file by its name.

    Raises:
        DataError: where the file is missing, empty, or of no kind that can be read.
    """
    if not path.is_file():
        raise _missing(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    if not suffixes or suffixes[-1] not in SUFFIXES:
        raise DataError(
            f"{path} is of no kind that can be read; its name must end in one of {', '.join(SUFFIXES)}.",
            remedy="Rename or convert it.",
        )
    if path.stat().st_size == 0:
        raise _empty(path)
    return suffixes[-1]


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The name that a mistyped one was probably meant to be.

    Example:
        >>> nearest("upvote", ["views", "upvotes"])
        'upvotes'
    """
    by_lower = {other.lower(): other for other in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def _missing(path: Path) -> DataError:
    """The error for a path that is no file, with the nearest file of its folder."""
    if path.is_dir():
        return DataError(f"{path} is a folder, not a file.", remedy="Name a file in it.")
    if not path.parent.is_dir():
        return DataError(f"{path} does not exist, nor does its folder.", remedy="Check the path.")
    close = nearest(path.name, sorted(other.name for other in path.parent.iterdir() if other.is_file()))
    remedy = f"Did you mean {path.parent / close}?" if close else "Check the path; its folder has nothing like it."
    return DataError(f"{path} does not exist.", remedy=remedy)


def _empty(path: Path) -> DataError:
    return DataError(f"{path} is empty.", remedy="Give a file with at least one record.")


def _literal(path: Path) -> str:
    """A path in which `*`, `?` and `[` mean themselves."""
    return glob.escape(str(path))


def require_columns(path: Path, columns: Sequence[str], present: Sequence[str]) -> None:
    """Refuse a file that lacks a column, naming the nearest."""
    for column in columns:
        if column not in present:
            close = nearest(column, present)
            raise DataError(
                f"{path} has no column {column!r}; its columns are {', '.join(present)}.",
                remedy=f"Did you mean {close!r}?" if close else "Name one of them.",
            )


def require_plain(path: Path, table: Table, columns: Sequence[str]) -> None:
    """Refuse columns of lists or objects."""
    for column in columns:
        if table[column].type().is_nested():
            raise DataError(
                f"column {column!r} of {path} holds lists or objects, but text or numbers were expected.",
                remedy="Name a column of plain values, or flatten it first.",
            )


def _open_csv(connection: Backend, path: Path, columns: Sequence[str], *, tab: bool, lenient: bool) -> Table:
    """Read with the names of the first line; nothing is guessed but the separator."""
    names, separator = _csv_header(path, tab=tab, lenient=lenient)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f"{path} has two columns named {repeated[0]!r}.", remedy="Rename one of them.")
    require_columns(path, columns, names)
    return connection.read_csv(
        _literal(path),
        columns=dict.fromkeys(names, "VARCHAR"),
        auto_detect=False,
        header=True,
        delim=separator,
        quote='"',
        escape='"',
        **({"ignore_errors": True, "store_rejects": True} if lenient else {}),
    )


def _csv_header(path: Path, *, tab: bool, lenient: bool) -> tuple[list[str], str]:
    """The names in the first line, and the separator that splits it into most of them."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        errors = "replace" if lenient else "strict"
        with opened(path, "rt", encoding="utf-8-sig", errors=errors, newline="") as file:
            separators = "\t" if tab else ",;\t|"
            start = file.tell()
            found = []
            for separator in separators:
                file.seek(start)
                found.append((next(csv.reader(file, delimiter=separator), []), separator))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}.", remedy="Save it again in UTF-8.") from None
    names, separator = max(found, key=lambda one: len(one[0]))
    if not names:
        raise _empty(path)
    return names, separator


def _open_json(connection: Backend, path: Path, columns: Sequence[str], *, lines: bool, lenient: bool) -> Table:
    """Look for the columns in the first records, then in all; read them as text."""
    layout = "newline_delimited" if lines else "auto"
    lenient &= lines  # a list of objects has no lines that could be left out
    for sample in (20_480, -1):
        guessed = connection.read_json(
            _literal(path), format=layout, sample_size=sample, map_inference_threshold=-1, ignore_errors=lenient
        )
        if set(columns) <= set(guessed.columns):
            break
    if scalar(guessed.limit(1).count()) == 0:
        raise _empty(path)
    if guessed.columns == ("json",) and "json" not in columns:
        if not lenient:
            raise DataError(
                f"{path} has values that are no JSON objects.",
                remedy="Write each answer as one object, its columns by name; --skip-bad drops and counts the others.",
            )
    else:
        require_columns(path, columns, guessed.columns)
        require_plain(path, guessed, columns)
    kinds = dict.fromkeys(columns, "VARCHAR")
    return connection.read_json(_literal(path), format=layout, columns=kinds, ignore_errors=lenient)
