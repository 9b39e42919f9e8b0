"""The configuration section: what was set, what was left at its default, and what runs differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from tropism.records import Run, SweepRun
from tropism.reporting.model_styles import ModelStyle
from tropism.reporting.numbers import MISSING, duration
from tropism.reporting.page_records import PageRecords, TrainedRun

IGNORED = ("output",)
"""Keys of a recipe that differ between all runs without a meaning."""


class RecipeView(NamedTuple):
    """A run's recipe: what was set, and the defaults."""

    model: ModelStyle
    chosen: str
    defaults: str


class SettingDifference(NamedTuple):
    """A setting that not all runs share: its key, and each run's value."""

    key: str
    values: list[str]


class SuiteView(NamedTuple):
    """An evaluation: its models, settings, time, and the evals that did not run with the reasons."""

    title: str
    models: list[tuple[str, str, str, bool]]
    settings: str
    time: str
    left_out: dict[str, str]


def recipes_of(runs: Sequence[TrainedRun], models: Mapping[str, ModelStyle]) -> list[RecipeView]:
    """Every run's recipe."""
    return [_recipe_view(run.run, models[run.name]) for run in runs]


def _recipe_view(run: Run, model: ModelStyle) -> RecipeView:
    """A recipe in two parts; all of it is the first if the record does not say what was set."""
    recipe = run.model_dump(mode="json")["recipe"]
    if not run.chosen:
        return RecipeView(model, listing(recipe), "")
    rest = _rest_of(recipe, run.chosen)
    return RecipeView(model, listing(run.chosen), listing(rest) if rest else "")


def _rest_of(whole: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings without those that are in a part of them.

    Example:
        >>> _rest_of({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 2}})
        {'b': {'d': 3}}
    """
    found = {}
    for key, value in whole.items():
        if key not in part:
            found[key] = value
        elif isinstance(value, dict) and isinstance(part[key], dict) and (rest := _rest_of(value, part[key])):
            found[key] = rest
    return found


def suites_of(records: PageRecords) -> list[SuiteView]:
    """Every evaluation, those of several runs with equal settings once."""
    views: dict[str, SuiteView] = {}
    for suite in records.suites:
        left_out = suite.settings.get("left_out")
        reasons = {str(name): str(reason) for name, reason in left_out.items()} if isinstance(left_out, dict) else {}
        settings = listing({key: value for key, value in suite.settings.items() if key != "left_out"})
        models = [(one.name, one.path, one.fingerprint[:16], one.name == suite.base) for one in suite.models]
        known = views.get(settings)
        if known:
            views[settings] = known._replace(models=list(dict.fromkeys([*known.models, *models])), time="")
        else:
            views[settings] = SuiteView(
                f"Evaluation: suite {suite.suite}", models, settings, duration(suite.seconds), reasons
            )
    return list(views.values())


def settings_apart(runs: Sequence[TrainedRun]) -> list[SettingDifference]:
    """The settings that not all runs share, by their key in the recipe; those of a stage go by its name."""
    flat = [dict(_flattened(run.run.model_dump(mode="json")["recipe"])) for run in runs]
    found = []
    for key in dict.fromkeys(key for one in flat for key in one):
        values = [one.get(key, MISSING) for one in flat]
        if len(set(values)) > 1 and key.split(".")[0] not in IGNORED:
            found.append(SettingDifference(key, values))
    return found


def _flattened(value: Any, key: str = "") -> list[tuple[str, str]]:
    """The leaves of nested settings, as dotted keys and text.

    Example:
        >>> _flattened({"loss": {"dpo": {"beta": 0.1}}, "stages": [{"name": "sft", "steps": 3}]})
        [('loss.dpo.beta', '0.1'), ('stages.sft.name', 'sft'), ('stages.sft.steps', '3')]
    """
    if isinstance(value, dict) and value:
        return [leaf for name, one in value.items() for leaf in _flattened(one, f"{key}.{name}" if key else str(name))]
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        named = {str(one.get("name", place)): one for place, one in enumerate(value)}
        if len(named) == len(value):
            return _flattened(named, key)
    return [(key, str(value))]


def listing(settings: Mapping[str, Any]) -> str:
    """Settings as YAML, in their own order."""
    if not settings:
        return "(empty)"
    return yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, width=100).rstrip("\n")


def failed_runs(records: PageRecords) -> list[SweepRun]:
    """Runs of sweeps that did not end."""
    return [run for sweep in records.sweeps for run in sweep.runs if run.error]


def environments(records: PageRecords) -> list[Mapping[str, str]]:
    """What everything ran on, each machine once."""
    every = [suite.environment for suite in records.suites] + [run.run.environment for run in records.runs]
    return [one for place, one in enumerate(every) if one and one not in every[:place]]
