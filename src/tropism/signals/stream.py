"""Threads with edges become `PreferenceGroup`s, a batch at a time; their texts are read from the file again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import ibis
from ibis import Table
from pyarrow import ListArray, RecordBatch

from tropism.groups import Edge, PreferenceGroup, Response
from tropism.signals.answers import VoteColumns
from tropism.signals.engines import ROW, batches, data_errors, scalar

Weight: TypeAlias = Literal["one", "gap"]

_GROUPS_PER_BATCH = 2_000


class GroupStream:
    """Groups in the order of their ids; every iteration is a new one.

    Args:
        table: the rows as they are in the file.
        columns: the names of its columns.
        answers: of the threads that have an edge, from `to_answers`.
        edges: from `to_pairs`.
        split: the keys that carry several prompts; the ids of their groups end in a hash of the prompt.
        weight: `one`, or `gap`.
        source: what every group names as its source.
    """

    def __init__(
        self,
        table: Table,
        columns: VoteColumns,
        answers: Table,
        edges: Table,
        split: Table,
        *,
        weight: Weight,
        source: str,
    ) -> None:
        texts = table.select(
            text_row=table[ROW],
            prompt=table[columns.prompt].cast("string"),
            response=table[columns.response].cast("string"),
        )
        responses = _responses(answers, texts)
        heads = _heads(answers, texts, split)
        joined = heads.join(responses, "thread").join(_edges(edges), "thread")
        self._groups = joined.drop("thread").order_by("id")
        self._num_groups = scalar(edges.thread.nunique())
        self._weight = weight
        self._source = source

    def __iter__(self) -> Iterator[PreferenceGroup]:
        num_read = 0
        with data_errors(self._source):
            for batch in batches(self._groups, num_rows=_GROUPS_PER_BATCH):
                yield from _to_groups(batch, self._weight, self._source)
                num_read += batch.num_rows
        assert num_read == self._num_groups, f"{num_read} of {self._num_groups} groups: the engine was asked meanwhile"


def _responses(answers: Table, texts: Table) -> Table:
    """One list of responses per thread."""
    told = answers.join(texts, answers.row == texts.text_row)
    fields = ibis.struct({"place": told.place, "id": told.response_id, "content": told.response, "score": told.score})
    return told.group_by("thread").agg(responses=fields.collect())


def _heads(answers: Table, texts: Table, split: Table) -> Table:
    """Id and prompt of every thread; the number of a thread is one of its rows."""
    first = answers.filter(answers.row == answers.thread)
    first = first.left_join(split.mutate(is_split=True), "key").select(first, "is_split")
    name = first.is_split.fill_null(False).ifelse(first.key + "/" + first.prompt_id, first.key)
    named = first.select("thread", id=name)
    return named.join(texts, named.thread == texts.text_row).select("thread", "id", "prompt")


def _edges(edges: Table) -> Table:
    """One list of edges per thread."""
    fields = ibis.struct({"winner": edges.winner, "loser": edges.loser, "gap": edges.gap})
    return edges.group_by("thread").agg(edges=fields.collect())


def _to_groups(batch: RecordBatch, weight: Weight, source: str) -> Iterator[PreferenceGroup]:
    ids, prompts = batch.column("id").to_pylist(), batch.column("prompt").to_pylist()
    responses = _rows(batch.column("responses"))
    edges = _rows(batch.column("edges"))
    for name, prompt, told, compared in zip(ids, prompts, responses, edges, strict=True):
        yield PreferenceGroup(
            id=name,
            prompts=(prompt,),
            responses=tuple(Response(id=one, content=text, score=score) for _, one, text, score in told),
            edges=tuple(Edge(winner, loser, weight=gap if weight == "gap" else 1.0) for winner, loser, gap in compared),
            source=source,
        )


def _rows(lists: ListArray) -> Iterator[list[tuple[Any, ...]]]:
    """Each list of structs as sorted tuples of their fields; the first fields are an order of their own."""
    values, offsets = lists.flatten(), lists.offsets.to_pylist()
    rows = list(zip(*(column.to_pylist() for column in values.flatten()), strict=True))
    start = offsets[0]
    for left, right in pairwise(offsets):
        yield sorted(rows[left - start : right - start])
