"""What is checked of a file before any engine opens it: its name, its bytes, its columns."""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from ibis import Table

from tropism.errors import DataError
from tropism.signals.engines.engine import ROW

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
LONGEST_LINE = 32_000_000
"""Bytes of a line of CSV; one buffer of DuckDB's, whose size stays as it is."""

_BYTES_AT_ONCE = 1 << 20
_BOM = b"\xef\xbb\xbf"


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
        raise empty(path)
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


def empty(path: Path) -> DataError:
    """The error for a file without a record."""
    return DataError(f"{path} is empty.", remedy="Give a file with at least one record.")


def require_columns(path: Path, columns: Sequence[str], present: Sequence[str]) -> None:
    """Refuse a file in which a column is not there, or not told apart; names count to the letter.

    Raises:
        DataError: where a column is missing (naming the nearest), comes twice, has no name or the name of our own
            row numbers, or where two of them differ only in case, which DuckDB cannot tell apart.
    """
    for column in columns:
        if column not in present:
            close = nearest(column, present)
            raise DataError(
                f"{path} has no column {column!r}; its columns are {', '.join(present)}.",
                remedy=f"Did you mean {close!r}?" if close else "Name one of them.",
            )
        if list(present).count(column) > 1:
            raise DataError(f"{path} has two columns named {column!r}.", remedy="Rename one of them.")
        if not column or column.lower() == ROW:
            raise DataError(f"{path} has a column named {column!r}, which cannot be read.", remedy="Rename it.")
        alike = [other for other in columns if other != column and other.lower() == column.lower()]
        if alike:
            raise DataError(
                f"the columns {column!r} and {alike[0]!r} of {path} differ only in case, and cannot both be read.",
                remedy="Rename one of them.",
            )


def require_plain(path: Path, table: Table, columns: Sequence[str]) -> None:
    """Refuse columns of lists or objects."""
    for column in columns:
        if table[column].type().is_nested():
            raise DataError(
                f"column {column!r} of {path} holds lists or objects, but text or numbers were expected.",
                remedy="Name a column of plain values, or flatten it first.",
            )


def not_utf8(path: Path, column: str, *, row: int | None) -> DataError:
    """The error for a column of bytes that are no text; without a row where its number has no meaning."""
    return DataError(
        f"{f'row {row}: ' if row else ''}column {column!r} of {path} holds bytes that are not UTF-8 text.",
        remedy="Write it as text" + ("; --skip-bad drops and counts such rows." if row else "."),
    )


def not_flat(path: Path, column: str, *, number: int, row: int | None) -> DataError:
    """The error for a column of which some values are lists or objects; without a row as above."""
    return DataError(
        f"{f'row {row}: ' if row else ''}column {column!r} of {path} holds a list or an object, but text or numbers "
        f"were expected ({number} such row{'s' if number > 1 else ''}).",
        remedy="Name a column of plain values, or flatten it first"
        + ("; --skip-bad drops and counts such rows." if row else "."),
    )


class Scanned(NamedTuple):
    """What a pass over the bytes of a text file tells.

    Args:
        num_ends: how many of the three ways to end a line the file has: LF, CR LF, CR.
        invalid: what is wrong with its UTF-8 and at which line, or nothing.
    """

    num_ends: int
    invalid: str


