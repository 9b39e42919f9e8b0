"""A suite on models and runs: which models are meant, what they were not trained on, and the record of it all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from accelerate import PartialState
from transformers.utils import logging as transformers_logging

from tropism.data.formats import Source, load
from tropism.data.keys import group_key
from tropism.errors import ConfigError, DataError
from tropism.evals.folder import RECORD, EvalFolder
from tropism.evals.judge import load_judge
from tropism.evals.run import Material, run_suite
from tropism.evals.samples import suite_samples
from tropism.evals.subject import Subject, policy_subject
from tropism.evals.suite import load_suite
from tropism.groups import PreferenceGroup, content_text
from tropism.policies.loading import load_text_policy
from tropism.records import Run, SuiteModel, SuiteRun, read_run, write_json
from tropism.training.callbacks import progress
from tropism.training.config import load_recipe
from tropism.training.machine import environment
from tropism.training.sections import Recipe
from tropism.training.sources import Split, load_data


@dataclass(frozen=True)
class Request:
    """What to evaluate, as the command line says it.

    Args:
        models: folders of models or of runs, or hub ids.
        against: the model or run to compare with; None takes the model that the first run's last stage started from.
        suite: name or file of a suite.
        output: folder of the results.
        data: file of held-out groups; None takes those that the first run held out.
        texts: file of held-out texts, `.txt` (one per line) or JSONL with `text`; None takes the held-out prompts.
        judge: name of a judge; None takes the first run's, if it has one.
        template: chat template of all models; None takes the first run's, or `auto`.
        max_tokens: prompt and response together; None takes the first run's, or the model's context up to 1,024.
        seed: of every draw.
        fresh: run again what is kept.
        command: how it was started, for the record.
    """

    models: Sequence[str]
    against: str | None
    suite: str
    output: Path
    data: str | None = None
    texts: str | None = None
    judge: str | None = None
    template: str | None = None
    max_tokens: int | None = None
    seed: int = 0
    fresh: bool = False
    command: str = ""


@dataclass(frozen=True)
class Place:
    """A model where it lies; `run` and `recipe` where a run made it."""

    name: str
    path: str
    run: Path | None = None
    start_model: str | None = None
    recipe: Recipe | None = None


@dataclass(frozen=True)
class HeldOut:
    """Groups that no given run was trained on, and why others were left out."""

    groups: Sequence[PreferenceGroup]
    left_out: dict[str, int] = field(default_factory=dict)


def evaluate(request: Request, *, say: Callable[[str], None]) -> SuiteRun:
    """Run a suite on models and keep the record in the output folder's `eval.json`.

    Args:
        request: what to evaluate.
        say: prints a line.

    Raises:
        TropismError: for everything that a user can put right.
    """
    started = time.perf_counter()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    suite = load_suite(request.suite)
    places, base = locate_all(request)
    recipe = next((place.recipe for place in places if place.recipe), None)
    judge = request.judge or (recipe.evaluation.judge if recipe else None)
    held_out = hold_out(request, places)
    for reason, count in held_out.left_out.items():
        say(f"{count:,} groups left out: {reason}.")
    material = Material(
        held_out.groups, read_texts(request, held_out.groups), load_judge(judge) if judge else None, request.seed
    )
    folder = EvalFolder(request.output)
    subjects = [open_subject(place, recipe, request) for place in (base, *places)]
    say(f"Suite {suite.name} on {', '.join(place.name for place in places)} against {base.name}: "
        f"{len(material.groups):,} held-out groups, {len(material.texts):,} texts.")  # fmt: skip
    outcome = run_suite(
        suite, subjects[1:], base=subjects[0], material=material, folder=folder, progress=progress, fresh=request.fresh
    )
    if outcome.num_found:
        say(f"{outcome.num_found} results were there already, for the same models, settings and data.")
    record = SuiteRun(
        title=f"{', '.join(place.name for place in places)} against {base.name}",
        command=request.command,
        suite=suite.name,
        settings={
            "evals": {one.name: one.settings.model_dump(mode="json") for one in suite.evals},
            "left_out": outcome.left_out,
            "groups": len(material.groups),
            "groups_left_out": held_out.left_out,
            "texts": len(material.texts),
            "judge": judge,
            "seed": request.seed,
        },
        environment=environment(),
        models=[
            SuiteModel(
                name=subject.name,
                path=place.path,
                fingerprint=subject.fingerprint,
                run=str(place.run) if place.run else None,
            )
            for subject, place in zip(subjects, (base, *places), strict=True)
        ],
        base=base.name,
        results=outcome.results,
        comparisons=outcome.comparisons,
        samples=suite_samples(outcome.results, folder),
        seconds=time.perf_counter() - started,
    )
    write_json(record, request.output / RECORD)
    return record


def locate_all(request: Request) -> tuple[list[Place], Place]:
    """The models and their base, with names that differ."""
    places = [locate(model) for model in request.models]
    against = request.against or next((place.start_model for place in places if place.start_model), None)
    if against is None:
        raise ConfigError(
            "there is nothing to compare with: no run was given, only models.", remedy="Name the base with --against."
        )
    found = [locate(against), *places]
    if len({place.path for place in found}) < len(found):
        raise ConfigError("a model is given twice, or is its own base.", remedy="Give different models.")
    names = distinct_names([place.path if place.run is None else str(place.run) for place in found])
    base, *others = [
        Place(name, place.path, place.run, place.start_model, place.recipe)
        for name, place in zip(names, found, strict=True)
    ]
    return others, base


def locate(path: str) -> Place:
    """The model that a path means: a model's folder, a hub id, or the last stage's model of a run's folder."""
    folder = Path(path)
    if not (folder / "run.json").exists():
        return Place(path, path)
    run = read_run(folder / "run.json")
    recipe = load_recipe(folder / "recipe.yaml")
    last = run.stages[-1]
    if "bradley_terry" in last.loss:
        raise ConfigError(
            f"the run {path} made a reward model, which answers nothing.",
            remedy="Give it as --judge reward-model:FOLDER.",
        )
    beside = folder / last.name / "model"  # a run that was moved
    return Place(path, str(beside) if beside.exists() else last.model, folder, start_of_run(run), recipe)


