"""Reference scores: computed once, kept on disk under what they depend on, and checked against the policy's start.

A score depends on the tokens of prompt and response and on the reference's weights; on nothing else. So that is its
key, and another beta, loss, learning rate, seed, order, output folder or added rows find it again.
"""

from __future__ import annotations

import itertools
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from peft import PeftModel
from torch import Tensor, nn

from tropism.errors import ConfigError, ReferenceMismatchError
from tropism.layout.batch import Batch
from tropism.policies.base import Policy, response_sums
from tropism.references.score_cache import default_folder, open_cache, read_rows, write_rows
from tropism.text.prepared import Prepared

STEP_ZERO_BOUND_NATS = {torch.float32: 1e-3, torch.float64: 1e-3, torch.bfloat16: 0.5, torch.float16: 0.1}
"""How far a reference that is the start state may be from the policy at step 0, per response."""


GROUPS_AT_ONCE = 1024
"""Groups that are looked up and scored together: enough to pack well, few enough for any memory."""


class Reference(ABC):
    """Where the log-probabilities under the reference come from.

    Attributes:
        tokens_scored: how many tokens the reference model computed for this run; 0 where all was known.
    """

    kind: str
    tokens_scored = 0
    keep_tokens = False
    """Whether a loss needs the log-probabilities of single tokens; set before `prepare`."""
    is_start = True
    """Whether it claims to be the policy's start state, which the trainer then checks at step 0."""

    def prepare(self, groups: Iterable[Prepared], *, progress: Callable[[int], None] | None = None) -> None:
        """Make sure that the scores of these groups are at hand; nothing to do where they are made in every step."""
        if progress:
            progress(sum(1 for _ in groups))

    @abstractmethod
    def attach(self, batch: Batch, model: nn.Module) -> Batch:
        """A batch (on the model's device) with its reference scores."""

    def after_step(self, step: int) -> None:  # noqa: B027  (most references stay where they are)
        """Called after every optimizer step, with its number."""

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must keep of it; nothing where it can be made again."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:  # noqa: B027
        """Go on from what a checkpoint kept."""


class NoReference(Reference):
    """For losses without a reference."""

    kind = "none"

    def attach(self, batch: Batch, model: nn.Module) -> Batch:
        """The batch as it is."""
        return batch


class AdapterReference(Reference):
    """The policy's own model with its adapter switched off, computed in every step."""

    kind = "adapter"

    def __init__(self, policy: Policy) -> None:
        if not isinstance(policy.model, PeftModel):
            raise ConfigError(
                "reference 'adapter' switches a LoRA adapter off, but the model has none.",
                remedy="Set `lora: {r: 16}`, or use reference: cached.",
            )
        self.policy = policy
        self._adapted = policy.model

    @torch.no_grad()
    def attach(self, batch: Batch, model: nn.Module) -> Batch:
        """Score the batch with the adapter off; adapter dropout, if any, is off with it."""
        self.tokens_scored += batch.num_computed_tokens
        with self._adapted.disable_adapter():
            logp = self.policy.token_logp(model, batch)
        return batch.with_reference(response_sums(logp, batch), logp if self.keep_tokens else None)


class FrozenReference(Reference):
    """A second model that is never trained, computed in every step.

    Args:
        policy: the second model with the policy's own tokenizer and layout.
    """

    kind = "frozen"
    is_start = False

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        policy.model.eval().requires_grad_(False)

    @torch.no_grad()
    def attach(self, batch: Batch, model: nn.Module) -> Batch:
        """Score the batch with the second model."""
        self.policy.model.to(batch.input_ids.device)
        self.tokens_scored += batch.num_computed_tokens
        logp = self.policy.token_logp(self.policy.model, batch)
        return batch.with_reference(response_sums(logp, batch), logp if self.keep_tokens else None)


