"""Groups come back from disk as they were written, and a file is written whole or not at all."""

import errno
import json
import random
import resource
import signal
import string
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tropism.data.formats import Source, load
from tropism.data.group_store import read_card, read_groups_file, write_groups, write_labels, write_pairs
from tropism.errors import DataError, OutputError
from tropism.groups import Edge, Label, PreferenceGroup, Response
from tropism.records import Account, DataCard, Estimate
from tropism.signals.engines.parted import Parted

PAIR = PreferenceGroup("q1", ("2 + 2?",), (Response("a", "4"), Response("b", "5")), (Edge(0, 1),))

numbers = st.floats(allow_nan=False, allow_infinity=False)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]), "content": st.text()},
    optional={"tool_calls": st.lists(st.dictionaries(st.text(), st.text(), max_size=2), max_size=2)},
)
contents = st.one_of(st.text(), st.none(), st.integers(0, 2**40), st.lists(messages, min_size=1, max_size=3).map(tuple))
extras = st.dictionaries(st.text(), st.one_of(st.text(), st.none(), st.booleans(), st.lists(numbers, max_size=3)))


@st.composite
def groups(draw: st.DrawFn) -> PreferenceGroup:
    """Any valid group."""
    prompts = draw(st.lists(contents, min_size=1, max_size=2))
    names = draw(st.lists(st.text(string.printable, max_size=4), min_size=1, max_size=4, unique=True))
    indices = st.integers(0, len(names) - 1)
    weights = st.floats(0, 1e300)
    pairs = st.tuples(indices, indices).filter(lambda pair: pair[0] != pair[1]) if len(names) > 1 else st.nothing()
    edge = st.builds(lambda pair, *rest: Edge(*pair, *rest), pairs, weights, numbers, st.floats(0.5, 1))
    return PreferenceGroup(
        id=draw(st.text()),
        prompts=tuple(prompts),
        responses=tuple(
            Response(
                name,
                draw(contents),
                prompt=draw(st.integers(0, len(prompts) - 1)),
                rank=draw(st.none() | st.integers(0, 9)),
                score=draw(st.none() | numbers),
            )
            for name in names
        ),
        edges=tuple(draw(st.lists(edge, max_size=3))) if len(names) > 1 else (),
        labels=tuple(draw(st.lists(st.builds(Label, indices, st.booleans(), weights), max_size=3))),
        source=draw(st.text()),
        split=draw(st.sampled_from([None, "train", "eval"])),
        extra=draw(extras),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=st.lists(groups(), max_size=4))
def test_any_groups_come_back_as_they_were(tmp_path: Path, some: list[PreferenceGroup]) -> None:
    path = tmp_path / "groups.parquet"
    assert write_groups(some, path) == len(some)
    assert list(read_groups_file(path)) == some


def test_many_groups_are_streamed_in_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "new" / "groups.parquet"
    many = (PreferenceGroup(str(n), (n,), (Response("a", n),)) for n in range(2_500))
    assert write_groups(many, path) == 2_500
    assert pq.ParquetFile(path).num_row_groups == 3
    assert [group.id for group in read_groups_file(path)] == [str(n) for n in range(2_500)]


def test_the_file_has_the_columns_and_metadata_of_the_design(tmp_path: Path) -> None:
    write_groups([PAIR], tmp_path / "groups.parquet")
    schema = pq.read_schema(tmp_path / "groups.parquet")
    assert schema.metadata == {b"tropism.schema": b"1"}
    assert schema.names == ["group_id", "prompts", "responses", "edges", "labels", "source", "split", "extra"]
    assert [field.name for field in schema.field("responses").type.value_type] == [
        "id",
        "content",
        "prompt",
        "rank",
        "score",
    ]
    row = pq.read_table(tmp_path / "groups.parquet").to_pylist()[0]
    assert row["prompts"] == ['"2 + 2?"']
    assert row["edges"] == [{"winner": 0, "loser": 1, "weight": 1.0, "margin": 0.0, "prob": 1.0}]


def test_a_card_is_kept_with_the_groups_and_reaches_the_next_reader(tmp_path: Path) -> None:
    path = tmp_path / "groups.parquet"
    account = Account(rows_read=3, rows_used=2, dropped={"empty": 1}, groups=1, responses=2, edges=1, labels=0)
    confounds = {"length": Estimate(value=0.6, low=0.5, high=0.7, n=9)}
    card = DataCard(source="votes.csv", rule="shp", account=account, confounds=confounds)
    write_groups([PAIR], path, card=card)
    assert read_card(path) == card
    (found,) = load([Source(str(path))]).cards
    assert (found.rule, found.confounds, found.account.rows_read) == ("shp", confounds, 1)
    write_groups([PAIR], path)
    assert read_card(path) is None


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "groups.parquet"
    write_groups([PAIR], path)

    def breaking() -> Iterator[PreferenceGroup]:
        yield PAIR
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_groups(breaking(), path)
    assert list(read_groups_file(path)) == [PAIR]
    assert [child.name for child in tmp_path.iterdir()] == ["groups.parquet"]


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written .* Choose another place\."):
        write_groups([PAIR], tmp_path / "file" / "groups.parquet")


