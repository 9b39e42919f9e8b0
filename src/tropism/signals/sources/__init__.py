"""Signal files as other tools write them, to flat rows; a record that cannot be used comes back with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tropism.signals.sources.imagereward import read_imagereward
from tropism.signals.sources.oasst import read_oasst
from tropism.signals.sources.rows import Aside, Feedback, Refused
from tropism.signals.sources.stackexchange import read_stack_exchange

READERS: Mapping[str, Callable[[Path], Iterator[Feedback | Aside | Refused]]] = {
    "posts": read_stack_exchange,
    "oasst": read_oasst,
    "imagereward": read_imagereward,
}
"""What `--signal` calls them, and the function that reads a file."""
