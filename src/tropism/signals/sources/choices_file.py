"""Choices that people made on the label page: the SQLite file of `tropism label`, read as it lies.

Rows are only ever added, and an undo is a row that revokes another (`tropism.ingest.choice_tables`). The
file may come from anybody, so a row that cannot be used is told with its reason, and the others count.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tropism.ingest import Unusable, row_values
from tropism.ingest.choice_tables import opened_choices
from tropism.signals.sources.feedback_rows import Aside, ChoiceRow, RankRow, Refused, Verdict

_WORD = r"(?:left|right|top|bottom|first|second|third|one|two|three|best|worst|chosen|rejected|winner|loser)"
_STEM = r"(?:response|answer|output|completion|candidate|option|choice|reply|text|side|sample|generation)"
NO_NAME = re.compile(
    rf"\d+|[a-z]|[a-z][_-]?\d+|{_WORD}|{_STEM}[\s_.-]*(?:\d+|[a-c]|{_WORD})|{_STEM}[\s_.-]+[a-z]"
    rf"|(?:\d+|[a-z]|{_WORD})[\s_.-]+{_STEM}|(?:model|system|assistant)[\s_.-]*[ab012]",
    re.IGNORECASE,
)
"""Ids of responses that say a place and not who answered: `0`, `a`, `response_1`, `answer-b`, `left`, `chosen`.

So do `model_a` and `model_1`: in files of battles they are the two sides. Other names of models (`model-x`) are names.
"""

UNDO, REVOKED, CHECK = "undo", "choice that was taken back", "attention check"

_CHOICES = """
SELECT choices.rowid AS number, annotator, shown, verdict, winner, created_at, seconds, is_check,
    choice_id IN (SELECT revokes FROM choices) AS is_revoked, choices.item_id, group_id, prompt, responses
FROM choices LEFT JOIN items ON items.item_id = choices.item_id ORDER BY choices.rowid
"""
_JUDGED = """
SELECT DISTINCT item_id FROM choices WHERE NOT is_check AND verdict IN ('win', 'tie')
    AND choice_id NOT IN (SELECT revokes FROM choices WHERE revokes IS NOT NULL)
"""


def who_answered(shown: Iterable[tuple[str, Iterable[tuple[str, str]]]]) -> frozenset[str]:
    """The ids of responses that say who answered: they stand in several groups with different contents, as no place.

    An id that always goes with one content names that content: a hash of it, or a title.

    Args:
        shown: the group of each item, and id and content of each of its responses.

    Example:
        >>> one = ("g1", [("gpt", "Hello."), ("a", "Hi."), ("x7f3e", "Yes.")])
        >>> two = ("g2", [("gpt", "Hello!"), ("a", "Ho."), ("x7f3e", "Yes.")])
        >>> sorted(who_answered([one, two]))
        ['gpt']
    """
    met: dict[str, tuple[str, int]] = {}
    groups, contents = set(), set()
    for group, responses in shown:
        for one, content in responses:
            spelled = hash(content)  # not the text itself, so that all the texts of a file are not held
            first_group, first_spelled = met.setdefault(one, (group, spelled))
            if first_group != group:
                groups.add(one)
            if first_spelled != spelled:
                contents.add(one)
    return frozenset(one for one in groups & contents if not NO_NAME.fullmatch(one))


def read_choices_file(path: Path) -> Iterator[ChoiceRow | RankRow | Aside | Refused]:
    """The choices that stand, in the order in which they were made.

    Args:
        path: a file that `tropism label` wrote; it may still be written to.

    Yields:
        For each stored row: a choice between two responses; an aside for undone choices, their undoings and attention
        checks; or a refusal. If a best of three or more stands, every choice of the file is a ranking instead, in
        which the winner has rank 0 and the others rank 1, or all rank 0 in a tie: a file is feedback of one kind. Which
        response is a does not depend on the order shown. Responses of choices have a source if their ids say who
        answered.

    Raises:
        DataError: if the file is no such file.
    """
    with opened_choices(path) as connection:
        connection.text_factory = _text
        items: dict[object, _Item] = {}
        known = who_answered(_shown(connection, items))
        judged = [row["item_id"] for row in connection.execute(_JUDGED) if row["item_id"] in items]
        ranked = any(items[one].num_options > 2 for one in judged)
        often = Counter(items[one].thread for one in judged)
        crowded = frozenset(one for one in judged if often[items[one].thread] > 1)
        for row in connection.execute(_CHOICES):
            try:
                yield from _ranking(row, crowded) if ranked else _choice(row, known)
            except Unusable as reason:
                yield Refused(row["number"], str(reason))


def _text(stored: bytes) -> str:
    """Text as it is stored; what is not UTF-8 is refused when it is read."""
    return stored.decode("utf-8", errors="surrogateescape")


class _Option(NamedTuple):
    """A response as an item holds it."""

    id: str
    content: row_values.Text


class _Item(NamedTuple):
    """How many options an item has, and a hash of its group and prompt."""

    num_options: int
    thread: int


def _has_checks(connection: sqlite3.Connection) -> bool:
    """Whether the file has attention checks; older ones have no table of them."""
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'checks'").fetchone())


def _shown(connection: sqlite3.Connection, items: dict[object, _Item]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Group, ids and contents of every item that can be read, attention checks apart; `items` gets all of them."""
    apart = "item_id IN (SELECT item_id FROM checks)" if _has_checks(connection) else "0"
    query = f"SELECT item_id, group_id, prompt, responses, 0 AS number, {apart} AS is_apart FROM items"  # noqa: S608
    for row in connection.execute(query):
        try:
            options = _options(row)
        except Unusable:
            continue  # refused when a choice was made on it
        items[row["item_id"]] = _Item(len(options), hash((_group(row), row["prompt"])))
        if not row["is_apart"]:
            yield _group(row), [(option.id, option.content.text) for option in options]


