"""Groups on disk: `groups.parquet`, a row per group, and the pairs that other toolkits read."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tropism.data.group_keys import PROMPT_EXTRAS
from tropism.errors import DataError, OutputError
from tropism.groups import Edge, Label, PreferenceGroup
from tropism.ingest.group_rows import SCHEMA, SCHEMA_VERSION, group_of, row_of
from tropism.ingest.row_reader import open_parquet
from tropism.records import DataCard

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

GROUPS_PER_ROW_GROUP = 1_000


def write_groups(groups: Iterable[PreferenceGroup], path: Path, *, card: DataCard | None = None) -> int:
    """Write groups as Parquet, whole or not at all.

    Args:
        groups: may be a generator; 1,000 groups are in memory at a time.
        path: the file to make or to replace; its folder is made where it is missing.
        card: where the groups came from; kept in the file's metadata.

    Returns:
        How many groups were written.

    Raises:
        OutputError: if the file cannot be written; an old file stays as it was.
    """
    import pyarrow as pa

    remaining = iter(groups)
    some = iter(lambda: [row_of(group) for group in islice(remaining, GROUPS_PER_ROW_GROUP)], [])
    return write_tables((pa.Table.from_pylist(rows, schema=SCHEMA) for rows in some), path, card=card)


def write_tables(tables: Iterable[pa.Table], path: Path, *, card: DataCard | None = None) -> int:
    """Write groups that are rows already, whole or not at all; see `write_groups`.

    Args:
        tables: with the columns of `tropism.ingest.group_rows.SCHEMA`; one is in memory at a time.
        path, card: as in `write_groups`.
    """
    import pyarrow.parquet as pq

    metadata = {"tropism.schema": SCHEMA_VERSION} | ({"tropism.card": card.model_dump_json()} if card else {})
    num_groups = 0
    with _replacing(path) as name:
        with _writing(path):
            writer = pq.ParquetWriter(name, SCHEMA.with_metadata(metadata), compression="zstd")
        with _closed(writer, path):
            for table in tables:
                with _writing(path):
                    writer.write_table(table, row_group_size=GROUPS_PER_ROW_GROUP)
                num_groups += table.num_rows
    return num_groups


def read_groups_file(path: Path) -> Iterator[PreferenceGroup]:
    """Read the groups that `write_groups` wrote, one after the other.

    Raises:
        DataError: if the file is missing, no file of groups, or holds a group that is not valid.
    """
    for row in _open(path).iter_batches(batch_size=GROUPS_PER_ROW_GROUP):
        yield from map(group_of, row.to_pylist())


def read_card(path: Path) -> DataCard | None:
    """The data card that was stored with the groups, if any.

    Raises:
        DataError: if the file is missing or no file of groups.
    """
    stored = _open(path).schema_arrow.metadata.get(b"tropism.card")
    return DataCard.model_validate_json(stored) if stored else None


def write_pairs(groups: Iterable[PreferenceGroup], path: Path) -> int:
    """Write every edge as one JSON line with TRL's columns `prompt`, `chosen`, `rejected`.

    `weight`, `margin` and `prob` are added where they differ from a plain comparison, and `tools` and
    `chat_template_kwargs` where the group has them. Labels and responses without an edge have no place in pairs.

    Returns:
        How many pairs were written.

    Raises:
        DataError: if an edge has no form as a pair (items, answers still to be generated, two prompts).
        OutputError: if the file cannot be written; an old file stays as it was.
    """
    return _write_lines((_pair(group, edge) for group in groups for edge in group.edges), path)


def write_labels(groups: Iterable[PreferenceGroup], path: Path) -> int:
    """Write every label as one JSON line with TRL's columns `prompt`, `completion`, `label`, as its KTO trainer reads.

    `weight` is added where it is not 1, and `tools` and `chat_template_kwargs` where the group has them. Edges and
    responses without a label have no place there.

    Returns:
        How many labels were written.

    Raises:
        DataError: if a labelled response is no text or dialogue (items, answers still to be generated).
        OutputError: if the file cannot be written; an old file stays as it was.

    Reference: TRL's documentation, "Dataset formats and types", unpaired preference.
    """
    return _write_lines((_labelled(group, label) for group in groups for label in group.labels), path)


def is_groups_file(path: Path) -> bool:
    """Whether a Parquet file carries our schema's version in its metadata.

    Raises:
        DataError: if it is missing, no Parquet file, or of another version of the schema.
    """
    version = (open_parquet(path).schema_arrow.metadata or {}).get(b"tropism.schema")
    if version not in (None, SCHEMA_VERSION.encode()):
        raise DataError(
            f"{path} has version {version.decode()} of the schema of groups; this Tropism reads {SCHEMA_VERSION}.",
            remedy="Update Tropism.",
        )
    return version is not None


def _open(path: Path) -> Any:
    """An open file of groups."""
    if not is_groups_file(path):
        raise DataError(
            f"{path} holds no groups (its metadata lacks tropism.schema).",
            remedy="Make one with `tropism build FILE -o groups.parquet`.",
        )
    return open_parquet(path)


def _write_lines(rows: Iterable[dict[str, Any]], path: Path) -> int:
    """Write objects as lines of JSON, whole or not at all, and count them."""
    num_rows = 0
    with _replacing(path) as name:
        with _writing(path):
            file = open(name, "w", encoding="utf-8")  # noqa: SIM115  (closed on the next line, in words where it fails)
        with _closed(file, path):
            for row in rows:
                with _writing(path):
                    file.write(json.dumps(row, ensure_ascii=False, default=dict) + "\n")
                num_rows += 1
    return num_rows


@contextmanager
def _replacing(path: Path) -> Iterator[str]:
    """The name of a temporary neighbour that takes the path's place when the block ends well.

    What goes wrong in the block is left as it is: it may be the disk of what is read, or of temporary files.
    """
    # named before it is there: an interruption between the two would leave it behind
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.touch(0o600, exist_ok=False)
        yield str(beside)
        with _writing(path):
            beside.chmod(0o644)
            beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


@contextmanager
def _closed(file: pq.ParquetWriter | TextIO, path: Path) -> Iterator[None]:
    """Close what writes a file at the end of the block; that closing fails too hides no earlier error."""
    try:
        yield
    except BaseException:
        with suppress(OSError, ValueError):
            file.close()
        raise
    with _writing(path):
        file.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What goes wrong with the writing of a file, in words."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}).", remedy="Choose another place."
        ) from None


def _pair(group: PreferenceGroup, edge: Edge) -> dict[str, Any]:
    """An edge as a row of TRL's columns."""
    winner, loser = group.responses[edge.winner], group.responses[edge.loser]
    row = {"prompt": group.prompts[winner.prompt], "chosen": winner.content, "rejected": loser.content}
    if winner.prompt != loser.prompt or not all(isinstance(content, str | tuple) for content in row.values()):
        raise DataError(
            f"an edge of group {group.id!r} cannot be written as a pair: pairs hold text or messages under one prompt.",
            remedy="Keep these groups as Parquet.",
        )
    plain = {"weight": 1.0, "margin": 0.0, "prob": 1.0}
    changed = {name: getattr(edge, name) for name, value in plain.items() if getattr(edge, name) != value}
    return row | changed | {name: group.extra[name] for name in PROMPT_EXTRAS if group.extra.get(name)}


def _labelled(group: PreferenceGroup, label: Label) -> dict[str, Any]:
    """A label as a row of TRL's columns."""
    response = group.responses[label.response]
    row = {"prompt": group.prompts[response.prompt], "completion": response.content}
    if not all(isinstance(content, str | tuple) for content in row.values()):
        raise DataError(
            f"a label of group {group.id!r} cannot be written as a line: lines hold text or messages.",
            remedy="Keep these groups as Parquet.",
        )
    weight = {"weight": label.weight} if label.weight != 1.0 else {}
    extras = {name: group.extra[name] for name in PROMPT_EXTRAS if group.extra.get(name)}
    return row | {"label": label.desirable} | weight | extras
