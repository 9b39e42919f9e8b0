"""One stage of a recipe: a policy, its groups, the trainer, and the stage's record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from transformers import TrainingArguments, set_seed

from tropism.errors import ConfigError, Interrupted
from tropism.groups import PreferenceGroup
from tropism.layout.render import require_groups
from tropism.layout.rendered import RenderedGroup
from tropism.losses import mixture
from tropism.policies.loading import load_text_policy
from tropism.policies.moving import MIXUP_ALPHA, SYNC_STEPS, MovingReference
from tropism.policies.reference import AdapterReference, CachedReference, FrozenReference, NoReference, Reference
from tropism.policies.reward import RewardPolicy, load_reward_policy
from tropism.policies.text import TextPolicy
from tropism.policies.transformer import TransformerPolicy
from tropism.records import Account, MemoryPlan, Stage, read_log, write_json
from tropism.training.callbacks import JsonlLog, ProgressBar, StopOnInterrupt, announce, progress
from tropism.training.checkpoint import last_checkpoint
from tropism.training.config import Recipe, ReferenceRecipe, StageRecipe
from tropism.training.memory import describe, plan_memory
from tropism.training.steps import with_strangers
from tropism.training.trainer import PreferenceTrainer

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
    "seed": 0,
}
"""What a recipe's `train` starts from. The learning rate is the DPO paper's and TRL's for full fine-tuning."""


def run_stage(
    recipe: Recipe,
    stage: StageRecipe,
    start_model: str,
    folder: Path,
    *,
    train: Sequence[PreferenceGroup],
    held_out: Sequence[PreferenceGroup],
    command: str,
    resume: bool,
) -> Stage:
    """Train one stage, or read its record if it is done.

    Args:
        recipe: the whole recipe.
        stage: the stage, with everything filled in.
        start_model: folder or hub id of the model to start from.
        folder: where checkpoints, log, model and record go.
        train, held_out: groups on both sides of the split.
        command: how the run was started, for the message after Ctrl-C.
        resume: go on from the last checkpoint in the folder.

    Raises:
        Interrupted: after Ctrl-C, with a checkpoint kept.
    """
    record = folder / "stage.json"
    if resume and record.exists():
        return Stage.model_validate_json(record.read_text(encoding="utf-8"))
    started = time.perf_counter()
    assert stage.loss is not None
    assert stage.reference is not None
    ready = make_ready(recipe, stage, start_model, folder, train=train, held_out=held_out, resume=resume)
    policy, args = ready.policy, ready.args
    if ready.plan:
        if PartialState().is_main_process:
            write_json(ready.plan, folder / "plan.json")
        announce(f"Memory plan of stage {stage.name}: {describe(ready.plan)}.")
    reference = make_reference(recipe, stage.reference, policy, tokens_per_batch=ready.tokens_per_batch)
    interrupt, bar = StopOnInterrupt(), ProgressBar(f"Training {stage.name}")
    log = folder / "log.jsonl"
    trainer = PreferenceTrainer(
        policy,
        mixture(stage.loss),
        reference,
        args,
        train_groups=ready.groups,
        eval_groups=ready.eval_groups,
        callbacks=[interrupt, JsonlLog(log), bar],
        tokens_per_batch=ready.tokens_per_batch,
    )
    checkpoint = last_checkpoint(folder) if resume else None
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        bar.close()
        interrupt.close()
    if interrupt.interrupted_at is not None:
        raise Interrupted(
            f"Interrupted after step {interrupt.interrupted_at} of stage {stage.name!r}; its checkpoint is kept in "
            f"{folder}.",
            remedy=f"Go on with: {command}{'' if '--resume' in command else ' --resume'}",
        )
    if trainer.is_world_process_zero():
        policy.save(folder / "model")
    done = stage_record(
        stage, trainer, ready, start_model=start_model, folder=folder, seconds=time.perf_counter() - started
    )
    if trainer.is_world_process_zero():
        write_json(done, record)
    trainer.accelerator.wait_for_everyone()
    if interrupt.asked:
        raise KeyboardInterrupt
    return done


