"""What can be wrong with a recipe, found without importing torch or transformers: keys, values, missing packages."""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tropism.errors import ConfigError
from tropism.training.recipe.sections import Recipe
from tropism.training.recipe.training_fields import TRAINING_FIELDS
from tropism.training.watch.alarms import ALARMS

REFUSED = {
    "output_dir": ("is set by `output`", "Set `output` instead."),
    "label_smoothing_factor": ("smooths the labels of tokens, which no preference loss uses", "Remove it."),
    "neftune_noise_alpha": ("would make scores random", "Remove it."),
    "dataloader_drop_last": ("has no effect: the last step may be short, and is weighted correctly", "Remove it."),
    "dataloader_num_workers": ("has no effect: the training process makes the batches", "Remove it."),
    "auto_find_batch_size": ("does not work with steps of groups", "Set train.per_device_train_batch_size."),
    "resume_from_checkpoint": ("is set by --resume", "Use --resume."),
    "remove_unused_columns": ("has no effect: groups have no columns", "Remove it."),
    "per_device_eval_batch_size": ("has no effect: tokens_per_batch cuts micro-batches", "Set tokens_per_batch."),
    "train_sampling_strategy": ("has no effect: every epoch reads all groups in a new order", "Remove it."),
    "eval_accumulation_steps": ("has no effect: nothing is gathered in evaluation", "Remove it."),
    "logging_strategy": ("would leave the run without a log", "Set train.logging_steps."),
}
"""Training arguments that would have no effect here or a wrong one, with why and what to do."""


PACKAGES = {
    "report_to": {
        "wandb": "wandb",
        "tensorboard": "tensorboard",
        "mlflow": "mlflow",
        "comet_ml": "comet_ml",
        "neptune": "neptune",
        "clearml": "clearml",
        "dvclive": "dvclive",
        "swanlab": "swanlab",
        "trackio": "trackio",
        "codecarbon": "codecarbon",
    },
    "optim": {
        r".*(8bit|paged|bnb).*": "bitsandbytes",
        "galore_.*": "galore_torch",
        "(ada)?lomo": "lomo_optim",
        "grokadamw": "grokadamw",
        "schedule_free_.*": "schedulefree",
        "apollo_.*": "apollo_torch",
        "stable_adamw": "optimi",
        r".*torchao.*|adamw_torch_(4|8)bit": "torchao",
    },
    "deepspeed": {".+": "deepspeed"},
}
"""Packages that values of training arguments require: regular expression of the value to module."""

FOREIGN = {
    "an Axolotl configuration": ({"base_model", "datasets", "rl", "sequence_len", "micro_batch_size"}, 2),
    "a LLaMA-Factory configuration": ({"stage", "finetuning_type", "dataset", "cutoff_len", "do_train"}, 2),
    "arguments of a TRL script": ({"model_name_or_path", "dataset_name", "loss_type", "max_prompt_length"}, 2),
}
"""Files of other trainers: the keys that tell them, and how many must be there."""


def foreign_file(settings: Mapping[str, Any]) -> ConfigError | None:
    """The error for a configuration of another trainer; None for anything else."""
    for what, (keys, fewest) in FOREIGN.items():
        found = [key for key in settings if key in keys]
        if len(found) >= fewest and not settings.keys() & {"model", "data"}:
            return ConfigError(
                f"the recipe looks like {what} (it has {', '.join(found)}).",
                remedy="Write a recipe with `model`, `data.train`, `loss` and `output`; training arguments belong "
                "under `train`. docs/recipe.md lists every key.",
            )
    return None


def joined_faults(faults: Sequence[ConfigError]) -> ConfigError:
    """One error for all mistakes of a recipe."""
    if len(faults) == 1:
        return faults[0]
    listed = " ".join(f"({number}) {fault}" for number, fault in enumerate(faults, 1))
    return ConfigError(f"the recipe has {len(faults)} mistakes: {listed}", remedy="Correct all of them.")


def section_faults(error: ValidationError) -> Iterator[ConfigError]:
    """The mistakes that the sections of a recipe found; of a value that fits no member of a union, one."""
    seen: set[tuple[object, ...]] = set()
    for one in error.errors():
        loc = tuple(part for part in one["loc"] if not re.search(r"\W", str(part)))
        place = (loc[:-1], id(one["input"])) if one["type"] not in ("extra_forbidden", "missing") else (loc,)
        if place not in seen:
            seen.add(place)
            yield _section_fault(one["type"], one["loc"], one.get("input"), one["msg"])


def _section_fault(kind: str, loc: tuple[int | str, ...], given: Any, message: str) -> ConfigError:
    """One mistake in plain words."""
    key = ".".join(str(part) for part in loc)
    if kind == "extra_forbidden":
        known = _known_keys([part for part in loc[:-1] if isinstance(part, str)])
        return ConfigError(f"the recipe has an unknown key {key!r}.", remedy=_nearest(str(loc[-1]), known))
    if kind == "missing":
        return ConfigError(f"the recipe lacks {key!r}.", remedy=f"Add `{key}: ...`.")
    message = message.removeprefix("Value error, ")
    message = message[:1].lower() + message[1:].rstrip(".")
    return ConfigError(f"the recipe's {key!r} is {given!r}: {message}.", remedy="Correct the value.")


def _known_keys(parents: Sequence[str]) -> list[str]:
    """The keys of a section of the recipe."""
    section: type[BaseModel] = Recipe
    for name in parents:
        if name not in section.model_fields:
            return []
        annotation = section.model_fields[name].annotation
        while get_origin(annotation) is not None:
            annotation = next((a for a in get_args(annotation) if a not in (type(None), ...)), None)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            section = annotation
    return [*section.model_fields, *(ALARMS if list(parents) == ["alarms"] else ())]


def training_faults(train: Any, *, prefix: str = "train") -> Iterator[ConfigError]:
    """Keys under `train` that are not training arguments, that have no effect, or whose package is not installed."""
    if not isinstance(train, dict):
        return
    for key, value in train.items():
        if key in REFUSED:
            yield ConfigError(f"{prefix}.{key} {REFUSED[key][0]}.", remedy=REFUSED[key][1])
        elif key not in TRAINING_FIELDS:
            yield ConfigError(
                f"the recipe has an unknown key '{prefix}.{key}'.",
                remedy=_nearest(str(key), TRAINING_FIELDS, all_of_them=False)
                + " `train` takes the fields of transformers.TrainingArguments.",
            )
        elif key in PACKAGES:
            yield from _missing_packages(f"{prefix}.{key}", value, PACKAGES[key])


def _missing_packages(key: str, value: Any, packages: Mapping[str, str]) -> Iterator[ConfigError]:
    """Packages that a value requires and that are not installed."""
    for one in value if isinstance(value, list) else [value]:
        module = next((name for way, name in packages.items() if re.fullmatch(way, str(one))), None)
        if one not in (None, "", False) and module and importlib.util.find_spec(module) is None:
            yield ConfigError(
                f"`{key}={one}` requires the package {module}, which is not installed.",
                remedy=f"Install it (pip install {module.replace('_', '-')}) or choose another value.",
            )


def _nearest(name: str, known: Sequence[str], *, all_of_them: bool = True) -> str:
    """A remedy that names the nearest known key."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    remedy = f"Did you mean {close[0]!r}?" if close else "Remove it."
    return f"{remedy} Known here: {', '.join(known)}." if all_of_them else remedy
