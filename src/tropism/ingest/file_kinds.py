"""Which kind of file a path names, by its ending, and the errors for one that cannot be opened."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeAlias

from tropism.errors import DataError

Kind: TypeAlias = Literal["jsonl", "json", "csv", "tsv", "parquet"]

KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
"""Endings in lower case; each but the last may be followed by `.gz`."""


def kind_of(path: Path) -> Kind:
    """The kind of a file.

    Raises:
        DataError: if the file is missing, a folder, empty, or has another ending.
    """
    if not path.is_file():
        raise missing(path)
    kind = named_kind(path)
    if kind is None:
        *texts, last = KINDS
        raise DataError(
            f"{path} has the unknown ending {_ending(path)!r}; expected one of {', '.join(texts)} (each also with "
            f".gz), {last}.",
            remedy="Rename or convert the file.",
        )
    if path.stat().st_size == 0:
        raise empty(path)
    return kind


def named_kind(path: Path) -> Kind | None:
    """The kind that a file's name says, whether it exists or not.

    Example:
        >>> named_kind(Path("votes.CSV.gz")), named_kind(Path("votes.parquet.gz"))
        ('csv', None)
    """
    kind = KINDS.get(_ending(path).removesuffix(".gz"))
    return None if is_packed(path) and kind == "parquet" else kind


def is_packed(path: Path) -> bool:
    """Whether a file's name says that it is packed with gzip."""
    return path.suffix.lower() == ".gz"


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The name that a mistyped one was probably meant to be.

    Example:
        >>> nearest("upvote", ["views", "upvotes"])
        'upvotes'
    """
    by_lower = {other.lower(): other for other in names}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def missing(path: Path) -> DataError:
    """The error for a path that is no file, with the nearest name in its folder."""
    if path.is_dir():
        return DataError(f"{path} is a folder, not a file.", remedy="Name a file in it.")
    if not path.parent.is_dir():
        return DataError(f"there is no file {path} (nor a folder {path.parent}).", remedy="Check the path.")
    close = nearest(path.name, sorted(child.name for child in path.parent.iterdir() if child.name[:1] != "."))
    return DataError(
        f"there is no file {path}.", remedy=f"Did you mean {path.parent / close}?" if close else "Check the path."
    )


def empty(path: Path) -> DataError:
    """The error for a file without a record."""
    return DataError(f"{path} is empty.", remedy="Give a file with at least one record.")


def _ending(path: Path) -> str:
    """The end of a name that says how a file is written, in lower case, with `.gz` if it is packed."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return "".join(suffixes) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])
