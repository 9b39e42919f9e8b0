"""The choices file: append-only, and a choice is confirmed only after it is on disk."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tropism.data.label_choices import Choice, ChoiceItem, Verdict, choice_of, row_of_item
from tropism.errors import DataError, OutputError
from tropism.ingest.choice_tables import CHOICES_SCHEMA, STANDING, TABLES, is_choices_file

BUSY_SECONDS = 2.0
NUM_TRIES = 4


class ChoiceConflict(Exception):  # noqa: N818  (an expected answer to a client, not a fault)
    """A choice that contradicts a stored one: its id is in use, or the annotator has already answered the item."""


class ChoiceUndone(ChoiceConflict):
    """A choice that was undone and is sent again by its old page; it is not stored again."""


class StoreBusy(Exception):  # noqa: N818
    """The file could not be written now; nothing was stored, and the same choice may be sent again."""


class NewChoice(NamedTuple):
    """A choice to store; the fields have the same meaning as in `Choice`."""

    choice_id: str
    item_id: str
    annotator: str
    shown: tuple[str, ...]
    verdict: Verdict
    winner: str | None
    reasons: tuple[str, ...]
    seconds: float | None
    is_check: bool


class ChoiceStore:
    """A choices file, open for appending.

    Every choice is one transaction in SQLite's write-ahead log with `synchronous = FULL`: when `add` returns, the
    choice is on disk. Each id is stored once, however often it is sent.

    Args:
        path: created if it is missing; an existing choices file is continued.
        items: the items with the attention checks; stored in the same file.
        settings: settings that must not change while the file grows, such as the seed of the orders.

    Raises:
        DataError: if the file is not a choices file, or was started with other settings.
        OutputError: if it cannot be written.
    """

    def __init__(self, path: Path, items: Sequence[ChoiceItem], settings: Mapping[str, str]) -> None:
        self.path = path
        self._lock = threading.Lock()
        if path.exists() and path.stat().st_size and not is_choices_file(path):
            raise DataError(
                f"{path} exists and is not a choices file.",
                remedy="Use another `target`, such as choices.sqlite.",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _open(path)
            with self._transaction():
                self._begin(items, settings)
        except (sqlite3.Error, OSError, StoreBusy) as error:
            raise OutputError(f"{path} cannot be written ({error}).", remedy="Use another `target`.") from None

    def add(self, choice: NewChoice) -> Choice | None:
        """Store a choice and return when it is durable.

        Returns:
            The choice as stored; None if the same choice was stored before.

        Raises:
            ChoiceConflict: if its id belongs to another choice, or the annotator has already answered the item.
            ChoiceUndone: if the annotator has undone the choice with this id.
            StoreBusy: if the file could not be written.
        """
        with self._lock, self._transaction() as connection:
            stored = self._find(choice.choice_id)
            if stored is not None:
                if self._is_revoked(choice.choice_id) and stored.annotator == choice.annotator:
                    raise ChoiceUndone(f"choice {choice.choice_id} was undone")
                if _same(stored, choice):
                    return None
                raise ChoiceConflict(f"{choice.choice_id} is the id of another choice")
            taken = connection.execute(
                f"{STANDING} AND c.annotator = ? AND c.item_id = ?", (choice.annotator, choice.item_id)
            ).fetchone()
            if taken is not None:
                raise ChoiceConflict(f"{choice.annotator} has already answered {choice.item_id}")
            made = Choice(**choice._asdict(), created_at=_now())
            self._insert(made, verdict=made.verdict, revokes=None)
        return made

    def undo(self, annotator: str, undo_id: str) -> Choice | None:
        """Undo the annotator's last valid choice by appending a row that revokes it.

        Args:
            annotator: the name.
            undo_id: id of the revoking row; sending the same id again undoes nothing more.

        Returns:
            The choice that was undone; None if there was none, or the id is known.

        Raises:
            ChoiceConflict: if the id belongs to a choice.
            StoreBusy: if the file could not be written.
        """
        with self._lock, self._transaction() as connection:
            known = connection.execute("SELECT verdict FROM choices WHERE choice_id = ?", (undo_id,)).fetchone()
            if known is not None:
                if known[0] != "undo":
                    raise ChoiceConflict(f"{undo_id} is the id of a choice")
                return None
            last = connection.execute(
                f"{STANDING} AND c.annotator = ? ORDER BY c.rowid DESC LIMIT 1", (annotator,)
            ).fetchone()
            if last is None:
                return None
            revoked = choice_of(last)
            mark = revoked._replace(choice_id=undo_id, winner=None, reasons=(), seconds=None, created_at=_now())
            self._insert(mark, verdict="undo", revokes=revoked.choice_id)
        return revoked

    def standing(self) -> list[Choice]:
        """The choices that were not undone, in the order in which they were made."""
        with self._lock:
            return [choice_of(row) for row in self._connection.execute(f"{STANDING} ORDER BY c.rowid")]

    def num_rows(self) -> int:
        """The number of rows in the file, including undone choices and undo rows."""
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM choices").fetchone()[0])

    def close(self) -> None:
        """Close the file so that no journal files remain next to it."""
        with self._lock:
            try:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._connection.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.OperationalError:
                pass  # another process reads the file; the last one to close it removes the journal
            self._connection.close()

    def _begin(self, items: Sequence[ChoiceItem], settings: Mapping[str, str]) -> None:
        """Create the tables of a new file, and compare the settings of an existing one."""
        for statement in _statements(TABLES):
            self._connection.execute(statement)
        for key, value in {"schema": CHOICES_SCHEMA, **settings}.items():
            self._connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
            found = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]
            if found != value:
                raise DataError(
                    f"{self.path} was started with `{key}={found!r}`, got {value!r}.",
                    remedy=f"Use `{key}={found!r}`, or another `target`.",
                )
        rows = [row_of_item(item) for item in items]
        self._connection.executemany("INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?)", rows)
        expected = [(item.item_id, item.expected) for item in items if item.expected is not None]
        self._connection.executemany("INSERT OR IGNORE INTO checks VALUES (?, ?)", expected)

    def _find(self, choice_id: str) -> Choice | None:
        """A choice by its id, undone or not. An undo row is found too, and equals no choice."""
        row = self._connection.execute(
            "SELECT choice_id, item_id, annotator, shown, verdict, winner, reasons, created_at, seconds, is_check "
            "FROM choices WHERE choice_id = ?",
            (choice_id,),
        ).fetchone()
        return choice_of(row) if row else None

    def _is_revoked(self, choice_id: str) -> bool:
        """Whether a choice was undone."""
        found = self._connection.execute("SELECT 1 FROM choices WHERE revokes = ?", (choice_id,)).fetchone()
        return found is not None

    def _insert(self, choice: Choice, *, verdict: str, revokes: str | None) -> None:
        """Append a row."""
        self._connection.execute(
            "INSERT INTO choices (choice_id, item_id, annotator, shown, verdict, winner, reasons, created_at, seconds,"
            " is_check, revokes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                choice.choice_id,
                choice.item_id,
                choice.annotator,
                json.dumps(choice.shown, ensure_ascii=False),
                verdict,
                choice.winner,
                json.dumps(choice.reasons, ensure_ascii=False),
                choice.created_at,
                choice.seconds,
                int(choice.is_check),
                revokes,
            ),
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction; a locked file is tried again several times."""
        try:
            _patiently(self._connection, "BEGIN IMMEDIATE")
            yield self._connection
            _patiently(self._connection, "COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise StoreBusy(str(error)) from error
            raise


def _open(path: Path) -> sqlite3.Connection:
    """A connection whose commits are on disk when they return."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS has a cache of its own below fsync
    return connection


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    """Run a statement and wait while another process holds the lock; each attempt waits `BUSY_SECONDS` by itself."""
    for place in range(NUM_TRIES):
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if place == NUM_TRIES - 1 or error.sqlite_errorcode & 0xFF not in (
                sqlite3.SQLITE_BUSY,
                sqlite3.SQLITE_LOCKED,
            ):
                raise
            time.sleep(0.05 * 2**place)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would commit the surrounding transaction."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _same(stored: Choice, sent: NewChoice) -> bool:
    """Whether a choice that is sent again is the stored one; the time taken may differ."""
    compared = ("item_id", "annotator", "verdict", "winner", "shown", "is_check")
    return all(getattr(stored, name) == getattr(sent, name) for name in compared)


def _now() -> str:
    """The time in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
