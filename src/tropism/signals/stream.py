"""Threads with edges or labels become the rows of `groups.parquet`, a bucket of threads at a time.

No row becomes a Python object on this way: the engine sorts responses, edges and labels by their group, and NumPy cuts
the columns into lists. The texts are read from the file again and parted into buckets on disk, so that memory holds one
bucket.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import ibis
import numpy as np
import pyarrow as pa
from ibis import Table
from numpy.typing import NDArray

from tropism.groups import PreferenceGroup
from tropism.signals.engines import Engine, count, data_errors, engine_of, in_memory, keep, release
from tropism.tables import EDGE, LABEL, RESPONSE, SCHEMA, group_of, json_texts

GROUPS_PER_BUCKET = 20_000
BUCKET = "bucket"


@dataclass(frozen=True)
class Threads:
    """Answers with their edges and labels, as tables of one engine, all computed.

    Args:
        answers: thread, place, row (into `texts`), response_id, and where known score and rank.
        keys: thread, key, prompt_id.
        edges: thread, winner, loser (places), weight, margin, prob.
        labels: thread, place, desirable, weight; None where there are none.
        texts: text_row, prompt, response.
        split: the keys that carry several prompts (`key`); the ids of their groups end in a hash of the prompt.
        is_json: whether contents are JSON text already: dialogues, image references.
        holdout: share of groups that are marked as held out, by a hash of the prompt; None marks none.
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
    """Groups in the order of their ids; every iteration is a new one.

    Args:
        threads: what the groups are made of.
        source: what every group names as its source.
    """

    def __init__(self, threads: Threads, *, source: str) -> None:
        self.threads = threads
        self.source = source

    def __iter__(self) -> Iterator[PreferenceGroup]:
        for table in self.tables():
            yield from map(group_of, table.to_pylist())

    def tables(self) -> Iterator[pa.Table]:
        """The groups as tables with the columns of `tropism.tables.SCHEMA`."""
        engine = engine_of(self.threads.answers)
        threads = _as_json(self.threads, engine)
        with data_errors(self.source, engine), ExitStack() as stack:
            heads = keep(_heads(threads))
            stack.callback(release, heads)
            num_buckets = -(-count(heads) // GROUPS_PER_BUCKET)

            def parted(table: Table) -> list[Table]:
                return list(stack.enter_context(engine.buckets(table, by=BUCKET, count=num_buckets)))

            responses, edges = parted(_responses(threads, heads)), parted(_edges(threads.edges, heads))
            labels = parted(_labels(threads.labels, heads)) if threads.labels is not None else None
            for place in range(num_buckets):
                told = _sorted(responses[place], "ordinal", "place")
                compared = _sorted(edges[place], "ordinal", "winner", "loser")
                judged = _sorted(labels[place], "ordinal", "place") if labels else None
                yield self._table(told, compared, judged, first=place * GROUPS_PER_BUCKET, is_json=threads.is_json)

    def _table(
        self, told: pa.Table, compared: pa.Table, judged: pa.Table | None, *, first: int, is_json: bool
    ) -> pa.Table:
        """The groups of one bucket, whose ordinals count from `first`."""
        places = told["place"].to_numpy()
        starts = np.flatnonzero(places == 0)
        num_groups = len(starts)
        ordinals = told["ordinal"].to_numpy()[starts]
        assert np.array_equal(ordinals, np.arange(first, first + num_groups)), "a group was lost or came twice"
        heads = told.take(pa.array(starts))
        contents, prompts = _contents(told["response"], is_json), _contents(heads["prompt"], is_json)
        num_told = np.append(starts, len(places))
        nothing = pa.nulls(len(places), pa.int32())
        responses = pa.StructArray.from_arrays(
            [
                told["response_id"].combine_chunks(),
                contents,
                pa.array(np.zeros(len(places), np.int32)),
                told["rank"].cast(pa.int32()).combine_chunks() if "rank" in told.column_names else nothing,
                told["score"].cast(pa.float64()).combine_chunks()
                if "score" in told.column_names
                else pa.nulls(len(places), pa.float64()),
            ],
            fields=list(RESPONSE),
        )
        columns = {
            "group_id": heads["id"].combine_chunks(),
            "prompts": _lists(np.arange(num_groups + 1), prompts),
            "responses": _lists(num_told, responses),
            "edges": _lists(_offsets(compared, first, num_groups), _structs(compared, EDGE)),
            "labels": _no_labels(num_groups)
            if judged is None
            else _lists(_offsets(judged, first, num_groups), _structs(judged, LABEL)),
            "source": pa.array([self.source]).take(pa.array(np.zeros(num_groups, np.int32))),
            "split": heads["split"].combine_chunks(),
            "extra": pa.array(["{}"]).take(pa.array(np.zeros(num_groups, np.int32))),
        }
        return pa.table(columns, schema=SCHEMA)


def _contents(texts: pa.ChunkedArray, is_json: bool) -> pa.Array:
    """A column of texts as contents."""
    column = texts.combine_chunks()
    return column if is_json else json_texts(column)


def _as_json(threads: Threads, engine: Engine) -> Threads:
    """The threads with texts as JSON, where the engine makes it while it reads them; the rest is left to Arrow."""
    response = engine.json_text(threads.texts.response)
    prompt = engine.json_text(threads.texts.prompt)
    if threads.is_json or response is None or prompt is None:
        return threads
    return replace(threads, texts=threads.texts.mutate(response=response, prompt=prompt), is_json=True)


def _heads(threads: Threads) -> Table:
    """Id, ordinal in the order of ids, bucket and split of every thread that has an edge or a label."""
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
        from tropism.signals.values import mix

        share = mix(numbered.prompt_id) / 16.0**6
        split = (share < threads.holdout).ifelse("eval", "train")
    return numbered.select(
        "thread", "id", "ordinal", bucket=(numbered.ordinal // GROUPS_PER_BUCKET).cast("int32"), split=split
    )


def _responses(threads: Threads, heads: Table) -> Table:
    """Every answer of a group with its text; id, prompt and split stand at the first one only."""
    answers = threads.answers
    known = [name for name in ("score", "rank") if name in answers.columns]
    placed = answers.join(heads, "thread").select(
        "row", "place", "response_id", *known, "id", "ordinal", BUCKET, "split"
    )
    told = threads.texts.join(placed, threads.texts.text_row == placed.row)
    is_first = told.place == 0
    return told.select(
        BUCKET,
        "ordinal",
        "place",
        "response_id",
        *known,
        "response",
        prompt=is_first.ifelse(told.prompt, ibis.null("string")),
        id=is_first.ifelse(told.id, ibis.null("string")),
        split=is_first.ifelse(told.split, ibis.null("string")),
    )


def _edges(edges: Table, heads: Table) -> Table:
    placed = edges.join(heads, "thread")
    return placed.select(BUCKET, "ordinal", "winner", "loser", "weight", "margin", "prob")


def _labels(labels: Table, heads: Table) -> Table:
    placed = labels.join(heads, "thread")
    return placed.select(BUCKET, "ordinal", "place", "desirable", "weight", response=placed.place)


def _sorted(table: Table, *order: str) -> pa.Table:
    """A part of a table in memory, in an order."""
    return in_memory(table.order_by(list(order)))


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
