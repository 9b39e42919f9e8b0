"""Rows on disk, parted by a number: one Arrow file that holds a batch of every part, again and again.

Memory holds the rows that wait for the next writing; to read a part is to read its batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tropism.errors import OutputError

BYTES_AT_ONCE = 32_000_000
"""Bytes of rows that wait before they are written."""

NOWHERE = -1
"""The part of a row that is in none."""


class Parted:
    """Rows that are added in any order and, once all are there, read part by part; a part keeps their order.

    Args:
        path: the file, which is written once.
        schema: columns of the rows.
        num_parts: how many parts there are.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, num_parts: int) -> None:
        self.path, self.schema, self.num_parts = path, schema, num_parts
        with self._in_file():
            self._writer = pa.ipc.new_file(str(path), schema)
        self._waiting: list[pa.RecordBatch] = []
        self._parts: list[NDArray[np.integer]] = []
        self._num_bytes = 0

    def add(self, rows: pa.RecordBatch, parts: NDArray[np.integer]) -> None:
        """Add rows, each with the number of its part or `NOWHERE`, [rows]."""
        self._waiting.append(rows.cast(self.schema))
        self._parts.append(parts)
        self._num_bytes += rows.nbytes
        if self._num_bytes >= BYTES_AT_ONCE:
            self._write()

    def close(self) -> Parted:
        """End the writing; from then on rows can be read, and none added."""
        self._write()
        with self._in_file():
            self._writer.close()
        return self

    def read(self) -> Iterator[pa.Table]:
        """Every part in turn."""
        with pa.OSFile(str(self.path)) as file:
            reader = pa.ipc.open_file(file)
            for part in range(self.num_parts):
                places = range(part, reader.num_record_batches, self.num_parts)
                yield pa.Table.from_batches([reader.get_batch(place) for place in places], schema=self.schema)

    def _write(self) -> None:
        """Write what waits: one batch of every part, the empty ones too, so that a batch is found by its number."""
        if not self._waiting:
            return
        parts = np.concatenate(self._parts)
        rows = pa.Table.from_batches(self._waiting, schema=self.schema)
        self._waiting, self._parts, self._num_bytes = [], [], 0
        sizes = np.bincount(parts - NOWHERE, minlength=self.num_parts + 1)
        order = np.argsort(parts, kind="stable")[sizes[0] :]
        ordered = rows.take(pa.array(order)).combine_chunks()
        start = 0
        for size in sizes[1:].tolist():
            part = ordered.slice(start, size).to_batches()
            with self._in_file():
                self._writer.write_batch(part[0] if part else pa.RecordBatch.from_pylist([], schema=self.schema))
            start += size

    @contextmanager
    def _in_file(self) -> Iterator[None]:
        """What goes wrong with the temporary file, in words."""
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"a temporary file in {self.path.parent} cannot be written ({error}).",
                remedy="Free some space there, or set TMPDIR to a folder with more room.",
            ) from None
