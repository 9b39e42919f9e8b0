"""A run of one recipe: data, stages of training, evaluation, and the record."""

from __future__ import annotations

import time
from pathlib import Path

from accelerate import PartialState
from transformers.utils import logging as transformers_logging

from tropism.errors import ConfigError
from tropism.evals.core.suite import load_suite
from tropism.judges.judge import load_judge, try_judge
from tropism.policies.registry import policy_kind
from tropism.records import MemoryPlan, Run, Stage, SuiteRun, write_json
from tropism.training.loop.callbacks import announce
from tropism.training.loop.machine import environment, peak_memory_mb
from tropism.training.recipe.arguments import training_arguments
from tropism.training.recipe.named_losses import mixture_of
from tropism.training.recipe.sections import Recipe, ReferenceRecipe
from tropism.training.runs.evaluation import FOLDER, defaults_of, evaluate_run
from tropism.training.runs.opened import check_policies, policy_of
from tropism.training.runs.run_data import Split, load_data
from tropism.training.runs.run_folder import FILES, digest_of, run_folder
from tropism.training.runs.stage import make_ready, run_stage


def run_recipe(recipe: Recipe, *, command: str, resume: bool = False, overwrite: bool = False) -> Run:
    """Train every stage of a recipe, compare the last one with the model that it started from, and keep the record.

    Args:
        recipe: the checked recipe.
        command: how it was started, for the record.
        resume: continue what is in the output folder.
        overwrite: start over although the output folder holds a run.

    Returns:
        The record, also written to `run.json` in the output folder.

    Raises:
        TropismError: for everything that a user can fix.
        Interrupted: after Ctrl-C, with a checkpoint kept.
    """
    started = time.perf_counter()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    check_settings(recipe)
    data = load_data(recipe)
    if recipe.evaluation.judge:
        try_judge(load_judge(recipe.evaluation.judge), data.held_out)
    digest = digest_of([*data.train, data.held_out, data.probe])
    is_main = PartialState().is_main_process
    with run_folder(recipe, data=digest, command=command, resume=resume, overwrite=overwrite) as output:
        stages: list[Stage] = []
        start_model = recipe.model
        for stage, groups in zip(recipe.resolved_stages(), data.train, strict=True):
            folder = output / stage.name
            stages.append(
                run_stage(
                    recipe, stage, start_model, folder, train=groups, held_out=data.held_out, probe=data.probe,
                    command=command, resume=resume,
                )
            )  # fmt: skip
            start_model = str(folder / "model")
        evaluation = None
        if is_main and data.held_out:
            evaluation = evaluate_run(
                recipe, stages[-1].start_model, stages[-1].model, names=_names_of(stages[-1]), groups=data.held_out,
                folder=output / FOLDER, command=command, say=announce,
            )  # fmt: skip
        run = record(recipe, data, stages, evaluation, command=command, seconds=time.perf_counter() - started)
        if is_main:
            write_json(run, output / "run.json")
    return run


def plan_recipe(recipe: Recipe) -> dict[str, MemoryPlan]:
    """The memory plan of every stage, and nothing trained or written; stages after the first plan on its model.

    Raises:
        TropismError: for everything that a user can fix.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    check_settings(recipe)
    data = load_data(recipe)
    plans = {}
    for stage, groups in zip(recipe.resolved_stages(), data.train, strict=True):
        ready = make_ready(
            recipe, stage, recipe.model, Path(recipe.output) / stage.name, train=groups, held_out=data.held_out
        )
        if ready.plan is None:
            raise ConfigError(
                "there is no plan for sharded weights (fsdp, deepspeed).", remedy="Set tokens_per_batch by hand."
            )
        plans[stage.name] = ready.plan
    return plans


def record(
    recipe: Recipe, data: Split, stages: list[Stage], evaluation: SuiteRun | None, *, command: str, seconds: float
) -> Run:
    """A finished run as its `run.json` keeps it."""
    return Run(
        title=f"{', then '.join(stage.name for stage in stages)} on {Path(recipe.data.train[0].path).name}",
        command=command,
        recipe=recipe.model_dump(mode="json"),
        chosen=recipe.model_dump(mode="json", exclude_unset=True),
        environment=environment(),
        cards=list(data.cards),
        split={
            **{f"groups for stage {stage.name}": len(part) for stage, part in zip(stages, data.train, strict=True)},
            "groups held out": len(data.held_out),
            **data.num_left_out,
        },
        stages=stages,
        evaluation=evaluation,
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(),
    )


def check_settings(recipe: Recipe) -> None:
    """Find what is wrong with any stage before the first one costs time."""
    check_policies(recipe)
    _check_stage_names(recipe)
    nothing_held_out = not recipe.data.eval and recipe.data.holdout == 0
    for stage in recipe.resolved_stages():
        assert stage.loss is not None
        if mixture_of(stage.loss).needs("reference") and stage.reference == ReferenceRecipe(kind="none"):
            raise ConfigError(
                f"stage {stage.name!r} has reference 'none', but {' and '.join(stage.loss)} compares with one.",
                remedy="Use reference: cached.",
            )
        args = training_arguments(stage, Path(recipe.output) / stage.name)
        if args.eval_strategy.value != "no" and nothing_held_out:
            raise ConfigError(
                "train.eval_strategy evaluates on held-out groups, and there are none.",
                remedy="Set data.holdout or data.eval.",
            )
    policy_kind(policy_of(recipe.resolved_stages()[0]).kind).check_folder(recipe.model)
    load_suite(recipe.evaluation.suite).with_defaults(defaults_of(recipe))
    if recipe.evaluation.judge:
        load_judge(recipe.evaluation.judge)
        if nothing_held_out or not recipe.evaluation.prompts:
            raise ConfigError(
                "evaluation.judge has no effect: there are no held-out prompts to answer.",
                remedy="Set data.holdout or data.eval, and evaluation.prompts.",
            )


def _check_stage_names(recipe: Recipe) -> None:
    """Refuse a stage whose folder would be one of the run's own files or folders."""
    for stage in recipe.resolved_stages():
        if stage.name in FILES:
            raise ConfigError(
                f"a stage must not be named {stage.name!r}: the run's folder keeps something else under this name.",
                remedy=f"Use another name than {', '.join(FILES)}.",
            )


def _names_of(stage: Stage) -> tuple[str, str]:
    """What the evaluation calls the model that a stage started from, and the stage's own."""
    start = short_name(stage.start_model)
    return (f"{start} (start)" if start == stage.name else start), stage.name


def short_name(model: str) -> str:
    """What to call a model: the stage that made it, or its folder."""
    path = Path(model)
    return path.parent.name if path.name == "model" else path.name
