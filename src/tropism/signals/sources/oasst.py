"""OpenAssistant trees: the ranked replies of assistants to one message become a ranking.

A line is a tree: `message_tree_id`, `tree_state`, and `prompt`, a message with `replies`, each a message again.

Reference: Köpf et al. 2023, OpenAssistant Conversations, arXiv:2304.07327.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tropism.ingest import Unusable, read_rows, row_values
from tropism.signals.sources.feedback_rows import Aside, RankRow, Refused

PROMPTER = "message of a prompter"
_READY = "ready_for_export"
_ROLES = {"prompter": "user", "assistant": "assistant"}


def read_oasst(path: Path, *, keep_synthetic: bool = False) -> Iterator[RankRow | Aside | Refused]:
    """Rankings of the replies to each message; the prompt is the dialogue up to it, as JSON.

    Args:
        path: a file of trees, a line each; `.gz` may follow.
        keep_synthetic: keep replies that a model wrote.

    Yields:
        One row, aside or refusal for each message of each tree, all with the number of the tree's line. Replies are
        refused if they are deleted, failed their review, are synthetic, have no rank, or are left without a
        second one; a tree as a whole if it is not ready for export.

    Raises:
        DataError: if the file cannot be read.
    """
    for record in read_rows(path):
        if record.problem:
            yield Refused(record.number, record.problem)
            continue
        try:
            yield from _tree(record.number, record.values, keep_synthetic=keep_synthetic)
        except Unusable as reason:
            yield Refused(record.number, str(reason))


class _Message(NamedTuple):
    """A message to visit: its values, the dialogue above it, and why it cannot be part of a dialogue."""

    values: Mapping[str, Any]
    above: tuple[Mapping[str, str], ...]
    lost: bool


def _tree(number: int, values: Mapping[str, Any], *, keep_synthetic: bool) -> Iterator[RankRow | Aside | Refused]:
    """Every message of a tree, each once."""
    if values.get("tree_state", _READY) != _READY:
        raise Unusable("tree is not ready for export")
    root = row_values.mapping(values.get("prompt"), "prompt")
    if root.get("role") != "prompter":
        raise Unusable("tree does not begin with a prompter")
    yield Aside(number, PROMPTER)
    waiting, place = [_Message(root, (), lost=False)], 0
    while waiting:
        message, place = waiting.pop(), place + 1
        replies = message.values.get("replies")
        replies = replies if isinstance(replies, list) else []
        dialogue = _dialogue(message)
        group = row_values.key(message.values.get("message_id")) or f"tree {number}, message {place}"
        yield from _siblings(number, replies, dialogue, group=group, keep_synthetic=keep_synthetic)
        waiting += [
            _Message(reply, dialogue or (), lost=dialogue is None) for reply in replies if isinstance(reply, dict)
        ]


def _siblings(
    number: int,
    replies: Sequence[object],
    dialogue: tuple[Mapping[str, str], ...] | None,
    *,
    group: str,
    keep_synthetic: bool,
) -> Iterator[RankRow | Aside | Refused]:
    """The replies to one message: ranked, aside or refused."""
    ranked: list[RankRow] = []
    prompt = "" if dialogue is None else json.dumps(dialogue, ensure_ascii=False)
    for reply in replies:
        if isinstance(reply, dict) and reply.get("role") == "prompter":
            yield Aside(number, PROMPTER)
            continue
        try:
            response, rank = _ranked(reply, keep_synthetic=keep_synthetic)
            if dialogue is None:
                raise Unusable("reply to a message that cannot be used")
            ranked.append(RankRow(number, prompt, response, group, rank, prompt_is_json=True))
        except Unusable as reason:
            yield Refused(number, str(reason))
    if len(ranked) == 1:
        yield Refused(number, "only ranked reply to its message")
    else:
        yield from ranked


def _ranked(reply: object, *, keep_synthetic: bool) -> tuple[str, int]:
    """Text and rank of a reply that people ranked."""
    values = row_values.mapping(reply, "reply")
    if values.get("role") != "assistant":
        raise Unusable("reply of an unknown role")
    if _is_dropped(values):
        raise Unusable("deleted reply" if values.get("deleted") else "reply failed its review")
    if values.get("synthetic") and not keep_synthetic:
        raise Unusable("synthetic reply")
    response = row_values.text(values.get("text"), "response")
    if values.get("rank") is None:
        raise Unusable("unranked reply")
    return response, row_values.rank(values["rank"])


def _dialogue(message: _Message) -> tuple[Mapping[str, str], ...] | None:
    """The turns up to and with a message; None if one of them cannot be used."""
    role = message.values.get("role")
    if message.lost or not isinstance(role, str) or role not in _ROLES or _is_dropped(message.values):
        return None
    try:
        content = row_values.text(message.values.get("text"), "text")
    except Unusable:
        return None
    return (*message.above, {"role": _ROLES[role], "content": content})


def _is_dropped(values: Mapping[str, Any]) -> bool:
    """Whether a message was deleted or failed its review."""
    return bool(values.get("deleted")) or values.get("review_result") is False
