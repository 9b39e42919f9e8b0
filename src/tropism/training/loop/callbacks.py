"""What runs beside the training loop: the log file, the progress bar, and stopping on Ctrl-C without loss."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import PartialState
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tropism.references.reference import Reference
from tropism.training.loop.monitors import all_reduce

SUMMARY = "train_runtime"
"""The key that marks a log line as the summary of the whole training."""


class JsonlLog(TrainerCallback):
    """Writes every step's monitors as a line of JSON; a resumed run drops the lines after its checkpoint first."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not state.is_world_process_zero:
            return
        kept = []
        if state.global_step and self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(json.JSONDecodeError):
                    if json.loads(line)["step"] <= state.global_step:
                        kept.append(line)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero and logs and SUMMARY not in logs:
            self.write(state.global_step, {k: float(v) for k, v in logs.items() if isinstance(v, int | float)})

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line; one process writes."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


class FollowReference(TrainerCallback):
    """Tells the reference of every step, before a checkpoint is written."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.reference.after_step(state.global_step)


class ProgressBar(TrainerCallback):
    """One line that says how far training is, with loss and pair accuracy."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar: Progress | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            self.bar = _new_progress()
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=state.max_steps, completed=state.global_step, note="")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.bar:
            self.bar.update(self.task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if self.bar and logs and "loss" in logs:
            note = f"loss {logs['loss']:.4f}"
            if "pair_accuracy" in logs:
                note += f"  accuracy {logs['pair_accuracy']:.3f}"
            self.bar.update(self.task, note=note)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar off the screen's live region."""
        if self.bar:
            self.bar.stop()
            self.bar = None


class StopOnInterrupt(TrainerCallback):
    """On Ctrl-C while it trains: finish the step, keep a checkpoint, stop. A second Ctrl-C stops at once.

    It listens from the first step on; before, Ctrl-C stops at once. With several processes all stop after one step.

    Attributes:
        asked: whether Ctrl-C was pressed while it trained.
        interrupted_at: the step after which it stopped before the end; None if it finished.
    """

    def __init__(self) -> None:
        self.interrupted_at: int | None = None
        self.asked = False
        self._before: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        sys.stderr.write("\nStopping after this step; Ctrl-C again stops at once.\n")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        asked = self.asked
        if args.world_size > 1:
            asked = bool(all_reduce(torch.tensor([float(asked)])))
        if asked and state.global_step < state.max_steps:
            self.interrupted_at = state.global_step
            control.should_save = True
            control.should_training_stop = True

    def close(self) -> None:
        """Leave Ctrl-C as it was before training."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None


def _new_progress() -> Progress:
    """A progress bar on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )


def announce(text: str) -> None:
    """Print one line on standard error, once for all processes."""
    if PartialState().is_main_process:
        Console(stderr=True, highlight=False, soft_wrap=True).print(escape(text))


@contextlib.contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar for the time of a block; yields a function to call with the number of items done."""
    with _new_progress() as bar:
        task = bar.add_task(title, total=total, note="")
        yield lambda count: bar.advance(task, count)
