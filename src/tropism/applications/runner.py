"""Runs an application: groups, arms, evaluations and claims, on every seed; what is finished is never repeated."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from accelerate import PartialState

from tropism.applications.application import BASE, Application, ApplicationSettings, ArmMetrics, Claim, GroupSet
from tropism.applications.seed_estimates import value_of
from tropism.applications.threads import best_thread_count
from tropism.data.group_store import write_groups
from tropism.errors import ConfigError, Interrupted
from tropism.records import ApplicationRun, ClaimResult, SuiteRun, write_json, write_text
from tropism.training.loop.machine import environment
from tropism.training.recipe.recipe_file import parse_recipe
from tropism.training.recipe.sections import Recipe
from tropism.training.runs.evaluation import Request, evaluate
from tropism.training.runs.output_folder import OutputFolder
from tropism.training.runs.run import run_recipe
from tropism.training.runs.run_folder import folder_of_run
from tropism.training.runs.sweep import finished

RECORD, THREADS, DATA, NAMES, EVALUATION, PAGE = (
    "application.json", "threads.txt", "data", "names.txt", "evaluation", "report.html",
)  # fmt: skip


def run_application(
    application: Application,
    settings: ApplicationSettings,
    *,
    seeds: Sequence[int],
    output: Path,
    command: str,
    say: Callable[[str], None],
    overwrite: bool = False,
) -> ApplicationRun:
    """Run an application on every seed, and keep the record in `application.json`.

    Every arm of every seed is an ordinary run in `seed-N/ARM`. Finished runs and results are read and interrupted runs
    are resumed, so a run that is killed and started again ends with the same claims; seeds may be added.

    Args:
        application: what to run.
        settings: of the application's own class.
        seeds: of the groups, the training and the answers.
        output: the folder for everything.
        command: how it was started, for the record and the message after Ctrl-C.
        say: prints a line.
        overwrite: replace what the folder holds.

    Raises:
        ConfigError: if the folder holds the application with other settings, or several processes were started.
        OutputError: if the folder holds something else, or another process writes to it.
        Interrupted: after Ctrl-C, with everything kept.
    """
    started = time.perf_counter()
    if PartialState().num_processes > 1:
        raise ConfigError(
            f"an application must run in one process, got {PartialState().num_processes}.",
            remedy="Start it without a launcher.",
        )
    identity = {"application": application.name, "settings": settings.model_dump(mode="json")}
    names = [*(f"seed-{seed}" for seed in seeds), THREADS, RECORD, PAGE]
    folder = OutputFolder(output, "application", names=names, record=RECORD, identity=identity)
    with (
        _interruptible(command),
        folder.claimed("replace" if overwrite else "continue"),
        _same_threads(output / THREADS),
    ):
        found = []
        for seed in seeds:
            say(f"Seed {seed}" + (f" of {', '.join(map(str, seeds))}" if len(seeds) > 1 else ""))
            found.append(_run_seed(application, settings, seed, output / f"seed-{seed}", command=command, say=say))
        record = _record_of(application, settings, seeds, found, output, command=command)
        record = record.model_copy(update={"seconds": time.perf_counter() - started})
        write_json(record, output / RECORD)
    return record


class SeedResult(NamedTuple):
    """The evaluation of one seed, the arm of each of its models, and the folder that its page is made from."""

    record: SuiteRun
    arms: Mapping[str, str]
    folder: Path


def _run_seed(
    application: Application,
    settings: ApplicationSettings,
    seed: int,
    folder: Path,
    *,
    command: str,
    say: Callable[[str], None],
) -> SeedResult:
    """Make the groups, train every arm and evaluate all of them, on one seed.

    A single arm is measured by the evaluation of its own run; several arms are measured together.
    """
    files = group_files(application, settings, seed, folder / DATA)
    suite = folder / f"{application.name}.yaml"
    write_text(yaml.safe_dump({"evals": list(application.suite(settings))}, sort_keys=False), suite)
    arms = application.arms(settings, seed)
    recipes = {arm: recipe_of(given, files, folder / arm, suite=suite, seed=seed) for arm, given in arms.items()}
    runs = {}
    for arm, recipe in recipes.items():
        say(f"Arm {arm}")
        is_started = folder_of_run(recipe).is_started()
        runs[arm] = finished(folder / arm, recipe) or run_recipe(recipe, command=command, resume=is_started)
    against = application.compare_with
    if against is None and len(runs) == 1:
        ((arm, run),) = runs.items()
        if run.evaluation is None:
            raise ConfigError(
                f"arm {arm!r} holds no group out to measure it on.", remedy="Set data.eval or data.holdout."
            )
        return SeedResult(run.evaluation, {run.evaluation.base: BASE, run.evaluation.others[0]: arm}, folder / arm)
    request = Request(
        models=[str(folder / arm) for arm in recipes if arm != against],
        against=str(folder / against) if against else None,
        suite=str(suite),
        output=folder / EVALUATION,
        command=command,
    )
    record = evaluate(request, say=say)
    names = {model.name: Path(model.run).name if model.run else BASE for model in record.models}
    return SeedResult(record, names, folder / EVALUATION)


def group_files(application: Application, settings: ApplicationSettings, seed: int, folder: Path) -> Mapping[str, Path]:
    """The file of each set of groups; the sets are made only once."""
    names = folder / NAMES
    if not names.exists():
        sets: Mapping[str, GroupSet] = application.groups(settings, seed)
        for name, one in sets.items():
            write_groups(one.groups, folder / f"{name}.parquet", card=one.card)
            for source, text in one.sources.items():
                write_text(text, folder / source)
        write_text("".join(f"{name}\n" for name in sets), names)
    return {name: folder / f"{name}.parquet" for name in names.read_text(encoding="utf-8").split()}


def recipe_of(given: Mapping[str, Any], files: Mapping[str, Path], output: Path, *, suite: Path, seed: int) -> Recipe:
    """An arm's recipe, with the files of its group sets, its folder, its suite and the seed of its answers."""
    evaluation = {**given.get("evaluation", {}), "suite": str(suite), "seed": seed}
    return parse_recipe({**_with_files(given, files), "evaluation": evaluation, "output": str(output)})


