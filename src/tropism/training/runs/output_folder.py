"""The folder that a command writes to: marked as ours, locked, resumable, replaced with a way back, never half-written.

On disk, beside what the owner writes:

- `.tropism.json`, the mark: what kind of folder it is, a digest of every setting that a resume must not change, and the
  names of the files and folders that belong to it. Nothing else in the folder is ever moved or deleted.
- `.tropism.lock` while a process writes; the operating system frees the lock when that process dies.
- `.tropism-replaced/` from the start of a replacement until the new content is complete: the old content, which comes
  back if the replacement fails, even after a kill in between.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError

from tropism.errors import ConfigError, OutputError
from tropism.records import Record, write_json
from tropism.training.runs.folder_lock import LOCK, locked

MARK = ".tropism.json"
REPLACED, DISCARDED = ".tropism-replaced", ".tropism-discarded"

Kind: TypeAlias = Literal["run", "sweep", "rounds", "evaluation", "application"]
KINDS: dict[Kind, str] = {
    "run": "a run",
    "sweep": "a sweep",
    "rounds": "rounds",
    "evaluation": "an evaluation",
    "application": "an application",
}
"""What a folder of each kind holds, in words."""

Mode: TypeAlias = Literal["new", "resume", "continue", "replace"]
"""`new` refuses a folder that is in use; `resume` refuses one with nothing to resume; `continue` takes either;
`replace` moves the old content aside."""

TEMPORARY = re.compile(r"\.(?P<target>.+)\.(?:[a-z0-9_]{8}|[0-9a-f]{16})(?:\.tmp)?")
"""Names of files and folders that are written first and then renamed to `target`."""


class Mark(Record):
    """What the mark of a folder says."""

    kind: Kind
    identity: dict[str, str]
    """Setting to a digest of its value; a resume with another value is refused."""
    names: list[str]
    """Files and folders that belong to the folder's owner: plain names."""


