"""The road of one recipe: data, stages of training, evaluation, and the record of it all."""

from __future__ import annotations

import dataclasses
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import PartialState
from transformers import TrainingArguments
from transformers.utils import logging as transformers_logging

from tropism.data.formats import Loaded, Source, load
from tropism.data.split import split_groups
from tropism.errors import ConfigError, DataError, Interrupted, OutputError
from tropism.evals.compare import compare
from tropism.evals.judge import load_judge
from tropism.groups import PreferenceGroup
from tropism.layout.render import RenderedGroup, require_groups
from tropism.losses import mixture
from tropism.policies.loading import load_text_policy
from tropism.policies.reference import make_reference
from tropism.policies.text import TextPolicy
from tropism.records import Account, Evaluation, Run, Stage, read_log, write_json, write_text
from tropism.training.callbacks import JsonlLog, ProgressBar, StopOnInterrupt, progress
from tropism.training.config import Recipe, StageRecipe, parse_recipe
from tropism.training.trainer import PreferenceTrainer, last_checkpoint

TRAIN_DEFAULTS: dict[str, Any] = {
    "learning_rate": 1e-6,
    "lr_scheduler_type": "linear",
    "warmup_steps": 0.1,
    "num_train_epochs": 1,
    "logging_steps": 1,
    "save_steps": 0.25,
    "save_total_limit": 2,
    "report_to": "none",
    "disable_tqdm": True,
    "remove_unused_columns": False,
    "seed": 0,
}
"""What a recipe's `train` starts from. The learning rate is the DPO paper's and TRL's for full fine-tuning."""


@dataclasses.dataclass(frozen=True)
class Split:
    """The groups of a run on both sides of the split, with what became of the rows."""

    train: tuple[PreferenceGroup, ...]
    held_out: tuple[PreferenceGroup, ...]
    loaded: tuple[Loaded, ...]


def run_recipe(recipe: Recipe, *, command: str, resume: bool = False, overwrite: bool = False) -> Run:
    """Train every stage of a recipe, evaluate the last one against where it started, and keep the record.

    Args:
        recipe: the checked recipe.
        command: how it was started, for the record.
        resume: go on from what is in the output folder.
        overwrite: start over although the output folder holds a run.

    Returns:
        The record, also written to `run.json` in the output folder.

    Raises:
        TropismError: for everything that a user can put right.
        Interrupted: after Ctrl-C, with a checkpoint kept.
    """
    started = time.perf_counter()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    output = Path(recipe.output)
    data = load_data(recipe)
    main_process_first(lambda: prepare_output(output, recipe, resume=resume, overwrite=overwrite))
    start_model = recipe.model
    stages: list[Stage] = []
    for stage in recipe.resolved_stages():
        stages.append(run_stage(recipe, stage, start_model, data, output / stage.name, command=command, resume=resume))
        start_model = str(output / stage.name / "model")
    evaluation = None
    if PartialState().is_main_process and data.held_out:
        evaluation = evaluate_stage(recipe, stages[-1], data.held_out)
    run = Run(
        title=f"{', then '.join(stage.name for stage in stages)} on {Path(recipe.data.train[0].path).name}",
        command=command,
        recipe=recipe.model_dump(mode="json"),
        environment=environment(),
        cards=[card for loaded in data.loaded for card in loaded.cards],
        stages=stages,
        evaluation=evaluation,
        seconds=time.perf_counter() - started,
        peak_memory_mb=peak_memory_mb(),
    )
    if PartialState().is_main_process:
        write_json(run, output / "run.json")
    return run


def load_data(recipe: Recipe) -> Split:
    """Read the recipe's sources and split them by prompt."""
    loaded = load([Source(source.path, source.fraction) for source in recipe.data.train])
    both = [loaded]
    if recipe.data.eval:
        held_out = load([Source(source.path, source.fraction) for source in recipe.data.eval])
        both.append(held_out)
        sides = loaded.groups, held_out.groups
        shared = {group.id for group in sides[0]} & {group.id for group in sides[1]}
        if shared:
            raise DataError(
                f"{len(shared)} prompts stand in data.train and in data.eval (group {min(shared)}, say).",
                remedy="Take them out of one, or leave data.eval empty and set data.holdout.",
            )
    else:
        sides = split_groups(loaded.groups, holdout=recipe.data.holdout)
    train = tuple(sides[0])
    if recipe.data.max_groups is not None:
        train = train[: recipe.data.max_groups]
    return Split(train, tuple(sides[1]), tuple(both))


def prepare_output(output: Path, recipe: Recipe, *, resume: bool, overwrite: bool) -> None:
    """Make the output folder, or refuse one that holds another run; keep the recipe in it."""
    kept = output / "recipe.yaml"
    if resume and not kept.exists():
        raise ConfigError(f"there is nothing to resume in {output}.", remedy="Leave --resume out.")
    if resume:
        before = parse_recipe(yaml.safe_load(kept.read_text(encoding="utf-8")))
        changed = [name for name in Recipe.model_fields if getattr(before, name) != getattr(recipe, name)]
        if changed:
            raise ConfigError(
                f"the run in {output} was started with another {', '.join(changed)}.",
                remedy="Resume with the same recipe, or give another `output`.",
            )
    elif kept.exists() and overwrite:
        shutil.rmtree(output)
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputError(
            f"the output folder {output} is not empty.",
            remedy="Give another `output`, or use --resume or --overwrite (which deletes a run).",
        )
    write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True), kept)


