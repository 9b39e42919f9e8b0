"""Any file of rows, folder or hub data set, one row after the other; what cannot be read is counted, not raised."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tropism.errors import DataError
from tropism.ingest.csv_records import csv_records
from tropism.ingest.file_kinds import kind_of, missing, named_kind
from tropism.ingest.json_records import json_lines, json_values
from tropism.ingest.row_values import plain
from tropism.ingest.rows import NOT_PYTHON, NOT_UTF8, Row

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
ROWS_PER_BATCH = 1_000


def read_rows(path: str | Path) -> Iterator[Row]:
    """Read the rows of a file, of a folder that `datasets` saved, or of a hub data set.

    Args:
        path: a local path, or the hub's `owner/name` if no such path exists. A folder or hub id may end in `:SPLIT`;
            without it the split `train` is read.

    Returns:
        Every row in order; one that cannot be read has a `problem`.

    Raises:
        DataError: if nothing can be read at all.
    """
    local, name = Path(path), str(path)
    if local.is_file():
        return _file_rows(local)
    folder, _, split = name.rpartition(":")
    if local.is_dir():
        return _saved_rows(name, "")
    if folder and Path(folder).is_dir():
        return _saved_rows(folder, split)
    if HUB_ID.fullmatch(name) and named_kind(local) is None and not local.parent.exists():
        return _hub_rows(*(name.split(":") if split and folder else (name, "")))
    raise missing(local)


def open_parquet(path: Path) -> Any:
    """An open Parquet file.

    Raises:
        DataError: if the file is missing or no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise missing(path) from None
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise DataError(f"{path} is not a readable Parquet file ({reason}).", remedy="Write the file again.") from None


def _file_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, by its ending."""
    kind = kind_of(path)
    if kind == "jsonl":
        return json_lines(path)
    if kind == "json":
        return json_values(path)
    if kind == "parquet":
        return _parquet_rows(path)
    return csv_records(path, tab=kind == "tsv", wanted=None, cell=_text_or_dialogue)


def _text_or_dialogue(cell: str) -> Any:
    """A cell's text, or the turns of a dialogue if it is their JSON; an empty cell is a missing value."""
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
    first = 1
    for batch in _parquet_batches(path):
        try:
            yield from _numbered(batch.to_pylist(), first)
        except ValueError:
            yield from (_arrow_row(first + offset, batch.slice(offset, 1)) for offset in range(len(batch)))
        first += len(batch)


def _parquet_batches(path: Path) -> Iterator[Any]:
    """The rows of a Parquet file, some at a time."""
    import pyarrow as pa

    try:
        yield from open_parquet(path).iter_batches(batch_size=ROWS_PER_BATCH)
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise DataError(f"{path} cannot be read ({reason}).", remedy="Write the file again.") from None


def _arrow_row(number: int, batch: Any) -> Row:
    """One row of a batch in which some value cannot be turned into a Python object."""
    try:
        return next(_numbered(batch.to_pylist(), number))
    except UnicodeDecodeError:
        return Row(number, {}, NOT_UTF8)
    except ValueError:
        return Row(number, {}, NOT_PYTHON)


def _saved_rows(path: str, split: str) -> Iterator[Row]:
    """The rows of a folder that `datasets` saved."""
    import datasets

    try:
        found = datasets.load_from_disk(path)
    except (OSError, ValueError, KeyError):
        names = sorted(child.name for child in Path(path).iterdir() if named_kind(child))
        raise DataError(
            f"{path} is a folder, but not one that datasets.save_to_disk wrote.",
            remedy=f"Name a file in it, such as {names[0]}." if names else "Name a file.",
        ) from None
    return _dataset_rows(found, path, split)


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
