"""The defaults of `train`, and the training arguments of a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from tropism.errors import ConfigError
from tropism.training.recipe.sections import StageRecipe

TRAIN_DEFAULTS: dict[str, Any] = {
    "learning_rate": 1e-6,
    "lr_scheduler_type": "linear",
    "warmup_steps": 0.1,
    "num_train_epochs": 1,
    "logging_steps": 1,
    "save_steps": 0.25,
    "save_total_limit": 2,
    "report_to": "none",
    "disable_tqdm": True,
    "seed": 0,
}
"""The defaults of `train`. The learning rate is the DPO paper's and TRL's for full fine-tuning."""


def training_arguments(stage: StageRecipe, folder: Path) -> TrainingArguments:
    """The stage's training arguments over our defaults.

    Raises:
        ConfigError: if transformers refuses them.
    """
    settings = {**TRAIN_DEFAULTS, **stage.train}
    try:
        return TrainingArguments(output_dir=str(folder), **settings)
    except (ValueError, TypeError) as error:
        message = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(f"`train` of stage {stage.name!r}: {message}.", remedy="Correct the recipe.") from None
