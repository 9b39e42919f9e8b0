"""The base of all records: frozen JSON objects, estimates with intervals, and atomic writing of files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen JSON object; unknown keys are errors, so a file of another version is never misread."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Estimate(Record):
    """A number with its 95 % interval and the number of samples behind it."""

    value: float
    low: float
    high: float
    n: int


class Matrix(Record):
    """A table of estimates with names on both sides, such as attacks by positions; None means not measured."""

    name: str
    row_title: str
    column_title: str
    rows: list[str]
    columns: list[str]
    cells: list[list[Estimate | None]]


def write_json(record: Record, path: Path) -> None:
    """Write a record atomically.

    Raises:
        OSError: if the folder cannot be written; an existing file is then unchanged.
    """
    write_text(record.model_dump_json(indent=1) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write a text file atomically, through a temporary file in the same folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
