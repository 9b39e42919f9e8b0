"""The recipe: one YAML file, checked key by key, with `key=value` overrides."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from tropism.errors import ConfigError
from tropism.training.recipe.composite import parse_composite
from tropism.training.recipe.sections import Recipe, StageRecipe, as_losses
from tropism.training.watch.alarms import PROBED

REFUSED = {
    "output_dir": ("is set by `output`", "Set `output` instead."),
    "label_smoothing_factor": ("smooths labels of tokens, which no preference loss has", "Remove it."),
    "neftune_noise_alpha": ("would make a score depend on chance", "Remove it."),
    "dataloader_drop_last": ("has no effect: the last step may be short, and counts right", "Remove it."),
    "dataloader_num_workers": ("has no effect: batches are made in the process itself", "Remove it."),
    "auto_find_batch_size": ("does not know steps of groups", "Set train.per_device_train_batch_size."),
    "resume_from_checkpoint": ("is set by --resume", "Use --resume."),
    "remove_unused_columns": ("has no effect: groups have no columns", "Remove it."),
    "per_device_eval_batch_size": ("has no effect: tokens_per_batch cuts micro-batches", "Set tokens_per_batch."),
    "train_sampling_strategy": ("has no effect: every epoch is a new order of all groups", "Remove it."),
    "eval_accumulation_steps": ("has no effect: nothing is gathered in evaluation", "Remove it."),
    "logging_strategy": ("would leave the run without its log", "Set train.logging_steps."),
}
"""Training arguments that would have no effect here or a wrong one, with why and what to do."""


class RecipeLoader(yaml.SafeLoader):
    """YAML in which `1e-4` is a number, as everybody expects, and not the text that YAML 1.1 makes of it."""


RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(text: str) -> Any:
    """A YAML document, made of plain values only."""
    return yaml.load(text, Loader=RecipeLoader)  # noqa: S506  (the loader is a SafeLoader)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `key=value` overrides (dotted keys, YAML values).

    Raises:
        ConfigError: for a missing file, broken YAML, an unknown key (naming the nearest), or a wrong value.
    """
    try:
        settings = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"the recipe {path} does not exist.", remedy="Check the path.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the recipe {path} is not YAML: {' '.join(str(error).split())}.", remedy="Mend it."
        ) from None
    if not isinstance(settings, dict):
        raise ConfigError(f"the recipe {path} holds no keys.", remedy="Start with `model:`, `data:` and `output:`.")
    for override in overrides:
        override_setting(settings, override)
    return parse_recipe(settings)


def override_setting(settings: dict[str, Any], override: str) -> None:
    """Set one dotted key, such as `loss.dpo.beta=0.05` or `stages.sft.train.max_steps=80`, in place."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"an override must look like key=value, not {override!r}.", remedy="Try loss.dpo.beta=0.05.")
    *parents, last = key.split(".")
    place: Any = settings
    for parent in parents:
        if isinstance(place.get(parent), str) and parent == "loss":
            place[parent] = as_losses(place[parent])
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if isinstance(place, list):
            place = {stage.get("name"): stage for stage in place if isinstance(stage, dict)}
        if not isinstance(place, dict):
            raise ConfigError(f"{key!r} cannot be set: {parent!r} holds {place!r}.", remedy="Override the whole key.")
    try:
        place[last] = read_yaml(value)
    except yaml.YAMLError:
        raise ConfigError(f"the value of {override!r} is not YAML.", remedy="Quote it.") from None


def parse_recipe(settings: dict[str, Any]) -> Recipe:
    """Check a recipe's settings.

    Raises:
        ConfigError: for the first thing that is wrong.
    """
    try:
        recipe = Recipe.model_validate(settings)
    except ValidationError as error:
        raise recipe_error(error) from None
    refuse_what_has_no_effect(recipe)
    if recipe.alarms.choose is not None:
        parse_composite(recipe.alarms.choose, known=PROBED)
    for index, stage in enumerate(recipe.resolved_stages()):
        check_training_keys(stage.train)
        check_kinds(stage)
        if index and stage.reference and stage.reference.kind == "adapter":
            raise ConfigError(
                f"stage {stage.name!r} starts from the adapter of the stage before it, so switching the adapter off "
                "(reference: adapter) is not its start state.",
                remedy="Use reference: cached.",
            )
    return recipe


def check_kinds(stage: StageRecipe) -> None:
    """Refuse an unknown kind of reference or policy, and settings that its kind does not have.

    Raises:
        ConfigError: naming the kind and what is available.
    """
    from tropism.policies.registry import policy_settings
    from tropism.references.registry import reference_settings

    if stage.reference:
        reference_settings(stage.reference.kind, stage.reference.settings)
    if stage.policy:
        policy_settings(stage.policy.kind, stage.policy.settings)


def refuse_what_has_no_effect(recipe: Recipe) -> None:
    """A setting that has no effect beside the others is an error."""
    for key in ("loss", "reference"):
        if recipe.stages and key in recipe.model_fields_set and all(getattr(stage, key) for stage in recipe.stages):
            name = recipe.stages[-1].name
            raise ConfigError(
                f"{key!r} has no effect: every stage names its own.", remedy=f"Set stages.{name}.{key} instead."
            )
    if recipe.data.eval and "holdout" in recipe.data.model_fields_set:
        raise ConfigError("data.holdout has no effect beside data.eval.", remedy="Remove one of them.")
    if not recipe.alarms.on and recipe.alarms.model_fields_set != {"on"}:
        raise ConfigError("alarms that are off take no other settings.", remedy="Remove them, or `on: false`.")


def recipe_error(error: ValidationError) -> ConfigError:
    """The first fault of a recipe in plain words."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = known_keys([part for part in first["loc"][:-1] if isinstance(part, str)])
        return ConfigError(f"the recipe has an unknown key {where!r}.", remedy=nearest(str(first["loc"][-1]), known))
    if first["type"] == "missing":
        return ConfigError(f"the recipe lacks {where!r}.", remedy=f"Add `{where}: ...`.")
    return ConfigError(
        f"the recipe's {where!r} is {first.get('input')!r}: {plain(first['msg'])}.", remedy="Give a value that fits."
    )


def plain(message: str) -> str:
    """A message of pydantic's without its prefix and capital."""
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def known_keys(parents: list[str]) -> list[str]:
    """The keys of a section of the recipe."""
    section: type[BaseModel] = Recipe
    for name in parents:
        annotation = section.model_fields[name].annotation
        while get_origin(annotation) is not None:
            annotation = next((a for a in get_args(annotation) if a not in (type(None), ...)), None)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            section = annotation
    return list(section.model_fields)


def check_training_keys(train: dict[str, Any]) -> None:
    """Refuse keys under `train:` that are not fields of transformers' TrainingArguments, or that we set ourselves."""
    from transformers import TrainingArguments

    fields = {field.name for field in dataclasses.fields(TrainingArguments) if field.init}
    for key in train:
        if key in REFUSED:
            raise ConfigError(f"train.{key} {REFUSED[key][0]}.", remedy=REFUSED[key][1])
        if key not in fields:
            raise ConfigError(
                f"the recipe has an unknown key 'train.{key}'.",
                remedy=nearest(key, sorted(fields), all_of_them=False)
                + " `train` takes the fields of transformers.TrainingArguments.",
            )


def nearest(name: str, known: Sequence[str], *, all_of_them: bool = True) -> str:
    """A remedy that names the nearest known key."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    remedy = f"Did you mean {close[0]!r}?" if close else "Remove it."
    return f"{remedy} Known here: {', '.join(known)}." if all_of_them else remedy
