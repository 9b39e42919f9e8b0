"""Threads with edges or labels become the rows of `groups.parquet`, a bucket of threads at a time.

No row becomes a Python object here. The texts are read from the file again, in the order of the file, and parted into
buckets on disk: memory holds one bucket, and thirteen bytes for each answer. In a bucket NumPy sorts the rows and cuts
the columns into lists.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import ibis
import numpy as np
import pyarrow as pa
from ibis import Table
from numpy.typing import NDArray

from tropism.groups import PreferenceGroup
from tropism.ingest.group_rows import EDGE, LABEL, RESPONSE, SCHEMA, group_of, json_texts
from tropism.signals.engines import expressions
from tropism.signals.engines.engine import Engine, data_errors, engine_of, keep, release
from tropism.signals.engines.parted import NOWHERE, Parted

GROUPS_PER_BUCKET = 10_000
BYTES_PER_BUCKET = 64_000_000
"""Approximate size of the text in a bucket: long texts make smaller buckets."""


@dataclass(frozen=True)
class Threads:
    """Answers with their edges and labels, as tables of one engine, all computed.

    Args:
        answers: thread, place, row (into `texts`), response_id, and if known score and rank.
        keys: thread, key, prompt_id.
        edges: thread, winner, loser (places), weight, margin, prob.
        labels: thread, place, desirable, weight; None if there are none.
        texts: text_row, prompt, response.
        split: the keys that carry several prompts (`key`); the ids of their groups end in a hash of the prompt.
        is_json: whether contents are JSON text already: dialogues, image references.
        holdout: share of groups to mark as held out, by a hash of the prompt; None marks none.
    """

    answers: Table
    keys: Table
    edges: Table
    labels: Table | None
    texts: Table
    split: Table
    is_json: bool = False
    holdout: float | None = None


class GroupStream:
    """Groups in the order of their ids; every iteration starts again.

    Args:
        threads: what the groups are made of.
        source: what every group names as its source.
    """

    def __init__(self, threads: Threads, *, source: str) -> None:
        self.threads = threads
        self.source = source
        self._finalizer: weakref.finalize[[], GroupStream] | None = None

    def own(self, resources: ExitStack) -> None:
        """Close what the texts are read from together with the groups, or when these are not used any more."""
        self._finalizer = weakref.finalize(self, resources.close)

    def close(self) -> None:
        """Remove the temporary files that the texts are read from."""
        if self._finalizer is not None:
            self._finalizer()

    def __iter__(self) -> Iterator[PreferenceGroup]:
        for table in self.tables():
            yield from map(group_of, table.to_pylist())

    def tables(self) -> Iterator[pa.Table]:
        """The groups as tables with the columns of `tropism.ingest.group_rows.SCHEMA`."""
        engine = engine_of(self.threads.answers)
        threads = _as_json(self.threads, engine)
        with data_errors(self.source, engine), TemporaryDirectory(prefix="tropism-") as folder:
            first = 0
            for bucket in _buckets(threads, engine, Path(folder)):
                yield self._table(bucket, first=first, is_json=threads.is_json)
                first += bucket.heads.num_rows

    def _table(self, bucket: _Bucket, *, first: int, is_json: bool) -> pa.Table:
        """The groups of one bucket, whose ordinals count from `first`."""
        heads = _sorted(bucket.heads, "ordinal")
        answers = _sorted(bucket.answers, "ordinal", "place")
        compared = _sorted(bucket.edges, "ordinal", "winner", "loser")
        places = answers["place"].to_numpy()
        starts = np.flatnonzero(places == 0)
        num_groups = len(starts)
        ordinals = answers["ordinal"].to_numpy()[starts]
        assert np.array_equal(ordinals, np.arange(first, first + num_groups)), "a group was lost or came twice"
        rows = answers["row"].to_numpy()
        contents = _contents(_matched(bucket.responses, "response", rows), is_json)
        prompts = _contents(_matched(bucket.prompts, "prompt", rows[starts]), is_json)
        nothing = pa.nulls(len(places), pa.int32())
        responses = pa.StructArray.from_arrays(
            [
                answers["response_id"].combine_chunks(),
                contents,
                pa.array(np.zeros(len(places), np.int32)),
                answers["rank"].cast(pa.int32()).combine_chunks() if "rank" in answers.column_names else nothing,
                answers["score"].cast(pa.float64()).combine_chunks()
                if "score" in answers.column_names
                else pa.nulls(len(places), pa.float64()),
            ],
            fields=list(RESPONSE),
        )
        judged = _sorted(bucket.labels, "ordinal", "place") if bucket.labels is not None else None
        columns = {
            "group_id": heads["id"].combine_chunks(),
            "prompts": _lists(np.arange(num_groups + 1), prompts),
            "responses": _lists(np.append(starts, len(places)), responses),
            "edges": _lists(_offsets(compared, first, num_groups), _structs(compared, EDGE)),
            "labels": _no_labels(num_groups)
            if judged is None
            else _lists(_offsets(judged, first, num_groups), _structs(judged, LABEL)),
            "source": pa.array([self.source]).take(pa.array(np.zeros(num_groups, np.int32))),
            "split": heads["split"].combine_chunks(),
            "extra": pa.array(["{}"]).take(pa.array(np.zeros(num_groups, np.int32))),
        }
        return pa.table(columns, schema=SCHEMA)


class _Bucket(NamedTuple):
    """The rows of some threads, in no order; `responses` and `prompts` hold texts by `row`."""

    heads: pa.Table
    answers: pa.Table
    edges: pa.Table
    responses: pa.Table
    prompts: pa.Table
    labels: pa.Table | None = None


def _buckets(threads: Threads, engine: Engine, folder: Path) -> Iterator[_Bucket]:
    """All rows, parted by the ordinals of their threads; the columns of text are read one after the other."""
    heads = keep(_heads(threads))
    placed = keep(_placed(threads, heads))
    responses, prompts, per_bucket = _texts(threads.texts, engine, _where(placed, engine), folder)

    def parted(table: Table, name: str) -> Parted:
        rows = Parted(folder / name, table.schema().to_pyarrow(), num_parts=responses.num_parts)
        for batch in engine.stream(table):
            rows.add(batch, batch["ordinal"].to_numpy() // per_bucket)
        return rows.close()

    parts = {
        "heads": parted(heads.drop("thread"), "heads"),
        "answers": parted(placed, "answers"),
        "edges": parted(_edges(threads.edges, heads), "edges"),
        "responses": responses,
        "prompts": prompts,
    }
    if threads.labels is not None:
        parts["labels"] = parted(_labels(threads.labels, heads), "labels")
    release(heads, placed)
    for tables in zip(*(rows.read() for rows in parts.values()), strict=True):
        yield _Bucket(**dict(zip(parts, tables, strict=True)))


class _Where(NamedTuple):
    """The group of every answer, by rising `rows`; the prompt goes with the first answer."""

    rows: NDArray[np.int64]
    ordinals: NDArray[np.int32]
    is_first: NDArray[np.bool_]


def _where(placed: Table, engine: Engine) -> _Where:
    batches = list(engine.stream(placed.select("row", "ordinal", is_first=placed.place == 0)))
    rows, ordinals, is_first = (
        np.concatenate([batch[name].to_numpy(zero_copy_only=False) for batch in batches])
        for name in ("row", "ordinal", "is_first")
    )
    order = np.argsort(rows)
    return _Where(rows[order], ordinals[order].astype(np.int32), is_first[order])


def _texts(texts: Table, engine: Engine, places: _Where, folder: Path) -> tuple[Parted, Parted, int]:
    """The texts of answers, the prompt of each thread with its first answer, and the number of groups in a bucket."""
    names = ("response", "prompt")
    batches = engine.stream(texts.select("text_row", *names))
    first = next(batches)
    num_groups = int(places.is_first.sum())
    per_bucket = _groups_per_bucket(first, answers_per_group=len(places.rows) / num_groups)
    responses, prompts = (
        Parted(
            folder / f"{name}s",
            texts.select("text_row", name).schema().to_pyarrow(),
            num_parts=-(-num_groups // per_bucket),
        )
        for name in names
    )
    for batch in chain([first], batches):
        rows = batch["text_row"].to_numpy()
        at = np.minimum(np.searchsorted(places.rows, rows), len(places.rows) - 1)
        buckets = np.where(places.rows[at] == rows, places.ordinals[at] // per_bucket, NOWHERE)
        responses.add(batch.select(["text_row", "response"]), buckets)
        prompts.add(batch.select(["text_row", "prompt"]), np.where(places.is_first[at], buckets, NOWHERE))
    return responses.close(), prompts.close(), per_bucket


def _groups_per_bucket(batch: pa.RecordBatch, *, answers_per_group: float) -> int:
    """As many groups as hold the text of one bucket, if all texts are as long as those of a batch."""
    per_group = (batch["response"].nbytes * answers_per_group + batch["prompt"].nbytes) / max(1, batch.num_rows)
    return int(np.clip(BYTES_PER_BUCKET / max(1.0, per_group), 1, GROUPS_PER_BUCKET))


def _contents(texts: pa.Array, is_json: bool) -> pa.Array:
    """A column of texts as contents."""
    return texts if is_json else json_texts(texts)


def _as_json(threads: Threads, engine: Engine) -> Threads:
    """The threads with texts as JSON if the engine can write it while it reads them; otherwise Arrow does."""
    response = engine.json_text(threads.texts.response)
    prompt = engine.json_text(threads.texts.prompt)
    if threads.is_json or response is None or prompt is None:
        return threads
    return replace(threads, texts=threads.texts.mutate(response=response, prompt=prompt), is_json=True)


def _heads(threads: Threads) -> Table:
    """Id, ordinal in the order of ids, and split of every thread that has an edge or a label."""
    given = threads.edges.select("thread")
    if threads.labels is not None:
        given = ibis.union(given, threads.labels.select("thread"))
    first = threads.keys.semi_join(given, "thread")
    first = first.left_join(threads.split.mutate(is_split=True), "key").select(first, "is_split")
    named = first.select(
        "thread",
        "prompt_id",
        id=first.is_split.fill_null(False).ifelse(first.key.concat("/", first.prompt_id), first.key),
    )
    order = ibis.window(order_by=[named.id, named.prompt_id])
    numbered = named.mutate(ordinal=ibis.row_number().over(order).cast("int64"))
    split = ibis.null("string")
    if threads.holdout is not None:
        share = expressions.mix(numbered.prompt_id) / 16.0**6
        split = (share < threads.holdout).ifelse("eval", "train")
    return numbered.select("thread", "id", "ordinal", split=split)


def _placed(threads: Threads, heads: Table) -> Table:
    """Every answer of a group, without its text."""
    known = [name for name in ("score", "rank") if name in threads.answers.columns]
    return threads.answers.join(heads, "thread").select("row", "ordinal", "place", "response_id", *known)


def _edges(edges: Table, heads: Table) -> Table:
    placed = edges.join(heads, "thread")
    return placed.select("ordinal", "winner", "loser", "weight", "margin", "prob")


def _labels(labels: Table, heads: Table) -> Table:
    placed = labels.join(heads, "thread")
    return placed.select("ordinal", "place", "desirable", "weight", response=placed.place)


def _sorted(table: pa.Table, *order: str) -> pa.Table:
    """A bucket's rows in an order of whole numbers."""
    return table.take(pa.array(np.lexsort([table[name].to_numpy() for name in reversed(order)])))


def _matched(texts: pa.Table, name: str, rows: NDArray[np.int64]) -> pa.Array:
    """The text of each row, [rows]."""
    known = texts["text_row"].to_numpy()
    order = np.argsort(known)
    at = order[np.searchsorted(known, rows, sorter=order)]
    assert np.array_equal(known[at], rows), "a text was lost"
    return texts[name].combine_chunks().take(pa.array(at))


def _offsets(rows: pa.Table, first: int, num_groups: int) -> NDArray[np.int64]:
    """Where each group's rows begin, from their sorted ordinals."""
    counts = np.bincount(rows["ordinal"].to_numpy() - first, minlength=num_groups)
    return np.append(0, np.cumsum(counts))


def _structs(rows: pa.Table, kind: pa.StructType) -> pa.StructArray:
    """Some columns of a table as one column of structs."""
    return pa.StructArray.from_arrays(
        [rows[field.name].cast(field.type).combine_chunks() for field in kind], fields=list(kind)
    )


def _lists(offsets: NDArray[np.int64], values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _no_labels(num_groups: int) -> pa.ListArray:
    return _lists(np.zeros(num_groups + 1, np.int64), pa.array([], LABEL))
