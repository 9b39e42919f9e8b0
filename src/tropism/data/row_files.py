"""Rows on disk or on the hub, one after the other, each with its number; what cannot be read is said, not raised."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO, cast

from tropism.data.group_store import open_parquet
from tropism.data.row_values import NOT_UTF8, plain
from tropism.errors import DataError

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
BATCH_ROWS = 1_000


@dataclass(frozen=True)
class Row:
    """One record of a file.

    Args:
        number: counted from 1: the line of a JSONL file, the record of any other (a CSV header is no record).
        values: the columns; empty where the record could not be read.
        problem: why it could not be read, or nothing.
    """

    number: int
    values: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


def read_rows(path: str) -> Iterator[Row]:
    """Read the rows of a file, of a folder that `datasets` saved, or of a hub data set.

    Args:
        path: a local path, or the hub's `owner/name` where no such path exists. A folder or hub id may end in
            `:SPLIT`; without it the split `train` is read.

    Raises:
        DataError: where nothing can be read at all.
    """
    local = Path(path)
    if local.is_file():
        return _guarded(local, _reader(local))
    folder, _, split = path.rpartition(":")
    if local.is_dir():
        return _saved_rows(path, "")
    if folder and Path(folder).is_dir():
        return _saved_rows(folder, split)
    if HUB_ID.fullmatch(path) and _extension(local) not in READERS and not local.parent.exists():
        return _hub_rows(*(path.split(":") if split and folder else (path, "")))
    raise _missing(local)


def _guarded(path: Path, reader: Callable[[Path], Iterator[Row]]) -> Iterator[Row]:
    """A reader's rows, with one clear error where the file turns out to be broken."""
    try:
        yield from reader(path)
    except DataError:
        raise
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} cannot be read ({reason}).", remedy="Repair the file or its permissions.") from None


def _jsonl_rows(path: Path) -> Iterator[Row]:
    """The lines of a JSONL file; blank lines are no rows."""
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if text := line.removeprefix(b"\xef\xbb\xbf").strip():
                yield _json_row(number, text)


def _json_row(number: int, text: bytes) -> Row:
    """One line of JSON as a row."""
    try:
        return _object_row(number, json.loads(text.decode("utf-8")))
    except UnicodeDecodeError:
        return Row(number, problem=NOT_UTF8)
    except (ValueError, RecursionError):
        return Row(number, problem="not valid JSON")


def _json_rows(path: Path) -> Iterator[Row]:
    """The objects of a JSON list, of `{"data": [...]}`, or of lines of JSON in a file that is named .json."""
    with _open(path) as file:
        text = file.read().decode("utf-8-sig", errors="surrogateescape")
    try:
        value = json.loads(text)
    except RecursionError:
        raise DataError(f"{path} is nested too deeply to be read.", remedy="Write a list of flat objects.") from None
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            return _jsonl_rows(path)
        place = f"line {error.lineno}, column {error.colno}" if text.strip() else "it is empty"
        raise DataError(
            f"{path} is not valid JSON ({place}).", remedy="Repair the file, or write one object per line as .jsonl."
        ) from None
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON ({error}).", remedy="Repair the file.") from None
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    if not isinstance(value, list):
        raise DataError(
            f'{path} must hold a list of objects or {{"data": [...]}}, not {_kind(value)}.',
            remedy="Write one object per row.",
        )
    return (_object_row(number, item) for number, item in enumerate(value, 1))


