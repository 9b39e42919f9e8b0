"""Rows parted on disk against the same rows parted by a loop."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tropism.signals.engines import parted
from tropism.signals.engines.parted import NOWHERE, Parted

SCHEMA = pa.schema({"row": pa.int64(), "text": pa.string()})


def batch(rows: list[tuple[int, str | None]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"row": row, "text": text} for row, text in rows], schema=SCHEMA)


@pytest.mark.parametrize("bytes_at_once", [1, 300, 10**9])
def test_parts_hold_their_rows_in_the_order_of_adding(
    tmp_path: Path, bytes_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parted, "BYTES_AT_ONCE", bytes_at_once)
    rng, num_parts = random.Random(4), 7
    expected: list[list[dict[str, object]]] = [[] for _ in range(num_parts)]
    rows = Parted(tmp_path / "rows", SCHEMA, num_parts=num_parts)
    for start in range(0, 200, 20):
        told = [(row, rng.choice([None, "", "ü" * rng.randint(1, 30)])) for row in range(start, start + 20)]
        places = [rng.choice([NOWHERE, 0, 2, 3, 6]) for _ in told]
        rows.add(batch(told), np.array(places))
        for (row, text), place in zip(told, places, strict=True):
            if place != NOWHERE:
                expected[place].append({"row": row, "text": text})
    found = [part.to_pylist() for part in rows.close().read()]
    assert found == expected
    assert found[1] == found[4] == found[5] == []


def test_parts_can_be_empty_and_read_again(tmp_path: Path) -> None:
    rows = Parted(tmp_path / "rows", SCHEMA, num_parts=2)
    rows.add(batch([]), np.array([], np.int64))
    rows.close()
    for _ in range(2):
        assert [part.num_rows for part in rows.read()] == [0, 0]
    assert all(part.schema == SCHEMA for part in rows.read())


def test_a_batch_takes_the_types_that_were_named(tmp_path: Path) -> None:
    rows = Parted(tmp_path / "rows", SCHEMA, num_parts=1)
    rows.add(pa.RecordBatch.from_pydict({"row": pa.array([5], pa.int32()), "text": pa.array(["a"])}), np.array([0]))
    (part,) = rows.close().read()
    assert part.schema == SCHEMA
    assert part.to_pylist() == [{"row": 5, "text": "a"}]
