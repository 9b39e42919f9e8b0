"""Choices that people made on the label page: the SQLite file of `tropism label`, read as it lies.

Rows are only ever added, and an undo is a row that revokes another (`tropism.choice_tables`). The file may come from
anybody, so a row that cannot be used is told with its reason, and the others count.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tropism.choice_tables import STANDING, opened_choices
from tropism.records import Estimate
from tropism.signals.agreement import wilson
from tropism.signals.sources.rows import Aside, ChoiceRow, RankRow, Refused, Verdict
from tropism.signals.sources.values import (
    Content,
    Unusable,
    content_of,
    key_of,
    list_of,
    number_of,
    object_of,
    text_of,
    time_of,
)

NO_NAME = re.compile(r"(\d+|[a-z]|[a-z]?\d+|chosen|rejected)", re.IGNORECASE)
"""Ids of responses that say a place and not who answered."""

UNDO, REVOKED, CHECK = "undo", "choice that was taken back", "attention check"

_CHOICES = """
SELECT choices.rowid AS number, annotator, shown, verdict, winner, created_at, seconds, is_check,
    choice_id IN (SELECT revokes FROM choices) AS is_revoked, choices.item_id, group_id, prompt, responses
FROM choices LEFT JOIN items ON items.item_id = choices.item_id ORDER BY choices.rowid
"""
_CHECKS = f"""
SELECT annotator, verdict = 'win' AND winner = expected AS is_passed
FROM ({STANDING}) JOIN checks USING (item_id) WHERE is_check AND verdict != 'skip' ORDER BY annotator
"""  # noqa: S608  (both texts are ours)


class CheckRate(NamedTuple):
    """The share of attention checks that an annotator answered as an attentive person does; skips are no answers."""

    annotator: str
    passed: Estimate


def who_answered(shown: Iterable[tuple[str, Iterable[str]]]) -> frozenset[str]:
    """The ids of responses that say who answered: those that stand in several groups and are no mere place.

    Args:
        shown: the group of each item, and the ids of its responses.

    Example:
        >>> sorted(who_answered([("g1", ["gpt", "a", "x7f3e"]), ("g2", ["gpt", "a", "99"])]))
        ['gpt']
    """
    group_of: dict[str, str] = {}
    several = set()
    for group, ids in shown:
        for one in ids:
            if group_of.setdefault(one, group) != group and not NO_NAME.fullmatch(one):
                several.add(one)
    return frozenset(several)


def read_choices_file(path: Path) -> Iterator[ChoiceRow | RankRow | Aside | Refused]:
    """The choices that stand, in the order in which they were made.

    Args:
        path: a file that `tropism label` wrote; it may still be written to.

    Yields:
        For each stored row: a choice where two responses were shown; where more were, a ranking in which the winner
        has rank 0 and the others rank 1, or all rank 0 in a tie; an aside for undone choices, their undoings and
        attention checks; or a refusal. Which response is a does not depend on the order shown. Responses have a source
        where their ids say who answered.

    Raises:
        DataError: where the file is no such file.
    """
    with opened_choices(path) as connection:
        connection.text_factory = _text
        known = who_answered(_shown(connection))
        for row in connection.execute(_CHOICES):
            try:
                yield from _rows(row, known)
            except Unusable as reason:
                yield Refused(row["number"], reason.reason)


def check_rates(path: Path) -> tuple[CheckRate, ...]:
    """How each annotator did on the attention checks, with Wilson's 95 % interval; empty where there were none.

    Raises:
        DataError: where the file is no such file.
    """
    with opened_choices(path) as connection:
        connection.text_factory = _text
        if not _has_checks(connection):
            return ()
        stand = connection.execute(_CHECKS).fetchall()
    found = Counter(key_of(row["annotator"]) or "unknown" for row in stand)
    passed = Counter(key_of(row["annotator"]) or "unknown" for row in stand if row["is_passed"])
    return tuple(CheckRate(name, _share(passed[name], answered)) for name, answered in found.items())


def _text(stored: bytes) -> str:
    """Text as it is stored; what is not UTF-8 is told as such where it is read."""
    return stored.decode("utf-8", errors="surrogateescape")


class _Option(NamedTuple):
    """A response as an item holds it."""

    id: str
    content: Content


def _has_checks(connection: sqlite3.Connection) -> bool:
    """Whether the file has attention checks; older ones have no table of them."""
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'checks'").fetchone())


def _shown(connection: sqlite3.Connection) -> Iterator[tuple[str, list[str]]]:
    """The group and the ids of every item that can be read, attention checks apart."""
    apart = " WHERE item_id NOT IN (SELECT item_id FROM checks)" if _has_checks(connection) else ""
    for row in connection.execute(f"SELECT item_id, group_id, responses, 0 AS number FROM items{apart}"):  # noqa: S608
        try:
            yield _group(row), [option.id for option in _options(row)]
        except Unusable:
            continue  # told where a choice was made on it


def _rows(row: Mapping[str, Any], known: frozenset[str]) -> Iterator[ChoiceRow | RankRow | Aside]:
    """What becomes of one stored row."""
    number, is_revoked = row["number"], row["is_revoked"]
    if row["verdict"] == "undo" or is_revoked or row["is_check"]:
        yield Aside(number, UNDO if row["verdict"] == "undo" else REVOKED if is_revoked else CHECK)
        return
    if row["verdict"] not in ("win", "tie", "both_bad", "skip"):
        raise Unusable("an unknown verdict")
    if row["responses"] is None:
        raise Unusable("a choice on an item that is not in the file")
    options = _options(row)
    if len(options) == 2:
        yield _choice(row, options, known)
        return
    if row["verdict"] in ("skip", "both_bad"):
        raise Unusable("skipped" if row["verdict"] == "skip" else "none of several responses was good")
    prompt, group, annotator = _prompt(row), _group(row), key_of(row["annotator"])
    winner = _winner(row, options)
    for option in options:
        rank = int(winner is not None and option.id != winner)
        content = option.content
        yield RankRow(number, prompt.text, content.text, group, rank, annotator, prompt.is_json, content.is_json)


def _choice(row: Mapping[str, Any], options: list[_Option], known: frozenset[str]) -> ChoiceRow:
    """A choice between two responses."""
    first, second = options
    if first.content.is_json != second.content.is_json:
        raise Unusable("responses of different forms")
    winner, prompt, shown = _winner(row, options), _prompt(row), _loaded(row["shown"], "shown")
    verdict: Verdict = row["verdict"] if winner is None else "a" if winner == first.id else "b"
    return ChoiceRow(
        number=row["number"],
        prompt=prompt.text,
        response_a=first.content.text,
        response_b=second.content.text,
        choice=verdict,
        annotator=key_of(row["annotator"]),
        group=_group(row),
        seconds=None if row["seconds"] is None else number_of(row["seconds"], "seconds"),
        source_a=first.id if first.id in known else None,
        source_b=second.id if second.id in known else None,
        time=time_of(row["created_at"]),
        shown_first={first.id: "a", second.id: "b"}.get(str(shown[0])) if isinstance(shown, list) and shown else None,  # type: ignore[arg-type]
        prompt_is_json=prompt.is_json,
        response_is_json=first.content.is_json,
    )


def _group(row: Mapping[str, Any]) -> str:
    """Key of the prompt."""
    return key_of(row["group_id"]) or key_of(row["item_id"]) or f"row {row['number']}"


def _winner(row: Mapping[str, Any], options: list[_Option]) -> str | None:
    """Id of the response that was chosen; None in a tie."""
    if row["verdict"] != "win":
        return None
    if row["winner"] not in {option.id for option in options}:
        raise Unusable("a winner that was not shown")
    return str(row["winner"])


def _options(row: Mapping[str, Any]) -> list[_Option]:
    """The responses of an item."""
    found = []
    for one in list_of(_loaded(row["responses"], "responses"), "responses"):
        values = object_of(one, "response")
        found.append(_Option(text_of(values.get("id"), "response id"), content_of(values.get("content"), "response")))
    if len(found) < 2 or len({option.id for option in found}) < len(found):
        raise Unusable("an item without two different responses")
    return found


def _prompt(row: Mapping[str, Any]) -> Content:
    return content_of(_loaded(row["prompt"], "prompt"), "prompt")


def _loaded(text: object, name: str) -> object:
    """What a column of JSON holds."""
    if not isinstance(text, str):
        raise Unusable(f"missing {name}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unusable(f"{name} is not valid JSON") from None


def _share(passed: int, answered: int) -> Estimate:
    """A share with its interval."""
    low, high = wilson(passed / answered, answered)
    return Estimate(value=passed / answered, low=low, high=high, n=answered)
