"""The recipe: one YAML file, checked key by key, with `key=value` overrides."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tropism.errors import ConfigError

LossSettings = dict[str, dict[str, Any]]


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


class Section(BaseModel):
    """A part of the recipe; unknown keys are errors that name the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def expanded(path: str) -> str:
    """A path with `~` and `${VARIABLE}` filled in; an unset variable is an error."""
    filled = os.path.expanduser(os.path.expandvars(path))
    unset = re.search(r"\$\{?(\w+)", filled)
    if unset:
        raise ValueError(f"the environment variable {unset.group(1)} is not set")
    return filled


UserPath = Annotated[str, AfterValidator(expanded)]


class SourceRecipe(Section):
    """One of several data sources: its path and how much of it to take, in (0, 1]."""

    path: UserPath
    fraction: float = Field(default=1.0, gt=0, le=1)


def as_sources(value: Any) -> Any:
    """A path, a source, or a list of either."""
    if value is None:
        return ()
    items = value if isinstance(value, list | tuple) else [value]
    return tuple({"path": item} if isinstance(item, str) else item for item in items)


class DataRecipe(Section):
    """What to train on, and how long a sequence may be (tokens)."""

    train: tuple[SourceRecipe, ...]
    eval: tuple[SourceRecipe, ...] = ()
    holdout: float = Field(default=0.1, ge=0, lt=1)
    max_groups: int | None = Field(default=None, gt=0)
    max_tokens: int | None = Field(default=None, gt=1)
    min_response_tokens: int = Field(default=16, gt=0)
    template: Literal["auto", "chat", "dialogue", "plain"] = "auto"

    _sources = field_validator("train", "eval", mode="before")(as_sources)


class LoraRecipe(Section):
    """A LoRA adapter: rank, scale, dropout, and which layers get one."""

    r: int = Field(default=16, gt=0)
    alpha: float = Field(default=32, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: str | list[str] = "all-linear"


class EvaluationRecipe(Section):
    """What to measure on held-out prompts when training is over.

    `judge` is `file.py:function`, `module:function`, or `reward-model:FOLDER`.
    """

    prompts: int = Field(default=200, ge=0)
    judge: UserPath | None = None
    temperature: float = Field(default=0.7, ge=0)
    max_new_tokens: int = Field(default=128, gt=0)
    seed: int = 0


def as_losses(value: Any) -> Any:
    """`dpo`, `{dpo: null}` and `{dpo: {beta: 0.1}}` are all settings of losses."""
    if isinstance(value, str):
        return {value: {}}
    if isinstance(value, dict):
        return {name: arguments or {} for name, arguments in value.items()}
    return value


class ReferenceRecipe(Section):
    """Where reference scores come from; `model` belongs to `frozen`, `alpha` and `every` to `moving`."""

    kind: Literal["cached", "adapter", "frozen", "moving", "none"]
    model: UserPath | None = None
    alpha: float | None = Field(default=None, gt=0, le=1)
    every: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _settings_fit(self) -> ReferenceRecipe:
        if (self.kind == "frozen") != (self.model is not None):
            raise ValueError("'frozen' needs a model, and no other kind takes one")
        if self.kind != "moving" and (self.alpha is not None or self.every is not None):
            raise ValueError("'alpha' and 'every' have no effect but on 'moving'")
        return self


def as_reference(value: Any) -> Any:
    """`cached` and `{kind: cached}` are the same."""
    return {"kind": value} if isinstance(value, str) else value


class StageRecipe(Section):
    """One training stage; what it leaves out it takes from the recipe. `data` replaces `data.train` for this stage."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    loss: LossSettings | None = None
    reference: ReferenceRecipe | None = None
    data: tuple[SourceRecipe, ...] = ()
    train: dict[str, Any] = Field(default_factory=dict)

    _sources = field_validator("data", mode="before")(as_sources)
    _losses = field_validator("loss", mode="before")(as_losses)
    _reference = field_validator("reference", mode="before")(as_reference)


class Recipe(Section):
    """A whole run."""

    model: UserPath
    data: DataRecipe
    loss: LossSettings = {"dpo": {}}
    reference: ReferenceRecipe = ReferenceRecipe(kind="cached")
    layout: Literal["forest", "padded"] = "forest"
    tokens_per_batch: int | None = Field(default=None, gt=0)
    dtype: Literal["float32", "bfloat16"] = "float32"
    lora: LoraRecipe | None = None
    train: dict[str, Any] = Field(default_factory=dict)
    stages: tuple[StageRecipe, ...] = ()
    evaluation: EvaluationRecipe = EvaluationRecipe()
    output: UserPath

    _losses = field_validator("loss", mode="before")(as_losses)
    _reference = field_validator("reference", mode="before")(as_reference)

    @field_validator("stages", mode="before")
    @classmethod
    def _no_stages(cls, value: Any) -> Any:
        """`stages: null` is no stages."""
        return () if value is None else value

    @field_validator("stages")
    @classmethod
    def _names_differ(cls, stages: tuple[StageRecipe, ...]) -> tuple[StageRecipe, ...]:
        if len({stage.name for stage in stages}) != len(stages):
            raise ValueError("two stages have one name")
        return stages

    def resolved_stages(self) -> tuple[StageRecipe, ...]:
        """The stages with everything filled in; a recipe without stages is one stage named after its losses."""
        stages = self.stages or (StageRecipe(name="-".join(self.loss)),)
        return tuple(
            StageRecipe(
                name=stage.name,
                loss=stage.loss or self.loss,
                reference=stage.reference or self.reference,
                data=stage.data or self.data.train,
                train={**self.train, **stage.train},
            )
            for stage in stages
        )


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
    for index, stage in enumerate(recipe.resolved_stages()):
        check_training_keys(stage.train)
        if index and stage.reference and stage.reference.kind == "adapter":
            raise ConfigError(
                f"stage {stage.name!r} starts from the adapter of the stage before it, so switching the adapter off "
                "(reference: adapter) is not its start state.",
                remedy="Use reference: cached.",
            )
    return recipe


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
