"""The file of choices: exactly once, append-only, durable, and patient."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tropism.data.label_choices import Choice, ChoiceItem, Option, read_choice_items, read_choices
from tropism.errors import DataError, OutputError
from tropism.ingest.choice_tables import is_choices_file, opened_choices
from tropism.label import choice_store as store_module
from tropism.label.choice_store import ChoiceConflict, ChoiceStore, ChoiceUndone, NewChoice, StoreBusy

TURNS = ({"role": "user", "content": "Häh?"},)
ITEMS = (
    ChoiceItem("i1", "g1", TURNS, (Option("x", "yes"), Option("y", "no"))),
    ChoiceItem("i2", "g2", "Why?", (Option("x", "a"), Option("y", "b")), expected="x"),
)


CHOICE_COLUMNS = "choice_id item_id annotator shown verdict winner reasons created_at seconds is_check revokes"


def new(choice_id: str, item_id: str = "i1", annotator: str = "ann") -> NewChoice:
    return NewChoice(choice_id, item_id, annotator, ("y", "x"), "win", "x", ("kind",), 1.5, is_check=item_id == "i2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "choices.sqlite"


def opened(path: Path) -> ChoiceStore:
    return ChoiceStore(path, ITEMS, {"seed": "0"})


def test_a_choice_is_read_back_as_it_was_made(path: Path) -> None:
    with closing(opened(path)) as store:
        made = store.add(new("c1"))
        assert list(read_choices(path)) == [made]  # another reader sees it at once
    (choice,) = read_choices(path)
    assert choice == made
    assert choice[:7] == ("c1", "i1", "ann", ("y", "x"), "win", "x", ("kind",))
    assert choice.created_at.endswith("Z")
    assert (choice.seconds, choice.is_check) == (1.5, False)
    assert list(read_choice_items(path)) == list(ITEMS)
    assert is_choices_file(path)


def test_the_schema_is_the_published_one(path: Path) -> None:
    opened(path).close()
    with closing(sqlite3.connect(path)) as connection:
        columns = {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for table in ("meta", "items", "choices")
        }
        assert dict(connection.execute("SELECT * FROM meta"))["schema"] == "tropism.choices 1"
    assert columns == {
        "meta": ["key", "value"],
        "items": ["item_id", "group_id", "prompt", "responses"],
        "choices": CHOICE_COLUMNS.split(),
    }


def test_a_choice_sent_twice_is_stored_once(path: Path) -> None:
    with closing(opened(path)) as store:
        assert store.add(new("c1")) is not None
        assert store.add(new("c1")._replace(seconds=9.0)) is None
        assert store.num_rows() == 1
        with pytest.raises(ChoiceConflict, match="id of another choice"):
            store.add(new("c1")._replace(winner="y"))
        with pytest.raises(ChoiceConflict, match="ann has already answered i1"):
            store.add(new("c2"))
        assert store.num_rows() == 1


def test_an_undo_is_a_row_that_revokes_and_the_item_can_be_answered_again(path: Path) -> None:
    with closing(opened(path)) as store:
        first = store.add(new("c1"))
        assert store.undo("ann", "u1") == first
        assert store.undo("ann", "u1") is None  # sent again: takes back nothing more
        assert store.undo("bob", "u2") is None
        assert store.standing() == []
        again = store.add(new("c2"))
        for late in (new("c1"), new("c1")._replace(winner="y")):
            with pytest.raises(ChoiceUndone):  # a late repetition does not bring it back, and does not seem to
                store.add(late)
        assert store.standing() == [again]
        with pytest.raises(ChoiceConflict, match="id of a choice"):
            store.undo("ann", "c2")
        with pytest.raises(ChoiceConflict):
            store.add(new("u1"))
    assert [choice.choice_id for choice in read_choices(path)] == ["c2"]
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT choice_id, verdict, winner, revokes FROM choices ORDER BY rowid").fetchall()
    assert rows == [("c1", "win", "x", None), ("u1", "undo", None, "c1"), ("c2", "win", "x", None)]


def test_undo_takes_back_choice_after_choice_of_one_annotator(path: Path) -> None:
    with closing(opened(path)) as store:
        first, _, second = store.add(new("c1")), store.add(new("b1", annotator="bob")), store.add(new("c2", "i2"))
        assert [store.undo("ann", f"u{place}") for place in range(3)] == [second, first, None]
        assert [choice.annotator for choice in store.standing()] == ["bob"]


def test_rows_can_be_neither_changed_nor_deleted(path: Path) -> None:
    with closing(opened(path)) as store:
        store.add(new("c1"))
    with closing(sqlite3.connect(path)) as connection:
        for statement in ("UPDATE choices SET winner = 'y'", "DELETE FROM choices"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)


def test_every_commit_waits_for_the_disk(path: Path) -> None:
    with closing(opened(path)) as store:
        connection = store._connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_closing_leaves_one_plain_file_that_a_read_only_reader_opens(path: Path) -> None:
    store = opened(path)
    store.add(new("c1"))
    assert {one.name for one in path.parent.iterdir()} > {"choices.sqlite"}
    store.close()
    assert [one.name for one in path.parent.iterdir()] == ["choices.sqlite"]


def test_a_file_goes_on_and_other_settings_are_refused(path: Path) -> None:
    with closing(opened(path)) as store:
        store.add(new("c1"))
    with closing(opened(path)) as store:
        assert [choice.choice_id for choice in store.standing()] == ["c1"]
    with pytest.raises(DataError, match="was started with `seed='0'`, got '1'"):
        ChoiceStore(path, ITEMS, {"seed": "1"})


def test_a_busy_file_is_waited_for(path: Path) -> None:
    with closing(opened(path)) as store, closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.3, other.rollback)
        release.start()
        assert store.add(new("c1")) is not None
        release.join()


def test_a_file_that_stays_busy_stores_nothing_and_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.05)
    with closing(opened(path)) as store, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy):
            store.add(new("c1"))
        other.rollback()
        assert store.num_rows() == 0
        assert store.add(new("c1")) is not None


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("mine")
    with pytest.raises(DataError, match="is not a choices file"):
        opened(text)
    assert text.read_text() == "mine"
    foreign = tmp_path / "foreign.sqlite"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE choices (x)")
    assert not is_choices_file(foreign)
    with pytest.raises(DataError, match=r"must hold the schema 'tropism\.choices 1', not None"):
        list(read_choices(foreign))
    with pytest.raises(DataError, match="there is no file"):
        list(read_choices(tmp_path / "none.sqlite"))
    with pytest.raises(DataError, match="not a readable file of choices"):
        list(read_choices(text))
    with pytest.raises(OutputError, match="cannot be written"):
        opened(text / "choices.sqlite")


@pytest.fixture
def made(path: Path) -> Path:
    with closing(opened(path)) as store:
        store.add(new("c1"))
    return path


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("choices", "shown", "["),
        ("choices", "shown", "[" * 100_000),
        ("choices", "shown", "[1, 2]"),
        ("choices", "reasons", '{"a": 1}'),
        ("choices", "annotator", b"\xff"),
        ("choices", "verdict", "maybe"),
        ("choices", "winner", None),
        ("choices", "seconds", "soon"),
        ("items", "responses", "[1]"),
        ("items", "responses", '[{"id": "x"}]'),
        ("items", "responses", '[{"id": 1, "content": "x"}]'),
        ("items", "prompt", '{"role": "user"}'),
        ("items", "prompt", "[1]"),
        ("items", "prompt", b"\x80"),
    ],
)
def test_a_row_that_the_page_does_not_write_is_refused_in_words(
    made: Path, tmp_path: Path, table: str, column: str, value: object
) -> None:
    """A file that somebody else made need not keep to the constraints of ours."""
    with closing(sqlite3.connect(made)) as ours, closing(sqlite3.connect(tmp_path / "theirs")) as theirs:
        for name in ("meta", "items", "checks", "choices"):
            rows = ours.execute(f"SELECT * FROM {name}")
            columns = [one[0] for one in rows.description]
            theirs.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
            marks = ", ".join("?" * len(columns))
            theirs.executemany(f"INSERT INTO {name} VALUES ({marks})", rows.fetchall())
        theirs.commit()
        assert list(both_read(tmp_path / "theirs")) == list(both_read(made))
        theirs.execute(f"UPDATE {table} SET {column} = ?", (value,))
        theirs.commit()
    with pytest.raises(DataError, match=r"a row that the label page does not write, '[ci]1'"):
        list(both_read(tmp_path / "theirs"))


def both_read(path: Path) -> Iterator[Choice | ChoiceItem]:
    yield from read_choices(path)
    yield from read_choice_items(path)


def test_a_view_in_place_of_a_table_is_never_run(made: Path) -> None:
    """It would be a query without end."""
    with closing(sqlite3.connect(made)) as connection:
        connection.execute("ALTER TABLE choices RENAME TO hidden")
        endless = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x FROM n"
        connection.execute(f"CREATE VIEW Choices AS {endless}")
    with pytest.raises(DataError, match="must hold the schema"):
        list(read_choices(made))
    assert not is_choices_file(made)


def test_a_reader_cannot_write_and_trusts_no_function_of_the_file(made: Path) -> None:
    with opened_choices(made) as connection:
        assert connection.execute("PRAGMA trusted_schema").fetchone()[0] == 0
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("INSERT INTO meta VALUES ('a', 'b')")


def test_text_that_is_no_utf8_is_a_clear_error(made: Path) -> None:
    with closing(sqlite3.connect(made)) as connection:
        connection.execute("UPDATE items SET prompt = CAST(x'22ff22' AS TEXT)")
        connection.commit()
    with pytest.raises(DataError, match="not a readable file of choices"):
        list(read_choice_items(made))
