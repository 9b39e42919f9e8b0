"""Votes as the tests write them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tropism.signals.engines.engine import open_file
from tropism.signals.kinds.made import Built
from tropism.signals.kinds.rules import VoteRule
from tropism.signals.kinds.votes import VoteColumns, votes_to_groups

COLUMNS = VoteColumns("q", "a", "votes", group="thread", time="at", author="who")


@pytest.fixture
def votes(tmp_path: Path) -> Callable[..., Built]:
    """Builds votes of rows by way of a JSONL file; `thread` is 1 and `who` nobody unless a row says otherwise."""

    def build(rows: list[dict[str, Any]], rule: VoteRule, columns: VoteColumns = COLUMNS, **options: Any) -> Built:
        path = tmp_path / "votes.jsonl"
        filled = [{"q": "Q?", "thread": 1, "at": None, "who": None} | row for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in filled), encoding="utf-8")
        table = open_file(path, list(columns.given().values()))
        return votes_to_groups(table, columns, rule, source="votes.jsonl", **options)

    return build
