"""What changed between two models, each number with its interval."""

from typing import TYPE_CHECKING

from tropism.lazy import lazy_names

if TYPE_CHECKING:
    from tropism.evals.core.items import Eval, Item, Measured, Settings, Task
    from tropism.evals.core.subject import Subject
    from tropism.evals.core.suite import Suite, load_suite
    from tropism.evals.core.suite_run import Material, run_suite
    from tropism.evals.eval_table import EVALS
    from tropism.records import EvalWords, Measure
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "tropism.evals.core.items": (
                "Eval",
                "Item",
                "Measured",
                "Settings",
                "Task",
            ),
            "tropism.evals.core.subject": ("Subject",),
            "tropism.evals.core.suite": (
                "Suite",
                "load_suite",
            ),
            "tropism.evals.core.suite_run": (
                "Material",
                "run_suite",
            ),
            "tropism.evals.eval_table": ("EVALS",),
            "tropism.records": (
                "EvalWords",
                "Measure",
            ),
        },
    )

__all__ = [
    "EVALS",
    "Eval",
    "EvalWords",
    "Item",
    "Material",
    "Measure",
    "Measured",
    "Settings",
    "Subject",
    "Suite",
    "Task",
    "load_suite",
    "run_suite",
]
