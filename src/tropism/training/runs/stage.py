"""One stage of a recipe: a policy, its groups, the trainer, and the stage's record."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from accelerate import PartialState
from transformers import TrainerCallback, TrainingArguments, set_seed

from tropism.errors import DataError, Interrupted, respelled
from tropism.groups import PreferenceGroup
from tropism.policies.base import Policy
from tropism.policies.generating import generator_of
from tropism.records import Account, MemoryPlan, Stage, read_log, write_json
from tropism.text.prepared import Prepared, require_groups
from tropism.training.loop.callbacks import JsonlLog, ProgressBar, StopOnInterrupt, announce, progress
from tropism.training.loop.checkpoint import last_checkpoint
from tropism.training.loop.memory import describe, plan_memory
from tropism.training.loop.precision import lower_dtype
from tropism.training.loop.steps import with_mismatched
from tropism.training.loop.trainer import PreferenceTrainer
from tropism.training.recipe.arguments import training_arguments
from tropism.training.recipe.named_losses import mixture_of
from tropism.training.recipe.sections import Recipe, StageRecipe
from tropism.training.runs.opened import RECIPE_KEYS, imitates, make_reference, open_policy, policy_of
from tropism.training.watch.probe import WATCH_NEEDS, Prober
from tropism.training.watch.watch_training import WatchTraining


def run_stage(
    recipe: Recipe,
    stage: StageRecipe,
    start_model: str,
    folder: Path,
    *,
    train: Sequence[PreferenceGroup],
    held_out: Sequence[PreferenceGroup],
    probe: Sequence[PreferenceGroup],
    command: str,
    resume: bool,
) -> Stage:
    """Train one stage, or read its record if it is done.

    Args:
        recipe: the whole recipe.
        stage: the stage, with everything filled in.
        start_model: folder or hub id of the model to start from.
        folder: for checkpoints, log, model and record.
        train, held_out: groups on both sides of the split.
        probe: groups that the model is probed with while it trains.
        command: how the run was started, for the message after Ctrl-C.
        resume: go on from the last checkpoint in the folder.

    Raises:
        Interrupted: after Ctrl-C, with a checkpoint kept.
    """
    record = folder / "stage.json"
    if resume and record.exists():
        return Stage.model_validate_json(record.read_text(encoding="utf-8"))
    started = time.perf_counter()
    ready = make_ready(recipe, stage, start_model, folder, train=train, held_out=held_out, resume=resume)
    if ready.plan:
        if PartialState().is_main_process:
            write_json(ready.plan, folder / "plan.json")
        announce(f"Memory plan of stage {stage.name}: {describe(ready.plan)}.")
    interrupt, log = StopOnInterrupt(), JsonlLog(folder / "log.jsonl")
    watch = _watching(recipe, stage, ready, probe, folder=folder, log=log)
    callbacks = [interrupt, log, *([watch] if watch else [])]
    trainer = _train_stage(recipe, stage, ready, callbacks, start_from=last_checkpoint(folder) if resume else None)
    if interrupt.interrupted_at is not None:
        raise Interrupted(
            f"Interrupted after step {interrupt.interrupted_at} of stage {stage.name!r}; its checkpoint is kept in "
            f"{folder}.",
            remedy=f"Go on with: {command}{'' if '--resume' in command else ' --resume'}",
        )
    seconds = time.perf_counter() - started
    done = _stage_record(stage, trainer, ready, watch, start_model=start_model, folder=folder, seconds=seconds)
    if trainer.is_world_process_zero():
        save_model(ready.policy, watch, folder / "model")
        write_json(done, record)
        if watch:
            watch.forget_states()
    trainer.accelerator.wait_for_everyone()
    if interrupt.asked:
        raise KeyboardInterrupt
    return done


def _train_stage(
    recipe: Recipe,
    stage: StageRecipe,
    ready: Ready,
    callbacks: Sequence[TrainerCallback],
    *,
    start_from: Path | None,
) -> PreferenceTrainer:
    """Train, with a progress bar; Ctrl-C is as before when it ends."""
    assert stage.loss is not None
    bar = ProgressBar(f"Training {stage.name}")
    trainer = PreferenceTrainer(
        ready.policy,
        mixture_of(stage.loss),
        make_reference(recipe, stage, ready.policy, tokens_per_batch=ready.tokens_per_batch),
        ready.args,
        train_groups=ready.groups,
        eval_groups=ready.eval_groups,
        callbacks=[*callbacks, bar],
        tokens_per_batch=ready.tokens_per_batch,
    )
    try:
        trainer.train(resume_from_checkpoint=str(start_from) if start_from else None)
    finally:
        bar.close()
        for callback in callbacks:
            if isinstance(callback, StopOnInterrupt):
                callback.close()
    return trainer


class Ready(NamedTuple):
    """The inputs of training of a stage; `plan` is None if weights are sharded, which the plan does not cover."""

    policy: Policy
    groups: list[Prepared]
    eval_groups: list[Prepared]
    account: Account
    args: TrainingArguments
    plan: MemoryPlan | None

    @property
    def tokens_per_batch(self) -> int | None:
        """Tokens of a micro-batch; None leaves them to the trainer."""
        return self.plan.tokens_per_batch if self.plan else None


def make_ready(
    recipe: Recipe,
    stage: StageRecipe,
    start_model: str,
    folder: Path,
    *,
    train: Sequence[PreferenceGroup],
    held_out: Sequence[PreferenceGroup] = (),
    resume: bool = False,
) -> Ready:
    """Open the model, prepare the groups and plan the memory; a resumed stage keeps the plan that it started with."""
    args = training_arguments(stage, folder)
    set_seed(args.seed)
    policy = open_policy(recipe, start_model, policy_of(stage))
    groups, account = prepared(policy, train, what=f"training stage {stage.name!r}")
    wants_eval = str(args.eval_strategy.value) != "no"
    eval_groups = prepared(policy, held_out, what="evaluation")[0] if wants_eval and held_out else []
    if args.fsdp or args.deepspeed:
        return Ready(policy, groups, eval_groups, account, args, None)
    planned = [*groups, *eval_groups]
    if mixture_of(stage.loss or {}).needs("baseline"):
        planned = with_mismatched(planned, seed=args.seed)
    kept = folder / "plan.json"
    policy.model.to(args.device)
    if resume and kept.exists():
        plan = MemoryPlan.model_validate_json(kept.read_text(encoding="utf-8"))
    else:
        plan = plan_memory(
            policy,
            planned,
            groups_per_step=args.per_device_train_batch_size * args.gradient_accumulation_steps,
            tokens_per_batch=recipe.tokens_per_batch,
            recompute=_chosen_recompute(stage),
            optimizer=str(args.optim.value),
            autocast=lower_dtype(args),
        )
    args.activation_checkpointing = args.gradient_checkpointing = plan.gradient_checkpointing
    return Ready(policy, groups, eval_groups, account, args, plan)


def _chosen_recompute(stage: StageRecipe) -> bool | None:
    """Whether the recipe asks for gradient checkpointing; None if it leaves that to the plan."""
    names = ("activation_checkpointing", "gradient_checkpointing")  # transformers' new and old name
    return next((bool(stage.train[name]) for name in names if stage.train.get(name) is not None), None)


def _watching(
    recipe: Recipe,
    stage: StageRecipe,
    ready: Ready,
    probe: Sequence[PreferenceGroup],
    *,
    folder: Path,
    log: JsonlLog,
) -> WatchTraining | None:
    """The callback that watches a stage; None if alarms are off, it only imitates, or its policy cannot be probed."""
    settings = recipe.alarms
    if not settings.on or imitates(stage) or not ready.policy.can(*WATCH_NEEDS):
        return None
    groups = ready.policy.prepare(probe)[0] if ready.plan else []
    if not groups:
        why = "no probe group can be prepared" if ready.plan else "weights are sharded (fsdp, deepspeed)"
        announce(f"No alarms in stage {stage.name}: {why}.")
        return None
    prober = None
    generator = generator_of(ready.policy)
    assert generator is not None
    if PartialState().is_main_process:  # the others need no copy of the start
        prober = Prober(
            generator,
            groups=groups[: settings.probe.groups],
            asked=groups[: settings.probe.prompts],
            settings=settings.probe,
            tokens_per_batch=ready.tokens_per_batch,
        )
    return WatchTraining(prober, settings, folder=folder, log=log)


def save_model(policy: Policy, watch: WatchTraining | None, folder: Path) -> None:
    """Write the stage's model: the state that the composite chose, else the last."""
    chosen = watch.chosen_state() if watch else None
    if chosen is None:
        policy.save(folder)
        return
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(chosen, folder)


