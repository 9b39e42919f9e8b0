"""The memory plan: how many tokens a micro-batch may have and whether activations are recomputed, as measured.

Two small micro-batches of the run's own data go forward and backward once each way. What they add at their peak grows
in a straight line with their tokens, so two points say what any number of tokens will need.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from tropism.errors import ConfigError, DataError
from tropism.layout.batch import Batch
from tropism.policies.base import Policy
from tropism.policies.model_mode import in_mode
from tropism.records import MemoryPlan
from tropism.text.prepared import Prepared
from tropism.training.loop.machine import peak_memory_mb, resident_mb

SHARE_TO_USE = 0.85
"""Of the memory that is free; the rest is for what no plan sees: fragments, other libraries, other programs."""
SMALLER = 4
"""How much smaller than what is fast a micro-batch may get before activations are recomputed instead."""
NUM_PROBED = 1000
"""Groups that probes are taken from."""
PROBE_TOKENS = 512
"""Tokens of the larger probe, so that planning itself needs less memory than training."""
PROBE_FLOPS = 1e12
"""What the probes may cost: some seconds on two CPU cores."""
OPTIMIZER_STATE = (("8bit", 0.5), ("adafactor", 0.1), ("sgd", 0.0))
"""What an optimizer keeps beside each byte of trained weights, by a part of its name; two for AdamW and its kin."""
MB = 2**20


class MemoryLine(NamedTuple):
    """Bytes that a micro-batch adds at its peak: `fixed` + `per_token` * its computed tokens."""

    fixed: float
    per_token: float

    def at(self, num_tokens: int) -> float:
        """Bytes for so many tokens."""
        return self.fixed + self.per_token * num_tokens


def plan_memory(
    policy: Policy,
    groups: Sequence[Prepared],
    *,
    groups_per_step: int,
    tokens_per_batch: int | None,
    recompute: bool | None,
    optimizer: str = "adamw_torch",
    autocast: torch.dtype | None = None,
) -> MemoryPlan:
    """Choose the tokens of a micro-batch and whether to recompute activations.

    Args:
        policy: on the device that it will train on, its weights as they will be.
        groups: what it trains on.
        groups_per_step: groups of one optimizer step on this process.
        tokens_per_batch: the user's choice; None chooses here.
        recompute: the user's choice of gradient checkpointing; None chooses it when memory is short.
        optimizer: name of transformers' optimizer, for what it keeps.
        autocast: the lower precision that training computes in, if any.

    Raises:
        ConfigError: if not even the largest group fits with recomputed activations.
    """
    device = policy.device
    sizes = sorted(map(policy.num_tokens, groups), reverse=True)
    largest = max(sizes[0], sum(sizes[:groups_per_step]))
    wanted = tokens_per_batch or min(policy.fast_budget(groups), largest)
    trained = sum(one.numel() * one.element_size() for one in policy.model.parameters() if one.requires_grad)
    state = trained * next((size for name, size in OPTIMIZER_STATE if name in optimizer), 2.0)
    held, free = _held_bytes(device), free_bytes(device)
    usable = free * SHARE_TO_USE - state
    line, is_recomputed, fitting = MemoryLine(0, 0), False, 0
    choices = (False, True) if policy.can_recompute else (False,)
    for is_recomputed in choices if recompute is None else (recompute,):
        line = measure(policy, groups, recompute=is_recomputed, autocast=autocast)
        fitting = max(0, int((usable - line.fixed) // max(line.per_token, 1.0)))
        if fitting >= max(wanted / SMALLER, sizes[0]):
            break
    chosen = tokens_per_batch or min(wanted, fitting)
    if tokens_per_batch is None:
        _require_fit(policy, groups, chosen, needed=lambda size: (line.at(size) + state) / SHARE_TO_USE, free=free)
    weights = sum(one.numel() * one.element_size() for one in policy.model.parameters())
    return MemoryPlan(
        tokens_per_batch=chosen,
        gradient_checkpointing=is_recomputed,
        largest_group_tokens=sizes[0],
        weights_mb=weights / MB,
        optimizer_mb=state / MB,
        fixed_mb=line.fixed / MB,
        kb_per_token=line.per_token / 1024,
        peak_mb=max(_reached_mb(device), (held + state + line.at(min(chosen, largest))) / MB),
        free_mb=free / MB,
        device=device.type,
    )


def _require_fit(
    policy: Policy,
    groups: Sequence[Prepared],
    tokens_per_batch: int,
    *,
    needed: Callable[[int], float],
    free: float,
) -> None:
    """Refuse to start if some group does not fit into a micro-batch that memory holds, even cut into parts."""
    for group in groups:
        size = policy.num_tokens(group)
        if size <= tokens_per_batch:
            continue
        try:
            policy.collate([group], tokens_per_batch=tokens_per_batch)
        except DataError:
            raise ConfigError(
                f"group {group.group.id} has {size:,} tokens and would need about {needed(size) / MB:,.0f} MB beside "
                f"the model's weights; {free / MB:,.0f} MB are free.",
                remedy="Lower data.max_tokens, train an adapter (lora), or set tokens_per_batch to try all the same.",
            ) from None


def describe(plan: MemoryPlan) -> str:
    """A plan in one line."""
    activations = "recomputed" if plan.gradient_checkpointing else "kept"
    return (
        f"micro-batches of up to {plan.tokens_per_batch:,} tokens, activations {activations}; about "
        f"{plan.peak_mb:,.0f} MB at the peak (weights {plan.weights_mb:,.0f}, optimizer {plan.optimizer_mb:,.0f}, "
        f"{plan.kb_per_token:,.0f} KB a token), {plan.free_mb:,.0f} MB free"
    )


def measure(policy: Policy, groups: Sequence[Prepared], *, recompute: bool, autocast: torch.dtype | None) -> MemoryLine:
    """Forward and backward on two small micro-batches; weights and random state stay as they were.

    Gradients are there before, as they are from a step's second micro-batch on. Otherwise the peak of a small probe
    would be its gradients, and say nothing of activations.
    """
    model = policy.model
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    budget = int(min(PROBE_TOKENS, max(64, PROBE_FLOPS / (8 * num_parameters))))
    small = _some_batch(policy, groups, budget // 2)
    large = _some_batch(policy, groups, max(budget, small.num_computed_tokens + 1))
    devices = [policy.device] if policy.device.type == "cuda" else []
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with in_mode(model, training=True), torch.random.fork_rng(devices=devices), _recomputing(policy, recompute):
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        _peak_bytes(policy, small, autocast)  # the first run makes what stays: kernels, workspaces
        first, second = (_peak_bytes(policy, batch, autocast) for batch in (small, large))
        model.zero_grad(set_to_none=True)
    gradients = float(sum(parameter.numel() * parameter.element_size() for parameter in trained))
    num_small, num_large = small.num_computed_tokens, large.num_computed_tokens
    if num_large <= num_small:
        return MemoryLine(gradients, second / num_large)
    per_token = max(0.0, (second - first) / (num_large - num_small))
    return MemoryLine(gradients + max(0.0, second - per_token * num_large), per_token)


def _some_batch(policy: Policy, groups: Sequence[Prepared], num_tokens: int) -> Batch:
    """Groups that have about so many tokens together, none larger than that if there is a smaller one."""
    sizes = [policy.num_tokens(group) for group in groups[:NUM_PROBED]]
    smallest = min(range(len(sizes)), key=sizes.__getitem__)
    order = [smallest, *(i for i, size in enumerate(sizes) if size <= num_tokens and i != smallest)]
    taken, total = [], 0
    for index in order:
        if total >= num_tokens:
            break
        taken.append(groups[index])
        total += sizes[index]
    (batch,) = policy.collate(taken, tokens_per_batch=sys.maxsize)
    return batch.to(policy.device)


@contextlib.contextmanager
def _recomputing(policy: Policy, recompute: bool) -> Iterator[None]:
    """Recompute activations in the backward pass, or not, for the time of a block."""
    if not recompute:
        yield
        return
    policy.recompute(True)
    try:
        yield
    finally:
        policy.recompute(False)
        policy.release()


def _peak_bytes(policy: Policy, batch: Batch, autocast: torch.dtype | None = None) -> float:
    """What one forward and backward pass adds to memory at its peak, beside gradients that are there already."""

    def run() -> None:
        with torch.autocast(policy.device.type, autocast, enabled=autocast is not None):
            scores = policy.score(policy.model, batch)
            total = scores.policy.sum() if scores.samples is None else scores.samples.generated.sum()
        total.backward()

    if policy.device.type == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return float(torch.cuda.max_memory_allocated() - before)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it would print a line for every start and stop
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda one: one.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return float(peak)


def _reached_mb(device: torch.device) -> float:
    """The peak that this process has reached already (planning itself, say); a GPU's allocator starts anew."""
    return 0.0 if device.type == "cuda" else peak_memory_mb()


def _held_bytes(device: torch.device) -> float:
    """What is in use before training: of the GPU's allocator, or of this process."""
    return float(torch.cuda.memory_allocated(device)) if device.type == "cuda" else resident_mb() * MB


def free_bytes(device: torch.device) -> float:
    """Memory that can still be had: of the GPU, or of this machine or container."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return float(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():  # macOS: half of what there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2
    fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
    available = 1024.0 * int(fields["MemAvailable"].split()[0])
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.exists() and used.exists() and limit.read_text().strip().isdigit():
        available = min(available, float(limit.read_text()) - float(used.read_text()))
    return available
