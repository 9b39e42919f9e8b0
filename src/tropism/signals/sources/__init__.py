"""Signal files as other tools write them, to flat rows; a record that cannot be used comes back with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tropism.signals.sources.argilla import read_argilla
from tropism.signals.sources.choices_file import read_choices_file
from tropism.signals.sources.feedback_rows import Aside, Feedback, Refused
from tropism.signals.sources.imagereward import read_imagereward
from tropism.signals.sources.label_studio import read_label_studio
from tropism.signals.sources.oasst import read_oasst
from tropism.signals.sources.stackexchange import read_stack_exchange

READERS: Mapping[str, Callable[[Path], Iterator[Feedback | Aside | Refused]]] = {
    "posts": read_stack_exchange,
    "oasst": read_oasst,
    "imagereward": read_imagereward,
    "argilla": read_argilla,
    "label-studio": read_label_studio,
    "label-page": read_choices_file,
}
"""The form of a file, and the function that reads it."""
