"""Groups as rows of a table: the schema of `groups.parquet`, a group as a row and back, texts as JSON by the column.

No torch. A content is JSON text in the table, so that text, dialogues and item ids share one column.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tropism.groups import Content, Edge, Label, PreferenceGroup, Response

SCHEMA_VERSION = "1"

_TEXT, _INDEX, _NUMBER = pa.string(), pa.int32(), pa.float64()
RESPONSE = pa.struct({"id": _TEXT, "content": _TEXT, "prompt": _INDEX, "rank": _INDEX, "score": _NUMBER})
EDGE = pa.struct({"winner": _INDEX, "loser": _INDEX, "weight": _NUMBER, "margin": _NUMBER, "prob": _NUMBER})
LABEL = pa.struct({"response": _INDEX, "desirable": pa.bool_(), "weight": _NUMBER})
SCHEMA = pa.schema(
    {
        "group_id": _TEXT,
        "prompts": pa.list_(_TEXT),
        "responses": pa.list_(RESPONSE),
        "edges": pa.list_(EDGE),
        "labels": pa.list_(LABEL),
        "source": _TEXT,
        "split": _TEXT,
        "extra": _TEXT,
    }
)
"""The columns of `groups.parquet`."""

_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
_OTHER_CONTROLS = "[\x00-\x08\x0b\x0c\x0e-\x1f]"


def row_of(group: PreferenceGroup) -> dict[str, Any]:
    """A group as a row of the table."""
    return {
        "group_id": group.id,
        "prompts": [to_json(prompt) for prompt in group.prompts],
        "responses": [
            {name: getattr(response, name) for name in ("id", "prompt", "rank", "score")}
            | {"content": to_json(response.content)}
            for response in group.responses
        ],
        "edges": [asdict(edge) for edge in group.edges],
        "labels": [asdict(label) for label in group.labels],
        "source": group.source,
        "split": group.split,
        "extra": to_json(group.extra),
    }


def group_of(row: Mapping[str, Any]) -> PreferenceGroup:
    """A row of the table as a group.

    Raises:
        DataError: if the row breaks the rules of a group.
    """
    return PreferenceGroup(
        id=row["group_id"],
        prompts=tuple(_content(prompt) for prompt in row["prompts"]),
        responses=tuple(
            Response(**(response | {"content": _content(response["content"])})) for response in row["responses"]
        ),
        edges=tuple(Edge(**edge) for edge in row["edges"]),
        labels=tuple(Label(**label) for label in row["labels"]),
        source=row["source"],
        split=row["split"],
        extra=json.loads(row["extra"]),
    )


def to_json(value: object) -> str:
    """Contents and extras as JSON text that keeps the order of keys."""
    return json.dumps(value, ensure_ascii=False, default=dict)


def json_texts(texts: pa.Array) -> pa.Array:
    """Every text of a column as JSON text: what `to_json` gives, without a loop.

    Example:
        >>> json_texts(pa.array(['say "hi"', None])).to_pylist()
        ['"say \\\\"hi\\\\""', None]
    """
    escaped = texts
    for sign, escape in _ESCAPES:
        escaped = pc.replace_substring(escaped, sign, escape)
    quoted = pc.binary_join_element_wise('"', escaped, '"', "")
    rare = pc.fill_null(pc.match_substring_regex(texts, _OTHER_CONTROLS), False)
    if not pc.any(rare).as_py():
        return quoted
    spelled = [to_json(text) for text in pc.filter(texts, rare).to_pylist()]
    return pc.replace_with_mask(quoted, rare, pa.array(spelled, pa.string()))


def _content(text: str) -> Content:
    """The content that a JSON text stands for; a list is the turns of a dialogue."""
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else value
