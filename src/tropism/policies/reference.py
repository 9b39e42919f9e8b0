"""Reference scores: computed once, kept on disk under what they depend on, and checked against the policy's start.

A score depends on the tokens of prompt and response and on the reference's weights; on nothing else. So that is its
key, and another beta, loss, learning rate, seed, order, output folder or added rows find it again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tropism.errors import ConfigError, OutputError, ReferenceMismatchError
from tropism.layout.padded import PaddedBatch
from tropism.layout.rendered import RenderedGroup
from tropism.policies.base import Policy, response_sums
from tropism.policies.text import TextPolicy

STEP_ZERO_BOUND_NATS = {torch.float32: 1e-3, torch.float64: 1e-3, torch.bfloat16: 0.5, torch.float16: 0.1}
"""How far a reference that is the start state may be from the policy at step 0, per response."""


class Reference(ABC):
    """Where the log-probabilities under the reference come from.

    Attributes:
        tokens_scored: how many tokens the reference model computed for this run; 0 where all was known.
    """

    kind: str
    tokens_scored = 0

    def prepare(self, groups: Sequence[RenderedGroup], *, progress: Callable[[int], None] | None = None) -> None:
        """Make sure that the scores of these groups are at hand; nothing to do where they are made in every step."""
        if progress:
            progress(len(groups))

    @abstractmethod
    def attach(self, batch: PaddedBatch, model: nn.Module) -> PaddedBatch:
        """A batch (on the model's device) with its reference scores."""


class NoReference(Reference):
    """For losses without a reference."""

    kind = "none"

    def attach(self, batch: PaddedBatch, model: nn.Module) -> PaddedBatch:
        """The batch as it is."""
        return batch


class AdapterReference(Reference):
    """The policy's own model with its adapter switched off, computed in every step."""

    kind = "adapter"

    def __init__(self, policy: TextPolicy) -> None:
        if not policy.is_adapter:
            raise ConfigError(
                "reference 'adapter' switches a LoRA adapter off, but the model has none.",
                remedy="Set `lora: {r: 16}`, or use reference: cached.",
            )
        self.policy = policy

    @torch.no_grad()
    def attach(self, batch: PaddedBatch, model: nn.Module) -> PaddedBatch:
        """Score the batch with the adapter off; adapter dropout, if any, is off with it."""
        self.tokens_scored += batch.num_computed_tokens
        with self.policy.model.disable_adapter():
            return batch.with_reference(response_sums(self.policy.token_logp(model, batch), batch))


class CachedReference(Reference):
    """The policy as it is when this is made, scored once and kept on disk.

    Args:
        policy: the policy in its start state.
        folder: where caches are kept; `default_folder()` if None.
        groups_per_batch: how many groups are scored at a time.
        precision: name of the autocast dtype that scores are computed under, if any; part of the key.
        keep: False keeps the scores in memory alone, for texts that will not come again.
    """

    kind = "cached"

    def __init__(
        self,
        policy: Policy,
        *,
        folder: Path | None = None,
        groups_per_batch: int = 8,
        precision: str = "",
        keep: bool = True,
    ) -> None:
        self.policy = policy
        self.groups_per_batch = groups_per_batch
        self.path: Path | None = None
        if keep:
            self.path = (folder or default_folder()) / f"{policy.fingerprint()}{precision and '-' + precision}.sqlite"
        self.known: dict[bytes, float] = {}

    def prepare(self, groups: Sequence[RenderedGroup], *, progress: Callable[[int], None] | None = None) -> None:
        """Read what the disk knows and score the rest; every scored batch is on disk before the next one starts."""
        keys = {key for group in groups for key in map(group.response_key, group.responses)} - self.known.keys()
        with open_cache(self.path) as cache:
            self.known.update(read_cache(cache, keys))
            missing = []
            for group in groups:
                wanted = [group.response_key(response) not in self.known for response in group.responses]
                if any(wanted):
                    missing.append(group.keep(wanted))
                elif progress:
                    progress(1)
            for part in self.policy.collate(missing, groups_per_batch=self.groups_per_batch):
                self._score(part, cache)
                if progress:
                    progress(len(part.group_ids))

    @torch.no_grad()
    def _score(self, batch: PaddedBatch, cache: sqlite3.Connection) -> None:
        model = self.policy.model
        was_training = model.training
        model.eval()
        batch = batch.to(next(model.parameters()).device)
        by_response = self.policy.token_logp(model, batch).float().cpu().split(batch.length.tolist())
        model.train(was_training)
        self.tokens_scored += batch.num_computed_tokens
        with cache:
            cache.executemany(
                "INSERT OR IGNORE INTO logp VALUES (?, ?)",
                [(key, array("f", row.tolist()).tobytes()) for key, row in zip(batch.keys, by_response, strict=True)],
            )
        self.known.update({key: sum_nats(row) for key, row in zip(batch.keys, by_response, strict=True)})

    def attach(self, batch: PaddedBatch, model: nn.Module) -> PaddedBatch:
        """Look the batch up."""
        reference: Float[Tensor, " responses"] = torch.tensor(
            [self.known[key] for key in batch.keys], dtype=torch.float64
        )
        if batch.input_ids.device.type == "mps":
            reference = reference.float()
        return batch.with_reference(reference.to(batch.input_ids.device))


def default_folder() -> Path:
    """`$TROPISM_CACHE`, else `tropism/reference` under the user's cache folder."""
    if "TROPISM_CACHE" in os.environ:
        return Path(os.environ["TROPISM_CACHE"]) / "reference"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tropism" / "reference"


@contextlib.contextmanager
def open_cache(path: Path | None) -> Iterator[sqlite3.Connection]:
    """A table from response key to per-token log-probabilities (float32), safe under several processes and kills.

    Without a path it lives in memory.
    """
    try:
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
        cache = sqlite3.connect(path or ":memory:", timeout=60)
    except (OSError, sqlite3.OperationalError) as error:
        raise OutputError(
            f"the reference cache {path and path.parent} cannot be written: {error}.",
            remedy="Set TROPISM_CACHE to a folder that can.",
        ) from None
    try:
        switch_to_wal(cache)
        cache.execute("CREATE TABLE IF NOT EXISTS logp (key BLOB PRIMARY KEY, token_logp BLOB NOT NULL) WITHOUT ROWID")
        yield cache
    except sqlite3.OperationalError as error:
        raise OutputError(
            f"the reference cache {path} failed: {error}.", remedy="Free some space or set TROPISM_CACHE elsewhere."
        ) from None
    except sqlite3.DatabaseError as error:
        raise OutputError(
            f"the reference cache {path} is broken: {error}.", remedy="Delete it; it will be made again."
        ) from None
    finally:
        cache.close()


def switch_to_wal(cache: sqlite3.Connection) -> None:
    """Let readers and a writer go on side by side; SQLite's own waiting does not cover this switch, so wait here."""
    deadline = time.monotonic() + 60
    while True:
        try:
            cache.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def read_cache(cache: sqlite3.Connection, keys: Iterable[bytes]) -> dict[bytes, float]:
    """Sums over the tokens of the cached responses among `keys`, nats."""
    found: dict[bytes, float] = {}
    wanted = list(keys)
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        marks = ",".join("?" * len(part))
        query = f"SELECT key, token_logp FROM logp WHERE key IN ({marks})"  # noqa: S608  (only question marks)
        for key, blob in cache.execute(query, part):
            found[key] = sum_nats(torch.frombuffer(bytearray(blob), dtype=torch.float32) if blob else torch.zeros(0))
    return found


def sum_nats(token_logp: Float[Tensor, " tokens"]) -> float:
    """The float64 sum of a response's token log-probabilities: the same bits whether scored now or read back."""
    return float(token_logp.double().sum())


def make_reference(kind: str, policy: TextPolicy, *, groups_per_batch: int, precision: str = "") -> Reference:
    """The reference that a recipe names.

    Raises:
        ConfigError: for an unknown kind, or `adapter` without an adapter.
    """
    if kind == "cached":
        return CachedReference(policy, groups_per_batch=groups_per_batch, precision=precision)
    if kind == "adapter":
        return AdapterReference(policy)
    if kind == "none":
        return NoReference()
    raise ConfigError(f"reference must be cached, adapter or none, not {kind!r}.", remedy="Use cached.")


@torch.no_grad()
def assert_is_start(policy: Policy, model: nn.Module, batch: PaddedBatch) -> float:
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