def _stage_record(
    stage: StageRecipe,
    trainer: PreferenceTrainer,
    ready: Ready,
    watch: WatchTraining | None,
    *,
    start_model: str,
    folder: Path,
    seconds: float,
) -> Stage:
    """The record of a finished stage; its first loss is the log's if the stage was resumed."""
    log = folder / "log.jsonl"
    logged = [line.values["loss"] for line in read_log(log) if "loss" in line.values] if log.exists() else []
    first, last = trainer.first_loss, trainer.last_loss
    assert stage.loss is not None
    assert first is not None
    assert last is not None
    return Stage(
        name=stage.name,
        loss=stage.loss,
        reference=trainer.reference.kind,
        start_model=start_model,
        model=str(folder / "model"),
        log=f"{folder.name}/log.jsonl",
        groups=ready.account.groups,
        steps=trainer.state.global_step,
        first_loss=logged[0] if logged else first,
        last_loss=last,
        seconds=seconds,
        tokens_computed=trainer.tokens_computed,
        tokens_distinct=trainer.tokens_distinct,
        reference_tokens_scored=trainer.reference.tokens_scored,
        account=ready.account,
        plan=ready.plan,
        alarms=watch.alarms if watch else [],
        probes=watch.probes if watch else [],
        chosen_step=watch.chosen_step() if watch else None,
    )


def prepared(policy: Policy, groups: Sequence[PreferenceGroup], *, what: str) -> tuple[list[Prepared], Account]:
    """Prepare groups with a progress bar.

    Raises:
        DataError: if none is left.
    """
    with progress("Preparing groups", len(groups)) as done:
        found, account = policy.prepare(groups, progress=done)
    try:
        require_groups(found, account, what=what)
    except DataError as error:
        raise respelled(error, RECIPE_KEYS) from None
    return found, account
