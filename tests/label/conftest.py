"""Fixtures of the label page: groups to label, and a service over a file of choices."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tropism.data.label_choices import ChoiceItem
from tropism.groups import PreferenceGroup, Response
from tropism.label.choice_store import ChoiceStore
from tropism.label.label_items import ComparisonPlan, make_items
from tropism.label.label_service import LabelService
from tropism.label.queue import Queue


@pytest.fixture
def groups() -> list[PreferenceGroup]:
    """Five prompts, each answered by the same two models."""
    return [
        PreferenceGroup(
            f"g{place}",
            (f"Question {place}?",),
            (Response("model-x", f"The first answer to {place}."), Response("model-y", f"Another answer to {place}.")),
        )
        for place in range(5)
    ]


@pytest.fixture
def make_service(tmp_path: Path, groups: list[PreferenceGroup]) -> Iterator[Callable[..., LabelService]]:
    """Makes a service over `choices.sqlite`; called again, it goes on as after a restart."""
    stores: list[ChoiceStore] = []

    def make(*, overlap: int = 1, checks: Sequence[ChoiceItem] = (), check_share: float = 0.05) -> LabelService:
        items = make_items(groups, ComparisonPlan()).items
        store = ChoiceStore(tmp_path / "choices.sqlite", (*items, *checks), {"seed": "0"})
        stores.append(store)
        queue = Queue(items, checks, overlap=overlap, check_share=check_share)
        return LabelService(queue, store, reasons=("correct", "kind"))

    yield make
    for store in stores:
        store.close()