def _csv_rows(path: Path) -> Iterator[Row]:
    """The records of a CSV or TSV file; an empty cell is a missing value."""
    delimiter = "\t" if _extension(path).startswith(".tsv") else ","
    limit = csv.field_size_limit(sys.maxsize)
    try:
        with io.TextIOWrapper(_open(path), "utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            header = [name.strip() for name in next(reader, [])]
            _refuse_repeated(path, header)
            number = 0
            while True:
                number += 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error:
                    yield Row(number, problem="not a valid CSV record")
                    continue
                if cells:
                    yield _csv_row(number, header, cells)
                else:
                    number -= 1
    finally:
        csv.field_size_limit(limit)


def _csv_row(number: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    """One record of a CSV file as a row."""
    if len(cells) > len(header):
        return Row(number, problem="more cells than columns")
    return Row(number, {name: _cell(cell) for name, cell in zip(header, cells, strict=False) if name})


def _refuse_repeated(path: Path, header: Sequence[str]) -> None:
    """Refuse two columns of one name; those without a name are not read."""
    for place, name in enumerate(header):
        if name and name in header[:place]:
            raise DataError(f"{path} has two columns named {name!r}.", remedy="Rename one of them.")


def _cell(cell: str) -> Any:
    """A cell's text, or the turns of a dialogue where it is their JSON."""
    if not cell.startswith("[{"):
        return cell or None
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    is_dialogue = all(isinstance(turn, dict) and {"role", "from"} & turn.keys() for turn in value)
    return value if is_dialogue else cell


def _parquet_rows(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file."""
    for batch_number, batch in enumerate(open_parquet(path).iter_batches(batch_size=BATCH_ROWS)):
        first = batch_number * BATCH_ROWS + 1
        try:
            yield from _numbered(batch.to_pylist(), first)
        except ValueError:
            for offset in range(len(batch)):
                yield _arrow_row(first + offset, batch.slice(offset, 1))


def _arrow_row(number: int, batch: Any) -> Row:
    """One row of a batch in which some value cannot be turned into a Python object."""
    try:
        return next(_numbered(batch.to_pylist(), number))
    except UnicodeDecodeError:
        return Row(number, problem=NOT_UTF8)
    except ValueError:
        return Row(number, problem="a value that cannot be read")


def _saved_rows(path: str, split: str) -> Iterator[Row]:
    """The rows of a folder that `datasets` saved."""
    import datasets

    try:
        return _dataset_rows(datasets.load_from_disk(path), path, split)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, DataError):
            raise
        names = sorted(child.name for child in Path(path).iterdir() if _extension(child) in READERS)
        raise DataError(
            f"{path} is a folder, but not one that datasets.save_to_disk wrote.",
            remedy=f"Name a file in it, such as {names[0]}." if names else "Name a file.",
        ) from None


def _hub_rows(name: str, split: str) -> Iterator[Row]:
    """The rows of a data set on the Hugging Face hub."""
    import datasets

    try:
        found = datasets.load_dataset(name)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{name!r} is neither a local path nor a hub data set that can be loaded ({reason}).",
            remedy="Check the name and the network, or download the data and name the local file.",
        ) from error
    return _dataset_rows(found, name, split)


def _dataset_rows(found: Any, path: str, split: str) -> Iterator[Row]:
    """The rows of one split of a loaded data set."""
    if isinstance(found, dict):
        wanted = split or ("train" if "train" in found or len(found) != 1 else next(iter(found)))
        if wanted not in found:
            raise DataError(
                f"{path} has no split {wanted!r}, only {', '.join(sorted(found))}.",
                remedy=f"Name one of them, as {path}:{sorted(found)[0]}.",
            )
        found = found[wanted]
    return _numbered(found, 1)


def _numbered(rows: Iterable[Mapping[str, Any]], first: int) -> Iterator[Row]:
    """Arrow's rows, bytes as text, without the nulls that its structs add to objects whose keys differ."""
    for number, row in enumerate(rows, first):
        yield Row(number, {name: plain(value) for name, value in row.items()})


def _object_row(number: int, value: object) -> Row:
    """A JSON value as a row."""
    if not isinstance(value, dict):
        return Row(number, problem="not a JSON object")
    return Row(number, value)


def _open(path: Path) -> BinaryIO:
    """A file's bytes, unpacked where it is named .gz."""
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def _extension(path: Path) -> str:
    """The ending that says how a file is written, in lower case, with .gz where it is packed."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return "".join(suffixes) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def _reader(path: Path) -> Callable[[Path], Iterator[Row]]:
    """The function that reads such a file."""
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty.", remedy="Name a file that holds rows.")
    extension = _extension(path)
    if extension not in READERS:
        raise DataError(
            f"{path} has the unknown ending {extension!r}; expected one of {', '.join(READERS)}.",
            remedy="Rename or convert the file.",
        )
    return READERS[extension]


def _missing(path: Path) -> DataError:
    """The error for a path that does not exist, with the nearest one that does."""
    if not path.parent.is_dir():
        return DataError(f"there is no file {path} (nor a folder {path.parent}).", remedy="Check the path.")
    names = sorted(child.name for child in path.parent.iterdir() if not child.name.startswith("."))
    nearest = get_close_matches(path.name, names, n=1, cutoff=0.5)
    remedy = f"Did you mean {path.parent / nearest[0]}?" if nearest else "Check the path."
    return DataError(f"there is no file {path}.", remedy=remedy)


def _kind(value: object) -> str:
    """What a JSON value is, in words."""
    return {dict: "an object", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".jsonl.gz": _jsonl_rows,
    ".ndjson": _jsonl_rows,
    ".ndjson.gz": _jsonl_rows,
    ".json": _json_rows,
    ".json.gz": _json_rows,
    ".csv": _csv_rows,
    ".csv.gz": _csv_rows,
    ".tsv": _csv_rows,
    ".tsv.gz": _csv_rows,
    ".parquet": _parquet_rows,
}