class CachedReference(Reference):
    """The policy as it is when this is made, scored once and kept on disk.

    Args:
        policy: the policy in its start state.
        folder: where caches are kept; `default_folder()` if None.
        tokens_per_batch: most tokens that are scored at a time; None takes the policy's `fast_budget`.
        keep: False keeps the scores in memory alone, for texts that will not come again.
    """

    kind = "cached"

    def __init__(
        self,
        policy: Policy,
        *,
        folder: Path | None = None,
        tokens_per_batch: int | None = None,
        keep: bool = True,
    ) -> None:
        self.policy = policy
        self.tokens_per_batch = tokens_per_batch
        self.path: Path | None = None
        self._stem = (folder or default_folder()) / policy.fingerprint() if keep else None
        self.known: dict[bytes, float] = {}
        self._tokens: dict[bytes, Float[Tensor, " tokens"]] = {}
        self._is_gone = False

    def prepare(self, groups: Iterable[Prepared], *, progress: Callable[[int], None] | None = None) -> None:
        """Read what the disk knows and score the rest; every scored batch is on disk before the next one starts.

        Groups may come from anywhere, a stream too: so many as fit into `GROUPS_AT_ONCE` are held at a time.
        """
        stream = iter(groups)
        if self._stem:  # scores in a lower precision are other numbers
            device = next(self.policy.model.parameters()).device.type
            is_lower = torch.is_autocast_enabled(device)
            lower = f"-{torch.get_autocast_dtype(device)}".replace("torch.", "") if is_lower else ""
            self.path = self._stem.with_name(f"{self._stem.name}{lower}.sqlite")
        with open_cache(self.path, model=self.policy.name) as cache:
            while window := list(itertools.islice(stream, GROUPS_AT_ONCE)):
                missing = self._look_up(window, cache)
                done = len(window) - len(missing)
                if progress:
                    progress(done)
                budget = self.tokens_per_batch or self.policy.fast_budget(missing)
                for batch in self.policy.collate(missing, tokens_per_batch=budget):
                    self._score(batch, cache)
                    more = min(len(batch.group_ids), len(window) - done)  # a group may be cut into several batches
                    done += more
                    if progress:
                        progress(more)

    def _look_up(self, groups: Sequence[Prepared], cache: sqlite3.Connection) -> list[Prepared]:
        """Take from the cache what it knows, and return the responses that are left."""
        lengths = {
            key: group.num_scored(index)
            for group in groups
            for index, response in enumerate(group.responses)
            if self._is_missing(key := group.response_key(response))
        }
        self._learn(read_rows(cache, lengths))
        missing = []
        for group in groups:
            wanted = [self._is_missing(group.response_key(response)) for response in group.responses]
            if any(wanted):
                missing.append(group.keep(wanted).without_feedback())
        return missing

    def _is_missing(self, key: bytes) -> bool:
        return key not in self.known or (self.keep_tokens and key not in self._tokens)

    def after_step(self, step: int) -> None:
        """From the first step on the policy is no longer its start state, so nothing more can be scored by it."""
        self._is_gone = self.is_start

    @torch.no_grad()
    def _score(self, batch: Batch, cache: sqlite3.Connection) -> None:
        if self._is_gone:
            raise ConfigError(
                f"group {batch.group_ids[0]} has no reference score, and the reference (the policy's start state) is "
                "gone: training has changed it.",
                remedy="Give these rows as an evaluation set from the beginning, or a reference model of their own.",
            )
        model = self.policy.model
        was_training = model.training
        model.eval()
        batch = batch.to(next(model.parameters()).device)
        by_response = self.policy.token_logp(model, batch).float().cpu().split(batch.length.tolist())
        model.train(was_training)
        self.tokens_scored += batch.num_computed_tokens
        rows = dict(zip(batch.keys, by_response, strict=True))
        write_rows(cache, rows)
        self._learn(rows)

    def _learn(self, rows: Mapping[bytes, Float[Tensor, " tokens"]]) -> None:
        self.known.update({key: sum_nats(row) for key, row in rows.items()})
        if self.keep_tokens:
            self._tokens.update(rows)

    def attach(self, batch: Batch, model: nn.Module) -> Batch:
        """Look the batch up."""
        reference: Float[Tensor, " responses"] = torch.tensor(
            [self.known[key] for key in batch.keys], dtype=torch.float64
        )
        device = batch.input_ids.device
        if device.type == "mps":
            reference = reference.float()
        tokens = torch.cat([self._tokens[key] for key in batch.keys]).to(device) if self.keep_tokens else None
        return batch.with_reference(reference.to(device), tokens)


def sum_nats(token_logp: Float[Tensor, " tokens"]) -> float:
    """The float64 sum of a response's token log-probabilities: the same bits whether scored now or read back."""
    return float(token_logp.double().sum())


@torch.no_grad()
def assert_is_start(policy: Policy, model: nn.Module, batch: Batch) -> float:
    """Check at step 0 that the reference is the policy's start state, in the mode that training runs in.

    Only an adapter's own dropout is switched off for it; any other chance in a score would be found here.

    Args:
        batch: on the model's device, with its reference.

    Returns:
        The largest |log-ratio| of a response, nats.

    Raises:
        ReferenceMismatchError: where it is beyond `STEP_ZERO_BOUND_NATS` for the model's dtype.
    """
    was_training = model.training
    has_adapter_dropout = any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())
    model.train(was_training and not has_adapter_dropout)
    scores = policy.score(model, batch)
    model.train(was_training)
    assert scores.reference is not None
    dtype = next(policy.model.parameters()).dtype
    worst = float((scores.policy - scores.reference).abs().max()) if len(scores.policy) else 0.0
    bound = STEP_ZERO_BOUND_NATS[torch.bfloat16 if torch.is_autocast_enabled(batch.input_ids.device.type) else dtype]
    if not worst <= bound:
        raise ReferenceMismatchError(
            f"the reference should be the policy's start state, but a log-ratio at step 0 is {worst:.4g} nats "
            f"(at most {bound} in {dtype}).",
            remedy="With an SFT adapter use reference: cached (adapter switches the SFT off too).",
        )
    return worst
