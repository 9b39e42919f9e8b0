"""Tasks of inspect-ai on any subject: it asks, the subject answers, and its scorers score."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from tropism.evals.core.items import Item
from tropism.evals.core.subject import Subject
from tropism.evals.harness.harness_lm_eval import is_number
from tropism.evals.harness.harness_request import Asked, TaskOutcome, installed, shortened, told_plainly
from tropism.groups import Content

PACKAGE = "inspect-ai"
GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""inspect-ai's letters: correct, incorrect, partial, no answer."""


def run_inspect(subject: Subject, asked: Asked) -> TaskOutcome:
    """Run tasks, and take over each sample's scores under `task.scorer`.

    Args:
        subject: any model; an endpoint too.
        asked: the tasks. A task is code: run only those that you trust.

    Raises:
        ConfigError: where the package is missing or fails.
    """
    library = installed("inspect_ai", package=PACKAGE)
    models = installed("inspect_ai.model", package=PACKAGE)
    with told_plainly(PACKAGE), tempfile.TemporaryDirectory() as logs:
        found = library.eval(
            list(asked.tasks),
            model=_provided(models, subject, asked),
            limit=asked.limit,
            display="none",
            log_dir=logs,
        )
        items = [item for log in found for sample in log.samples or () for item in _items_of(log.eval.task, sample)]
        unfinished = [log for log in found if log.status != "success"]
        broken = [f"{log.eval.task} ended as {log.status}: {shortened(log.error)}." for log in unfinished]
    failed = sum(not item.values for item in items)
    return TaskOutcome(
        [item for item in items if item.values],
        skipped={"samples without a score that is a number": failed} if failed else {},
        notes=broken,
    )


def _provided(models: ModuleType, subject: Subject, asked: Asked) -> Any:
    """A subject as a model of inspect-ai."""
    base: Any = models.ModelAPI

    class SubjectModel(base):
        """Hands every question to the subject."""

        async def generate(self, input: Sequence[Any], tools: Any, tool_choice: Any, config: Any) -> Any:
            """One answer; tools are not offered."""
            ((text,),) = subject.answers(
                [_as_content(subject, input)],
                temperature=config.temperature or 0.0,
                max_new_tokens=config.max_tokens or asked.max_new_tokens,
                seed=asked.seed if config.seed is None else config.seed,
            )
            return models.ModelOutput.from_content(self.model_name, text)

        def max_connections(self) -> int:
            """One model, one question at a time."""
            return 1

    models.modelapi("tropism")(SubjectModel)
    return models.get_model("tropism/subject", memoize=False)


def _as_content(subject: Subject, messages: Sequence[Any]) -> Content:
    """inspect-ai's messages as turns, or as one text for a model that is written to as plain text."""
    if subject.generator is not None and not subject.generator.takes_turns:
        return "\n\n".join(message.text for message in messages) + "\n"
    return tuple({"role": message.role, "content": message.text} for message in messages)


def _items_of(task: str, sample: Any) -> list[Item]:
    """One sample's scores as an item; epochs of a sample belong together."""
    cluster = f"{task}/{sample.id}"
    values, detail = {}, {"task": task}
    for scorer, score in (sample.scores or {}).items():
        grade = GRADES.get(score.value, score.value) if isinstance(score.value, str) else score.value
        if is_number(grade):
            values[f"{task}.{scorer}"] = float(grade)
        detail["answer"] = shortened(score.answer)
    return [Item(f"{cluster}/{sample.epoch}", cluster, values, detail)]