def _with_files(given: Mapping[str, Any], files: Mapping[str, Path]) -> Mapping[str, Any]:
    """A recipe or one of its stages with names of group sets replaced by their files."""

    def replaced(value: Any) -> Any:
        if isinstance(value, list):
            return [replaced(one) for one in value]
        if isinstance(value, Mapping):
            return {key: replaced(one) if key in ("path", "train", "eval") else one for key, one in value.items()}
        return str(files[value]) if isinstance(value, str) and value in files else value

    changed = {"data": replaced(given["data"])} if "data" in given else {}
    if given.get("stages"):
        changed["stages"] = [_with_files(stage, files) for stage in given["stages"]]
    return {**given, **changed}


def _record_of(
    application: Application,
    settings: ApplicationSettings,
    seeds: Sequence[int],
    found: Sequence[SeedResult],
    output: Path,
    *,
    command: str,
) -> ApplicationRun:
    """What all seeds come to."""
    metrics = _arm_metrics(found)
    names = {arm: sorted({name for one in seen for name in one}) for arm, seen in metrics.values.items()}
    measured = {arm: {name: value_of(arm, name)(metrics) for name in names[arm]} for arm in names}
    return ApplicationRun(
        name=application.name,
        paper=application.paper,
        summary=application.summary,
        command=command,
        settings=settings.model_dump(mode="json"),
        seeds=list(seeds),
        claims=[result_of(claim, metrics) for claim in application.claims],
        arms={arm: {name: one for name, one in seen.items() if one} for arm, seen in measured.items()},
        measures={name: words for one in found for name, words in one.record.measures.items()},
        evaluations=[one.folder.relative_to(output).as_posix() for one in found],
        notes=["One seed: intervals cover the prompts, not the seed."] if len(seeds) == 1 else [],
        environment=environment(),
        seconds=0.0,
    )


def _arm_metrics(found: Sequence[SeedResult]) -> ArmMetrics:
    """The metrics of every arm on every seed."""
    values: dict[str, list[dict[str, Any]]] = {}
    changes: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        for model, arm in one.arms.items():
            values.setdefault(arm, []).append(one.record.metrics_of(model))
            compared = [row for row in one.record.comparisons if row.model == model]
            changes.setdefault(arm, []).append({f"{row.eval}.{row.metric}": row.difference for row in compared})
    measures = [(name, words) for one in found for name, words in one.record.measures.items()]
    return ArmMetrics(values, changes, frozenset(name for name, words in measures if words.unit == "share"))


def result_of(claim: Claim, metrics: ArmMetrics) -> ClaimResult:
    """A claim with its number; it holds if the whole interval is on the right side of the threshold."""
    estimate = claim.measure(metrics)
    holds = estimate is not None and (
        estimate.low > claim.threshold if claim.direction == "above" else estimate.high < claim.threshold
    )
    return ClaimResult(
        name=claim.name, sentence=claim.sentence, threshold=claim.threshold, direction=claim.direction,
        estimate=estimate, holds=holds,
    )  # fmt: skip


@contextlib.contextmanager
def _interruptible(command: str) -> Iterator[None]:
    """After Ctrl-C, say how to continue the application rather than the run inside."""
    remedy = f"Go on with: {command}"
    try:
        yield
    except Interrupted as stopped:
        raise Interrupted(stopped.problem, remedy=remedy) from None
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; what was done is kept.", remedy=remedy) from None


@contextlib.contextmanager
def _same_threads(path: Path) -> Iterator[None]:
    """Use as many threads as when the folder was started: another number may change the last bits of a sum."""
    before = torch.get_num_threads()
    if not path.exists():
        write_text(f"{best_thread_count()}\n", path)
    torch.set_num_threads(int(path.read_text(encoding="utf-8")))
    try:
        yield
    finally:
        torch.set_num_threads(before)