def run_stage(
    recipe: Recipe, stage: StageRecipe, start_model: str, data: Split, folder: Path, *, command: str, resume: bool
) -> Stage:
    """Train one stage, or read its record if it is done."""
    record = folder / "stage.json"
    if resume and record.exists():
        return Stage.model_validate_json(record.read_text(encoding="utf-8"))
    started = time.perf_counter()
    assert stage.loss is not None
    assert stage.reference is not None
    losses = mixture(stage.loss)
    args = training_arguments(stage, folder)
    policy = open_policy(recipe, start_model)
    train_groups, account = render(policy, data.train, what=f"training stage {stage.name!r}")
    precision = "bfloat16" if args.bf16 else "float16" if args.fp16 else ""
    reference = make_reference(
        stage.reference, policy, groups_per_batch=args.per_device_eval_batch_size, precision=precision
    )
    wants_eval = str(args.eval_strategy.value) != "no"
    held_out = render(policy, data.held_out, what="evaluation")[0] if wants_eval and data.held_out else []
    interrupt, bar = StopOnInterrupt(), ProgressBar(f"Training {stage.name}")
    trainer = PreferenceTrainer(
        policy,
        losses,
        reference,
        args,
        train_groups=train_groups,
        eval_groups=held_out,
        callbacks=[interrupt, JsonlLog(folder / "log.jsonl"), bar],
    )
    checkpoint = last_checkpoint(folder) if resume else None
    try:
        with interrupt.listening():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        bar.close()
    if interrupt.interrupted_at is not None:
        raise Interrupted(
            f"Interrupted after step {interrupt.interrupted_at} of stage {stage.name!r}; its checkpoint is kept in "
            f"{folder}.",
            remedy=f"Go on with: {command}{'' if '--resume' in command else ' --resume'}",
        )
    if trainer.is_world_process_zero():
        policy.save(folder / "model")
    logged = [line for line in read_log(folder / "log.jsonl") if "loss" in line.values]
    done = Stage(
        name=stage.name,
        loss=stage.loss,
        reference=trainer.reference.kind,
        start_model=start_model,
        model=str(folder / "model"),
        log=f"{folder.name}/log.jsonl",
        groups=len(train_groups),
        steps=trainer.state.global_step,
        first_loss=logged[0].values["loss"],
        last_loss=logged[-1].values["loss"],
        seconds=time.perf_counter() - started,
        tokens_computed=trainer.tokens_computed,
        tokens_distinct=trainer.tokens_distinct,
        reference_tokens_scored=trainer.reference.tokens_scored,
        account=account,
    )
    if trainer.is_world_process_zero():
        write_json(done, record)
    return done


def training_arguments(stage: StageRecipe, folder: Path) -> TrainingArguments:
    """The stage's training arguments over our defaults.

    Raises:
        ConfigError: where transformers refuses them.
    """
    settings = {**TRAIN_DEFAULTS, **stage.train}
    try:
        return TrainingArguments(output_dir=str(folder), **settings)
    except (ValueError, TypeError) as error:
        message = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(f"`train` of stage {stage.name!r}: {message}.", remedy="Mend the recipe.") from None


def open_policy(recipe: Recipe, path: str) -> TextPolicy:
    """The policy of a recipe, from any of its models."""
    return load_text_policy(
        path,
        max_tokens=recipe.data.max_tokens,
        min_response_tokens=recipe.data.min_response_tokens,
        template=recipe.data.template,
        dtype=recipe.dtype,
        lora=recipe.lora.model_dump() if recipe.lora else None,
    )


def render(policy: TextPolicy, groups: Sequence[PreferenceGroup], *, what: str) -> tuple[list[RenderedGroup], Account]:
    """Render groups with a progress bar; none left is an error."""
    with progress("Rendering groups", len(groups)) as done:
        rendered, account = policy.renderer.render(groups, progress=done)
    require_groups(rendered, account, policy.renderer.rules, what=what)
    return rendered, account


def evaluate_stage(recipe: Recipe, stage: Stage, groups: Sequence[PreferenceGroup]) -> Evaluation:
    """Compare a stage's model with the one that it started from."""
    settings = recipe.evaluation
    before, after = (open_policy(recipe, path) for path in (stage.start_model, stage.model))
    rendered, _ = render(after, groups, what="evaluation")
    return compare(
        before,
        after,
        rendered,
        names=(short_name(stage.start_model), stage.name),
        num_prompts=settings.prompts,
        judge=load_judge(settings.judge) if settings.judge else None,
        temperature=settings.temperature,
        max_new_tokens=settings.max_new_tokens,
        seed=settings.seed,
        progress=progress,
    )


def short_name(model: str) -> str:
    """What to call a model: the stage that made it, or its folder."""
    path = Path(model)
    return path.parent.name if path.name == "model" else path.name


def main_process_first(action: Callable[[], None]) -> None:
    """Run an action on the main process alone, before the others go on."""
    state = PartialState()
    with state.main_process_first():
        if state.is_main_process:
            action()


def environment() -> dict[str, str]:
    """Versions and hardware, without names or paths of the machine."""
    packages = ("tropism", "torch", "transformers", "accelerate", "peft", "datasets")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "threads": str(torch.get_num_threads()),
        "processes": str(PartialState().num_processes),
    } | {package: version(package) for package in packages}


def peak_memory_mb() -> float:
    """Peak memory of this process, or of the GPU where there is one, in MB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
