"""What a model can do besides: any task of lm-evaluation-harness or inspect-ai, item by item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from tropism.errors import ConfigError
from tropism.evals.core.items import Measured, Settings, Task
from tropism.evals.core.subject import Subject
from tropism.evals.harness.harness_inspect import run_inspect
from tropism.evals.harness.harness_lm_eval import run_lm_eval
from tropism.evals.harness.harness_request import Asked, TaskOutcome

HARNESSES: dict[str, Callable[[Subject, Asked], TaskOutcome]] = {"lm-eval": run_lm_eval, "inspect-ai": run_inspect}
"""Name to the library that runs the tasks."""


class CapabilitySettings(Settings):
    """Settings of the eval.

    Args:
        tasks: of lm-eval, names; of inspect-ai, `file.py@task` or a registered name.
        harness: whose tasks they are.
        include: a folder with lm-eval tasks of the user's own.
        limit: samples of each task; None takes all.
        few_shot: solved examples before each question (lm-eval); the task's own number if None.
        max_new_tokens: of an answer, where the task sets no bound.
        batch_size: sequences at a time (lm-eval).
    """

    tasks: tuple[str, ...] = ()
    harness: Literal["lm-eval", "inspect-ai"] = "lm-eval"
    include: str | None = None
    limit: int | None = Field(default=100, ge=1)
    few_shot: int | None = Field(default=None, ge=0)
    max_new_tokens: int = Field(default=256, ge=1)
    batch_size: int = Field(default=8, ge=1)


def capability(task: Task) -> Measured:
    """Run the tasks and take over every sample's scores; metrics are named `task.metric`.

    Which direction is better differs by metric: say it in the suite's entry (`better: {arc_easy.acc: higher}`),
    or a change is reported as a change and no more.

    Raises:
        ConfigError: where no task is named, the harness is not installed, or it fails.
    """
    settings = task.settings_as(CapabilitySettings)
    if not settings.tasks:
        raise ConfigError("capability needs `tasks`.", remedy="Name some: `- capability: {tasks: [arc_easy]}`.")
    asked = Asked(
        tasks=settings.tasks,
        include=settings.include,
        limit=settings.limit,
        few_shot=settings.few_shot,
        max_new_tokens=settings.max_new_tokens,
        batch_size=settings.batch_size,
        seed=task.seed,
    )
    with task.progress(f"Capability ({task.subject.name})", len(settings.tasks)) as done:
        found = HARNESSES[settings.harness](task.subject, asked)
        done(len(settings.tasks))
    return Measured(found.items, found.metrics, skipped=found.skipped, notes=found.notes)
