"""What people chose on the label page: the choices that stand, and the items that they were made on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, get_args

from tropism.errors import DataError
from tropism.groups import Content
from tropism.ingest.choice_tables import STANDING, opened_choices

Row = TypeVar("Row")
Verdict: TypeAlias = Literal["win", "tie", "both_bad", "skip"]

_ITEMS = """
SELECT item_id, group_id, prompt, responses, expected FROM items LEFT JOIN checks USING (item_id) ORDER BY items.rowid
"""


class Choice(NamedTuple):
    """One choice that stands.

    Args:
        choice_id: made by the page on which it was made; one id, one choice.
        item_id: of the item that was shown.
        annotator: the name that the person gave.
        shown: ids of the responses in the order in which they were shown.
        verdict: `win`, `tie`, `both_bad` or `skip`.
        winner: id of the response that was chosen; None unless the verdict is `win`.
        reasons: the tags that were ticked.
        created_at: when it was stored, ISO 8601 in UTC.
        seconds: from showing the item to choosing, as the page measured it; None if unknown.
        is_check: whether the item was an attention check, whose answer is known beforehand.
    """

    choice_id: str
    item_id: str
    annotator: str
    shown: tuple[str, ...]
    verdict: Verdict
    winner: str | None
    reasons: tuple[str, ...]
    created_at: str
    seconds: float | None
    is_check: bool


class Option(NamedTuple):
    """A response as an item holds it."""

    id: str
    content: Content


class ChoiceItem(NamedTuple):
    """What was shown for one choice: a prompt and the responses to choose from.

    Args:
        item_id: the same for the same contents.
        group_id: of the group that the responses come from.
        prompt: text or turns.
        options: at least two.
        expected: id of the response that an attentive person chooses; None unless the item is an attention check.
    """

    item_id: str
    group_id: str
    prompt: Content
    options: tuple[Option, ...]
    expected: str | None = None


def read_choices(path: Path) -> Iterator[Choice]:
    """The choices that stand, attention checks and skips among them, in the order in which they were made.

    Raises:
        DataError: if the file is missing, no file of choices, of another version, or holds what the label page
            does not write.
    """
    return _read(path, f"{STANDING} ORDER BY c.rowid", choice_of)


def read_choice_items(path: Path) -> Iterator[ChoiceItem]:
    """The items that choices were or will be made on.

    Raises:
        DataError: as `read_choices`.
    """
    return _read(path, _ITEMS, _item_of)


def choice_of(row: Sequence[Any]) -> Choice:
    """A row of `choices` as a choice, in the columns of `STANDING`; an undo is one too, which never stands.

    Raises:
        ValueError: if the label page writes no such row.
    """
    choice_id, item_id, annotator, shown, verdict, winner, reasons, created_at, seconds, is_check = row
    if verdict not in (*get_args(Verdict), "undo") or (verdict == "win") != isinstance(winner, str):
        raise ValueError(f"verdict {verdict!r} with winner {winner!r}")
    if not all(isinstance(text, str) for text in (choice_id, item_id, annotator, created_at)):
        raise ValueError("an id, a name or a time is no text")
    if not isinstance(seconds, float | int | None):
        raise ValueError(f"seconds {seconds!r}")
    order, tags = _texts(shown), _texts(reasons)
    return Choice(choice_id, item_id, annotator, order, verdict, winner, tags, created_at, seconds, bool(is_check))


def _item_of(row: Sequence[Any]) -> ChoiceItem:
    """A row of `items`, with what `checks` expects, as an item.

    Raises:
        ValueError, TypeError, KeyError: if the label page writes no such row.
    """
    item_id, group_id, prompt, responses, expected = row
    options = tuple(Option(one["id"], _content(one["content"])) for one in json.loads(responses))
    if not all(isinstance(text, str) for text in (item_id, group_id, expected or "", *(one.id for one in options))):
        raise ValueError("an id is no text")
    return ChoiceItem(item_id, group_id, _content(json.loads(prompt)), options, expected)


def row_of_item(item: ChoiceItem) -> tuple[str, str, str, str]:
    """An item as a row of `items`."""
    options = [{"id": option.id, "content": option.content} for option in item.options]
    return item.item_id, item.group_id, _to_json(item.prompt), _to_json(options)


def _read(path: Path, query: str, told: Callable[[Sequence[Any]], Row]) -> Iterator[Row]:
    """What the rows of a query say."""
    with opened_choices(path) as connection:
        for row in connection.execute(query):
            try:
                found = told(row)
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise DataError(
                    f"{path} holds a row that the label page does not write, {row[0]!r} ({error}).",
                    remedy="Give the file that `tropism label` wrote.",
                ) from None
            yield found


def _content(value: object) -> Content:
    """The content that a JSON value stands for; a list is the turns of a dialogue."""
    if isinstance(value, list) and all(isinstance(turn, dict) for turn in value):
        return tuple(value)
    if value is not None and not isinstance(value, str | int):
        raise ValueError(f"a content that is a {type(value).__name__}")
    return value


def _texts(text: str) -> tuple[str, ...]:
    """The texts of a JSON list."""
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError("a list that does not hold texts")
    return tuple(found)


def _to_json(value: object) -> str:
    """A content as JSON text that keeps the order of keys."""
    return json.dumps(value, ensure_ascii=False, default=dict)
