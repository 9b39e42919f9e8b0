"""Replies of endpoints, on disk from the moment they come: nothing finished is lost, nothing is paid for twice."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from pathlib import Path
from typing import NamedTuple

from tropism.cache import switch_to_wal
from tropism.endpoint.endpoint_reply import Reply
from tropism.errors import OutputError
from tropism.groups import Message


class Ask(NamedTuple):
    """One request.

    Attributes:
        messages: the dialogue to go on with.
        temperature: of the draw.
        max_tokens: of the answer.
        seed: sent along; the identity of the draw where the endpoint takes no seeds.
    """

    messages: tuple[Message, ...]
    temperature: float
    max_tokens: int
    seed: int

    def key(self) -> str:
        """Equal where two requests to one model of one endpoint are equal."""
        text = json.dumps(self._asdict(), sort_keys=True, default=dict)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class ReplyStore:
    """A table from request to reply in one SQLite file, for several threads; use it as a context manager.

    Args:
        path: of the file, one for each model of each endpoint.

    Raises:
        OutputError: where it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def __enter__(self) -> ReplyStore:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._table = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
            switch_to_wal(self._table)
            self._table.execute("PRAGMA synchronous = FULL")  # a reply was paid for
            with self._table:
                self._table.execute(
                    "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, text TEXT NOT NULL, "
                    "tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL) WITHOUT ROWID"
                )
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()

    def find(self, key: str) -> Reply | None:
        """The reply that is there already."""
        with self._lock:
            row = self._table.execute(
                "SELECT text, tokens_in, tokens_out FROM replies WHERE key = ?", (key,)
            ).fetchone()
        return Reply(*row) if row else None

    def keep(self, key: str, reply: Reply) -> None:
        """Store a reply; it is on disk when this returns."""
        try:
            with self._lock, self._table:
                self._table.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", (key, *reply))
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> OutputError:
        return OutputError(
            f"the replies in {self.path} cannot be written ({error}).",
            remedy="Free some space, or set TROPISM_CACHE to a folder that can be written.",
        )
