"""Stub."""

from __future__ import annotations
from collections.abc import Sequence
from dataclasses import dataclass
from tropism.groups import PreferenceGroup
from tropism.records import DataCard


@dataclass(frozen=True)
class Source:
    path: str
    fraction: float = 1.0


@dataclass(frozen=True)
class Loaded:
    groups: tuple[PreferenceGroup, ...]
    cards: tuple[DataCard, ...]


def load(sources: Sequence[Source], *, seed: int = 0) -> Loaded:
    raise NotImplementedError
