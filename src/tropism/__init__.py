"""Tropism: from human feedback to a better model, and the evidence of what changed."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from tropism.errors import (
    ConfigError,
    DataError,
    Interrupted,
    ModelError,
    OutputError,
    ReferenceMismatchError,
    TropismError,
)
from tropism.groups import Edge, Label, PreferenceGroup, Response
from tropism.lazy import lazy_names

if TYPE_CHECKING:
    from tropism.dropin.trl_config import DPOConfig
    from tropism.dropin.trl_trainer import DPOTrainer
    from tropism.library import (
        DroppedRowsWarning,
        LoadedGroups,
        audit,
        evaluate,
        load_groups,
        report,
        save_groups,
        train,
    )
    from tropism.policies.reward import RewardPolicy
    from tropism.policies.text import TextPolicy
    from tropism.records import Estimate, Run, SuiteRun
    from tropism.training.recipe.sections import Recipe
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "tropism.dropin.trl_config": ("DPOConfig",),
            "tropism.dropin.trl_trainer": ("DPOTrainer",),
            "tropism.errors": (
                "ConfigError",
                "DataError",
                "Interrupted",
                "ModelError",
                "OutputError",
                "ReferenceMismatchError",
                "TropismError",
            ),
            "tropism.groups": ("Edge", "Label", "PreferenceGroup", "Response"),
            "tropism.library": (
                "DroppedRowsWarning",
                "LoadedGroups",
                "audit",
                "evaluate",
                "load_groups",
                "report",
                "save_groups",
                "train",
            ),
            "tropism.policies.reward": ("RewardPolicy",),
            "tropism.policies.text": ("TextPolicy",),
            "tropism.records": ("Estimate", "Run", "SuiteRun"),
            "tropism.training.recipe.sections": ("Recipe",),
        },
    )

try:
    __version__ = version("tropism")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "ConfigError",
    "DPOConfig",
    "DPOTrainer",
    "DataError",
    "DroppedRowsWarning",
    "Edge",
    "Estimate",
    "Interrupted",
    "Label",
    "LoadedGroups",
    "ModelError",
    "OutputError",
    "PreferenceGroup",
    "Recipe",
    "ReferenceMismatchError",
    "Response",
    "RewardPolicy",
    "Run",
    "SuiteRun",
    "TextPolicy",
    "TropismError",
    "__version__",
    "audit",
    "evaluate",
    "load_groups",
    "report",
    "save_groups",
    "train",
]