def _aside(row: Mapping[str, Any]) -> Aside | None:
    """A row that is no choice that stands, or an attention check."""
    number, is_revoked = row["number"], row["is_revoked"]
    if row["verdict"] == "undo" or is_revoked or row["is_check"]:
        return Aside(number, UNDO if row["verdict"] == "undo" else REVOKED if is_revoked else CHECK)
    if row["verdict"] not in ("win", "tie", "both_bad", "skip"):
        raise Unusable("an unknown verdict")
    if row["responses"] is None:
        raise Unusable("a choice on an item that is not in the file")
    return None


def _ranking(row: Mapping[str, Any], crowded: frozenset[object]) -> Iterator[RankRow | Aside]:
    """What becomes of one stored row in a file of rankings.

    If a prompt has several items (`crowded`), an annotator has a name for each: they were not compared.
    """
    aside = _aside(row)
    if aside:
        yield aside
        return
    options = _options(row)
    if row["verdict"] in ("skip", "both_bad"):
        raise Unusable("skipped" if row["verdict"] == "skip" else "none of several responses was good")
    prompt, group, annotator = _prompt(row), _group(row), row_values.key(row["annotator"])
    winner = _winner(row, options)
    if annotator and row["item_id"] in crowded:
        annotator = f"{annotator} on {row['item_id']}"
    for option in options:
        rank = int(winner is not None and option.id != winner)
        content = option.content
        yield RankRow(row["number"], prompt.text, content.text, group, rank, annotator, prompt.is_json, content.is_json)


def _choice(row: Mapping[str, Any], known: frozenset[str]) -> Iterator[ChoiceRow | Aside]:
    """What becomes of one stored row in a file of choices between two responses."""
    aside = _aside(row)
    if aside:
        yield aside
        return
    options = _options(row)
    if len(options) > 2:
        raise Unusable("skipped" if row["verdict"] == "skip" else "none of several responses was good")
    first, second = options
    if first.content.is_json != second.content.is_json:
        raise Unusable("responses of different forms")
    winner, prompt, shown = _winner(row, options), _prompt(row), _loaded(row["shown"], "shown")
    verdict: Verdict = row["verdict"] if winner is None else "a" if winner == first.id else "b"
    yield ChoiceRow(
        number=row["number"],
        prompt=prompt.text,
        response_a=first.content.text,
        response_b=second.content.text,
        choice=verdict,
        annotator=row_values.key(row["annotator"]),
        group=_group(row),
        seconds=None if row["seconds"] is None else row_values.number(row["seconds"], "seconds"),
        source_a=first.id if first.id in known else None,
        source_b=second.id if second.id in known else None,
        time=row_values.time(row["created_at"]),
        shown_first={first.id: "a", second.id: "b"}.get(str(shown[0])) if isinstance(shown, list) and shown else None,  # type: ignore[arg-type]
        prompt_is_json=prompt.is_json,
        response_is_json=first.content.is_json,
    )


def _group(row: Mapping[str, Any]) -> str:
    """Key of the prompt."""
    return row_values.key(row["group_id"]) or row_values.key(row["item_id"]) or f"row {row['number']}"


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
    for one in row_values.listing(_loaded(row["responses"], "responses"), "responses"):
        values = row_values.mapping(one, "response")
        found.append(
            _Option(
                row_values.text(values.get("id"), "response id"),
                row_values.text_or_turns(values.get("content"), "response"),
            )
        )
    if len(found) < 2 or len({option.id for option in found}) < len(found):
        raise Unusable("an item without two different responses")
    return found


def _prompt(row: Mapping[str, Any]) -> row_values.Text:
    return row_values.text_or_turns(_loaded(row["prompt"], "prompt"), "prompt")


def _loaded(text: object, name: str) -> object:
    """What a column of JSON holds."""
    if not isinstance(text, str):
        raise Unusable(f"missing {name}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unusable(f"{name} is not valid JSON") from None