def scanned(path: Path) -> Scanned:
    """Read a text file whole, which is the only way to know its line ends and, of gzip, its checksum.

    Raises:
        DataError: where it is named .gz and is no gzip, or is a damaged one.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    num_lf = num_cr = num_both = 0
    invalid, last = "", b""
    for chunk in chain(_chunks(path), [b""]):
        if not invalid:
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line = num_lf + num_cr - num_both + _num_ends(error.object[: error.start], last) + 1
                invalid = f"line {line}: {error.reason}"
        num_lf, num_cr = num_lf + chunk.count(b"\n"), num_cr + chunk.count(b"\r")
        num_both += chunk.count(b"\r\n") + (last == b"\r" and chunk.startswith(b"\n"))
        last = chunk[-1:]
    return Scanned(sum(map(bool, (num_lf - num_both, num_both, num_cr - num_both))), invalid)


def lines_at(path: Path, places: Iterable[int]) -> list[int]:
    """The lines of a text file, counted from 1, in which some bytes stand; a line may end in LF, CR LF or CR.

    Args:
        path: the file.
        places: of the bytes, counted from 0; of gzip, in what it unpacks to. At the end of a line or on a blank one it
            is the next line that is not blank, for that is where DuckDB's record begins.

    Returns:
        A line for each place that differs, in the order of the file.
    """
    waiting = sorted(set(places), reverse=True)
    found: list[int] = []
    line, start, last = 1, 0, b""
    for chunk in _chunks(path):
        done = 0
        while waiting and waiting[-1] < start + len(chunk):
            place = waiting.pop()
            if chunk[place - start] in b"\r\n":
                waiting.append(place + 1)
                continue
            before = chunk[done : place - start]
            line, last, done = line + _num_ends(before, last), before[-1:] or last, done + len(before)
            found.append(line)
        if not waiting:
            break
        line, last, start = line + _num_ends(chunk[done:], last), chunk[-1:], start + len(chunk)
    return found + [line] * len(waiting)


def _num_ends(data: bytes, last: bytes) -> int:
    """How many lines end in some bytes, of which the one before is `last`."""
    both = data.count(b"\r\n") + (last == b"\r" and data.startswith(b"\n"))
    return data.count(b"\n") + data.count(b"\r") - both


def require_sound_gzip(path: Path) -> None:
    """Refuse a damaged gzip; DuckDB does not check its checksum, and Spark ends without a word.

    Raises:
        DataError: where it is no gzip, was cut, or its checksum is wrong.
    """
    for _ in _chunks(path):
        pass


def _chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked."""
    try:
        with opened(path) as file:
            while chunk := file.read(_BYTES_AT_ONCE):
                yield chunk
    except gzip.BadGzipFile as error:
        if "CRC" in str(error) or "length" in str(error):
            raise _damaged(path, "its checksum is wrong") from None
        raise DataError(
            f"{path} is named .gz, but is no gzip, or has something else at its end.", remedy="Rename or pack it again."
        ) from None
    except (EOFError, zlib.error) as error:
        raise _damaged(path, "it was cut off" if isinstance(error, EOFError) else str(error)) from None


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{path} is a damaged gzip: {reason}.", remedy="Fetch or pack it again.")


def is_packed(path: Path) -> bool:
    """Whether a file's name says that it is a gzip."""
    return path.suffix.lower() == ".gz"


def opened(path: Path) -> BinaryIO:
    """A file's bytes, unpacked where it is named .gz."""
    return cast(BinaryIO, gzip.open(path, "rb")) if is_packed(path) else path.open("rb")


def csv_header(path: Path, *, tab: bool) -> tuple[list[str], str]:
    """The names in the first line, and the separator that splits it into most of them.

    No more than the first `LONGEST_LINE` bytes are looked at, since a small gzip can hold a line without end.

    Raises:
        DataError: where the file is empty, or does not begin with a line of names.
    """
    with opened(path) as file:
        first = file.read(LONGEST_LINE).removeprefix(_BOM)
    if not first.strip():
        raise empty(path)
    if first[:1] in (b"\n", b"\r"):
        raise _no_names(path, "its first line is blank", remedy="Remove the blank lines before the names.")
    if len(first) >= LONGEST_LINE - len(_BOM) and not _num_ends(first, b""):
        raise _no_names(path, f"its first line is longer than {LONGEST_LINE:,} bytes")
    found = []
    for separator in "\t" if tab else ",;\t|":
        with io.TextIOWrapper(io.BytesIO(first), "utf-8", errors="replace", newline="") as text:
            try:
                found.append((next(csv.reader(text, delimiter=separator)), separator))
            except csv.Error as error:
                raise _no_names(path, str(error)) from None
    return max(found, key=lambda one: len(one[0]))


def _no_names(path: Path, reason: str, *, remedy: str = "Check what the file is.") -> DataError:
    return DataError(f"{path} does not begin with the names of its columns ({reason}).", remedy=remedy)
