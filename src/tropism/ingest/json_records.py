"""The objects of a JSON or JSONL file, one after the other, each with its number."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

from tropism.errors import DataError
from tropism.ingest.file_kinds import empty
from tropism.ingest.rows import NO_OBJECT, NOT_JSON, NOT_UTF8, TOO_DEEP, Row
from tropism.ingest.text_bytes import BOM, LONGEST_RECORD, TOO_LONG, opened, reading

_SPACES = re.compile(r"[ \t\r\n]*")
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=[ \t\r\n]*[}\]])')
_TWO_LINES = re.compile(r"\s*\{[^\n]*\n\s*\{")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


class Repeated:
    """The value of a name that an object holds more than once: which one is meant is unknown."""

    def __repr__(self) -> str:
        return "REPEATED"


REPEATED: Final = Repeated()


def json_lines(path: Path) -> Iterator[Row]:
    """The object on each line of a JSONL file; blank lines are no rows.

    Raises:
        DataError: if the file cannot be read.
    """
    offset = 0
    with reading(path), opened(path) as file:
        for number in count(1):
            line = file.readline(LONGEST_RECORD + 1)
            if not line:
                return
            size, is_long = len(line), len(line) > LONGEST_RECORD
            while is_long and line and not line.endswith(b"\n"):
                line = file.readline(LONGEST_RECORD)
                size += len(line)
            if is_long:
                yield Row(number, {}, TOO_LONG, line=number)
            elif text := line.removeprefix(BOM).strip():
                yield _line_row(number, text, offset, size)
            offset += size


def parse_line(line: bytes) -> Any:
    """The value that a line of JSON holds.

    Raises:
        ValueError: if it holds none.
    """
    return _parsed(line.removeprefix(BOM).decode("utf-8"))


def json_values(path: Path) -> Iterator[Row]:
    """The objects of a JSON file: a list, `{"data": [...]}`, or objects one after the other.

    Raises:
        DataError: if the file cannot be read, or is neither.
    """
    with reading(path), opened(path) as file:
        data = file.read().removeprefix(BOM)
    try:
        text, is_utf8 = data.decode("utf-8"), True
    except UnicodeDecodeError:
        text, is_utf8 = data.decode("utf-8", errors="surrogateescape"), False
    del data
    if not text.strip():
        raise empty(path)
    for row in _objects(path, text):
        yield row if is_utf8 else _without_bytes(row)


def _without_bytes(row: Row) -> Row:
    """A row of a file that is not all UTF-8, if its own part of the file is."""
    try:
        is_sound = not _ESCAPED_BYTE.search(json.dumps(row.values, ensure_ascii=False, default=str))
    except RecursionError:
        return row._replace(values={}, problem=TOO_DEEP)
    return row if is_sound else row._replace(values={}, problem=NOT_UTF8)


def _line_row(number: int, text: bytes, offset: int, size: int) -> Row:
    """One line of JSON as a row."""
    try:
        value = _parsed(text.decode("utf-8"))
    except UnicodeDecodeError:
        return Row(number, {}, NOT_UTF8, line=number)
    except ValueError as error:
        return Row(number, {}, NOT_JSON, _detail(error), number)
    except RecursionError:
        return Row(number, {}, TOO_DEEP, line=number)
    if not isinstance(value, dict):
        return Row(number, {}, NO_OBJECT, line=number)
    return Row(number, value, "", "", number, offset, size)


def _objects(path: Path, text: str) -> Iterator[Row]:
    """The objects in the text of a JSON file."""
    try:
        value = _parsed(text)
    except RecursionError:
        raise DataError(f"{path} is nested too deeply.", remedy="Write a list of flat objects.") from None
    except json.JSONDecodeError as error:
        if text.lstrip().startswith("{") and (error.msg == "Extra data" or _TWO_LINES.match(text)):
            return _in_sequence(text)
        raise DataError(
            f"{path} is not valid JSON (line {error.lineno}, column {error.colno}: {error.msg}).",
            remedy="Correct the file, or write one object per line as .jsonl.",
        ) from None
    if isinstance(value, dict):
        listed = value.get("data")
        value = listed if isinstance(listed, list) else [value]
    if not isinstance(value, list):
        raise DataError(
            f'{path} must hold a list of objects or {{"data": [...]}}, got {_kind(value)}.',
            remedy="Write one object per row.",
        )
    return (_item_row(number, item) for number, item in enumerate(value, 1))


def _in_sequence(text: str) -> Iterator[Row]:
    """Objects that follow one another; text that is not JSON ends with its line."""
    at = _end_of_spaces(text, 0)
    line = 1 + text.count("\n", 0, at)
    for number in count(1):
        if at == len(text):
            return
        try:
            value, end = _DECODER.raw_decode(text, at)
            yield _item_row(number, value)._replace(line=line)
        except (ValueError, RecursionError):
            end = text.find("\n", at) if "\n" in text[at:] else len(text)
            whole = _line_row(number, text[at:end].encode("utf-8", "surrogateescape"), 0, 0)
            yield whole._replace(line=line)
        end = _end_of_spaces(text, end)
        line, at = line + text.count("\n", at, end), end


def _end_of_spaces(text: str, at: int) -> int:
    """The place of the next character that is no white space."""
    found = _SPACES.match(text, at)
    assert found is not None
    return found.end()


def _item_row(number: int, value: object) -> Row:
    """A JSON value as a row."""
    return Row(number, value) if isinstance(value, dict) else Row(number, {}, NO_OBJECT)


def _parsed(text: str) -> Any:
    """A JSON text; a comma before a closing bracket and a number of any length are accepted."""
    try:
        return _DECODER.decode(text)
    except ValueError as error:
        try:
            return _PATIENT.decode(_TRAILING_COMMA.sub(lambda found: found[1] or "", text))
        except ValueError:
            raise error from None


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a name that it holds twice has no value that could be used."""
    pairs = list(pairs)
    values = dict(pairs)
    if len(values) < len(pairs):
        times = Counter(name for name, _ in pairs)
        values |= {name: REPEATED for name, number in times.items() if number > 1}
    return values


def _integer(digits: str) -> int | float:
    """An integer; one of more digits than Python reads is a number that is not finite."""
    return int(digits) if len(digits) < 4_000 else float(digits)


def _detail(error: ValueError) -> str:
    """What a parser says of a line."""
    if not isinstance(error, json.JSONDecodeError):
        return NOT_JSON
    return f"{NOT_JSON} (column {error.colno}: {error.msg})"


def _kind(value: object) -> str:
    """What a JSON value is, in words."""
    return {str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
_PATIENT = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer)