class Ready(NamedTuple):
    """What a stage needs before it trains; `plan` is None where weights are sharded, which no plan foresees."""

    policy: TransformerPolicy
    groups: list[RenderedGroup]
    eval_groups: list[RenderedGroup]
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
    """Open the model, render the groups and plan the memory; a resumed stage keeps the plan that it started with."""
    args = training_arguments(stage, folder)
    set_seed(args.seed)
    policy: TransformerPolicy = (
        open_reward_policy(recipe, start_model) if trains_rewards(stage) else open_policy(recipe, start_model)
    )
    groups, account = render(policy, train, what=f"training stage {stage.name!r}")
    wants_eval = str(args.eval_strategy.value) != "no"
    eval_groups = render(policy, held_out, what="evaluation")[0] if wants_eval and held_out else []
    if args.fsdp or args.deepspeed:
        return Ready(policy, groups, eval_groups, account, args, None)
    planned = [*groups, *eval_groups]
    if mixture(stage.loss or {}).needs("baseline"):
        planned = with_strangers(planned, seed=args.seed)
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
            recompute=chosen_recompute(stage),
            optimizer=str(args.optim.value),
            autocast=torch.bfloat16 if args.bf16 else torch.float16 if args.fp16 else None,
        )
    args.activation_checkpointing = args.gradient_checkpointing = plan.gradient_checkpointing
    return Ready(policy, groups, eval_groups, account, args, plan)


def chosen_recompute(stage: StageRecipe) -> bool | None:
    """Whether the recipe asks for gradient checkpointing; None where it leaves that to the plan."""
    names = ("activation_checkpointing", "gradient_checkpointing")  # transformers' new and old name
    return next((bool(stage.train[name]) for name in names if stage.train.get(name) is not None), None)


def stage_record(
    stage: StageRecipe, trainer: PreferenceTrainer, ready: Ready, *, start_model: str, folder: Path, seconds: float
) -> Stage:
    """What is kept of a finished stage; its first loss is the log's where the stage was resumed."""
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
    )


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
        layout=recipe.layout,
    )


def trains_rewards(stage: StageRecipe) -> bool:
    """Whether a stage trains a reward model, and not a model that answers."""
    return "bradley_terry" in (stage.loss or {})


def open_reward_policy(recipe: Recipe, path: str) -> RewardPolicy:
    """The reward model of a recipe, or one with a fresh head over its language model."""
    return load_reward_policy(
        path,
        max_tokens=recipe.data.max_tokens,
        min_response_tokens=recipe.data.min_response_tokens,
        template=recipe.data.template,
        dtype=recipe.dtype,
        layout=recipe.layout,
    )


def make_reference(
    recipe: Recipe,
    settings: ReferenceRecipe,
    policy: TransformerPolicy,
    *,
    tokens_per_batch: int | None,
) -> Reference:
    """The reference that a recipe names.

    Raises:
        ConfigError: for `adapter` without an adapter, or a frozen model with another vocabulary.
    """
    if settings.kind == "none" or not isinstance(policy, TextPolicy):
        return NoReference()
    if settings.kind == "adapter":
        return AdapterReference(policy)
    if settings.kind == "moving":
        return MovingReference(policy, alpha=settings.alpha or MIXUP_ALPHA, every=settings.every or SYNC_STEPS)
    if settings.kind == "cached":
        return CachedReference(policy, tokens_per_batch=tokens_per_batch)
    assert settings.model is not None
    frozen = open_policy(recipe.model_copy(update={"lora": None}), settings.model)
    if frozen.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise ConfigError(
            f"the frozen reference {settings.model} has another vocabulary than the model.",
            remedy="Use a reference with the same tokenizer.",
        )
    return FrozenReference(frozen)


def render(
    policy: TransformerPolicy, groups: Sequence[PreferenceGroup], *, what: str
) -> tuple[list[RenderedGroup], Account]:
    """Render groups with a progress bar; none left is an error."""
    with progress("Rendering groups", len(groups)) as done:
        rendered, account = policy.renderer.render(groups, progress=done)
    require_groups(rendered, account, policy.renderer.rules, what=what)
    return rendered, account