class OutputFolder:
    """One folder of output, of which at most one process is the writer.

    Args:
        path: the folder; it may be missing.
        kind: what it holds.
        names: the files and folders that the owner writes, as plain names.
        record: the one of `names` that is written last; if it is there, the content is complete.
        identity: setting to value (JSON); only equal settings resume each other.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "sweep"
        >>> folder = OutputFolder(place, "sweep", names=["sweep.json"], record="sweep.json", identity={"beta": 0.1})
        >>> with folder.claimed("new") as path:
        ...     (path / "sweep.json").write_text("{}")
        2
        >>> folder.is_started()
        True
    """

    def __init__(
        self, path: Path, kind: Kind, *, names: Iterable[str], record: str, identity: Mapping[str, Any]
    ) -> None:
        self.path = path
        self.kind = kind
        self.names = list(dict.fromkeys(names))
        self.record = record
        self.identity = {name: _digest_of_value(value) for name, value in identity.items()}
        assert all(_is_plain(name) for name in self.names), f"names must be plain, got {self.names}"

    @contextlib.contextmanager
    def claimed(
        self, mode: Mode, *, inputs: Iterable[str | Path] = (), is_worth_keeping: Callable[[], bool] | None = None
    ) -> Iterator[Path]:
        """Lock the folder and mark it for the duration of the block.

        Temporary files that a killed process left are deleted first. If the block fails with nothing worth keeping, the
        folder is as it was before, with the content that was to be replaced; a resume leaves what it found.

        Args:
            mode: what to do with what the folder holds.
            inputs: paths that are read while the block runs; a replacement of any of them is refused.
            is_worth_keeping: whether a failed block has produced anything to resume; by default, whether any of `names`
                is there.

        Raises:
            OutputError: if another process writes to the folder, or it holds something else.
            ConfigError: if there is nothing to resume, or other settings made the content.
        """
        existed = self.path.exists()
        if mode == "resume" and not existed:
            raise self._nothing_to_resume()
        if existed and not self.path.is_dir():
            raise OutputError(f"the output folder {self.path} is a file.", remedy="Give another `output`.")
        with locked(self.path):
            try:
                self._recover()
                before = self._read_mark()
                self._check(before, mode)
                if before and mode == "replace":
                    self._refuse_inputs(inputs, before)
                    self._move_aside(before)
                    before = None
                self._write_mark(before)
            except BaseException:
                self._remove_if_empty(existed=existed)
                raise
            try:
                yield self.path
            except BaseException:
                kept = is_worth_keeping() if is_worth_keeping else any((self.path / one).exists() for one in self.names)
                if not kept and mode != "resume":
                    self._undo()
                    self._remove_if_empty(existed=existed)
                raise
            self._discard(self.path / REPLACED)

    def is_started(self) -> bool:
        """Whether the folder is marked: there is something to resume."""
        return (self.path / MARK).exists()

    def _check(self, before: Mark | None, mode: Mode) -> None:
        """Refuse a folder that holds something else, or that does not fit the mode."""
        if before is None:
            if mode == "resume" and self._others():
                raise self._nothing_to_resume()
            if self._others():
                raise OutputError(
                    f"the output folder {self.path} is not empty and holds no {self.kind}.",
                    remedy="Give another `output`.",
                )
            return
        if before.kind != self.kind:
            raise OutputError(
                f"the output folder {self.path} holds {KINDS[before.kind]}, not {KINDS[self.kind]}.",
                remedy="Give another `output`.",
            )
        if mode == "new":
            raise OutputError(
                f"the output folder {self.path} holds {KINDS[self.kind]}.",
                remedy="Give another `output`, or use `resume` or `overwrite` (which deletes what it holds).",
            )
        names = {*before.identity, *self.identity}
        changed = sorted(name for name in names if before.identity.get(name) != self.identity.get(name))
        if mode != "replace" and changed:
            raise ConfigError(
                f"the folder {self.path} holds {KINDS[self.kind]} with other settings ({', '.join(changed)}).",
                remedy="Use the same settings, or give another `output`.",
            )

    def _recover(self) -> None:
        """Bring a folder that a killed process left into one of the states that `claimed` knows.

        The mark is moved aside last and brought back last, so that the place of the old mark tells how far a
        replacement came: a replacement that had not begun to write is taken back, a finished one is completed.
        """
        for path in (*self._own_temporary_files(), self.path / DISCARDED):
            delete(path)
        aside = self.path / REPLACED
        if not aside.is_dir():
            return
        if not (aside / MARK).exists() or not (self.path / MARK).exists():
            self._bring_back()
        elif (self.path / self.record).exists():
            self._discard(aside)

    def _move_aside(self, before: Mark) -> None:
        """Move the old content aside; the content of an unfinished replacement is deleted, for older is aside."""
        aside = self.path / REPLACED
        owned = self._owned(before)
        if aside.is_dir():
            for path in owned:
                delete(path)
            delete(self.path / MARK)
            return
        aside.mkdir()
        for path in owned:
            path.rename(aside / path.name)
        (self.path / MARK).rename(aside / MARK)

    def _undo(self) -> None:
        """Delete what a failed start has written, and bring back what it was to replace."""
        mark = self._read_mark()
        for path in self._owned(mark) if mark else []:
            delete(path)
        delete(self.path / MARK)
        self._bring_back()

    def _bring_back(self) -> None:
        """Move the old content back to its place."""
        aside = self.path / REPLACED
        if not aside.is_dir():
            return
        for path in sorted(aside.iterdir(), key=lambda path: path.name == MARK):
            path.rename(self.path / path.name)
        aside.rmdir()

    def _discard(self, aside: Path) -> None:
        """Delete the old content for good, in one step that a kill cannot divide."""
        if aside.is_dir():
            aside.rename(self.path / DISCARDED)
            delete(self.path / DISCARDED)

    def _read_mark(self) -> Mark | None:
        """The folder's mark, if it has one."""
        path = self.path / MARK
        try:
            mark = Mark.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValidationError, OSError):
            raise OutputError(
                f"{path} cannot be read as the mark of an output folder.", remedy="Give another `output`."
            ) from None
        wrong = [name for name in mark.names if not _is_plain(name)]
        if wrong:
            raise OutputError(
                f"{path} names {wrong[0]!r}, which is not a file or folder inside {self.path}.",
                remedy="Give another `output`.",
            )
        return mark

    def _write_mark(self, before: Mark | None) -> None:
        """Mark the folder; names that it had before stay its own."""
        names = dict.fromkeys([*(before.names if before else []), *self.names])
        write_json(Mark(kind=self.kind, identity=self.identity, names=list(names)), self.path / MARK)

    def _owned(self, mark: Mark) -> list[Path]:
        """What the folder holds that its mark names."""
        return [path for name in mark.names if os.path.lexists(path := self.path / name)]

    def _others(self) -> list[Path]:
        """What an unmarked folder holds beside the lock."""
        return [path for path in self.path.iterdir() if path.name != LOCK]

    def _own_temporary_files(self) -> list[Path]:
        """Files and folders that a killed process was about to rename into place."""
        mark = self._read_mark()
        names = mark.names if mark else []
        found = [path for path in self.path.iterdir() if _is_temporary(path.name, {MARK, *names})]
        for name in names:
            for folder, folders, files in os.walk(self.path / name):
                if MARK in files or LOCK in files:  # an output folder of its own
                    folders.clear()
                    continue
                temporary = [one for one in (*folders, *files) if _is_temporary(one, None)]
                found += [Path(folder, one) for one in temporary]
                folders[:] = [one for one in folders if one not in temporary]
        return found

    def _refuse_inputs(self, inputs: Iterable[str | Path], before: Mark) -> None:
        """Refuse to replace what the new content is made from."""
        owned = [path.resolve() for path in self._owned(before)]
        for given in inputs:
            if Path(given).exists() and any(Path(given).resolve().is_relative_to(path) for path in owned):
                raise ConfigError(f"`overwrite` would delete its own input {given}.", remedy="Give another `output`.")

    def _remove_if_empty(self, *, existed: bool) -> None:
        """Remove a folder that this claim has made, if it holds nothing but the lock."""
        if not existed and not self._others():
            delete(self.path / LOCK)
            with contextlib.suppress(OSError):
                self.path.rmdir()

    def _nothing_to_resume(self) -> ConfigError:
        return ConfigError(f"there is nothing to resume in {self.path}.", remedy="Omit `resume`.")


def _is_plain(name: str) -> bool:
    """Whether a name means something directly inside a folder."""
    return bool(name) and name not in (".", "..", MARK, LOCK, REPLACED) and Path(name).name == name and "\0" not in name


def _is_temporary(name: str, targets: set[str] | None) -> bool:
    """Whether a name is that of a file to be renamed to one of the targets; None takes any target."""
    found = TEMPORARY.fullmatch(name)
    return found is not None and (targets is None or found["target"] in targets)


def delete(path: Path) -> None:
    """Delete a file, a link or a folder, if it is there; what a link points to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _digest_of_value(value: Any) -> str:
    """A digest of a JSON value: settings may hold secrets, which have no place in a mark."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
