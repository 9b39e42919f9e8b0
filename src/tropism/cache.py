"""The user's cache folder, and how several processes share an SQLite file in it."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path


def cache_root() -> Path:
    """`$TROPISM_CACHE`, or `tropism` in the user's cache folder."""
    if "TROPISM_CACHE" in os.environ:
        return Path(os.environ["TROPISM_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tropism"


def switch_to_wal(database: sqlite3.Connection) -> None:
    """Allow readers beside a writer; SQLite's own timeout does not cover this switch, so wait here."""
    deadline = time.monotonic() + 60
    while True:
        try:
            database.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
