"""What a checkpoint holds beside transformers' own files, and which one to go on from."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tropism.errors import OutputError
from tropism.references.reference import Reference

RUNNING, REFERENCE = "running_means.json", "reference.safetensors"


def write_extras(folder: Path, running: dict[str, float], reference: Reference) -> None:
    """Keep the means that losses follow, and a reference that moves."""
    folder.mkdir(parents=True, exist_ok=True)
    if running:
        (folder / RUNNING).write_text(json.dumps(running), encoding="utf-8")
    if reference.state():
        save_file(reference.state(), folder / REFERENCE)


def read_extras(folder: Path, reference: Reference) -> dict[str, float]:
    """Bring a moving reference back, and return the means that losses follow."""
    if (folder / REFERENCE).exists():
        reference.load_state(load_file(folder / REFERENCE))
    running = folder / RUNNING
    return {k: float(v) for k, v in json.loads(running.read_text(encoding="utf-8")).items()} if running.exists() else {}


@contextlib.contextmanager
def whole_or_gone(folder: Path) -> Iterator[None]:
    """Write a checkpoint in the block; if that fails, nothing of it remains.

    Raises:
        OutputError: if it cannot be written.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        go_on = "go on with --resume" if last_checkpoint(folder.parent) else "start again"
        raise OutputError(
            f"the checkpoint {folder} cannot be written: {error}.", remedy=f"Free some space, then {go_on}."
        ) from error


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint to go on from: written to its end (its trainer state comes last), with steps still to run.

    transformers would take one step too many from a checkpoint of the last step, so the one before it serves.
    """
    found = [path for path in folder.glob("checkpoint-*") if _has_steps_left(path / "trainer_state.json")]
    return max(found, key=lambda path: int(path.name.split("-")[1]), default=None)


def _has_steps_left(state: Path) -> bool:
    """Whether a checkpoint's trainer state is there, and before its last step."""
    if not state.exists():
        return False
    values = json.loads(state.read_text(encoding="utf-8"))
    return int(values["global_step"]) < int(values["max_steps"])
