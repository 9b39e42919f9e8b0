"""Rows of foreign files as a table of the engine: written to a temporary Parquet file as they come."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ibis import Table

from tropism.errors import DataError
from tropism.ingest import NotRead
from tropism.ingest.group_rows import json_texts
from tropism.signals.engines.engine import open_file
from tropism.signals.sources.contents import cleaned
from tropism.signals.sources.feedback_rows import AnswerRow, Aside, ChoiceRow, Feedback, RankRow, RatingRow, Refused

_BATCH = 10_000
_TYPES = {
    AnswerRow: {"score": pa.float64(), "time": pa.float64(), "accepted": pa.bool_(), "by_asker": pa.bool_()},
    RankRow: {"rank": pa.int64(), "prompt_is_json": pa.bool_(), "response_is_json": pa.bool_()},
    RatingRow: {"score": pa.float64()},
    ChoiceRow: {
        "seconds": pa.float64(),
        "time": pa.float64(),
        "prompt_is_json": pa.bool_(),
        "response_is_json": pa.bool_(),
    },
}
_TEXTS = {"prompt": "prompt", "response": "response", "response_a": "response", "response_b": "response"}


@dataclass(frozen=True)
class Flat:
    """A foreign file as a table.

    Args:
        table: a row per piece of feedback, with `ROW`.
        kind: the type of its rows.
        is_json: whether prompts and responses are JSON text; then all of them are.
        not_read: records that are no feedback or cannot be used.
        numbers: the record that each row of the table comes from, in its order.
    """

    table: Table
    kind: type
    is_json: bool
    not_read: NotRead
    numbers: pa.ChunkedArray


@contextmanager
def flattened(
    rows: Iterable[Feedback | Aside | Refused],
    *,
    source: str,
    engine: str,
    clean: Callable[[str], str] | None = None,
) -> Iterator[Flat]:
    """Rows of a reader as a table, for the time of a block.

    Args:
        rows: from one of the readers beside this file.
        source: the file's name, for errors.
        engine: as in `open_file`.
        clean: what is done to every text (and to the JSON text of every dialogue's turns) first; None does nothing.

    Raises:
        DataError: if no row is feedback, or a file mixes kinds of feedback.
    """
    not_read = NotRead()

    def wanted() -> Iterator[Feedback]:
        for row in rows:
            if isinstance(row, Aside | Refused):
                not_read.add(row.reason if isinstance(row, Refused) else row.kind, f"row {row.number}")
            else:
                yield row

    with tempfile.TemporaryDirectory(prefix="tropism-") as folder:
        path = Path(folder) / "rows.parquet"
        kind, is_json = _write(wanted(), path, source)
        if kind is None:
            raise DataError(
                f"{source} holds no feedback that can be used ({not_read or 'no record'}).",
                remedy="Check that the file is of the kind that `signal` names.",
            )
        if is_json or clean:
            path = _rewritten(path, is_json=is_json, clean=clean)
        names = [name for name in pq.read_schema(path).names if name != "number" and not name.endswith("_is_json")]
        numbers = pq.read_table(path, columns=["number"])["number"]
        yield Flat(open_file(path, names, engine=engine), kind, is_json, not_read, numbers)


def _write(rows: Iterator[Feedback], path: Path, source: str) -> tuple[type | None, bool]:
    """Write the rows; their kind, and whether any text is JSON."""
    first = next(rows, None)
    if first is None:
        return None, False
    kind = type(first)
    types = {"number": pa.int64()} | _TYPES[kind]
    schema = pa.schema({name: types.get(name, pa.string()) for name in kind._fields})
    is_json = False
    pending: list[Any] = [first]
    with pq.ParquetWriter(path, schema) as writer:
        while pending:
            for row in pending:
                if type(row) is not kind:
                    raise DataError(
                        f"{source} holds feedback of two kinds: {_name(kind)} (first) and {_name(type(row))} "
                        f"(record {row.number}).",
                        remedy="Export one question at a time.",
                    )
            writer.write_table(pa.Table.from_pylist([row._asdict() for row in pending], schema=schema))
            is_json |= any(_is_json(row) for row in pending)
            pending = list(islice(rows, _BATCH))
    return kind, is_json


def _rewritten(path: Path, *, is_json: bool, clean: Callable[[str], str] | None) -> Path:
    """The file again with every text cleaned and, if one is JSON, all of them JSON."""
    target = path.with_name("contents.parquet")
    file = pq.ParquetFile(path)
    with pq.ParquetWriter(target, file.schema_arrow) as writer:
        for batch in file.iter_batches(batch_size=_BATCH):
            table = pa.Table.from_batches([batch])
            for name, flag in _TEXTS.items():
                if name not in table.column_names:
                    continue
                told = table[name].combine_chunks()
                flags = f"{flag}_is_json"
                marked = table[flags].to_pylist() if flags in table.column_names else [False] * len(told)
                if clean:
                    texts = zip(told.to_pylist(), marked, strict=True)
                    told = pa.array([cleaned(text, clean, is_json=mark) for text, mark in texts])
                if is_json:
                    told = pc.if_else(pa.array(marked), told, json_texts(told))
                table = table.set_column(table.column_names.index(name), name, told)
            writer.write_table(table)
    return target


def _is_json(row: Feedback) -> bool:
    """Whether a row holds JSON text; votes and ratings never do."""
    return isinstance(row, RankRow | ChoiceRow) and (row.prompt_is_json or row.response_is_json)


def _name(kind: type) -> str:
    """What a kind of row is called."""
    return {AnswerRow: "votes", RankRow: "rankings", RatingRow: "ratings", ChoiceRow: "choices"}[kind]
