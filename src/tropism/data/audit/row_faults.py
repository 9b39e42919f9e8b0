"""Checks of one row: empty, equal and nearly equal responses, ties only, forged turns, missing images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tropism.data.audit.audited_rows import AuditedRow
from tropism.data.audit.findings import Ledger
from tropism.data.audit.marks import KNOWN_MARKS, contents, marks_in
from tropism.data.audit.row_texts import RowText, image_names, said
from tropism.groups import Content, PreferenceGroup
from tropism.metrics.near_duplicates import is_near

READERS_REASONS = {
    "chosen and rejected are equal": "equal-responses",
    "an answer is empty": "empty-responses",
    "'chosen' is empty": "empty-responses",
    "'rejected' is empty": "empty-responses",
    "'completion' is empty": "empty-responses",
    "'output' is empty": "empty-responses",
}
"""What readers leave out of a training run, under the name that the audit has for it."""


def check_problem(ledger: Ledger, unit: AuditedRow) -> None:
    """A row that the reader leaves out."""
    check = READERS_REASONS.get(unit.problem, "unreadable-rows")
    ledger.found(check, unit.place, detail=unit.problem if check == "unreadable-rows" else "")
    ledger.drop_row(check, unit.place)


def check_row(
    ledger: Ledger, unit: AuditedRow, group: PreferenceGroup, text: RowText, *, special_texts: tuple[str, ...]
) -> None:
    """A row that can be read.

    Args:
        ledger: takes what is found.
        unit: the row.
        group: its group.
        text: its words.
        special_texts: the special tokens of the model, none where there is no model.
    """
    _empty(ledger, unit, group)
    _equal(ledger, unit, group, text)
    if group.edges and all(edge.prob == 0.5 for edge in group.edges):
        ledger.found("ties-only", unit.place)
    if marks_in(group, special_texts):
        ledger.found("special-tokens", unit.place)
    for mark in marks_in(group, (mark for mark in KNOWN_MARKS if mark not in special_texts))[:1]:
        ledger.found("turn-marks", unit.place, detail=repr(mark)[1:-1])
    if any(_is_missing(path, unit.folder) for path in images_of(group)):
        ledger.found("missing-images", unit.place)
        ledger.drop_row("missing-images", unit.place)


def images_of(group: PreferenceGroup) -> Iterator[str]:
    """The images that a row names: in parts of turns, or in `extra`."""
    for content in contents(group):
        for message in content if isinstance(content, tuple) else ():
            parts = message.get("content")
            for part in parts if isinstance(parts, list | tuple) else ():
                yield from image_names(part) if isinstance(part, Mapping) else ()
    for key in ("image", "images"):
        named = group.extra.get(key)
        for one in named if isinstance(named, list | tuple) else [named]:
            yield from image_names({"type": "image", "image": one})


def is_local(path: str) -> bool:
    """Whether an image is a file; addresses and inline images are not looked up."""
    return not path.startswith(("http://", "https://", "data:"))


def _is_missing(path: str, folder: Path) -> bool:
    """Whether a local image is not there."""
    try:
        return is_local(path) and not (folder / path.removeprefix("file://")).is_file()
    except (OSError, ValueError):
        return True


def _empty(ledger: Ledger, unit: AuditedRow, group: PreferenceGroup) -> None:
    """Responses that say nothing."""
    empty = [index for index, response in enumerate(group.responses) if _is_empty(response.content)]
    if empty:
        ledger.found("empty-responses", unit.place)
    for index in empty:
        ledger.drop_response("empty-responses", unit.place, index)


def _is_empty(content: Content) -> bool:
    """Whether a content is there and says nothing; an answer still to be generated is not there."""
    if isinstance(content, str):
        return not content.strip()
    if not isinstance(content, tuple):
        return False
    return not any(
        said(turn.get("content")).strip() or turn.get("tool_calls") or isinstance(turn.get("content"), list)
        for turn in content
    )


def _equal(ledger: Ledger, unit: AuditedRow, group: PreferenceGroup, text: RowText) -> None:
    """Comparisons of a text with itself, or nearly."""
    equal = [
        index
        for index, edge in enumerate(group.edges)
        if text.answers[edge.winner] == text.answers[edge.loser] and text.answers[edge.winner]
        and group.responses[edge.winner].prompt == group.responses[edge.loser].prompt
    ]  # fmt: skip
    if equal:
        ledger.found("equal-responses", unit.place)
    for index in equal:
        ledger.drop_edge("equal-responses", unit.place, index)
    rest = [edge for index, edge in enumerate(group.edges) if edge.prob != 0.5 and index not in equal]
    if any(is_near(text.answer_runs[edge.winner], text.answer_runs[edge.loser]) for edge in rest):
        ledger.found("near-equal-responses", unit.place)
