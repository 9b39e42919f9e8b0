"""A file of choices from anybody: nothing in it is computed, and nothing that waits beside it is passed over."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tropism.errors import DataError
from tropism.ingest import choice_tables
from tropism.ingest.choice_tables import CHOICES_SCHEMA, STANDING, TABLES, is_choices_file, opened_choices


def make(path: Path, *changes: str, tables: str = TABLES) -> Path:
    """A file of choices with one item, changed by some commands."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(tables)
        connection.execute("INSERT INTO meta (key, value) VALUES ('schema', ?)", (CHOICES_SCHEMA,))
        connection.execute("INSERT INTO items (item_id, group_id, prompt, responses) VALUES ('i', 'g', '\"p\"', '[]')")
        connection.commit()
        for change in changes:
            connection.execute(change)
        connection.commit()
    return path


def test_an_honest_file_is_read(tmp_path: Path) -> None:
    path = make(tmp_path / "choices.sqlite")
    assert is_choices_file(path)
    with opened_choices(path) as connection:
        assert [row["item_id"] for row in connection.execute("SELECT item_id FROM items")] == ["i"]
        assert connection.execute(STANDING).fetchall() == []


GENERATED = "prompt TEXT NOT NULL, endless TEXT AS (hex(zeroblob(400000000))) {}"


@pytest.mark.parametrize(
    "maker",
    [
        lambda path: make(path, tables=TABLES.replace("prompt TEXT NOT NULL", GENERATED.format("VIRTUAL"))),
        lambda path: make(path, tables=TABLES.replace("prompt TEXT NOT NULL", "prompt, h AS (prompt || 'x') STORED")),
        lambda path: make(path, "DROP TABLE checks", "CREATE VIRTUAL TABLE checks USING fts5(item_id, expected)"),
        lambda path: make(path, "DROP TABLE checks", "create /* */ virtual table Checks using rtree(id, low, high)"),
        lambda path: make(path, "DROP TABLE checks", "CREATE VIEW checks AS SELECT 1 AS item_id, 2 AS expected"),
    ],
    ids=["generated", "stored", "virtual", "written otherwise", "view"],
)
def test_what_would_be_computed_is_refused(tmp_path: Path, maker: Callable[[Path], Path]) -> None:
    path = maker(tmp_path / "choices.sqlite")
    assert not is_choices_file(path)
    with pytest.raises(DataError, match=r"must hold the schema 'tropism\.choices 1', not None"), opened_choices(path):
        pass


def test_a_text_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "choices.sqlite", f"UPDATE items SET prompt = '{'x' * 20_000}'")
    monkeypatch.setattr(choice_tables, "LONGEST_VALUE", 10_000)
    with pytest.raises(DataError, match=r"is not a readable file of choices \(.*too big\)"):  # noqa: SIM117
        with opened_choices(path) as connection:
            connection.execute("SELECT prompt FROM items").fetchall()


def test_a_file_that_is_locked_is_not_read_without_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "choices.sqlite")
    monkeypatch.setattr(choice_tables, "LOCK_SECONDS", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataError, match=r"\(database is locked\)"), opened_choices(path):
            pass


def test_a_file_whose_last_change_was_cut_off_is_not_read_as_it_lies(tmp_path: Path) -> None:
    path = make(tmp_path / "choices.sqlite")
    folder = tmp_path / "copied"
    folder.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("PRAGMA cache_spill = 1")
        writer.execute("BEGIN")
        many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
        writer.execute(f"INSERT INTO items {many} SELECT i, 'g', '\"' || hex(zeroblob(500)) || '\"', '[]' FROM n")
        journal = path.with_name("choices.sqlite-journal")
        for file in (path, journal):
            (folder / file.name).write_bytes(file.read_bytes())
    assert (folder / journal.name).stat().st_size > 1_000
    with pytest.raises(DataError, match="is not a readable file of choices"), opened_choices(folder / path.name):
        pass
