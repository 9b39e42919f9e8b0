"""Reference scores that are computed once, and kept on disk under what they depend on.

A score depends on the tokens of prompt and response and on the reference's weights, and on nothing else. These make its
key, so another beta, loss, learning rate, seed, order, output folder or added rows find it again.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tropism.errors import ConfigError
from tropism.layout.batch import Batch
from tropism.policies.base import Policy
from tropism.policies.model_mode import in_mode
from tropism.references.reference import Reference, ReferenceRequest
from tropism.references.score_cache import default_folder, open_cache, read_rows, write_rows
from tropism.text.prepared import Prepared

GROUPS_AT_ONCE = 1024
"""Maximum number of groups that are looked up and scored together."""


class CachedReference(Reference):
    """The policy as it is when this is made, scored once and kept on disk.

    Args:
        policy: the policy in its start state.
        folder: where caches are kept; `default_folder()` if None.
        tokens_per_batch: maximum number of tokens that are scored at a time; None takes the policy's `fast_budget`.
        keep: False keeps the scores in memory only, for texts that are scored once.
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

    @classmethod
    def make(cls, request: ReferenceRequest, settings: Any) -> Reference:
        """The reference `cached` of a recipe."""
        return cls(request.policy, tokens_per_batch=request.tokens_per_batch)

    def prepare(self, groups: Iterable[Prepared], *, progress: Callable[[int], None] | None = None) -> None:
        """Read known scores from disk and compute the others; every scored batch is on disk before the next one starts.

        Groups may be a stream: at most `GROUPS_AT_ONCE` of them are in memory at a time.
        """
        stream = iter(groups)
        if self._stem:  # scores in a lower precision are other numbers
            device = self.policy.device.type
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
        """Read known scores from the cache, and return groups of the responses that it lacks."""
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
        batch = batch.to(self.policy.device)
        with in_mode(model):
            by_response = self.policy.token_logp(model, batch).float().cpu().split(batch.length.tolist())
        self.tokens_scored += batch.num_computed_tokens
        rows = dict(zip(batch.keys, by_response, strict=True))
        write_rows(cache, rows)
        self._learn(rows)

    def _learn(self, rows: Mapping[bytes, Float[Tensor, " tokens"]]) -> None:
        self.known.update({key: _sum_nats(row) for key, row in rows.items()})
        if self.keep_tokens:
            self._tokens.update(rows)

    def attach(self, batch: Batch, model: nn.Module) -> Batch:
        """The batch with its scores from the cache."""
        reference: Float[Tensor, " responses"] = torch.tensor(
            [self.known[key] for key in batch.keys], dtype=torch.float64
        )
        device = batch.input_ids.device
        if device.type == "mps":
            reference = reference.float()
        tokens = torch.cat([self._tokens[key] for key in batch.keys]).to(device) if self.keep_tokens else None
        return batch.with_reference(reference.to(device), tokens)


def _sum_nats(token_logp: Float[Tensor, " tokens"]) -> float:
    """The float64 sum of a response's token log-probabilities: the same bits whether scored now or read back."""
    return float(token_logp.double().sum())
