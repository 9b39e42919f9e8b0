"""The recipe, the trainer, and what is watched while it trains."""

from typing import TYPE_CHECKING

from tropism.lazy import lazy_names

if TYPE_CHECKING:
    from tropism.training.loop.trainer import PreferenceTrainer
    from tropism.training.recipe.recipe_file import load_recipe, parse_recipe
    from tropism.training.recipe.sections import Recipe
    from tropism.training.runs.rounds import run_rounds
    from tropism.training.runs.run import run_recipe
    from tropism.training.runs.sweep import run_sweep
    from tropism.training.watch.alarms import ALARMS, AlarmRule, AlarmSettings, last_metric
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "tropism.training.loop.trainer": ("PreferenceTrainer",),
            "tropism.training.recipe.recipe_file": (
                "load_recipe",
                "parse_recipe",
            ),
            "tropism.training.recipe.sections": ("Recipe",),
            "tropism.training.runs.rounds": ("run_rounds",),
            "tropism.training.runs.run": ("run_recipe",),
            "tropism.training.runs.sweep": ("run_sweep",),
            "tropism.training.watch.alarms": (
                "ALARMS",
                "AlarmRule",
                "AlarmSettings",
                "last_metric",
            ),
        },
    )

__all__ = [
    "ALARMS",
    "AlarmRule",
    "AlarmSettings",
    "PreferenceTrainer",
    "Recipe",
    "last_metric",
    "load_recipe",
    "parse_recipe",
    "run_recipe",
    "run_rounds",
    "run_sweep",
]
