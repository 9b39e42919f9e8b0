"""Every rule on tables worked by hand, and against loops in plain Python on random ones."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.signals.oracle import edges as slow_edges
from tropism.errors import ConfigError
from tropism.groups import PreferenceGroup
from tropism.signals.engines import engine as engines
from tropism.signals.kinds.built_groups import BuiltGroups
from tropism.signals.kinds.columns import VoteColumns
from tropism.signals.kinds.vote_rules import GapRule, Log2Rule, QuantileRule, RatioRule, ShpRule, VoteRule

MARKS = {"accepted": "yes", "prompt_score": "q_votes"}


def columns_of(rule: VoteRule) -> VoteColumns:
    """The columns that a rule reads."""
    return VoteColumns("q", "a", "votes", group="thread", time="at", **{role: MARKS[role] for role in rule.reads})


def pairs(made: BuiltGroups) -> set[str]:
    """Every edge as `winner>loser`."""
    return {pair for group in made.groups for pair in edges(group)}


def edges(group: PreferenceGroup) -> list[str]:
    """Every edge of a group as `winner>loser`."""
    return [f"{group.responses[edge.winner].content}>{group.responses[edge.loser].content}" for edge in group.edges]


def answers(**scores: float) -> list[dict[str, Any]]:
    return [{"a": name, "votes": score} for name, score in scores.items()]


def test_leads_and_quotients_are_those_of_the_decimals(votes: Callable[..., BuiltGroups]) -> None:
    # in binary 4.3 - 4 = 0.29999999999999982, 1.1 - 1 = 0.10000000000000009 and 3 * 0.1 = 0.30000000000000004
    assert pairs(votes(answers(a=4.3, b=4), GapRule(0.3))) == {"a>b"}
    assert pairs(votes(answers(a=4.3, b=4.0000000001, c=0), GapRule(0.3))) == {"a>c", "b>c"}
    assert pairs(votes(answers(a=1.1, b=1), GapRule(0.1))) == {"a>b"}
    assert pairs(votes(answers(a=-4, b=-4.3, c=-4.29), GapRule(0.3))) == {"a>b"}
    assert pairs(votes(answers(a=100_000_000.3, b=100_000_000, c=0), GapRule(0.3))) == {"a>b", "a>c", "b>c"}
    assert pairs(votes(answers(a=2_000_000_002, b=2_000_000_000, c=1_999_999_999), GapRule(3))) == {"a>c"}
    assert pairs(votes(answers(a=0.3, b=0.1), RatioRule(3, min_score=0.1))) == {"a>b"}
    assert pairs(votes(answers(a=2_000_000_001, b=1_000_000_001, c=1_000_000_000), RatioRule(2))) == {"a>c"}
    shp = ShpRule(min_ratio=3, min_score=0.1, min_gap=0.2)
    assert pairs(votes([row | {"at": 1} for row in answers(a=0.3, b=0.1)], shp)) == {"a>b"}
    assert pairs(votes(answers(a=4.3, b=4), QuantileRule(0.5, 0.5, min_gap=0.3))) == {"a>b"}


@pytest.mark.parametrize("seed", range(2))
def test_decimals_agree_with_loops_whether_pairs_are_pruned_or_not(
    seed: int, votes: Callable[..., BuiltGroups]
) -> None:
    rng = random.Random(seed)
    rows = [
        {"q": f"Q{thread}", "thread": thread, "a": f"a{place}", "votes": rng.randint(-50, 50) / 10}
        for thread in range(15)
        for place in range(12)
    ]
    for rule in (GapRule(0.3), GapRule(0.7), RatioRule(1.1, min_score=0.1), RatioRule(3, min_score=0.1)):
        expected = slow_edges(rows, rule)
        for cap in (None, 66):
            made = votes(rows, rule, cap=cap)
            assert {(int(group.id), *pair.split(">")) for group in made.groups for pair in edges(group)} == expected


def test_ratio_asks_for_a_multiple_and_for_votes_at_all(votes: Callable[..., BuiltGroups]) -> None:
    rows = answers(a=9, b=3, c=2, d=1, e=0, f=-5)
    assert pairs(votes(rows, RatioRule(3))) == {"a>b", "a>c", "a>d", "b>d"}
    assert pairs(votes(rows, RatioRule(3, min_score=2))) == {"a>b", "a>c"}


def test_log2_compares_doublings_and_the_askers_choice(votes: Callable[..., BuiltGroups]) -> None:
    # levels: 7 -> 3, 6 -> round(2.81) = 3, 1 -> 1 + 1 accepted = 2, 2 -> round(1.58) = 2, 0 -> 0, -2 -> -1
    rows = [*answers(a=7, b=6, d=2, e=0, f=-2), {"a": "c", "votes": 1, "yes": "true"}]
    expected = {"a>c", "a>d", "b>c", "b>d"} | {f"{x}>{y}" for x in "abcd" for y in "ef"} | {"e>f"}
    rows = [{"yes": None, "q_votes": None} | row for row in rows]
    assert pairs(votes(rows, Log2Rule(), columns=columns_of(Log2Rule()))) == expected
    assert pairs(votes(rows, Log2Rule(3), columns=columns_of(Log2Rule()))) == {"a>e", "a>f", "b>e", "b>f", "c>f", "d>f"}


def test_quantile_takes_its_bounds_from_the_whole_community(votes: Callable[..., BuiltGroups]) -> None:
    # twenty answers with scores 1 to 20: the top 10 % starts at 18, the bottom 20 % ends at 4
    rows = [{"a": f"a{score}", "votes": score, "thread": score % 2} for score in range(1, 21)]
    rule = QuantileRule(0.1, 0.2, min_gap=15)
    made = votes(rows, rule)
    assert pairs(made) == {"a18>a2", "a20>a2", "a20>a4", "a19>a1", "a19>a3"}
    assert "top 10 % (from 18 votes)" in made.card.rule
    assert "bottom 20 % (to 4 votes)" in made.card.rule


def test_length_match_bounds_the_quotient_of_lengths(votes: Callable[..., BuiltGroups]) -> None:
    rows = [{"a": "sixsix", "votes": 9}, {"a": "four", "votes": 5}, {"a": "ab", "votes": 1}]
    assert pairs(votes(rows, GapRule(1, length_match=0.5))) == {"sixsix>four"}
    assert pairs(votes(rows, GapRule(1, length_match=0.7))) == {"sixsix>four", "four>ab"}


def test_shp_leaves_out_prompts_with_few_votes(votes: Callable[..., BuiltGroups]) -> None:
    rows = [
        {"a": text, "votes": score, "at": 1, "thread": thread, "q_votes": q_votes, "yes": None}
        for thread, q_votes in ((1, 10), (2, 9), (3, None))
        for text, score in ((f"good {thread}", 8), (f"bad {thread}", 2))
    ]
    made = votes(rows, ShpRule(), columns=columns_of(ShpRule()))
    assert pairs(made) == {"good 1>bad 1", "good 3>bad 3"}
    assert made.card.account.dropped == {"prompt has fewer than 10 votes": 2}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "rule",
    [
        GapRule(1),
        GapRule(2.5, later=True),
        GapRule(1, min_score=0, length_match=0.4),
        RatioRule(1.5),
        RatioRule(2, later=True, min_score=0.5),
        ShpRule(),
        ShpRule(min_ratio=1, min_score=0, min_gap=2),
        Log2Rule(),
        Log2Rule(2, later=True),
        QuantileRule(0.1, 0.3, 4),
        QuantileRule(0.25, 0.25, 1, later=True),
    ],
    ids=str,
)
def test_engine_agrees_with_loops(rule: VoteRule, seed: int, votes: Callable[..., BuiltGroups]) -> None:
    rng = random.Random(seed)
    rows = [
        {
            "q": f"Q{thread}",
            "thread": thread,
            "a": " ".join(rng.choices("abcdefg", k=rng.randint(1, 6))),
            "votes": rng.choice([rng.randint(-3, 30), rng.random() * 5]),
            "at": rng.choice([10, 20, 30, 40]),
            "yes": rng.random() < 0.2,
            "q_votes": None,
        }
        for thread in (rng.randrange(30) for _ in range(250))
    ]
    # one row per answer and thread: which copy of a repeated answer counts is tested by hand elsewhere
    rows = list({(row["thread"], row["a"]): row for row in rows}.values())
    made = votes(rows, rule, columns=columns_of(rule))
    found = {
        (int(group.id), group.responses[edge.winner].content, group.responses[edge.loser].content)
        for group in made.groups
        for edge in group.edges
    }
    assert found == slow_edges(rows, rule)
    assert len(found) == made.card.account.edges


@pytest.mark.parametrize("cap", [1, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_pruned_pairs_are_the_capped_ones(cap: int, seed: int, votes: Callable[..., BuiltGroups]) -> None:
    """Pairs that others surpass are not made in the first place; a rule that cannot prune gives the same edges."""
    rng = random.Random(seed)
    rows = [
        {"q": f"Q{thread}", "thread": thread, "a": f"a{place} {rng.random()}", "votes": rng.randint(0, 6)}
        for thread in range(20)
        for place in range(rng.randint(2, 12))
    ]
    fast = votes(rows, GapRule(1), cap=cap)
    slow = votes(rows, GapRule(1, min_score=-1e9), cap=cap)
    assert GapRule(1).grows
    assert not GapRule(1, min_score=-1e9).grows
    assert [group.edges for group in fast.groups] == [group.edges for group in slow.groups]
    assert fast.card.account.notes == slow.card.account.notes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RatioRule(0.5), "`min_ratio` must be a number of at least 1, got 0.5"),
        (lambda: RatioRule(2, min_score=0), "`min_score` must be a number above 0, got 0"),
        (lambda: Log2Rule(0), "`min_gap` must be a number above 0, got 0"),
        (lambda: QuantileRule(high=1.5), "`high` must be between 0 and 1, got 1.5"),
        (lambda: QuantileRule(low=0), "`low` must be between 0 and 1, got 0"),
        (lambda: GapRule(1, length_match=0), "`length_match` must be a number above 0, got 0"),
    ],
)
def test_settings_without_meaning_are_errors(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_threads_taken_in_parts_make_the_same_groups(
    votes: Callable[..., BuiltGroups], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(5)
    rows = [
        {
            "q": f"Q{thread}",
            "thread": thread,
            "a": f"a{rng.randrange(6)}",
            "votes": rng.randint(0, 9),
            "at": rng.random(),
        }
        for thread in (rng.randrange(40) for _ in range(300))
    ]
    whole = votes(rows, GapRule(1), cap=3)
    monkeypatch.setattr(engines, "ROWS_PER_PART", 70)
    parts = votes(rows, GapRule(1), cap=3)
    assert list(whole.groups) == list(parts.groups)
    assert whole.card == parts.card
    assert whole.card.account.dropped["repeated response"] > 50