@pytest.mark.parametrize("write", [write_groups, write_pairs, write_labels])
def test_a_disk_that_fails_while_groups_are_made_is_not_blamed_on_the_file(
    tmp_path: Path, write: Callable[[Iterator[PreferenceGroup], Path], int]
) -> None:
    def failing() -> Iterator[PreferenceGroup]:
        yield PAIR
        raise OSError(errno.ENOSPC, "No space left on device", "/elsewhere/rows")

    with pytest.raises(OSError, match="/elsewhere/rows"):
        write(failing(), tmp_path / "groups.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [write_groups, write_pairs, write_labels])
def test_a_disk_that_is_full_names_the_file(
    tmp_path: Path, write: Callable[[Iterator[PreferenceGroup], Path], int]
) -> None:
    path, rng = tmp_path / "groups.out", random.Random(0)
    texts = ("".join(rng.choices(string.printable, k=3_000)) for _ in range(60))
    large = (replace(PAIR, prompts=(text,), labels=(Label(0, True),)) for text in texts)
    before, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
        with pytest.raises(OutputError, match=r"groups\.out cannot be written \(.*\)\. Choose another place\.$"):
            write(large, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, action)
    assert not list(tmp_path.iterdir())


def test_a_full_temporary_folder_is_named(tmp_path: Path) -> None:
    schema = pa.schema({"row": pa.int64()})
    with pytest.raises(OutputError, match=r"^a temporary file in .*nowhere cannot be written \(.*\)\. Free some space"):
        Parted(tmp_path / "nowhere" / "rows", schema, num_parts=1)
    if Path("/dev/full").exists():
        rows = Parted(Path("/dev/full"), schema, num_parts=1)
        many = pa.RecordBatch.from_pydict({"row": list(range(20_000))}, schema=schema)
        rows.add(many, np.zeros(20_000, np.int64))
        with pytest.raises(OutputError, match=r"Free some space there, or set TMPDIR to a folder with more room\.$"):
            rows.close()


def test_a_file_that_holds_no_groups_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(DataError, match=r"holds no groups \(its metadata lacks tropism\.schema\)"):
        list(read_groups_file(path))
    pq.write_table(pa.table({"text": ["a"]}).replace_schema_metadata({"tropism.schema": "2"}), path)
    with pytest.raises(
        DataError, match=r"has version 2 of the schema of groups; this Tropism reads 1\. Update Tropism"
    ):
        read_card(path)
    with pytest.raises(DataError, match="there is no file"):
        read_card(tmp_path / "nothing.parquet")


def test_a_row_that_is_no_group_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "groups.parquet"
    write_groups([PAIR, PAIR], path)
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0]["edges"][0]["winner"] = 7
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    account = load([Source(str(path))]).cards[0].account
    assert account.dropped == {"not a valid group": 1}
    assert account.examples == {"not a valid group": ["1"]}


def test_pairs_have_a_row_per_edge_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    turns = ({"role": "user", "content": "Hi"},)
    answers = tuple(Response(name, ({"role": "assistant", "content": name},)) for name in "abc")
    edges = (Edge(0, 1), Edge(0, 2, weight=2.0, prob=0.75))
    tools = [{"type": "function"}]
    assert write_pairs([PAIR, PreferenceGroup("m", (turns,), answers, edges, extra={"tools": tools})], path) == 3
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows[0] == {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}
    chosen, rejected = [{"role": "assistant", "content": "a"}], [{"role": "assistant", "content": "c"}]
    pair = {"prompt": list(turns), "chosen": chosen, "rejected": rejected}
    assert rows[2] == pair | {"weight": 2.0, "prob": 0.75, "tools": tools}
    back = load([Source(str(path))]).groups
    assert [group.edges for group in back] == [PAIR.edges, edges]


@pytest.mark.parametrize(
    "group",
    [
        PreferenceGroup("g", ("p",), (Response("a", 1), Response("b", 2)), (Edge(0, 1),)),
        PreferenceGroup("g", ("p", "q"), (Response("a", "x"), Response("b", "x", prompt=1)), (Edge(0, 1),)),
    ],
)
def test_what_is_no_pair_is_not_written_as_one(tmp_path: Path, group: PreferenceGroup) -> None:
    with pytest.raises(DataError, match=r"an edge of group 'g' cannot be written as a pair"):
        write_pairs([group], tmp_path / "pairs.jsonl")
    assert not list(tmp_path.iterdir())
