"""Votes as the tests write them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tropism.signals.build import build_groups
from tropism.signals.kinds.built_groups import BuiltGroups
from tropism.signals.kinds.columns import VoteColumns
from tropism.signals.kinds.vote_rules import VoteRule
from tropism.signals.kinds.votes import VoteSettings

COLUMNS = VoteColumns("q", "a", "votes", group="thread", time="at", author="who")


@pytest.fixture
def votes(tmp_path: Path) -> Callable[..., BuiltGroups]:
    """Builds votes from rows in a JSONL file; `thread` is 1 and `who` is missing unless a row gives them."""

    def build(
        rows: list[dict[str, Any]], rule: VoteRule, columns: VoteColumns = COLUMNS, **options: Any
    ) -> BuiltGroups:
        path = tmp_path / "votes.jsonl"
        filled = [{"q": "Q?", "thread": 1, "at": None, "who": None} | row for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in filled), encoding="utf-8")
        return build_groups(path, VoteSettings(columns=columns, rule=rule, **options))

    return build
