"""Reference scores on disk: one SQLite file for each state of a reference's weights, a row for each response.

Rows are only ever added. SQLite's write-ahead log makes that safe under several processes and under being killed: a
row is there whole or not at all, and one that does not match its checksum is scored again.
"""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tropism.cache import cache_root, switch_to_wal
from tropism.errors import OutputError

KEYS_PER_QUERY = 500


class CacheFile(NamedTuple):
    """What a cache file holds.

    Attributes:
        path: of the file.
        model: name of the model that was scored, as far as it is known.
        responses: number of rows.
        tokens: number of log-probabilities.
        num_bytes: size on disk.
        last_used: day (UTC) of the last run that opened it, as YYYY-MM-DD.
        problem: why it cannot be read; None if it can.
    """

    path: Path
    model: str
    responses: int
    tokens: int
    num_bytes: int
    last_used: str
    problem: str | None = None


def default_folder() -> Path:
    """Where reference scores are kept when no folder is given."""
    return cache_root() / "reference"


@contextlib.contextmanager
def open_cache(path: Path | None, *, model: str = "") -> Iterator[sqlite3.Connection]:
    """A table from response key to per-token log-probabilities (float32); without a path it lives in memory.

    Raises:
        OutputError: if it cannot be written or is broken.
    """
    try:
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
        cache = sqlite3.connect(path or ":memory:", timeout=60)
    except (OSError, sqlite3.OperationalError) as error:
        raise OutputError(
            f"the reference cache {path and path.parent} cannot be written: {error}.",
            remedy="Set TROPISM_CACHE to a folder that can.",
        ) from None
    try:
        switch_to_wal(cache)
        with cache:
            cache.execute(
                "CREATE TABLE IF NOT EXISTS scores "
                "(key BLOB PRIMARY KEY, token_logp BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID"
            )
            cache.execute("CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
            about = [("model", model), ("last_used", _today())]
            cache.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about)
        yield cache
    except sqlite3.OperationalError as error:
        raise OutputError(
            f"the reference cache {path} failed: {error}.", remedy="Free some space or set TROPISM_CACHE elsewhere."
        ) from None
    except sqlite3.DatabaseError as error:
        raise OutputError(
            f"the reference cache {path} is broken: {error}.", remedy="Delete it; it will be made again."
        ) from None
    finally:
        cache.close()


def _today() -> str:
    """The day by UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def write_rows(cache: sqlite3.Connection, rows: Mapping[bytes, Float[Tensor, " tokens"]]) -> None:
    """Add rows, all of them or none; one that another process has added meanwhile stays."""
    blobs = {key: array("f", row.tolist()).tobytes() for key, row in rows.items()}
    with cache:
        cache.executemany(
            "INSERT OR IGNORE INTO scores VALUES (?, ?, ?)",
            [(key, blob, zlib.crc32(blob)) for key, blob in blobs.items()],
        )


def read_rows(cache: sqlite3.Connection, lengths: Mapping[bytes, int]) -> dict[bytes, Float[Tensor, " tokens"]]:
    """The cached rows among the keys of `lengths`.

    A row whose checksum, length (tokens) or values are wrong is taken out of the file, so that it is made again.
    """
    found: dict[bytes, Tensor] = {}
    broken: list[bytes] = []
    wanted = list(lengths)
    for start in range(0, len(wanted), KEYS_PER_QUERY):
        part = wanted[start : start + KEYS_PER_QUERY]
        marks = ",".join("?" * len(part))
        query = f"SELECT key, token_logp, crc FROM scores WHERE key IN ({marks})"  # noqa: S608  (only question marks)
        for key, blob, crc in cache.execute(query, part):
            if crc != zlib.crc32(blob) or len(blob) != 4 * lengths[key]:
                broken.append(key)
                continue
            row = torch.frombuffer(bytearray(blob), dtype=torch.float32) if blob else torch.zeros(0)
            if bool(torch.isfinite(row).all()):
                found[key] = row
            else:
                broken.append(key)
    if broken:
        with cache:
            cache.executemany("DELETE FROM scores WHERE key = ?", [(key,) for key in broken])
    return found


def list_caches(folder: Path) -> list[CacheFile]:
    """Every cache file of a folder, the most recently used first."""
    return sorted((_look_into(path) for path in folder.glob("*.sqlite")), key=lambda one: one.last_used, reverse=True)


def _look_into(path: Path) -> CacheFile:
    """What one cache file holds; a file that is none says why."""
    num_bytes = sum(one.stat().st_size for one in _files_of(path))
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as cache:
            about = dict(cache.execute("SELECT name, value FROM about"))
            responses, num_blob_bytes = cache.execute(
                "SELECT count(*), coalesce(sum(length(token_logp)), 0) FROM scores"
            ).fetchone()
    except sqlite3.DatabaseError as error:
        day = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).date().isoformat()
        return CacheFile(path, "", 0, 0, num_bytes, day, problem=str(error))
    return CacheFile(
        path, about.get("model", ""), responses, num_blob_bytes // 4, num_bytes, about.get("last_used", "")
    )


def _files_of(path: Path) -> list[Path]:
    """A cache file with SQLite's own files for it."""
    return [one for end in ("", "-wal", "-shm") if (one := path.with_name(path.name + end)).exists()]


def prune(caches: Iterable[CacheFile], *, unused_for_days: int) -> list[CacheFile]:
    """Delete the files that no run has opened for so many days, and those that are broken; return them."""
    limit = (datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=unused_for_days)).isoformat()
    gone = [one for one in caches if one.problem or one.last_used <= limit]
    for one in gone:
        for path in _files_of(one.path):
            path.unlink(missing_ok=True)
    return gone
