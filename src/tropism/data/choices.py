"""`choices.sqlite`: what people chose on the label page, as a schema and as rows that stand."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import quote

from tropism.errors import DataError
from tropism.groups import Content

CHOICES_SCHEMA = "tropism.choices 1"
SQLITE_MAGIC = b"SQLite format 3\x00"

Verdict: TypeAlias = Literal["win", "tie", "both_bad", "skip"]

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
"""Every row of `choices` stays as it was written: an undo is a row of its own that `revokes` another."""

STANDING = """
SELECT choice_id, item_id, annotator, shown, verdict, winner, reasons, created_at, seconds, is_check FROM choices AS c
WHERE verdict != 'undo' AND NOT EXISTS (SELECT 1 FROM choices AS u WHERE u.revokes = c.choice_id)
"""
"""The choices that were not taken back."""


class Choice(NamedTuple):
    """One choice that stands.

    Args:
        choice_id: made by the page on which it was made; one id, one choice.
        item_id: of the item that was shown.
        annotator: the name that the person gave.
        shown: ids of the responses in the order in which they were shown.
        verdict: `win`, `tie`, `both_bad` or `skip`.
        winner: id of the response that was chosen; None unless the verdict is `win`.
        reasons: the tags that were ticked.
        created_at: when it was stored, ISO 8601 in UTC.
        seconds: from showing the item to choosing, as the page measured it; None where unknown.
        is_check: whether the item was an attention check, whose answer is known beforehand.
    """

    choice_id: str
    item_id: str
    annotator: str
    shown: tuple[str, ...]
    verdict: Verdict
    winner: str | None
    reasons: tuple[str, ...]
    created_at: str
    seconds: float | None
    is_check: bool


class Option(NamedTuple):
    """A response as an item holds it."""

    id: str
    content: Content


class ChoiceItem(NamedTuple):
    """What was shown for one choice: a prompt and the responses to choose from.

    Args:
        item_id: the same for the same contents.
        group_id: of the group that the responses come from.
        prompt: text or turns.
        options: at least two.
        expected: id of the response that an attentive person chooses; None unless the item is an attention check.
    """

    item_id: str
    group_id: str
    prompt: Content
    options: tuple[Option, ...]
    expected: str | None = None


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


def read_choices(path: Path) -> Iterator[Choice]:
    """The choices that stand, attention checks and skips among them, in the order in which they were made.

    Raises:
        DataError: where the file is missing, no file of choices, or of another version.
    """
    with _reading(path) as connection:
        for row in connection.execute(f"{STANDING} ORDER BY c.rowid"):
            yield choice_of(row)


def read_choice_items(path: Path) -> Iterator[ChoiceItem]:
    """The items that choices were or will be made on.

    Raises:
        DataError: where the file is missing, no file of choices, or of another version.
    """
    with _reading(path) as connection:
        for row in connection.execute(
            "SELECT item_id, group_id, prompt, responses, expected FROM items LEFT JOIN checks USING (item_id) "
            "ORDER BY items.rowid"
        ):
            yield item_of(row)


def choice_of(row: tuple[str, str, str, str, Verdict, str | None, str, str, float | None, int]) -> Choice:
    """A row of `STANDING` as a choice."""
    choice_id, item_id, annotator, shown, verdict, winner, reasons, created_at, seconds, is_check = row
    order, tags = tuple(json.loads(shown)), tuple(json.loads(reasons))
    return Choice(choice_id, item_id, annotator, order, verdict, winner, tags, created_at, seconds, bool(is_check))


def item_of(row: tuple[str, str, str, str, str | None]) -> ChoiceItem:
    """A row of `items`, with what `checks` expects, as an item."""
    item_id, group_id, prompt, responses, expected = row
    options = tuple(Option(one["id"], _content(one["content"])) for one in json.loads(responses))
    return ChoiceItem(item_id, group_id, _content(json.loads(prompt)), options, expected)


def row_of_item(item: ChoiceItem) -> tuple[str, str, str, str]:
    """An item as a row of `items`."""
    options = [{"id": option.id, "content": option.content} for option in item.options]
    return item.item_id, item.group_id, _to_json(item.prompt), _to_json(options)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection to a file of choices of this version."""
    if not path.is_file():
        raise DataError(f"there is no file {path}.", remedy="Make one with `tropism label groups.parquet`.")
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
    """A connection that cannot write; a file on a read-only disk is opened as it lies there."""
    place = f"file:{quote(str(path.resolve()))}?mode=ro"
    connection = sqlite3.connect(place, uri=True, timeout=5)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if Path(f"{path}-wal").exists():
            raise
        connection = sqlite3.connect(f"{place}&immutable=1", uri=True)
    return connection


def _schema(connection: sqlite3.Connection) -> str | None:
    """The schema that a file of choices names; None where it is no such file."""
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    except sqlite3.OperationalError:
        return None
    return str(row[0]) if row else None


def _content(value: object) -> Content:
    """The content that a JSON value stands for; a list is the turns of a dialogue."""
    if isinstance(value, list):
        return tuple(value)
    assert value is None or isinstance(value, str | int), value
    return value


def _to_json(value: object) -> str:
    """A content as JSON text that keeps the order of keys."""
    return json.dumps(value, ensure_ascii=False, default=dict)