def start_of_run(run: Run) -> str:
    """The model that a run's last stage started from."""
    return run.stages[-1].start_model


def distinct_names(paths: Sequence[str]) -> list[str]:
    """As many of the last parts of each path as tell it from the others; `model` alone says nothing.

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


def open_subject(place: Place, recipe: Recipe | None, request: Request) -> Subject:
    """A model as a subject; all are rendered by the same rules."""
    data = recipe.data if recipe else None
    policy = load_text_policy(
        place.path,
        max_tokens=request.max_tokens or (data.max_tokens if data else None),
        min_response_tokens=data.min_response_tokens if data else 16,
        template=request.template or (data.template if data else "auto"),
        dtype=recipe.dtype if recipe else "float32",
        lora=None,
        layout=recipe.layout if recipe else "forest",
    )
    policy.model.to(PartialState().device)
    return policy_subject(place.name, policy, fresh=request.fresh)


def hold_out(request: Request, places: Sequence[Place]) -> HeldOut:
    """The groups to measure on: of `data`, else of the first run, without any that a given run was trained on."""
    runs = [(place, load_data(place.recipe)) for place in places if place.recipe]
    left_out: dict[str, int] = {}
    if request.data:
        groups = list(load([Source(request.data, 1.0)]).groups)
        marked = [group for group in groups if group.split == "eval"]
        if marked and len(marked) < len(groups):
            left_out["they are marked as training data"] = sum(group.split == "train" for group in groups)
            groups = [group for group in groups if group.split != "train"]
    elif runs:
        groups = list(runs[0][1].held_out)
    else:
        return HeldOut(())
    for place, split in runs:
        seen = trained_on(split)
        kept = [group for group in groups if group_key(group) not in seen]
        if len(kept) < len(groups):
            left_out[f"{place.name} was trained on them"] = len(groups) - len(kept)
        groups = kept
    if not groups:
        raise DataError(
            f"no held-out group is left of {request.data or 'the run'}: {json.dumps(left_out)}.",
            remedy="Give groups that no run was trained on with --data.",
        )
    return HeldOut(groups, left_out)


def trained_on(split: Split) -> set[str]:
    """Keys of the groups that any stage was trained on."""
    return {group_key(group) for part in split.train for group in part}


def read_texts(request: Request, groups: Sequence[PreferenceGroup]) -> list[str]:
    """Held-out texts: of the file, else the held-out prompts, which no training has optimised."""
    if request.texts is None:
        return list(dict.fromkeys(text for group in groups if (text := content_text(group.prompts[0]))))
    path = Path(request.texts)
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
