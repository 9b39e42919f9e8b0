"""The records of a JSON or JSONL file, packed with gzip or not, one after the other, each with its number."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from tropism.errors import DataError
from tropism.signals.sources.feedback_rows import Refused

NOT_JSON = "not valid JSON"
NOT_UTF8 = "text that is not valid UTF-8"
NO_OBJECT = "not a JSON object"

_BOM = b"\xef\xbb\xbf"


class Record(NamedTuple):
    """One object of a file; `offset` and `size` are the place of its line in bytes, 0 in a file that has no lines."""

    number: int
    values: Mapping[str, Any]
    offset: int = 0
    size: int = 0


def read_records(path: Path) -> Iterator[Record | Refused]:
    """The objects of a file.

    Args:
        path: a list of objects, or `{"data": [...]}`, in a file named `.json`; else an object on every line. Lines
            are read one by one. `.gz` may follow.

    Yields:
        Every record in order, or why it is none; blank lines are no records.

    Raises:
        DataError: where the file as a whole cannot be read.
    """
    with data_errors(path):
        name = path.name.lower().removesuffix(".gz")
        if name.endswith(".json"):
            with _open(path) as file:
                text = file.read()
            listed = _listed(path, text)
            yield from _objects(listed) if listed is not None else read_lines(text.splitlines(keepends=True))
        else:
            with _open(path) as file:
                yield from read_lines(file)


def read_lines(lines: Iterable[bytes]) -> Iterator[Record | Refused]:
    """The object on each line."""
    offset = 0
    for number, line in enumerate(lines, 1):
        if text := line.removeprefix(_BOM).strip():
            value = parsed(text)
            if isinstance(value, str):
                yield Refused(number, value)
            else:
                yield Record(number, value, offset, len(line))
        offset += len(line)


def parsed(text: bytes) -> Mapping[str, Any] | str:
    """The object that a line holds, or the reason why it holds none."""
    try:
        value = json.loads(text.removeprefix(_BOM).decode("utf-8"))
    except UnicodeDecodeError:
        return NOT_UTF8
    except (ValueError, RecursionError):
        return NOT_JSON
    return value if isinstance(value, dict) else NO_OBJECT


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A file in which any line can be read again: the file itself, or a packed one's contents in a folder of its own.

    Raises:
        DataError: where the file cannot be read, or its contents find no room.
    """
    with data_errors(path):
        if path.suffix.lower() != ".gz":
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="tropism-") as folder:
            whole = Path(folder) / path.stem
            with _open(path) as packed, whole.open("wb") as file:
                shutil.copyfileobj(packed, file)
            yield whole


@contextmanager
def data_errors(path: Path) -> Iterator[None]:
    """Say in one sentence what is wrong with a file as a whole."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"there is no file {path}.", remedy="Check the path.") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} cannot be read ({reason}).", remedy="Repair the file or its permissions.") from None


def _open(path: Path) -> BinaryIO:
    """A file's bytes, unpacked where it is named `.gz`."""
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def _listed(path: Path, text: bytes) -> list[Any] | None:
    """The list that a JSON file holds; None where it holds an object on every line."""
    try:
        value = json.loads(text.removeprefix(_BOM).decode("utf-8"))
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text.", remedy="Save it again in UTF-8.") from None
    except RecursionError:
        raise DataError(f"{path} is nested too deeply.", remedy="Write a list of flat objects.") from None
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data" and text.lstrip().startswith(b"{"):
            return None
        place = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise DataError(
            f"{path} is not valid JSON ({place}).", remedy="Repair it, or write one object on every line as .jsonl."
        ) from None
    if isinstance(value, dict):
        value = value.get("data", [value])
    if not isinstance(value, list):
        raise DataError(f"{path} must hold a list of objects.", remedy="Write one object per record.")
    return value


def _objects(listed: list[Any]) -> Iterator[Record | Refused]:
    """The objects of a list."""
    for number, value in enumerate(listed, 1):
        yield Record(number, value) if isinstance(value, dict) else Refused(number, NO_OBJECT)
