"""Choices that people made on the label page: the SQLite file of `tropism label`, read as it lies.

Its schema is `tropism.choices 1`, as written in `tropism.data.choices`: rows are only ever added, and an undo is a
row that revokes another.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from tropism.errors import DataError
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

SCHEMA = "tropism.choices 1"
UNDO, REVOKED, CHECK = "undo", "choice that was taken back", "attention check"

_CHOICES = """
SELECT choices.rowid AS number, choice_id, annotator, shown, verdict, winner, created_at, seconds, is_check,
    choices.item_id, group_id, prompt, responses
FROM choices LEFT JOIN items ON items.item_id = choices.item_id ORDER BY choices.rowid
"""
_CHECKS = """
SELECT choice_id, annotator, verdict = 'win' AND winner = expected AS is_passed
FROM choices JOIN checks ON checks.item_id = choices.item_id
WHERE is_check AND verdict NOT IN ('skip', 'undo') ORDER BY annotator
"""


class CheckRate(NamedTuple):
    """The share of attention checks that an annotator answered as an attentive person does; skips are no answers."""

    annotator: str
    passed: Estimate


def read_choices_file(path: Path) -> Iterator[ChoiceRow | RankRow | Aside | Refused]:
    """The choices that stand, in the order in which they were made.

    Args:
        path: a file that `tropism label` wrote; it may still be written to.

    Yields:
        For each stored row: a choice where two responses were shown; where more were, a ranking in which the winner
        has rank 0 and the others rank 1, or all rank 0 in a tie; an aside for undone choices, their undoings and
        attention checks; or a refusal. Which response is a does not depend on the order shown.

    Raises:
        DataError: where the file is no such file.
    """
    with _open(path) as connection:
        revoked = _revoked(connection)
        for row in connection.execute(_CHOICES):
            try:
                yield from _rows(row, is_revoked=row["choice_id"] in revoked)
            except Unusable as reason:
                yield Refused(row["number"], reason.reason)


def check_rates(path: Path) -> tuple[CheckRate, ...]:
    """How each annotator did on the attention checks, with Wilson's 95 % interval; empty where there were none.

    Raises:
        DataError: where the file is no such file.
    """
    with _open(path) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'checks'").fetchone():
            return ()
        revoked = _revoked(connection)
        stand = [row for row in connection.execute(_CHECKS) if row["choice_id"] not in revoked]
    found = Counter(key_of(row["annotator"]) or "unknown" for row in stand)
    passed = Counter(key_of(row["annotator"]) or "unknown" for row in stand if row["is_passed"])
    return tuple(CheckRate(name, _share(passed[name], answered)) for name, answered in found.items())


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, and trusts neither the file's schema nor its text."""
    if not path.is_file():
        raise DataError(f"there is no file {path}.", remedy="Check the path.")
    try:
        with closing(_connect(path)) as connection:
            found = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
            if found is None or found[0] != SCHEMA:
                raise DataError(
                    f"{path} must hold the schema {SCHEMA!r}, not {found and found[0]!r}.",
                    remedy="Give the file that `tropism label` wrote with this version.",
                )
            yield connection
    except sqlite3.Error as error:
        raise DataError(
            f"{path} is not a readable file of choices ({error}).", remedy="Give the file that `tropism label` wrote."
        ) from None


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that reads; on a disk that cannot be written to, the file as it lies there."""
    place = f"file:{quote(str(path.resolve()))}?mode=ro"
    connection = sqlite3.connect(place, uri=True, timeout=10)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(f"{path.name}-wal").exists():
            raise
        connection = sqlite3.connect(f"{place}&immutable=1", uri=True)
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda text: text.decode("utf-8", errors="surrogateescape")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _revoked(connection: sqlite3.Connection) -> set[object]:
    """Ids of the choices that were taken back."""
    return {row["revokes"] for row in connection.execute("SELECT revokes FROM choices WHERE revokes IS NOT NULL")}


class _Option(NamedTuple):
    """A response as an item holds it."""

    id: str
    content: Content


def _rows(row: Mapping[str, Any], *, is_revoked: bool) -> Iterator[ChoiceRow | RankRow | Aside]:
    """What becomes of one stored row."""
    number = row["number"]
    if row["verdict"] == "undo" or is_revoked or row["is_check"]:
        yield Aside(number, UNDO if row["verdict"] == "undo" else REVOKED if is_revoked else CHECK)
        return
    if row["verdict"] not in ("win", "tie", "both_bad", "skip"):
        raise Unusable("an unknown verdict")
    if row["responses"] is None:
        raise Unusable("a choice on an item that is not in the file")
    options = _options(row)
    if len(options) == 2:
        yield _choice(row, options)
        return
    if row["verdict"] in ("skip", "both_bad"):
        raise Unusable("skipped" if row["verdict"] == "skip" else "none of several responses was good")
    prompt, group, annotator = _prompt(row), _group(row), key_of(row["annotator"])
    winner = _winner(row, options)
    for option in options:
        rank = int(winner is not None and option.id != winner)
        content = option.content
        yield RankRow(number, prompt.text, content.text, group, rank, annotator, prompt.is_json, content.is_json)


def _choice(row: Mapping[str, Any], options: list[_Option]) -> ChoiceRow:
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
        source_a=first.id,
        source_b=second.id,
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
