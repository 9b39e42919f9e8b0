"""Measuring models by a suite: at the end of a run, between rounds, and by `tropism eval`, all in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.utils import logging as transformers_logging

from tropism.evals.core.eval_folder import ITEMS, RECORD, RESULTS, EvalFolder
from tropism.evals.core.forecast import forecast
from tropism.evals.core.subject import Subject
from tropism.evals.core.suite import Suite, load_suite
from tropism.evals.core.suite_run import Material, Outcome, run_suite
from tropism.evals.core.suite_samples import suite_pairs, suite_samples
from tropism.groups import PreferenceGroup
from tropism.judges.judge import load_judge
from tropism.records import EvalWords, Measure, SuiteModel, SuiteRun, write_json
from tropism.training.loop.callbacks import progress
from tropism.training.loop.machine import environment
from tropism.training.recipe.sections import EvaluationRecipe, Recipe
from tropism.training.runs.opened import policy_of
from tropism.training.runs.output_folder import OutputFolder
from tropism.training.runs.places import HeldOut, Place, hold_out, locate_all, open_subject, read_texts

FOLDER = "evaluation"
"""Folder of a run that holds the results and items of its evaluation."""
REWARD_SUITE = "reward"
NAMES = (ITEMS, RESULTS, RECORD, "report.html")
"""What belongs to the output folder of `tropism eval`."""


@dataclass(frozen=True)
class Request:
    """What to evaluate, as the command line gives it.

    Args:
        models: folders of models or of runs, hub ids, or `endpoint:` and a URL or YAML file.
        against: the model or run to compare with; None takes the model that the first run's last stage started from.
        suite: name or file of a suite; None takes the first run's, or `holistic`.
        output: folder of the results.
        data: file of held-out groups; None takes those that the first run held out.
        texts: file of held-out texts, `.txt` (one per line) or JSONL with `text`; None takes the held-out prompts.
        judge: name of a judge; None takes the first run's, if it has one.
        template: chat template of all models; None takes the first run's, or `auto`.
        max_tokens: prompt and response together; None takes the first run's, or the model's context up to 1,024.
        seed: of every draw; None takes the first run's, or 0.
        fresh: measure again what is kept.
        command: how it was started, for the record.
    """

    models: Sequence[str]
    against: str | None
    suite: str | None
    output: Path
    data: str | None = None
    texts: str | None = None
    judge: str | None = None
    template: str | None = None
    max_tokens: int | None = None
    seed: int | None = None
    fresh: bool = False
    command: str = ""


def evaluate(request: Request, *, say: Callable[[str], None]) -> SuiteRun:
    """Measure models by a suite, and keep the record in the output folder's `eval.json`.

    Args:
        request: what to evaluate.
        say: prints a line.

    Raises:
        TropismError: for everything that a user can fix.
    """
    started = time.perf_counter()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    places, base = locate_all(request.models, request.against)
    recipe = next((place.recipe for place in places if place.recipe), None)
    settings = recipe.evaluation if recipe else EvaluationRecipe()
    suite = load_suite(request.suite or (_suite_name(recipe) if recipe else "holistic"))
    if recipe:
        suite = suite.with_defaults(defaults_of(recipe))
    held_out = hold_out(request.data, [*places, base])
    for reason, count in held_out.left_out.items():
        say(f"{count:,} groups are not used: {reason}.")
    judge = request.judge or settings.judge
    material = Material(
        held_out.groups,
        read_texts(request.texts, held_out.groups),
        load_judge(judge) if judge else None,
        settings.seed if request.seed is None else request.seed,
    )
    output = OutputFolder(request.output, "evaluation", names=NAMES, record=RECORD, identity={})
    with output.claimed("continue") as path:
        subjects = [
            open_subject(place, recipe, template=request.template, max_tokens=request.max_tokens, fresh=request.fresh)
            for place in (base, *places)
        ]
        say(
            f"Suite {suite.name} on {', '.join(place.name for place in places)} against {base.name}: "
            f"{len(material.groups):,} held-out groups, {len(material.texts):,} texts."
        )
        record = measure(
            suite, [base, *places], subjects, material, EvalFolder(path), held_out=held_out, command=request.command,
            started=started, say=say, fresh=request.fresh,
        )  # fmt: skip
        write_json(record, path / RECORD)
    return record


def evaluate_run(
    recipe: Recipe,
    start_model: str,
    model: str,
    *,
    names: tuple[str, str],
    groups: Sequence[PreferenceGroup],
    folder: Path,
    command: str,
    say: Callable[[str], None],
) -> SuiteRun:
    """Compare the model of a run with another one, as the recipe's `evaluation` says.

    Args:
        recipe: of the run.
        start_model: folder or hub id of the model to compare with.
        model: folder of the run's model.
        names: of the two models, in this order; they differ.
        groups: held out; none of them was trained on.
        folder: where results and items are kept; what is there for the same models and settings is not measured again.
        command: how the run was started, for the record.
        say: prints a line.
    """
    started = time.perf_counter()
    settings = recipe.evaluation
    suite = load_suite(_suite_name(recipe)).with_defaults(defaults_of(recipe))
    judge = load_judge(settings.judge) if settings.judge else None
    material = Material(groups, read_texts(None, groups), judge, settings.seed)
    places = [Place(name, path) for name, path in zip(names, (start_model, model), strict=True)]
    subjects = [open_subject(place, recipe, template=None, max_tokens=None, fresh=False) for place in places]
    return measure(
        suite, places, subjects, material, EvalFolder(folder), held_out=HeldOut(groups), command=command,
        started=started, say=say,
    )  # fmt: skip


def _suite_name(recipe: Recipe) -> str:
    """The suite that a recipe names; by default a reward model is measured by `reward`."""
    is_named = "suite" in recipe.evaluation.model_fields_set
    if not is_named and policy_of(recipe.resolved_stages()[-1]).kind == "reward":
        return REWARD_SUITE
    return recipe.evaluation.suite


def defaults_of(recipe: Recipe) -> dict[str, Any]:
    """Settings of evals on held-out data that a suite does not set itself; `prompts` of 0 is None.

    `beta` is that of the last stage's loss, if it sets one: the eval `preference` judges calibration by it.
    """
    settings = recipe.evaluation
    betas = [
        arguments["beta"] for arguments in (recipe.resolved_stages()[-1].loss or {}).values() if "beta" in arguments
    ]
    return {
        "prompts": settings.prompts or None,
        "max_groups": settings.groups,
        "temperature": settings.temperature,
        "max_new_tokens": settings.max_new_tokens,
        **({"beta": betas[0]} if len(betas) == 1 else {}),
    }


def measure(
    suite: Suite,
    places: Sequence[Place],
    subjects: Sequence[Subject],
    material: Material,
    folder: EvalFolder,
    *,
    held_out: HeldOut,
    command: str,
    started: float,
    say: Callable[[str], None],
    fresh: bool = False,
) -> SuiteRun:
    """Run a suite on opened models, the base first, and make the record.

    The models account for the held-out groups first: a group that does not fit is counted, with its reason.
    """
    accounts = {subject.name: subject.prepare(material.groups) for subject in subjects}
    expected = forecast(suite, subjects, material)
    if expected:
        say(expected)
    outcome = run_suite(
        suite, subjects[1:], base=subjects[0], material=material, folder=folder, progress=progress, fresh=fresh
    )
    if outcome.num_found:
        say(f"{outcome.num_found} results were already there, for the same models, settings and data.")
    return SuiteRun(
        title=f"{', '.join(place.name for place in places[1:])} against {places[0].name}",
        command=command,
        suite=suite.name,
        settings=_settings_of(suite, material, held_out, outcome),
        environment=environment(),
        models=[
            SuiteModel(
                name=subject.name,
                path=place.path,
                fingerprint=subject.fingerprint,
                run=str(place.run) if place.run else None,
            )
            for subject, place in zip(subjects, places, strict=True)
        ],
        base=places[0].name,
        results=outcome.results,
        comparisons=outcome.comparisons,
        samples=suite_samples(outcome.results, folder),
        pairs=suite_pairs(outcome.results, folder),
        evals=words_of(suite, outcome),
        measures=measures_of(suite, outcome),
        accounts={name: account for name, account in accounts.items() if account is not None},
        seconds=time.perf_counter() - started,
    )


def _settings_of(suite: Suite, material: Material, held_out: HeldOut, outcome: Outcome) -> dict[str, Any]:
    """What decided the numbers of a record, for its reader."""
    return {
        "evals": {one.name: one.settings.model_dump(mode="json") for one in suite.evals},
        "left_out": outcome.left_out,
        "groups": len(material.groups),
        "groups_left_out": held_out.left_out,
        "texts": len(material.texts),
        "judge": material.judge.name if material.judge else None,
        "seed": material.seed,
    }


def words_of(suite: Suite, outcome: Outcome) -> dict[str, EvalWords]:
    """The words of every eval that was measured."""
    measured = {result.eval for result in outcome.results}
    return {one.name: one.eval.words or EvalWords.named(one.name) for one in suite.evals if one.name in measured}


def measures_of(suite: Suite, outcome: Outcome) -> dict[str, Measure]:
    """The words of every metric that was measured, by `eval.metric`."""
    known = {one.name: one.eval.measures for one in suite.evals}
    return {
        f"{result.eval}.{name}": known[result.eval].get(name) or Measure.named(name)
        for result in outcome.results
        for name in result.metrics
    }
