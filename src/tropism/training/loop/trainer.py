"""The trainer: a step's groups, cut into micro-batches, followed down the gradient of a mixture of losses.

The gradient does not depend on how a step is cut into micro-batches, on accumulation, or on the number of processes:
weights are summed over the whole step first, and each term is divided by that global weight.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from tropism.errors import ConfigError, DataError
from tropism.layout.batch import Batch, feedback_of, lengths_of
from tropism.losses import Mixture
from tropism.policies.base import Policy
from tropism.references.reference import NoReference, Reference, assert_is_start
from tropism.scores import Statistic, StepScores, Terms
from tropism.text.prepared import Prepared
from tropism.training.loop.callbacks import FollowReference, progress
from tropism.training.loop.checkpoint import read_extras, whole_or_gone, write_extras
from tropism.training.loop.monitors import Monitors, all_reduce
from tropism.training.loop.precision import lowered
from tropism.training.loop.steps import (
    NEEDED_DATA,
    StepLoader,
    StepSampler,
    gather_step,
    require_honoured,
    with_mismatched,
)

MOMENTUM = 0.9
"""Of the decaying means that a loss follows from step to step; beta-DPO's, arXiv:2407.08639, section 4.2."""


class PreferenceTrainer(Trainer):
    """Trains a policy on groups.

    One item of the data loader is one optimizer step's groups on this process: `per_device_train_batch_size` times
    `gradient_accumulation_steps` of them. `tokens_per_batch` alone decides how they are cut into micro-batches.

    Args:
        policy: what is trained.
        mixture: the losses.
        reference: source of the log-probabilities under the reference.
        args: any of transformers' training arguments.
        train_groups: prepared groups to train on.
        eval_groups: prepared groups for `evaluate`, may be empty.
        callbacks: more callbacks of transformers.
        tokens_per_batch: most tokens of a micro-batch; it decides memory and speed, not the gradient. None takes the
            policy's `fast_budget`.
        optimizers: an optimizer and a schedule of the user's own, see transformers.
        processing_class: what is saved beside the model in checkpoints, a tokenizer.

    Raises:
        DataError: if the losses need pairs and the groups hold none.
        ReferenceMismatchError: if the reference is not the policy's start state, at step 0.
    """

    def __init__(
        self,
        policy: Policy,
        mixture: Mixture,
        reference: Reference,
        args: TrainingArguments,
        *,
        train_groups: Sequence[Prepared],
        eval_groups: Sequence[Prepared] = (),
        callbacks: Sequence[TrainerCallback] = (),
        tokens_per_batch: int | None = None,
        optimizers: tuple[Optimizer | None, LRScheduler | None] = (None, None),
        processing_class: Any = None,
    ) -> None:
        self.policy = policy
        self.mixture = mixture
        self.reference = reference if mixture.needs("reference") else NoReference()
        self.reference.keep_tokens = mixture.needs("tokens")
        self.running: dict[str, float] = {}
        self.statistics: tuple[Statistic, ...] | None = mixture.statistics if mixture.needs("tokens") else None
        self.monitors = Monitors()
        self.tokens_computed = 0
        self.tokens_distinct = 0
        self.step_zero_gap: float | None = None
        self.first_loss: float | None = None
        self.last_loss: float | None = None
        if args.per_device_train_batch_size < 1 or args.gradient_accumulation_steps < 1:
            raise ConfigError(
                f"a step needs at least one group, not {args.per_device_train_batch_size} x "
                f"{args.gradient_accumulation_steps}.",
                remedy="Set train.per_device_train_batch_size and gradient_accumulation_steps to 1 or more.",
            )
        self._groups_per_step = args.per_device_train_batch_size * args.gradient_accumulation_steps
        args = copy.copy(args)
        args.gradient_accumulation_steps = 1
        args._n_gpu = min(args.n_gpu, 1)  # several GPUs want a process each: nn.DataParallel would cut a batch apart
        self.eval_groups = list(eval_groups)
        super().__init__(
            model=policy.model,
            args=args,
            train_dataset=list(train_groups),
            eval_dataset=self.eval_groups or None,
            callbacks=list(callbacks),
            optimizers=optimizers,
            processing_class=processing_class,
        )
        self.remove_callback(PrinterCallback)
        self.add_callback(FollowReference(self.reference))
        self.train_dataset = self._only_what_is_read(train_groups)
        require_honoured(mixture, [*self.train_dataset, *self.eval_groups])
        if mixture.needs("baseline"):
            self.train_dataset = with_mismatched(self.train_dataset, seed=args.seed)
            self.eval_groups = with_mismatched(self.eval_groups, seed=args.seed)
        if mixture.needs("group"):
            self.train_dataset = [group.kept_whole() for group in self.train_dataset]
            self.eval_groups = [group.kept_whole() for group in self.eval_groups]
        everything = [*self.train_dataset, *self.eval_groups]
        self._tokens_per_batch = tokens_per_batch or policy.fast_budget(everything)
        for group in everything:
            if policy.num_tokens(group) > self._tokens_per_batch:
                policy.collate([group], tokens_per_batch=self._tokens_per_batch)  # raises if no batch holds it

    def _only_what_is_read(self, groups: Sequence[Prepared]) -> list[Prepared]:
        """The groups without the responses that no term of these losses reads."""
        kept = []
        for group in groups:
            wanted = self.mixture.responses_read(lengths_of([group]), feedback_of([group])).tolist()
            if any(wanted):
                kept.append(group.keep(wanted))
        if not kept:
            need = next((what for key, what in NEEDED_DATA.items() if self.mixture.needs(key)), "responses")
            raise DataError(
                f"none of the {len(groups)} groups holds {need} for {', '.join(p.name for p in self.mixture.parts)}.",
                remedy="Check the data's edges and their weights, or choose another loss.",
            )
        return kept

    def get_train_dataloader(self) -> DataLoader:
        """Steps of groups; every process sees its share of every step."""
        assert isinstance(self.train_dataset, list)
        steps = StepSampler(
            len(self.train_dataset),
            groups_per_step=self._groups_per_step,
            rank=self.args.process_index,
            world=self.args.world_size,
            seed=self.args.data_seed if self.args.data_seed is not None else self.args.seed,
        )
        groups: Any = self.train_dataset
        return StepLoader(groups, batch_sampler=steps, collate_fn=self._collate, generator=torch.Generator())

    def _collate(self, groups: list[Prepared]) -> list[Batch]:
        return list(self.policy.collate(groups, tokens_per_batch=self._tokens_per_batch))

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Prepare the reference and train; see transformers."""
        self._prepare_reference([*self.train_dataset, *self.eval_groups])
        start = kwargs.get("resume_from_checkpoint") or (args[0] if args else None)
        start = get_last_checkpoint(self.args.output_dir) if start is True else start
        if start:
            self.running = read_extras(Path(start), self.reference)
        try:
            return super().train(*args, **kwargs)
        finally:
            self.policy.release()

    def _prepare_reference(self, groups: list[Prepared]) -> None:
        """Every process scores its share; then every process reads what the others wrote."""
        mine = groups[self.args.process_index :: self.args.world_size]
        with self._precision(), progress("Scoring the reference", len(mine)) as done:
            self.reference.prepare(mine, progress=done)
        if self.args.world_size > 1:
            self.accelerator.wait_for_everyone()
            with self._precision():
                self.reference.prepare(groups)

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        """The lower precision, for policy and reference alike: accelerate's is around the wrapped forward alone."""
        is_sharded = self.args.fsdp or self.args.deepspeed
        return self.compute_loss_context_manager() if is_sharded else lowered(self.args)

    def training_step(
        self, model: nn.Module, inputs: list[Batch], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """One optimizer step's forward and backward passes."""
        model.train()
        weights, num_rounds = self._agree_on(inputs)
        batches = inputs + [self._empty_batch()] * (num_rounds - len(inputs))
        steps = self._look_at_the_step(model, inputs) if self.mixture.needs("step") else []
        steps += [steps[0] if steps else None] * (num_rounds - len(steps))
        step_loss = torch.zeros((), device=self.args.device)
        for index, batch in enumerate(batches):
            is_last = index == num_rounds - 1
            with contextlib.nullcontext() if is_last else self.accelerator.no_sync(model):
                loss = self._micro_batch_loss(model, batch.to(self.args.device), weights, steps[index])
                self.accelerator.backward(loss * self.args.world_size)
            step_loss += loss.detach() * self.args.world_size
            self.tokens_distinct += batch.num_distinct_tokens
        if not math.isfinite(step_loss.item()):
            ids = [name for batch in inputs for name in batch.group_ids][:5]
            raise DataError(
                f"the loss of step {self.state.global_step + 1} is {step_loss.item()}, on groups {', '.join(ids)}.",
                remedy="Lower train.learning_rate, or look at these groups.",
            )
        self.last_loss = step_loss.item() / self.args.world_size
        if self.args.world_size > 1:
            self.last_loss = float(all_reduce(torch.tensor([self.last_loss], dtype=torch.float64)))
        self.first_loss = self.last_loss if self.first_loss is None else self.first_loss
        return step_loss

    @torch.no_grad()
    def _look_at_the_step(self, model: nn.Module, batches: Sequence[Batch]) -> list[StepScores | None]:
        """Score a whole step without gradient, for the losses that need it; one view of it for each micro-batch."""
        found = []
        if not (self.args.fsdp or self.args.deepspeed):
            model = self.accelerator.unwrap_model(model)  # a wrapper may wait for processes that have nothing to score
        for batch in batches:
            batch = batch.to(self.args.device)
            with self._precision():
                found.append((self.policy.score(model, self.reference.attach(batch, model)), batch.feedback))
        scores, feedback, before = gather_step(found)
        for name, value in self.mixture.tracked(scores, feedback).items():
            self.running[name] = MOMENTUM * self.running.get(name, value) + (1 - MOMENTUM) * value
        firsts = [before, *itertools.accumulate((len(one.winner) for _, one in found), initial=before)][1:]
        return [StepScores(scores, feedback, dict(self.running), first) for first in firsts[: len(found)]] or [
            StepScores(scores, feedback, dict(self.running), 0)
        ]

    def _micro_batch_loss(
        self, model: nn.Module, batch: Batch, weights: dict[str, float], step: StepScores | None
    ) -> Tensor:
        """This micro-batch's share of the step's loss, with gradient."""
        with self._precision():
            batch = self.reference.attach(batch, model)
            is_checked = self.step_zero_gap is None and self.state.global_step == 0 and self.reference.is_start
            if is_checked and batch.reference is not None:
                self.step_zero_gap = assert_is_start(self.policy, model, batch)
            scores = self.policy.score(model, batch, statistics=self.statistics)
        self.tokens_computed += batch.num_computed_tokens
        if batch.num_distinct_tokens:
            self.monitors.add(
                scores,
                batch.feedback,
                num_tokens=batch.num_computed_tokens,
                num_sequence_tokens=batch.num_sequence_tokens,
            )
        return self._share(self.mixture.terms(scores, batch.feedback, step), weights)

    def _share(self, terms: dict[str, Terms], weights: dict[str, float]) -> Tensor:
        shares = [
            part.weight * terms[part.name].weighted_sum() / weights[part.name]
            for part in self.mixture.parts
            if weights[part.name] > 0
        ]
        nothing = sum(term.value.sum() * 0 for term in terms.values())
        return torch.stack(shares).sum() if shares else torch.as_tensor(nothing)

    def _agree_on(self, batches: Sequence[Batch]) -> tuple[dict[str, float], int]:
        """Global weight of every loss in this step, and how many micro-batches each process must run."""
        local = [self.mixture.terms_at_zero(batch.length, batch.feedback) for batch in batches]
        names = [part.name for part in self.mixture.parts]
        totals = torch.tensor(
            [sum(float(terms[name].weight.double().sum()) for terms in local) for name in names], dtype=torch.float64
        )
        num_rounds = len(batches)
        if self.args.world_size > 1:
            counts = torch.zeros(self.args.world_size, dtype=torch.float64)
            counts[self.args.process_index] = num_rounds
            totals, num_rounds = all_reduce(totals), int(all_reduce(counts).max())
        return dict(zip(names, totals.tolist(), strict=True)), num_rounds

    def _empty_batch(self) -> Batch:
        """A batch that weighs nothing, for a process that has run out of groups in this step."""
        assert isinstance(self.train_dataset, list)
        batches = self.policy.collate([self.train_dataset[0]], tokens_per_batch=self._tokens_per_batch)
        return batches[0].without_weight()

    @torch.no_grad()
    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Loss and monitors on the held-out groups."""
        if self.state.global_step == 0:
            self._prepare_reference(self.eval_groups)
        model, monitors = self.model, copy.deepcopy(self.monitors)
        monitors.drain()
        model.eval()
        mine = self.eval_groups[self.args.process_index :: self.args.world_size]
        names = [part.name for part in self.mixture.parts]
        totals = torch.zeros(len(names), 2, dtype=torch.float64)
        found = []
        for batch in self.policy.collate(mine, tokens_per_batch=self._tokens_per_batch):
            batch = batch.to(self.args.device)
            with self._precision():
                batch = self.reference.attach(batch, model)
                found.append((self.policy.score(model, batch, statistics=self.statistics), batch.feedback))
            monitors.add(*found[-1], num_tokens=batch.num_computed_tokens)
        before, step = 0, None
        if self.mixture.needs("step"):
            scores, feedback, before = gather_step(found)
            running = self.mixture.tracked(scores, feedback) | self.running
            step = StepScores(scores, feedback, running, before)
        for scores, feedback in found:
            step = step and step._replace(edges_before=before)
            for row, terms in enumerate(self.mixture.terms(scores, feedback, step).values()):
                totals[row] += torch.stack([terms.weighted_sum(), terms.weight.sum()]).double().cpu()
            before += len(feedback.winner)
        if self.args.world_size > 1:
            totals = all_reduce(totals)
        means = {name: float(value / weight) for name, (value, weight) in zip(names, totals, strict=True) if weight > 0}
        loss = sum(part.weight * means.get(part.name, 0.0) for part in self.mixture.parts)
        metrics = {f"{metric_key_prefix}_{key}": value for key, value in {"loss": loss, **monitors.drain()}.items()}
        model.train()
        self.log(metrics)
        self.control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log a step with its monitors."""
        if "loss" in logs:
            logs |= self.monitors.drain()
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: a step is a list of batches."""
        return 0

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        with whole_or_gone(folder):
            if self.is_world_process_zero():  # before the trainer's state, whose presence says that all is there
                write_extras(folder, self.running, self.reference)
            super()._save_checkpoint(model, trial)
