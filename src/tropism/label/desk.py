"""The desk: hands items to annotators and takes their choices, one at a time, each durable before it counts."""

from __future__ import annotations

import math
import threading
import time
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tropism.data.label_choices import Choice, ChoiceItem, Option, Verdict
from tropism.label.choice_store import ChoiceStore, NewChoice
from tropism.label.queue import Progress, Queue, shown_order

LONGEST_NAME = 60
LONGEST_ID = 64
MOST_SECONDS = 86_400.0
WORDS: tuple[Verdict, ...] = ("tie", "both_bad", "skip")


class Refused(Exception):  # noqa: N818  (what a browser sent is untrusted, not wrong by us)
    """Something that no page of ours sends."""


class Served(NamedTuple):
    """An item as one annotator sees it.

    Args:
        item: what is compared.
        options: in the order shown.
        progress: of the annotator.
    """

    item: ChoiceItem
    options: tuple[Option, ...]
    progress: Progress


class Sent(NamedTuple):
    """A choice as a page sends it.

    Args:
        choice_id: made with the page, so that a page sent twice counts once.
        item_id: of the item shown.
        answer: the place of the chosen option in the order shown, from `1`; or `tie`, `both_bad`, `skip`.
        reasons: the tags that were ticked.
        milliseconds: how long the page was looked at; empty where it has no script.
    """

    choice_id: str
    item_id: str
    answer: str
    reasons: tuple[str, ...] = ()
    milliseconds: str = ""


class Desk:
    """What the page asks and tells.

    Args:
        queue: knows who sees what next.
        store: keeps the choices; those that it has already are counted from the start.
        reasons: the tags that may be ticked.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        queue: Queue,
        store: ChoiceStore,
        *,
        reasons: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.queue = queue
        self.store = store
        self.reasons = tuple(reasons)
        self._clock = clock
        self._lock = threading.Lock()
        self._served_at: dict[tuple[str, str], float] = {}
        for choice in store.standing():
            queue.add(choice)

    def serve(self, annotator: str) -> Served | None:
        """What this annotator sees next; None where all is done."""
        with self._lock:
            now = self._clock()
            item = self.queue.next_item(annotator, now=now)
            if item is None:
                return None
            self._served_at.setdefault((annotator, item.item_id), now)
            options = shown_order(item, annotator, seed=self.queue.seed)
            return Served(item, options, self.queue.progress(annotator))

    def progress(self, annotator: str) -> Progress:
        """How far this annotator is."""
        with self._lock:
            return self.queue.progress(annotator)

    def choose(self, annotator: str, sent: Sent) -> None:
        """Take a choice; when this returns, it is on the disk.

        Raises:
            Refused: where no page of ours would send this.
            Conflict: where the annotator has answered the item, or the id is another choice's.
            TakenBack: where the annotator took back the choice with this id.
            StoreBusy: where it could not be stored; the same may be sent again.
        """
        item = self.queue.find(sent.item_id)
        if item is None:
            raise Refused("no such item")
        options = shown_order(item, annotator, seed=self.queue.seed)
        verdict, winner = _verdict(sent.answer, options)
        with self._lock:
            choice = NewChoice(
                choice_id=_checked_id(sent.choice_id),
                item_id=item.item_id,
                annotator=annotator,
                shown=tuple(option.id for option in options),
                verdict=verdict,
                winner=winner,
                reasons=tuple(reason for reason in self.reasons if reason in sent.reasons),
                seconds=self._seconds(annotator, sent),
                is_check=item.item_id in self.queue.checks,
            )
            stored = self.store.add(choice)
            self._served_at.pop((annotator, item.item_id), None)
            if stored is not None:
                self.queue.add(stored)

    def undo(self, annotator: str, undo_id: str) -> Choice | None:
        """Take back the annotator's last choice; its item comes next.

        Returns:
            The choice that no longer stands; None where there was none, or this very undo was sent before.

        Raises:
            Refused: where the id is none.
            Conflict: where the id belongs to a choice.
            StoreBusy: where it could not be stored; the same may be sent again.
        """
        with self._lock:
            revoked = self.store.undo(annotator, _checked_id(undo_id))
            if revoked is not None:
                self.queue.take_back(revoked)
            return revoked

    def _seconds(self, annotator: str, sent: Sent) -> float | None:
        """The time taken: as the page measured it, else since the item was first handed out; None where unknown."""
        try:
            measured = float(sent.milliseconds) / 1000
        except ValueError:
            served = self._served_at.get((annotator, sent.item_id))
            measured = math.nan if served is None else self._clock() - served
        return round(measured, 3) if 0 <= measured <= MOST_SECONDS else None


def annotator_name(given: str) -> str | None:
    """A name as it is kept: one line of printable characters; None where nothing is left or it is too long.

    Example:
        >>> annotator_name("  Ada   Lovelace "), annotator_name("\\x00 ")
        ('Ada Lovelace', None)
    """
    printable = "".join(letter if letter.isprintable() else " " for letter in unicodedata.normalize("NFC", given))
    name = " ".join(printable.split())
    return name if name and len(name) <= LONGEST_NAME else None


def _verdict(answer: str, options: Sequence[Option]) -> tuple[Verdict, str | None]:
    """What was chosen, from the word or the place that the page sent."""
    for word in WORDS:
        if answer == word:
            return word, None
    places = {str(place): option.id for place, option in enumerate(options, start=1)}
    if answer not in places:
        raise Refused("no such answer")
    return "win", places[answer]


def _checked_id(given: str) -> str:
    """An id that a page could have made."""
    if not (8 <= len(given) <= LONGEST_ID and given.isascii() and given.replace("-", "").isalnum()):
        raise Refused("no such id")
    return given
