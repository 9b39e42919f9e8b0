"""What is asked of another evaluation library, what comes back, and how its absence and failures are told."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

from tropism.errors import ConfigError, TropismError
from tropism.evals.core.items import Item
from tropism.records import Estimate

MOST_CHARACTERS = 500
"""Characters of an answer or a target that are kept for inspection."""


@dataclass(frozen=True)
class Asked:
    """Tasks and how to run them; see `tropism.evals.harness.capability.CapabilitySettings`."""

    tasks: tuple[str, ...]
    include: str | None
    limit: int | None
    few_shot: int | None
    max_new_tokens: int
    batch_size: int
    seed: int


@dataclass(frozen=True)
class TaskOutcome:
    """What a harness measured.

    Args:
        items: one for each sample, with its scores.
        metrics: numbers that no sample's scores give by their mean, with the harness's own standard error.
        skipped: what was left out: reason to number.
        notes: plain sentences.
    """

    items: Sequence[Item]
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


def installed(module: str, *, package: str) -> ModuleType:
    """A module of an optional package.

    Raises:
        ConfigError: where it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"capability needs {package}, which cannot be imported: {error}.",
            remedy='Run pip install "tropism[harness]".',
        ) from None


@contextlib.contextmanager
def told_plainly(package: str) -> Iterator[None]:
    """Whatever another library raises, as an error that names it and the first line of what it said.

    Raises:
        ConfigError: in the place of its own errors.
    """
    try:
        yield
    except TropismError:
        raise
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0].rstrip(".")
        raise ConfigError(
            f"{package} failed with {type(error).__name__}: {line}.",
            remedy="Check the names of the tasks, and that their data are at hand.",
        ) from error


def shortened(value: object) -> str:
    """A value as text that fits into a record."""
    return str(value)[:MOST_CHARACTERS]
