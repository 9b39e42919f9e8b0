"""The recipe: one YAML file, checked key by key, with `key=value` overrides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tropism.errors import ConfigError
from tropism.training.recipe.composite import parse_composite
from tropism.training.recipe.recipe_faults import foreign_file, joined_faults, section_faults, training_faults
from tropism.training.recipe.sections import Recipe, StageRecipe, as_losses
from tropism.training.watch.alarms import PROBED


class RecipeLoader(yaml.SafeLoader):
    """YAML in which `1e-4` is a number (YAML 1.1 makes a text of it) and a key may be given once in each mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping; a key that is given twice is an error."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and lines.setdefault(key.value, line) != line:
                raise ConfigError(
                    f"the key {key.value!r} is given twice, in lines {lines[key.value]} and {line}.",
                    remedy="Remove one of them.",
                )
        return super().construct_mapping(node, deep)


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
            f"the recipe {path} is not YAML: {' '.join(str(error).split())}.", remedy="Fix the YAML syntax."
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
        raise ConfigError(f"an override must look like key=value, got {override!r}.", remedy="Try loss.dpo.beta=0.05.")
    *parents, last = re.split(r"\.(?!py:)", key)  # a key may be `my.py:focal`
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
        ConfigError: with everything that is wrong.
    """
    foreign = foreign_file(settings)
    if foreign:
        raise foreign
    faults: list[ConfigError] = []
    recipe = None
    try:
        recipe = Recipe.model_validate(settings)
    except ValidationError as error:
        faults += section_faults(error)
    faults += training_faults(settings.get("train"))
    stages = settings.get("stages")
    for stage in stages if isinstance(stages, list | tuple) else ():
        if isinstance(stage, dict):
            faults += training_faults(stage.get("train"), prefix=f"stages.{stage.get('name')}.train")
    if recipe:
        faults += _ineffective_settings(recipe)
        faults += _wrong_combinations(recipe)
    if faults:
        raise joined_faults(faults)
    assert recipe is not None
    return recipe


def _wrong_combinations(recipe: Recipe) -> Iterator[ConfigError]:
    """Settings that are right alone and wrong together."""
    if recipe.alarms.choose is not None:
        try:
            parse_composite(recipe.alarms.choose, known=PROBED)
        except ConfigError as error:
            yield error
    for index, stage in enumerate(recipe.resolved_stages()):
        try:
            _check_kinds(stage)
        except ConfigError as error:
            yield error
        if index and stage.reference and stage.reference.kind == "adapter":
            yield ConfigError(
                f"stage {stage.name!r} starts from the adapter of the stage before it, so switching the adapter off "
                "(reference: adapter) is not its start state.",
                remedy="Use reference: cached.",
            )


def _check_kinds(stage: StageRecipe) -> None:
    """Refuse an unknown kind of reference or policy, and settings that its kind does not have.

    Raises:
        ConfigError: naming the kind and what is available.
    """
    from tropism.policies.registry import policy_settings
    from tropism.references.reference_kinds import reference_settings

    if stage.reference:
        reference_settings(stage.reference.kind, stage.reference.settings)
    if stage.policy:
        policy_settings(stage.policy.kind, stage.policy.settings)


def _ineffective_settings(recipe: Recipe) -> Iterator[ConfigError]:
    """Settings that have no effect beside the others."""
    for key in ("loss", "reference"):
        if recipe.stages and key in recipe.model_fields_set and all(getattr(stage, key) for stage in recipe.stages):
            name = recipe.stages[-1].name
            yield ConfigError(
                f"{key!r} has no effect: every stage names its own.", remedy=f"Set stages.{name}.{key} instead."
            )
    if recipe.data.eval and "holdout" in recipe.data.model_fields_set:
        yield ConfigError("data.holdout has no effect beside data.eval.", remedy="Remove one of them.")
    if not recipe.alarms.on and recipe.alarms.model_fields_set != {"on"}:
        yield ConfigError("alarms that are off take no other settings.", remedy="Remove them, or `on: false`.")
