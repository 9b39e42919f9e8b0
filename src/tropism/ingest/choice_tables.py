"""`choices.sqlite` as tables: the schema that the label page writes, and a connection that reads it and trusts nothing.

The file may come from anybody: it is opened read-only, only tables of stored values are read (no view, no virtual
table, no generated column), and any other file is refused with a reason. Values come as they are stored; who
reads them says what they must be.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from tropism.errors import DataError

CHOICES_SCHEMA = "tropism.choices 1"
LONGEST_VALUE = 100_000_000
"""Bytes of the longest text that is read from a file of choices."""

LOCK_SECONDS = 10.0
"""How long a reader waits for one that writes."""

_READ_ONLY_DISK = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
SQLITE_MAGIC = b"SQLite format 3\x00"

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    item_id TEXT PRIMARY KEY, group_id TEXT NOT NULL, prompt TEXT NOT NULL, responses TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS checks (item_id TEXT PRIMARY KEY REFERENCES items (item_id), expected TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS choices (
    choice_id TEXT PRIMARY KEY,
    item_id TEXT NOT NULL REFERENCES items (item_id),
    annotator TEXT NOT NULL,
    shown TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('win', 'tie', 'both_bad', 'skip', 'undo')),
    winner TEXT,
    reasons TEXT NOT NULL,
    created_at TEXT NOT NULL,
    seconds REAL,
    is_check INTEGER NOT NULL CHECK (is_check IN (0, 1)),
    revokes TEXT REFERENCES choices (choice_id),
    CHECK ((verdict = 'win') = (winner IS NOT NULL)),
    CHECK ((verdict = 'undo') = (revokes IS NOT NULL)));
CREATE UNIQUE INDEX IF NOT EXISTS revoked_once ON choices (revokes) WHERE revokes IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_annotator ON choices (annotator, item_id);
CREATE TRIGGER IF NOT EXISTS choices_are_never_changed BEFORE UPDATE ON choices
    BEGIN SELECT RAISE(ABORT, 'choices are append-only'); END;
CREATE TRIGGER IF NOT EXISTS choices_are_never_deleted BEFORE DELETE ON choices
    BEGIN SELECT RAISE(ABORT, 'choices are append-only'); END;
"""
"""Every row of `choices` stays as it was written: an undo is a separate row that `revokes` another."""

STANDING = """
SELECT choice_id, item_id, annotator, shown, verdict, winner, reasons, created_at, seconds, is_check FROM choices AS c
WHERE verdict != 'undo' AND NOT EXISTS (SELECT 1 FROM choices AS u WHERE u.revokes = c.choice_id)
"""
"""The choices that were not taken back."""


def is_choices_file(path: Path) -> bool:
    """Whether a file is a SQLite file of choices, of any version of the schema."""
    try:
        with path.open("rb") as file:
            if file.read(len(SQLITE_MAGIC)) != SQLITE_MAGIC:
                return False
        with closing(_connect(path)) as connection:
            return (_schema(connection) or "").startswith("tropism.choices")
    except (OSError, sqlite3.Error):
        return False


@contextmanager
def opened_choices(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file of choices of this version that cannot write; rows have names.

    Args:
        path: a file that `tropism label` wrote; it may still be written to.

    Raises:
        DataError: if the file is missing, no file of choices, or of another version; also for what SQLite finds
            wrong with it while it is read.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}.", remedy="Check the path, or make one with `tropism label`.")
    try:
        with closing(_connect(path)) as connection:
            found = _schema(connection)
            if found != CHOICES_SCHEMA:
                raise DataError(
                    f"{path} must hold the schema {CHOICES_SCHEMA!r}, not {found!r}.",
                    remedy="Give the file that `tropism label` wrote with this version.",
                )
            yield connection
    except sqlite3.Error as error:
        raise DataError(
            f"{path} is not a readable file of choices ({error}).", remedy="Give the file that `tropism label` wrote."
        ) from None


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that reads; a file on a disk that cannot be written to is opened as it lies there."""
    place = f"file:{quote(str(path.resolve()))}?mode=ro"
    connection = sqlite3.connect(place, uri=True, timeout=LOCK_SECONDS)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        # what is not yet in the file, or must be taken back from it, would be passed over
        is_whole = not any(path.with_name(f"{path.name}{end}").exists() for end in ("-wal", "-journal"))
        if error.sqlite_errorcode & 0xFF not in _READ_ONLY_DISK or not is_whole:
            raise
        connection = sqlite3.connect(f"{place}&immutable=1", uri=True)
    connection.row_factory = sqlite3.Row
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _schema(connection: sqlite3.Connection) -> str | None:
    """The schema that a file of choices names; None if it is no such file, or would have something run."""
    if not _has_stored_tables_only(connection):
        return None
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    except sqlite3.OperationalError:
        return None
    return str(row[0]) if row else None


def _has_stored_tables_only(connection: sqlite3.Connection) -> bool:
    """Whether what is read are tables with stored values alone: a view or a generated column can compute without end.

    SQLite keeps `CREATE TABLE` in this form however it was written, and `CREATE VIRTUAL TABLE` in another.
    """
    told = connection.execute(
        "SELECT name, type = 'table' AND sql GLOB 'CREATE TABLE *' FROM sqlite_master "
        "WHERE type IN ('table', 'view') AND lower(name) IN ('meta', 'items', 'checks', 'choices')"
    ).fetchall()
    if not all(is_table for _, is_table in told):
        return False
    hidden = (
        connection.execute("SELECT count(*) FROM pragma_table_xinfo(?) WHERE hidden > 1", (name,)).fetchone()[0]
        for name, _ in told
    )
    return not any(hidden)
