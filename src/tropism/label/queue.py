"""Which item an annotator sees next, and the order of its answers: pure bookkeeping without files or clocks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from tropism.data.group_keys import unit_hash
from tropism.data.label_choices import Choice, ChoiceItem, Option

LEASE_SECONDS = 600.0
"""How long an item stays reserved for the annotator who was shown it."""

BLOCK = 20
"""Items per block. All annotators finish a block before the next one, each in a separate order."""


class Progress(NamedTuple):
    """An annotator's progress.

    Args:
        done: items answered or skipped, without attention checks.
        left: items that this annotator can still answer.
    """

    done: int
    left: int


def shown_order(item: ChoiceItem, annotator: str, *, seed: int) -> tuple[Option, ...]:
    """The options in the order in which this annotator always sees them; a hash makes all orders equally likely."""
    key = f"{annotator}\x1f{item.item_id}\x1f"
    return tuple(sorted(item.options, key=lambda option: unit_hash(key + option.id, purpose=f"shown-{seed}")))


@dataclass(slots=True)
class _Person:
    """The state of one annotator.

    Args:
        done: items and checks answered or skipped.
        num_items: number of items among them.
        num_open: number of those items that still need other annotators.
        block: the first block that may hold an item for this annotator.
        held: the item that is shown, and until when it is reserved.
        again: the item whose choice was undone.
    """

    done: set[str] = field(default_factory=set)
    num_items: int = 0
    num_open: int = 0
    block: int = 0
    held: tuple[str, float] = ("", 0.0)
    again: str = ""


class Queue:
    """Decides which item an annotator gets.

    All annotators go through the same blocks of items, so that agreement can be measured early; inside a block each
    has a separate order. Two annotators get the same item at the same time only if it needs both, or if nothing
    else is left. The cost of an annotator does not grow with the number of items.

    Args:
        items: each is answered by `overlap` annotators.
        checks: attention checks, spread evenly over each annotator's items.
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
        order = sorted(self.items, key=lambda key: unit_hash(key, purpose=f"blocks-{seed}"))
        self._blocks = [order[start : start + BLOCK] for start in range(0, len(order), BLOCK)]
        self._block_of = {key: place for place, block in enumerate(self._blocks) for key in block}
        self._people: dict[str, _Person] = defaultdict(_Person)
        self._num_judged: Counter[str] = Counter()
        self._num_complete = 0
        self._done_by: dict[str, set[str]] = defaultdict(set)
        self._leases: dict[str, dict[str, float]] = defaultdict(dict)

    def find(self, item_id: str) -> ChoiceItem | None:
        """An item or a check by its id."""
        return self.items.get(item_id) or self.checks.get(item_id)

    def next_item(self, annotator: str, *, now: float) -> ChoiceItem | None:
        """The annotator's next item; None if all are done.

        Args:
            annotator: the name.
            now: monotonic seconds.
        """
        person = self._people[annotator]
        if person.again:
            return self.find(person.again)
        held, until = person.held
        if until > now and held not in person.done and self._is_open(held):
            return self.items[held]
        if not self.progress(annotator).left:
            return None
        if (check := self._due_check(annotator)) is not None:
            return check
        key = self._first_free(annotator, now)
        person.held = (key, now + LEASE_SECONDS)
        self._leases[key][annotator] = now + LEASE_SECONDS
        return self.items[key]

    def add(self, choice: Choice) -> None:
        """Count a choice."""
        key, person = choice.item_id, self._people[choice.annotator]
        person.done.add(key)
        person.again = "" if person.again == key else person.again
        self._leases[key].pop(choice.annotator, None)
        if key not in self.items:
            return
        person.num_items += 1
        person.num_open += self._is_open(key)
        self._done_by[key].add(choice.annotator)
        if choice.verdict != "skip":
            self._judge(key, 1)

    def take_back(self, choice: Choice) -> None:
        """Remove a choice that was undone; its item is next."""
        key, person = choice.item_id, self._people[choice.annotator]
        person.done.discard(key)
        person.again = key if self.find(key) is not None else ""
        if key not in self.items:
            return
        if choice.verdict != "skip":
            self._judge(key, -1)
        person.num_items -= 1
        person.num_open -= self._is_open(key)
        self._done_by[key].discard(choice.annotator)
        for other in self._people.values():
            other.block = min(other.block, self._block_of[key])

    def progress(self, annotator: str) -> Progress:
        """The annotator's progress."""
        person = self._people[annotator]
        return Progress(person.num_items, len(self.items) - self._num_complete - person.num_open)

    def num_complete(self) -> int:
        """The number of items that have all their annotators."""
        return self._num_complete

    def _is_open(self, key: str) -> bool:
        """Whether an item needs more annotators."""
        return self._num_judged[key] < self.overlap

    def _judge(self, key: str, change: int) -> None:
        """Add or remove a verdict, and update for all who answered the item whether it needs more annotators."""
        was_open = self._is_open(key)
        self._num_judged[key] += change
        closed = was_open - self._is_open(key)
        self._num_complete += closed
        for name in self._done_by[key] if closed else ():
            self._people[name].num_open -= closed

    def _first_free(self, annotator: str, now: float) -> str:
        """The first waiting item that current reservations leave free, else the first that waits."""
        waiting = self._waiting(annotator)
        first = next(waiting)
        for key in chain([first], waiting):
            others = sum(until > now for name, until in self._leases[key].items() if name != annotator)
            if self._num_judged[key] + others < self.overlap:
                return key
        return first

    def _waiting(self, annotator: str) -> Iterator[str]:
        """The items that this annotator can still answer, in the annotator's order."""
        person, purpose = self._people[annotator], f"queue-{self.seed}"
        is_first = True
        for place in range(person.block, len(self._blocks)):
            found = [key for key in self._blocks[place] if key not in person.done and self._is_open(key)]
            if is_first and not found:
                person.block = place + 1
            is_first = is_first and not found
            yield from sorted(found, key=lambda key: unit_hash(f"{annotator}\x1f{key}", purpose=purpose))

    def _due_check(self, annotator: str) -> ChoiceItem | None:
        """The check that is due: one per 1 / share items, the first at a position of the annotator's own."""
        person = self._people[annotator]
        waiting = [key for key in self.checks if key not in person.done]
        start = unit_hash(annotator, purpose=f"first-check-{self.seed}")
        num_done = len(self.checks) - len(waiting)
        if not waiting or int(person.num_items * self.check_share + start) <= num_done:
            return None
        purpose = f"queue-{self.seed}"
        return self.checks[min(waiting, key=lambda key: unit_hash(f"{annotator}\x1f{key}", purpose=purpose))]
