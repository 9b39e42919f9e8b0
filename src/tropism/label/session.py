"""From a file of groups to a desk with items, checks and a file of choices behind it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tropism.data.formats import Source, load
from tropism.data.group_store import is_groups_file, read_groups_file
from tropism.data.label_choices import ChoiceItem
from tropism.errors import ConfigError
from tropism.groups import PreferenceGroup
from tropism.label.choice_store import ChoiceStore
from tropism.label.content import missing_images
from tropism.label.desk import Desk
from tropism.label.images import ImageFolder
from tropism.label.known_items import checks_from, generated_checks
from tropism.label.label_items import Plan, Prepared, prepare
from tropism.label.queue import Queue

GENERATED = "generated"
FEWEST_CHECKS = 5
LONGEST_REASON = 40
MOST_REASONS = 20


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """How a file is labelled.

    Args:
        plan: which answers are compared.
        overlap: annotators per item.
        reasons: tags that may be ticked.
        checks: `generated`, a file of groups whose edges say which answer is right, or None for no attention checks.
        check_share: attention checks per item shown.
        images: the folder of images.
    """

    plan: Plan
    overlap: int = 1
    reasons: tuple[str, ...] = ()
    checks: str | None = None
    check_share: float = 0.05
    images: Path | None = None

    def __post_init__(self) -> None:
        if len(set(self.reasons)) < len(self.reasons) or len(self.reasons) > MOST_REASONS:
            raise ConfigError(
                f"--reasons needs up to {MOST_REASONS} different tags, not {', '.join(self.reasons)}.",
                remedy="Name each once.",
            )
        for reason in self.reasons:
            if not (0 < len(reason) <= LONGEST_REASON and reason.isprintable()):
                raise ConfigError(
                    f"a reason has 1 to {LONGEST_REASON} printable characters, not {reason!r}.",
                    remedy="Write --reasons as in correct,clear,kind.",
                )


class Session(NamedTuple):
    """A desk that is ready.

    Args:
        desk: hands out items and takes choices.
        images: the images that may be shown.
        prepared: the items and what was left out.
        num_checks: attention checks that there are.
        num_kept: choices that stood in the file before.
        num_missing_images: images that the items name and that cannot be shown.
    """

    desk: Desk
    images: ImageFolder
    prepared: Prepared
    num_checks: int
    num_kept: int
    num_missing_images: int


@contextmanager
def open_session(file: Path, target: Path, settings: LabelSettings) -> Iterator[Session]:
    """Open everything that the page needs; at the end the file of choices is closed.

    Args:
        file: groups, or any data that can be read as groups.
        target: the file of choices, new or to go on with.
        settings: how to label.

    Raises:
        DataError: where the data leave nothing to choose from, or `target` is something else.
        OutputError: where `target` cannot be written.
    """
    images = ImageFolder(settings.images)
    prepared = prepare(_groups(file), settings.plan)
    checks = _checks(prepared, settings)
    seed = settings.plan.seed
    store = ChoiceStore(target, (*prepared.items, *checks), {"seed": str(seed)})
    try:
        queue = Queue(prepared.items, checks, overlap=settings.overlap, check_share=settings.check_share, seed=seed)
        num_kept = len(store.standing())
        desk = Desk(queue, store, reasons=settings.reasons)
        yield Session(desk, images, prepared, len(checks), num_kept, missing_images(prepared.items, images))
    finally:
        store.close()


def _groups(file: Path) -> Iterable[PreferenceGroup]:
    """The groups of a file: streamed where it is a file of groups, else read by its form."""
    if file.suffix == ".parquet" and is_groups_file(file):
        return read_groups_file(file)
    return load([Source(str(file))]).groups


def _checks(prepared: Prepared, settings: LabelSettings) -> tuple[ChoiceItem, ...]:
    """The attention checks: as many as one annotator who answers everything would see, and a few at least."""
    if settings.checks is None:
        return ()
    if settings.checks == GENERATED:
        wanted = max(FEWEST_CHECKS, math.ceil(len(prepared.items) * settings.check_share) + 1)
        return generated_checks(prepared.items, wanted, seed=settings.plan.seed)
    taken = {item.item_id for item in prepared.items}
    return tuple(check for check in checks_from(_groups(Path(settings.checks))) if check.item_id not in taken)
