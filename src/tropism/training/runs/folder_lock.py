"""A lock on a folder, so that at most one process writes to it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from tropism.errors import OutputError

LOCK = ".tropism.lock"
_HELD: set[Path] = set()
"""Folders that this process has locked: POSIX locks do not exclude the process that holds them."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only process that writes to a folder; it is made if it is missing.

    The lock is a POSIX record lock: it holds between machines on NFS, and the system frees it when the process ends, in
    whatever way. On a file system without locks there is none.

    Raises:
        OutputError: if another process (or this one, elsewhere) holds the lock.
    """
    place = folder.resolve()
    if place in _HELD:
        raise _in_use(folder, str(os.getpid()))
    handle = _open_lock(folder)
    _HELD.add(place)
    try:
        yield
    finally:
        _HELD.discard(place)
        (folder / LOCK).unlink(missing_ok=True)  # while it is locked: see `_open_lock`
        os.close(handle)


def _open_lock(folder: Path) -> int:
    """Open and lock the lock file of a folder, and write this process's number into it.

    The holder deletes the file before it frees the lock, so a file that was opened before and locked after that is no
    longer the one in the folder: then all starts again.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / LOCK
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            os.close(handle)
            raise _in_use(folder, holder) from None
        except OSError:  # a file system without locks
            return handle
        try:
            is_current = os.path.samestat(os.stat(path), os.fstat(handle))
        except FileNotFoundError:
            is_current = False
        if is_current:
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
            return handle
        os.close(handle)


def _in_use(folder: Path, holder: str) -> OutputError:
    """What to say to the second writer."""
    process = f" (process {holder})" if holder else ""
    return OutputError(
        f"another command{process} is writing to the output folder {folder}.",
        remedy="Wait until it ends, or give another `output`.",
    )
