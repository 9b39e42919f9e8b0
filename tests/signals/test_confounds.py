"""What could be mistaken for taste, worked by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tropism.signals.kinds.built_groups import BuiltGroups
from tropism.signals.kinds.columns import VoteColumns
from tropism.signals.kinds.vote_rules import GapRule
from tropism.signals.statistics.edge_confounders import share


def answers(**scores: Any) -> list[dict[str, Any]]:
    return [{"a": name, "votes": score} for name, score in scores.items()]


def test_share_by_hand() -> None:
    """Four groups of one edge: design effect 4/3, so 3 edges count; Wilson at 3/4 of 3."""
    found = share(np.array([2, 2, 0, 2]), np.array([1, 1, 1, 1]))
    assert found.value == 0.75
    assert (found.low, found.high) == pytest.approx((0.25610, 0.96312), abs=1e-4)
    assert found.n == 4


def test_share_counts_one_thread_as_one_witness() -> None:
    assert share(np.array([200]), np.array([100])).low == pytest.approx(1 / (1 + 1.959964**2))
    wide, narrow = share(np.array([40, 0] * 5), np.array([20, 20] * 5)), share(np.array([20] * 10), np.array([20] * 10))
    assert wide.value == narrow.value == 0.5
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_longer_and_earlier_count_ties_one_half(votes: Callable[..., BuiltGroups]) -> None:
    rows = [
        {"a": "eleven long", "votes": 9, "at": 10},
        {"a": "nine\nlong", "votes": 5, "at": 10},
        {"a": "neun läng", "votes": 1, "at": 5},
    ]
    columns = VoteColumns("q", "a", "votes", time="at")
    found = votes(rows, GapRule(), columns).card.confounds
    assert found["chosen_longer"].value == pytest.approx((1 + 1 + 0.5) / 3)
    assert found["chosen_earlier"].value == pytest.approx((0.5 + 0 + 0) / 3)
    assert found["chosen_longer"].n == 3
    assert "author_only_accuracy" not in found


def test_earlier_leaves_out_edges_without_a_time(votes: Callable[..., BuiltGroups]) -> None:
    rows = [{"a": "a", "votes": 3, "at": 1}, {"a": "b", "votes": 2, "at": 2}, {"a": "c", "votes": 1}]
    found = votes(rows, GapRule()).card.confounds["chosen_earlier"]
    assert (found.value, found.n) == (1.0, 1)
    assert "chosen_earlier" not in votes(answers(a=2, b=1), GapRule()).card.confounds


def test_author_accuracy_uses_the_other_threads_only(votes: Callable[..., BuiltGroups]) -> None:
    """Thread 1: ann 5 > bob 1. Thread 2: ann 1 < bob 4. Thread 3: ann 6 > bob 2, cy 0 (who is in no other thread).

    Without thread 1 the means are ann 3.5, bob 3: right. Without 2: ann 5.5, bob 1.5: wrong. Without 3: ann 3, bob
    2.5: right; the two edges with cy are unknown, one half each. (1 + 0 + 1 + .5 + .5) / 5.
    """
    scores = {1: {"ann": 5, "bob": 1}, 2: {"ann": 1, "bob": 4}, 3: {"ann": 6, "bob": 2, "cy": 0}}
    rows = [
        {"thread": thread, "a": f"{thread} {who}", "who": who, "votes": score}
        for thread, one in scores.items()
        for who, score in one.items()
    ]
    found = votes(rows, GapRule()).card.confounds["author_only_accuracy"]
    assert (found.value, found.n) == (pytest.approx(3 / 5), 5)


def test_deleted_authors_tell_nothing(votes: Callable[..., BuiltGroups]) -> None:
    rows = [
        {"thread": thread, "a": f"{thread}{name}", "who": who, "votes": score}
        for thread in (1, 2)
        for name, who, score in (("x", "[deleted]", 5), ("y", "", 1))
    ]
    assert votes(rows, GapRule()).card.confounds["author_only_accuracy"].value == 0.5


def test_length_accuracy_takes_its_direction_from_other_threads(votes: Callable[..., BuiltGroups]) -> None:
    """Winners are shorter in threads 1 to 3 and longer in thread 4: 3 of 4 are told by length."""
    rows = [
        {"thread": thread, "a": text, "votes": score}
        for thread in (1, 2, 3, 4)
        for text, score in ((f"{thread}", 0 if thread == 4 else 2), (f"{thread} and more", 1))
    ]
    found = votes(rows, GapRule()).card.confounds
    assert found["chosen_longer"].value == 0.25
    assert found["length_only_accuracy"].value == 0.75
