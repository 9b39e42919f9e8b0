"""Models by the paths of models and runs, opened for evaluation, and the groups that none of them was trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from accelerate import PartialState

from tropism.data.formats import Source, load
from tropism.data.group_keys import group_key
from tropism.endpoint.client import ChatEndpoint
from tropism.endpoint.endpoint_settings import EndpointSettings, open_settings
from tropism.errors import ConfigError, DataError
from tropism.evals.core.endpoint_writer import endpoint_subject
from tropism.evals.core.subject import Subject, policy_subject
from tropism.groups import PreferenceGroup, content_text
from tropism.policies.base import Layout, ModelSettings, Policy
from tropism.policies.registry import policy_kind, policy_settings
from tropism.records import read_run
from tropism.training.recipe.recipe_file import load_recipe
from tropism.training.recipe.sections import Recipe
from tropism.training.runs.opened import TEXT, policy_of
from tropism.training.runs.run_data import Split, load_data

ENDPOINT = "endpoint:"
"""Prefix of the URL or the YAML file of a server that answers instead of a model on this machine."""


@dataclass(frozen=True)
class Place:
    """A model and its path; `run` and `recipe` if a run made it."""

    name: str
    path: str
    run: Path | None = None
    start_model: str | None = None
    recipe: Recipe | None = None


@dataclass(frozen=True)
class HeldOut:
    """Groups that no given run was trained on, and why others were omitted."""

    groups: Sequence[PreferenceGroup]
    left_out: dict[str, int] = field(default_factory=dict)


def locate_all(models: Sequence[str], against: str | None) -> tuple[list[Place], Place]:
    """The models and their base, with names that differ.

    Args:
        models: folders of models or of runs, hub ids, or `endpoint:` and a URL or YAML file.
        against: the base; None takes the model that the first run's last stage started from.
    """
    places = [locate(model) for model in models]
    against = against or next((place.start_model for place in places if place.start_model), None)
    if against is None:
        raise ConfigError(
            "there is nothing to compare with: no run was given, only models.", remedy="Name the base with --against."
        )
    found = [locate(against), *places]
    if len({place.path for place in found}) < len(found):
        raise ConfigError("a model is given twice, or is its own base.", remedy="Give different models.")
    names = distinct_names([place.path if place.run is None else str(place.run) for place in found])
    base, *others = [replace(place, name=name) for name, place in zip(names, found, strict=True)]
    return others, base


def locate(path: str) -> Place:
    """The model of a path: a model's folder, a hub id, or the last stage's model of a run's folder."""
    folder = Path(path)
    if path.startswith(ENDPOINT) or not (folder / "run.json").exists():
        return Place(path, path)
    run = read_run(folder / "run.json")
    recipe = load_recipe(folder / "recipe.yaml")
    last = run.stages[-1]
    inside = folder / last.name / "model"  # a run that was moved
    return Place(path, str(inside) if inside.exists() else last.model, folder, last.start_model, recipe)


def distinct_names(paths: Sequence[str]) -> list[str]:
    """The shortest ends of paths that tell them apart; a part `model` is omitted.

    Example:
        >>> distinct_names(["runs/a/dpo/model", "runs/b/dpo/model", "pocket"])
        ['a-dpo', 'b-dpo', 'pocket']
    """
    parts = [[part for part in Path(path).parts if part not in ("model", "/", "..", ".")] or [path] for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["-".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'-'.join(part)}-{place}" for place, part in enumerate(parts)]


def open_subject(
    place: Place, recipe: Recipe | None, *, template: str | None, max_tokens: int | None, fresh: bool
) -> Subject:
    """A model as a subject.

    Args:
        place: its path.
        recipe: its rules of rendering hold for all models; None takes the defaults.
        template: replaces the recipe's.
        max_tokens: replaces the recipe's.
        fresh: ignore the answers that are on disk.
    """
    if place.path.startswith(ENDPOINT):
        settings = open_settings(place.path.removeprefix(ENDPOINT), EndpointSettings)
        subject = endpoint_subject(ChatEndpoint(settings))
        subject.name = place.name
        return subject
    policy = open_place(place, recipe, template=template, max_tokens=max_tokens)
    return policy_subject(place.name, policy, fresh=fresh)


def open_place(
    place: Place,
    recipe: Recipe | None,
    *,
    template: str | None = None,
    max_tokens: int | None = None,
    min_response_tokens: int = 16,
    layout: Layout | None = None,
) -> Policy:
    """A model on this machine as the kind of policy that a recipe names, on the device of this process.

    Args:
        place: its path.
        recipe: how groups are read, and the kind of policy; None takes the defaults and the kind `text`.
        template, max_tokens: replace the recipe's.
        min_response_tokens: without a recipe.
        layout: replaces the recipe's.
    """
    data = recipe.data if recipe else None
    model = ModelSettings(
        max_tokens=max_tokens or (data.max_tokens if data else None),
        min_response_tokens=data.min_response_tokens if data else min_response_tokens,
        template=template or (data.template if data else "auto"),
        dtype=recipe.dtype if recipe else "float32",
        layout=layout or (recipe.layout if recipe else "forest"),
    )
    named = policy_of(recipe.resolved_stages()[-1]) if recipe else TEXT
    kind = policy_kind(named.kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # a language model opened as a reward model gets a new head, the same every time
        policy = kind.opener(place.path, model, policy_settings(named.kind, named.settings))
    policy.model.to(PartialState().device)
    return policy


def hold_out(data: str | None, places: Sequence[Place]) -> HeldOut:
    """The groups of a file, or those that the first run held out, without groups that a given run was trained on."""
    runs = [(place, load_data(place.recipe)) for place in places if place.recipe]
    left_out: dict[str, int] = {}
    if data:
        groups = list(load([Source(data, 1.0)]).groups)
        marked = [group for group in groups if group.split == "eval"]
        if marked and len(marked) < len(groups):
            left_out["they are marked as training data"] = sum(group.split == "train" for group in groups)
            groups = [group for group in groups if group.split != "train"]
    elif runs:
        groups = list(runs[0][1].held_out)
    else:
        return HeldOut(())
    for place, split in runs:
        seen = _trained_on(split)
        kept = [group for group in groups if group_key(group) not in seen]
        if len(kept) < len(groups):
            left_out[f"{place.name} was trained on them"] = len(groups) - len(kept)
        groups = kept
    if not groups:
        raise DataError(
            f"no held-out group is left of {data or 'the run'}: {json.dumps(left_out)}.",
            remedy="Give groups that no run was trained on with --data.",
        )
    return HeldOut(groups, left_out)


def _trained_on(split: Split) -> set[str]:
    """Keys of the groups that any stage was trained on."""
    return {group_key(group) for part in split.train for group in part}


def read_texts(file: str | None, groups: Sequence[PreferenceGroup]) -> list[str]:
    """Texts of a file (`.txt` with one per line, or JSONL with `text`); without a file the prompts of groups."""
    if file is None:
        return list(dict.fromkeys(text for group in groups if (text := content_text(group.prompts[0]))))
    path = Path(file)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        texts = lines if path.suffix == ".txt" else [json.loads(line)["text"] for line in lines if line.strip()]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"the texts in {path} cannot be read: {type(error).__name__}: {error}.",
            remedy="Give a .txt file with a text on each line, or JSONL with `text`.",
        ) from None
    found = [text for text in texts if isinstance(text, str) and text.strip()]
    if not found:
        raise DataError(f"{path} holds no text.", remedy="Give a .txt file, or JSONL with `text`.")
    return found
