"""Answers on disk: one SQLite file per model, one row per prompt and settings of the generation.

A row is written whole or not at all, so answers that were finished before an interruption are found again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tropism.cache import switch_to_wal
from tropism.errors import OutputError
from tropism.groups import Content, content_key

KEYS_PER_QUERY = 500


class Answer(NamedTuple):
    """A written answer; `ids` are the sampled tokens, empty if they are unknown (behind an endpoint)."""

    text: str
    ids: tuple[int, ...] = ()


class TokenPrompt(NamedTuple):
    """A prompt in the model's own token ids."""

    ids: tuple[int, ...]


def answer_key(prompt: Content | TokenPrompt, settings: str) -> str:
    """The identity of the answers to a prompt under settings of the generation."""
    key = f"tokens {prompt.ids}" if isinstance(prompt, TokenPrompt) else content_key(prompt)
    return hashlib.sha256(f"{settings}\x1f{key}".encode("utf-8", "surrogatepass")).hexdigest()


@contextlib.contextmanager
def open_answers(path: Path, *, model: str) -> Iterator[sqlite3.Connection]:
    """The table of a model's answers.

    Raises:
        OutputError: if it cannot be written or is broken.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        cache = sqlite3.connect(path, timeout=60)
    except (OSError, sqlite3.OperationalError) as error:
        raise OutputError(
            f"the answers in {path.parent} cannot be written: {error}.",
            remedy="Set TROPISM_CACHE to a folder that can.",
        ) from None
    try:
        switch_to_wal(cache)
        with cache:
            cache.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answers TEXT NOT NULL) WITHOUT ROWID"
            )
            cache.execute("CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
            cache.execute("INSERT OR REPLACE INTO about VALUES ('model', ?)", (model,))
        yield cache
    except sqlite3.DatabaseError as error:
        raise OutputError(
            f"the file of answers {path} failed: {error}.", remedy="Free some space, or delete the file."
        ) from None
    finally:
        cache.close()


def read_answers(cache: sqlite3.Connection, keys: Sequence[str]) -> dict[str, list[Answer]]:
    """The rows among these keys."""
    found: dict[str, list[Answer]] = {}
    wanted = list(dict.fromkeys(keys))
    for start in range(0, len(wanted), KEYS_PER_QUERY):
        part = wanted[start : start + KEYS_PER_QUERY]
        marks = ",".join("?" * len(part))
        query = f"SELECT key, answers FROM answers WHERE key IN ({marks})"  # noqa: S608  (only question marks)
        for key, row in cache.execute(query, part):
            found[key] = [Answer(text, tuple(ids)) for text, ids in json.loads(row)]
    return found


def write_answers(cache: sqlite3.Connection, key: str, answers: Sequence[Answer]) -> None:
    """Keep the answers to one prompt; they are on disk when this returns."""
    with cache:
        cache.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(list(answers))))
