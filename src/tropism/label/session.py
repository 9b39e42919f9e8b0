"""Opens everything that the label page needs: the items of a file, attention checks, and the choices file."""

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
from tropism.label.images import ImageFolder
from tropism.label.known_items import checks_from, generated_checks
from tropism.label.label_items import ComparisonPlan, LabelItems, make_items
from tropism.label.label_service import LabelService
from tropism.label.queue import Queue

GENERATED = "generated"
FEWEST_CHECKS = 5
LONGEST_REASON = 40
MOST_REASONS = 20


@dataclass(frozen=True, slots=True)
class LabelSessionSettings:
    """Settings of a labelling session.

    Args:
        plan: which answers are compared.
        overlap: annotators per item.
        reasons: tags that annotators may select.
        checks: `generated`; or a file of groups whose edges say which answer is right; or None for no attention checks.
        check_share: attention checks per item shown.
        images: the folder of images.
    """

    plan: ComparisonPlan
    overlap: int = 1
    reasons: tuple[str, ...] = ()
    checks: str | None = None
    check_share: float = 0.05
    images: Path | None = None

    def __post_init__(self) -> None:
        if len(set(self.reasons)) < len(self.reasons) or len(self.reasons) > MOST_REASONS:
            raise ConfigError(
                f"`reasons` must be at most {MOST_REASONS} different tags, got {', '.join(self.reasons)}.",
                remedy="Write each tag once.",
            )
        for reason in self.reasons:
            if not (0 < len(reason) <= LONGEST_REASON and reason.isprintable()):
                raise ConfigError(
                    f"each of the `reasons` must have 1 to {LONGEST_REASON} printable characters, got {reason!r}.",
                    remedy="Use short tags, for example correct,clear,kind.",
                )


class LabelSession(NamedTuple):
    """A session that is ready to serve.

    Args:
        service: assigns items and stores choices.
        images: the images that may be shown.
        prepared: the items and what was omitted.
        num_checks: number of attention checks.
        num_kept: number of choices already in the file.
        num_missing_images: images that the items refer to and that cannot be shown.
    """

    service: LabelService
    images: ImageFolder
    prepared: LabelItems
    num_checks: int
    num_kept: int
    num_missing_images: int


@contextmanager
def open_session(file: Path, target: Path, settings: LabelSessionSettings) -> Iterator[LabelSession]:
    """Open everything that the page needs; the choices file is closed at the end.

    Args:
        file: groups, or any data that can be read as groups.
        target: the choices file, new or to be continued.
        settings: how to label.

    Raises:
        DataError: if there is nothing to compare, or `target` is another kind of file.
        OutputError: if `target` cannot be written.
    """
    images = ImageFolder(settings.images)
    prepared = make_items(_groups(file), settings.plan)
    checks = _checks(prepared, settings)
    seed = settings.plan.seed
    store = ChoiceStore(target, (*prepared.items, *checks), {"seed": str(seed)})
    try:
        queue = Queue(prepared.items, checks, overlap=settings.overlap, check_share=settings.check_share, seed=seed)
        num_kept = len(store.standing())
        service = LabelService(queue, store, reasons=settings.reasons)
        yield LabelSession(service, images, prepared, len(checks), num_kept, missing_images(prepared.items, images))
    finally:
        store.close()


def _groups(file: Path) -> Iterable[PreferenceGroup]:
    """The groups of a file: streamed if it is a groups file, else read by its form."""
    if file.suffix == ".parquet" and is_groups_file(file):
        return read_groups_file(file)
    return load([Source(str(file))]).groups


def _checks(prepared: LabelItems, settings: LabelSessionSettings) -> tuple[ChoiceItem, ...]:
    """The attention checks: at least `FEWEST_CHECKS`, and enough for one annotator who answers every item."""
    if settings.checks is None:
        return ()
    if settings.checks == GENERATED:
        wanted = max(FEWEST_CHECKS, math.ceil(len(prepared.items) * settings.check_share) + 1)
        return generated_checks(prepared.items, wanted, seed=settings.plan.seed)
    taken = {item.item_id for item in prepared.items}
    return tuple(check for check in checks_from(_groups(Path(settings.checks))) if check.item_id not in taken)
