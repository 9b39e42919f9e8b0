"""Rows, settings and results that are refused, word for word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tropism.errors import ConfigError, DataError
from tropism.signals.build import build_groups
from tropism.signals.engines.engine import open_file
from tropism.signals.kinds.built_groups import BuiltGroups
from tropism.signals.kinds.columns import VoteColumns
from tropism.signals.kinds.vote_rules import GapRule, ShpRule
from tropism.signals.kinds.votes import VoteSettings


def told(groups: Any) -> set[tuple[str, Any, Any]]:
    """Every edge as group id, winner's text, loser's text."""
    found = [
        (group.id, group.responses[edge.winner].content, group.responses[edge.loser].content)
        for group in groups
        for edge in group.edges
    ]
    assert len(found) == len(set(found))
    return set(found)


def pairs(groups: Any) -> set[str]:
    """Every edge as `winner>loser`, for answers named by letters."""
    return {f"{winner}>{loser}" for _, winner, loser in told(groups)}


def answers(**scores: Any) -> list[dict[str, Any]]:
    return [{"a": name, "votes": score} for name, score in scores.items()]


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ("NaN", "row 2: column 'votes' must hold a finite number, got 'NaN' (1 such row)."),
        ("-inf", "row 2: column 'votes' must hold a finite number, got '-inf' (1 such row)."),
        ("many", "row 2: column 'votes' must hold a number, got 'many' (1 such row)."),
        (True, "row 2: column 'votes' must hold a number, got 'true' (1 such row)."),
    ],
)
def test_score_that_is_no_number_stops_unless_skipped(
    votes: Callable[..., BuiltGroups], score: Any, message: str
) -> None:
    rows = answers(a=3, x=score, b=1)
    with pytest.raises(DataError) as caught:
        votes(rows, GapRule())
    assert str(caught.value) == f"{message} Correct it, or drop and count such rows with `skip_bad=True`."
    made = votes(rows, GapRule(), skip_bad=True)
    assert pairs(made.groups) == {"a>b"}
    (reason,) = made.card.account.dropped
    assert reason == ("score is not finite" if "finite" in message else "score is not a number")


def test_nan_in_parquet_is_found(tmp_path: Path) -> None:
    path = tmp_path / "votes.parquet"
    pq.write_table(pa.table({"q": ["Q"] * 3, "a": ["a", "b", "c"], "votes": [1.0, float("nan"), None]}), path)
    with pytest.raises(DataError, match=r"^row 2: column 'votes' must hold a finite number, got 'nan' \(1 such row\)"):
        build_groups(
            open_file(path, ["q", "a", "votes"]), VoteSettings(columns=VoteColumns("q", "a", "votes"), rule=GapRule())
        )


def test_time_that_cannot_be_read_stops_unless_skipped(votes: Callable[..., BuiltGroups]) -> None:
    rows = [{"a": "a", "votes": 3, "at": "soon"}, {"a": "b", "votes": 2, "at": "later"}]
    rows += [{"a": "c", "votes": 3, "at": 2}, {"a": "d", "votes": 1, "at": "1970-01-01"}, {"a": "e", "votes": 1}]
    with pytest.raises(DataError) as caught:
        votes(rows, GapRule())
    assert str(caught.value) == (
        "row 1: column 'at' must hold a time (ISO 8601, or seconds since 1970), got 'soon' (2 such rows). "
        "Correct it, or drop and count such rows with `skip_bad=True`."
    )
    made = votes(rows, GapRule(), skip_bad=True)
    assert made.card.account.dropped == {"time cannot be read": 2}
    assert pairs(made.groups) == {"c>d", "c>e"}
    made = votes(rows, GapRule(later=True), skip_bad=True)
    assert made.card.account.dropped == {"time cannot be read": 2, "missing time": 1}


def test_no_edge_tells_threads_and_largest_gap(votes: Callable[..., BuiltGroups]) -> None:
    rows = answers(a=3, b=1) + [row | {"thread": 2} for row in answers(c=3, d=3)]
    with pytest.raises(DataError) as caught:
        votes(rows, GapRule(5))
    assert str(caught.value) == (
        'no pair passes the rule "gap: the winner leads by at least 5": votes.jsonl has 2 threads with two answers or '
        "more, and the largest gap in one is 2. Relax the rule, or add votes."
    )
    with pytest.raises(
        DataError, match=r"1 thread with two .* is 0\. Add votes; all answers of a thread have one score"
    ):
        votes(answers(a=0, b=0), GapRule())
    with pytest.raises(DataError) as caught:
        votes([*answers(a=3), {"a": "", "votes": 1}], GapRule())
    assert str(caught.value) == (
        "no prompt of votes.jsonl has two answers that can be used (2 rows: 1 x empty response, 1 x only answer to its "
        "prompt). Name with `group` the column that answers to one prompt have in common, or add answers."
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GapRule(0), "`min_gap` must be a number above 0, got 0. Use 1, one vote, for every lead."),
        (
            lambda: GapRule(float("nan")),
            "`min_gap` must be a number above 0, got nan. Use 1, one vote, for every lead.",
        ),
        (lambda: ShpRule(min_ratio=0.5), "`min_ratio` must be a number of at least 1, got 0.5. Use 1 or more."),
        (lambda: ShpRule(min_score=-1), "`min_score` must be a number of at least 0, got -1. Use 0 or more."),
        (
            lambda: VoteColumns("q", "q", "s"),
            "`prompt` and `response` both name the column 'q'. "
            "Give `response` another column or, if it is optional, omit it.",
        ),
    ],
)
def test_settings_without_meaning_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message


def test_rule_over_time_needs_a_time(votes: Callable[..., BuiltGroups]) -> None:
    columns = VoteColumns("q", "a", "votes")
    with pytest.raises(ConfigError, match=r"written later\" compares when .* Name the column with `time`\.$"):
        votes(answers(a=2, b=1), GapRule(later=True), columns)
    with pytest.raises(ConfigError, match=r"^`cap` must be at least 1, got 0\. Omit it for no cap\.$"):
        votes(answers(a=2, b=1), GapRule(), cap=0)
