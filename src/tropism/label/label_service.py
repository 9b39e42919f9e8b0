"""Assigns items to annotators and stores their choices, one at a time; a choice counts only after it is on disk."""

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


class InvalidRequest(Exception):  # noqa: N818  (an expected answer to a client, not a fault)
    """A request that no page of this application sends."""


class ShownItem(NamedTuple):
    """An item as one annotator sees it.

    Args:
        item: the item to answer.
        options: the answers in the order shown.
        progress: the annotator's.
    """

    item: ChoiceItem
    options: tuple[Option, ...]
    progress: Progress


class SubmittedChoice(NamedTuple):
    """A choice as a page submits it.

    Args:
        choice_id: generated with the page, so that a page submitted twice counts once.
        item_id: the item that was shown.
        answer: the position of the chosen option in the order shown, from `1`; or `tie`, `both_bad`, `skip`.
        reasons: the tags that were selected.
        milliseconds: how long the page was visible; empty without script.
    """

    choice_id: str
    item_id: str
    answer: str
    reasons: tuple[str, ...] = ()
    milliseconds: str = ""


class LabelService:
    """What the page reads and writes: the next item of an annotator, and the choices.

    Args:
        queue: decides which item an annotator sees next.
        store: keeps the choices; those already in it are counted from the start.
        reasons: the tags that may be selected.
        clock: monotonic seconds.
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

    def serve(self, annotator: str) -> ShownItem | None:
        """The annotator's next item; None if all are done."""
        with self._lock:
            now = self._clock()
            item = self.queue.next_item(annotator, now=now)
            if item is None:
                return None
            self._served_at.setdefault((annotator, item.item_id), now)
            options = shown_order(item, annotator, seed=self.queue.seed)
            return ShownItem(item, options, self.queue.progress(annotator))

    def progress(self, annotator: str) -> Progress:
        """The annotator's progress."""
        with self._lock:
            return self.queue.progress(annotator)

    def choose(self, annotator: str, sent: SubmittedChoice) -> None:
        """Store a choice; it is on disk when this returns.

        Raises:
            InvalidRequest: if no page of this application would send this.
            ChoiceConflict: if the annotator has already answered the item, or the id is another choice's.
            ChoiceUndone: if the annotator has undone the choice with this id.
            StoreBusy: if it could not be stored; the same choice may be sent again.
        """
        item = self.queue.find(sent.item_id)
        if item is None:
            raise InvalidRequest("unknown item")
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
        """Undo the annotator's last choice; its item is next.

        Returns:
            The choice that was undone; None if there was none, or this undo was sent before.

        Raises:
            InvalidRequest: if the id is not valid.
            ChoiceConflict: if the id belongs to a choice.
            StoreBusy: if it could not be stored; the same undo may be sent again.
        """
        with self._lock:
            revoked = self.store.undo(annotator, _checked_id(undo_id))
            if revoked is not None:
                self.queue.take_back(revoked)
            return revoked

    def _seconds(self, annotator: str, sent: SubmittedChoice) -> float | None:
        """The time taken: measured by the page, else since the item was first assigned; None if unknown."""
        try:
            measured = float(sent.milliseconds) / 1000
        except ValueError:
            served = self._served_at.get((annotator, sent.item_id))
            measured = math.nan if served is None else self._clock() - served
        return round(measured, 3) if 0 <= measured <= MOST_SECONDS else None


def annotator_name(given: str) -> str | None:
    """A name as it is stored: one line of printable characters; None if it is empty or too long.

    Example:
        >>> annotator_name("  Ada   Lovelace "), annotator_name("\\x00 ")
        ('Ada Lovelace', None)
    """
    printable = "".join(letter if letter.isprintable() else " " for letter in unicodedata.normalize("NFC", given))
    name = " ".join(printable.split())
    return name if name and len(name) <= LONGEST_NAME else None


def _verdict(answer: str, options: Sequence[Option]) -> tuple[Verdict, str | None]:
    """The verdict and the winner's id of a submitted answer."""
    for word in WORDS:
        if answer == word:
            return word, None
    places = {str(place): option.id for place, option in enumerate(options, start=1)}
    if answer not in places:
        raise InvalidRequest("unknown answer")
    return "win", places[answer]


def _checked_id(given: str) -> str:
    """An id in the form that pages generate."""
    if not (8 <= len(given) <= LONGEST_ID and given.isascii() and given.replace("-", "").isalnum()):
        raise InvalidRequest("invalid id")
    return given
