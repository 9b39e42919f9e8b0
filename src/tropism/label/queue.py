"""Who sees what next, and in which order the answers stand: pure bookkeeping, without files and clocks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from tropism.data.choices import Choice, ChoiceItem, Option
from tropism.data.keys import unit_hash

LEASE_SECONDS = 600.0
"""How long an item that someone looks at counts as theirs."""


class Progress(NamedTuple):
    """How far an annotator is.

    Args:
        done: items answered or skipped, without attention checks.
        left: items that still wait for this annotator.
    """

    done: int
    left: int


def shown_order(item: ChoiceItem, annotator: str, *, seed: int) -> tuple[Option, ...]:
    """The options in the order in which this annotator sees them, every time: a hash, so each order is as likely."""
    key = f"{annotator}\x1f{item.item_id}\x1f"
    return tuple(sorted(item.options, key=lambda option: unit_hash(key + option.id, purpose=f"shown-{seed}")))


class Queue:
    """Which item an annotator gets.

    Items that others have answered come first until they have `overlap` annotators, so that agreement can be told
    early; among equals each annotator has an order of their own. Two people get the same item at the same time only
    where it needs both, or where nothing else is left.

    Args:
        items: to be answered by `overlap` annotators each.
        checks: attention checks, mixed evenly into what each annotator sees.
        overlap: annotators per item, at least 1.
        check_share: checks per item shown, in [0, 0.5].
        seed: of the orders.
    """

    def __init__(
        self,
        items: Sequence[ChoiceItem],
        checks: Sequence[ChoiceItem] = (),
        *,
        overlap: int = 1,
        check_share: float = 0.05,
        seed: int = 0,
    ) -> None:
        self.items = {item.item_id: item for item in items}
        self.checks = {check.item_id: check for check in checks}
        self.overlap = overlap
        self.check_share = check_share
        self.seed = seed
        self._done: dict[str, set[str]] = defaultdict(set)
        self._num_judged: Counter[str] = Counter()
        self._leases: dict[str, dict[str, float]] = defaultdict(dict)
        self._again: dict[str, str] = {}
        self._orders: dict[str, dict[str, float]] = {}

    def find(self, item_id: str) -> ChoiceItem | None:
        """An item or a check by its id."""
        return self.items.get(item_id) or self.checks.get(item_id)

    def next_item(self, annotator: str, *, now: float) -> ChoiceItem | None:
        """What the annotator sees next, and until when it counts as theirs; None where all is done.

        Args:
            annotator: the name given.
            now: seconds on a clock that never goes back.
        """
        done = self._done[annotator]
        again = self._again.get(annotator)
        if again is not None and again not in done:
            return self.find(again)
        held = [key for key, leases in self._leases.items() if leases.get(annotator, 0.0) > now and key not in done]
        if held and (item := self.items.get(held[0])) and self._num_judged[item.item_id] < self.overlap:
            return item
        waiting = self._waiting(annotator)
        if not waiting:
            return None
        if (check := self._due_check(annotator)) is not None:
            return check
        free = [key for key in waiting if self._num_judged[key] + self._others(key, annotator, now) < self.overlap]
        order = self._order(annotator)
        key = min(free or waiting, key=lambda one: (-self._num_judged[one], order[one]))
        self._leases[key][annotator] = now + LEASE_SECONDS
        return self.items[key]

    def add(self, choice: Choice) -> None:
        """Note a choice that stands."""
        self._done[choice.annotator].add(choice.item_id)
        if self._again.get(choice.annotator) == choice.item_id:
            del self._again[choice.annotator]
        if choice.item_id in self.items and choice.verdict != "skip":
            self._num_judged[choice.item_id] += 1
        self._release(choice.item_id, choice.annotator)

    def take_back(self, choice: Choice) -> None:
        """Note that a choice no longer stands; its item comes next."""
        self._done[choice.annotator].discard(choice.item_id)
        if choice.item_id in self.items and choice.verdict != "skip":
            self._num_judged[choice.item_id] -= 1
        if self.find(choice.item_id) is not None:
            self._again[choice.annotator] = choice.item_id

    def progress(self, annotator: str) -> Progress:
        """How far the annotator is."""
        done = sum(key in self.items for key in self._done[annotator])
        return Progress(done, len(self._waiting(annotator)))

    def num_complete(self) -> int:
        """How many items have all their annotators."""
        return sum(self._num_judged[key] >= self.overlap for key in self.items)

    def _waiting(self, annotator: str) -> list[str]:
        """The items that this annotator has not answered and that need more annotators."""
        done = self._done[annotator]
        return [key for key in self.items if key not in done and self._num_judged[key] < self.overlap]

    def _others(self, key: str, annotator: str, now: float) -> int:
        """How many others are looking at an item."""
        return sum(until > now for name, until in self._leases.get(key, {}).items() if name != annotator)

    def _due_check(self, annotator: str) -> ChoiceItem | None:
        """The check that is due: after each 1 / share items, the first at a place of the annotator's own."""
        done = self._done[annotator]
        open_checks = [key for key in self.checks if key not in done]
        if not open_checks or self.check_share <= 0:
            return None
        order = self._order(annotator)
        num_checks = len(self.checks) - len(open_checks)
        num_items = sum(key in self.items for key in done)
        start = unit_hash(annotator, purpose=f"first-check-{self.seed}")
        if int(num_items * self.check_share + start) <= num_checks:
            return None
        return self.checks[min(open_checks, key=order.__getitem__)]

    def _order(self, annotator: str) -> dict[str, float]:
        """Every item's and check's place in the annotator's own order."""
        if annotator not in self._orders:
            purpose = f"queue-{self.seed}"
            keys = [*self.items, *self.checks]
            self._orders[annotator] = {key: unit_hash(f"{annotator}\x1f{key}", purpose=purpose) for key in keys}
        return self._orders[annotator]

    def _release(self, key: str, annotator: str) -> None:
        """The annotator no longer looks at an item."""
        leases = self._leases.get(key)
        if leases is not None:
            leases.pop(annotator, None)
            if not leases:
                del self._leases[key]
