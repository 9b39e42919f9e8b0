"""Attention checks: items with a known answer, which show whether an annotator reads the answers."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tropism.data.group_keys import short_hash, unit_hash
from tropism.data.label_choices import Choice, ChoiceItem, Option
from tropism.errors import DataError
from tropism.groups import PreferenceGroup, content_key, content_text
from tropism.label.label_items import can_be_shown, item_from

FEWEST_LETTERS = 12
BROKEN = "broken"


class CheckRecord(NamedTuple):
    """An annotator's results on the attention checks.

    Args:
        shown: checks that were answered; skipped ones do not count.
        passed: checks with the expected answer.
    """

    shown: int
    passed: int


def generated_checks(items: Sequence[ChoiceItem], num_checks: int, *, seed: int = 0) -> tuple[ChoiceItem, ...]:
    """Checks made from the items: an answer against the same letters in random order.

    Args:
        items: the items to label; answers with enough different letters are used, in the order of their item's hash.
        num_checks: how many to make; fewer if the items do not allow more.
        seed: of the draw and of the letters' order.

    Raises:
        DataError: if no answer has enough different letters.
    """
    checks: list[ChoiceItem] = []
    for item in sorted(items, key=lambda one: unit_hash(one.item_id, purpose=f"check-{seed}")):
        if len(checks) == num_checks:
            break
        good = next((option for option in item.options if _can_be_broken(option)), None)
        if good is not None:
            bad = Option(f"{BROKEN}-{good.id}", disordered(content_text(good.content), seed=seed))
            checks.append(item_from(item.group_id, item.prompt, (good, bad), expected=good.id))
    if not checks:
        raise DataError(
            f"no attention check can be made: no answer has at least {FEWEST_LETTERS} different letters.",
            remedy="Set `checks` to a file of groups whose edges say which answer is right.",
        )
    return tuple(checks)


def checks_from(groups: Iterable[PreferenceGroup]) -> tuple[ChoiceItem, ...]:
    """Checks from groups whose edges say which answer is right; ties are ignored.

    Raises:
        DataError: if there is no such edge.
    """
    checks: dict[str, ChoiceItem] = {}
    for group in groups:
        for edge in group.edges:
            winner, loser = group.responses[edge.winner], group.responses[edge.loser]
            is_decided = content_key(winner.content) != content_key(loser.content) and edge.prob > 0.5
            if is_decided and can_be_shown(winner.content) and can_be_shown(loser.content):
                options = (Option(winner.id, winner.content), Option(loser.id, loser.content))
                item = item_from(group.id, group.prompts[winner.prompt], options, expected=winner.id)
                checks[item.item_id] = item
    if not checks:
        raise DataError(
            "the file of attention checks has no edge between two different answers.",
            remedy="Use pairs with a chosen and a rejected answer.",
        )
    return tuple(checks.values())


def record_of(choices: Iterable[Choice], expected: Mapping[str, str]) -> CheckRecord:
    """How many attention checks were answered, and how many correctly.

    Args:
        choices: of one annotator, or of all.
        expected: item id to the id of the correct response.
    """
    answered = [one for one in choices if one.is_check and one.verdict != "skip" and one.item_id in expected]
    return CheckRecord(len(answered), sum(one.winner == expected[one.item_id] for one in answered))


def disordered(text: str, *, seed: int = 0) -> str:
    """The letters of a text in random order, with the spaces in place: as long as the text, and obviously nonsense.

    Example:
        >>> disordered("Put grit around it.", seed=1)
        'iod ittr P.gtua rnu'
    """
    letters = [letter for letter in text if not letter.isspace()]
    random.Random(f"{seed}{short_hash(text)}").shuffle(letters)
    remaining = iter(letters)
    return re.sub(r"\S", lambda _: next(remaining), text)


def _can_be_broken(option: Option) -> bool:
    """Whether an answer has enough different letters to become obvious nonsense."""
    return len(set(content_text(option.content)) - set(" \n\t")) >= FEWEST_LETTERS
