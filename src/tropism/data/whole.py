"""Rows that are groups already: what a file of groups must hold for the code behind to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tropism.data.group_store import group_of
from tropism.errors import DataError
from tropism.groups import Content, PreferenceGroup
from tropism.ingest import Unusable
from tropism.ingest.row_values import check_json

REASON = "not a valid group"


def valid_group(row: Mapping[str, Any]) -> PreferenceGroup:
    """A row of `groups.parquet` as a group, with contents that could be trained on.

    Raises:
        Unusable: if the row breaks the rules of a group, or holds what JSON could not give back.
    """
    try:
        group = group_of(row)
        names = [group.id, group.source, *(response.id for response in group.responses)]
        if not all(isinstance(name, str) for name in names) or not isinstance(group.extra, dict):
            raise Unusable(REASON)
        check_json(group.extra)
        for content in (*group.prompts, *(response.content for response in group.responses)):
            _check_content(content)
    except (DataError, Unusable, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Unusable(REASON) from None
    return group


def _check_content(content: Content) -> None:
    """Refuse what is neither text, turns, an item's id nor nothing."""
    if isinstance(content, tuple):
        for turn in content:
            words = turn.get("content")
            is_parts = isinstance(words, list) and all(isinstance(part, dict) for part in words)
            if not isinstance(turn.get("role"), str) or not (words is None or isinstance(words, str) or is_parts):
                raise Unusable(REASON)
            check_json(turn)
    elif isinstance(content, bool) or not isinstance(content, str | int | type(None)):
        raise Unusable(REASON)
    else:
        check_json(content)
