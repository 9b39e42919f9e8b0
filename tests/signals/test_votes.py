"""Votes to groups: hand-worked tables and real counts."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tropism.groups import PreferenceGroup
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


def test_gap_rule_keeps_the_pairs_that_lead_by_enough(votes: Callable[..., BuiltGroups]) -> None:
    rows = answers(a=5, b=3, c=3, d=-2)
    assert pairs(votes(rows, GapRule(1)).groups) == {"a>b", "a>c", "a>d", "b>d", "c>d"}
    assert pairs(votes(rows, GapRule(5)).groups) == {"a>d", "b>d", "c>d"}
    assert pairs(votes(rows, GapRule(5.5)).groups) == {"a>d"}


def test_later_asks_that_the_winner_was_written_strictly_later(votes: Callable[..., BuiltGroups]) -> None:
    rows = [
        {"a": "a", "votes": 9, "at": 100},
        {"a": "b", "votes": 5, "at": 100},
        {"a": "c", "votes": 1, "at": 99},
        {"a": "d", "votes": 7, "at": 200},
    ]
    assert pairs(votes(rows, GapRule(1, later=True)).groups) == {"a>c", "b>c", "d>b", "d>c"}


def test_shp_rule_by_hand(votes: Callable[..., BuiltGroups]) -> None:
    rows = [
        {"a": "early", "votes": 8, "at": "2020-01-01T00:00:00Z"},
        {"a": "late", "votes": 4, "at": "2020-01-02T00:00:00Z"},
        {"a": "same", "votes": 2, "at": "2020-01-02T02:00:00+02:00"},
        {"a": "one", "votes": 1, "at": "2020-01-01"},
        {"a": "minus", "votes": -4, "at": "2020-01-01"},
        {"a": "last", "votes": 16, "at": "2020-01-02 00:00:00.5"},
    ]
    expected = {"late>same", "last>early", "last>late", "last>same"}
    assert pairs(votes(rows, ShpRule()).groups) == expected
    assert pairs(votes(rows, ShpRule(min_ratio=3)).groups) == {"last>late", "last>same"}
    assert pairs(votes(rows, ShpRule(min_score=4)).groups) == {"last>early", "last>late"}
    assert pairs(votes(rows, ShpRule(min_gap=8)).groups) == {"last>early", "last>late", "last>same"}
    assert pairs(votes(rows, ShpRule(min_score=1)).groups) == expected | {
        "late>one",
        "last>one",
        "same>one",
        "early>one",
    }


def test_shp_rule_never_pairs_equal_votes(votes: Callable[..., BuiltGroups]) -> None:
    rows = [{"a": name, "votes": score, "at": 1} for name, score in (("a", 0), ("b", 0), ("c", 3))]
    assert pairs(votes(rows, ShpRule(min_ratio=1, min_score=0)).groups) == {"c>a", "c>b"}


def test_group_holds_prompt_scores_and_stable_ids(votes: Callable[..., BuiltGroups]) -> None:
    rows = [{"a": "naïve 🙂", "votes": 2, "at": 5}, {"a": "日本", "votes": 0.5, "at": 4}]
    (group,) = votes([row | {"q": "Wie?\nÜber"} for row in rows], GapRule()).groups
    assert (group.id, group.prompts, group.source) == ("1", ("Wie?\nÜber",), "votes.jsonl")
    assert [(one.content, one.score) for one in group.responses] == [("日本", 0.5), ("naïve 🙂", 2.0)]
    assert (group.edges[0].winner, group.edges[0].loser, group.edges[0].weight) == (1, 0, 1.0)
    (other,) = votes(answers(x=0) + [row | {"q": "Wie?\nÜber"} for row in rows], GapRule()).groups
    assert {one.id for one in other.responses} == {one.id for one in group.responses}


def test_weight_gap_is_the_lead_in_votes(votes: Callable[..., BuiltGroups]) -> None:
    made = votes(answers(a=5, b=3, c=-2), GapRule(), weight="gap")
    (group,) = made.groups
    assert {edge.weight for edge in group.edges} == {2.0, 5.0, 7.0}
    assert made.card.rule == "gap: the winner leads by at least 1; an edge weighs its gap"


def test_cap_keeps_the_largest_gaps(votes: Callable[..., BuiltGroups]) -> None:
    made = votes(answers(a=10, b=6, c=3, d=1), GapRule(), cap=3)
    assert pairs(made.groups) == {"a>d", "a>c", "b>d"}
    assert made.card.account.notes == {"pairs over the cap": 3}
    assert made.card.rule == "gap: the winner leads by at least 1; at most 3 edges per thread, the largest gaps first"


def test_cap_breaks_ties_by_the_texts_and_not_by_the_order(votes: Callable[..., BuiltGroups]) -> None:
    rows = answers(**{f"w{i}": 1 for i in range(9)}, **{f"l{i}": 0 for i in range(9)})
    first = pairs(votes(rows, GapRule(), cap=4).groups)
    assert len(first) == 4
    assert pairs(votes(rows[::-1], GapRule(), cap=4).groups) == first
    assert len({pair.split(">")[0] for pair in first}) > 1


def test_key_with_two_prompts_is_split_and_counted(votes: Callable[..., BuiltGroups]) -> None:
    rows = answers(a=2, b=1) + [row | {"q": "R?"} for row in answers(c=5, d=1)]
    made = votes([*rows, *[row | {"thread": 2} for row in answers(e=1, f=0)]], GapRule())
    assert pairs(made.groups) == {"a>b", "c>d", "e>f"}
    note = "keys split because they carry several prompts"
    assert made.card.account.notes == {note: 1}
    assert made.card.account.examples[note] == ["1"]
    ids = [group.id for group in made.groups]
    assert ids == sorted(ids)
    assert [name.partition("/")[0] for name in ids] == ["1", "1", "2"]


def test_without_a_key_equal_prompts_are_a_thread(votes: Callable[..., BuiltGroups]) -> None:
    columns = VoteColumns("q", "a", "votes")
    made = votes([*answers(a=2), *[row | {"thread": 2} for row in answers(b=1)]], GapRule(), columns)
    assert pairs(made.groups) == {"a>b"}
    assert "keys split" not in str(made.card.account.notes)


def test_key_keeps_its_zeros(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("thread,q,a,votes\n007,Q,a,2\n007,Q,b,1\n7,Q,c,9\n")
    made = build_groups(
        open_file(path, ["thread", "q", "a", "votes"]),
        VoteSettings(columns=VoteColumns("q", "a", "votes", group="thread"), rule=GapRule()),
    )
    assert told(made.groups) == {("007", "a", "b")}


def test_account_adds_up_and_names_rows(votes: Callable[..., BuiltGroups]) -> None:
    rows = [
        {"a": "good", "votes": 5},
        {"a": "bad", "votes": 1},
        {"a": "good", "votes": 7},
        {"a": " [deleted] ", "votes": 9},
        {"a": "[removed]", "votes": 9},
        {"a": "", "votes": 9},
        {"a": None, "votes": 9},
        {"a": " \n\u00a0", "votes": 9},
        {"a": "x", "votes": 9, "q": " "},
        {"a": "x", "votes": 9, "q": "[deleted]"},
        {"a": "x", "votes": None},
        {"a": "x", "votes": " "},
        {"a": "x", "votes": 9, "thread": None},
        {"a": "alone", "votes": 9, "thread": 2},
        {"a": "tie", "votes": 3, "thread": 3},
        {"a": "tied", "votes": 3, "thread": 3},
        {"a": "between", "votes": 6.5},
    ]
    made = votes(rows, GapRule(2))
    account = made.card.account
    assert account.dropped == {
        "empty response": 3,
        "deleted response": 2,
        "missing score": 2,
        "no pair of its thread passes the rule": 2,
        "deleted prompt": 1,
        "empty group key": 1,
        "empty prompt": 1,
        "only answer to its prompt": 1,
        "repeated response": 1,
    }
    assert (account.rows_read, account.rows_used) == (17, 3)
    assert (account.groups, account.responses, account.edges, account.ties) == (1, 3, 2, 0)
    assert account.examples["repeated response"] == ["row 1"]
    assert account.examples["empty response"] == ["row 6", "row 7", "row 8"]
    assert account.notes == {}
    (group,) = made.groups
    assert {one.content: one.score for one in group.responses} == {"good": 7.0, "bad": 1.0, "between": 6.5}


def test_response_without_an_edge_stays_in_its_group(votes: Callable[..., BuiltGroups]) -> None:
    made = votes(answers(a=5, b=3, c=1), GapRule(4))
    (group,) = made.groups
    assert len(group.responses) == 3
    assert made.card.account.notes == {"responses without an edge": 1}


def test_shuffled_rows_make_the_same_groups_and_card(votes: Callable[..., BuiltGroups]) -> None:
    rng = random.Random(0)
    rows: list[dict[str, Any]] = [
        {
            "q": f"Q{rng.randrange(2)}",
            "thread": rng.randrange(9),
            "a": f"answer {rng.randrange(60)} " + "word " * rng.randrange(4),
            "votes": rng.randrange(6) / 2,
            "at": rng.randrange(5),
            "who": f"u{rng.randrange(5)}",
        }
        for _ in range(300)
    ]

    def build() -> tuple[list[PreferenceGroup], Any]:
        made = votes(rows, GapRule(0.5), cap=6, weight="gap")
        return list(made.groups), made.card.model_dump(exclude={"account": {"examples"}})

    first = build()
    for seed in (1, 2):
        random.Random(seed).shuffle(rows)
        assert build() == first
    assert first[1]["account"]["dropped"]["repeated response"] > 0


def test_groups_can_be_read_twice(votes: Callable[..., BuiltGroups]) -> None:
    made = votes(answers(a=2, b=1), GapRule())
    assert list(made.groups) == list(made.groups) != []


@pytest.mark.parametrize("kind", ["csv", "tsv", "semicolon", "parquet", "json", "csv.gz", "stamps"])
def test_every_kind_of_file_makes_the_same_groups(kind: str, tmp_path: Path, votes: Callable[..., BuiltGroups]) -> None:
    rows = [
        {"q": 'A "quoted", long\nquestion; é', "a": f"{name}, \t{name}", "votes": score, "thread": "01", "at": at}
        for name, score, at in (("a", 4, 60), ("b", 2, 0), ("c", -3, 120))
    ]
    columns = VoteColumns("q", "a", "votes", group="thread", time="at")
    path = tmp_path / {"semicolon": "x.csv", "stamps": "x.parquet"}.get(kind, f"x[1].{kind}")
    if kind == "json":
        path.write_text(json.dumps(rows))
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "stamps":
        stamped = pa.Table.from_pylist(rows)
        times = stamped["at"].cast(pa.timestamp("s")).cast(pa.timestamp("us"))
        pq.write_table(stamped.set_column(stamped.column_names.index("at"), "at", times), path)
    else:
        import gzip

        opened = gzip.open if kind.endswith("gz") else open
        separator = {"tsv": "\t", "semicolon": ";"}.get(kind, ",")
        with opened(path, "wt", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0], delimiter=separator)
            writer.writeheader()
            writer.writerows(rows)
    rule = GapRule(2, later=True)
    made = build_groups(
        open_file(path, list(columns.given().values())), VoteSettings(columns=columns, rule=rule, source="votes.jsonl")
    )
    expected = votes(rows, rule, columns)
    assert list(made.groups) == list(expected.groups)
    assert told(made.groups) == {("01", "a, \ta", "b, \tb")}
    assert made.card == expected.card


def test_a_table_of_your_own_works() -> None:
    table = ibis.memtable(pa.table({"p": ["Q", "Q"], "r": ["a", "b"], "s": [3, 1]}))
    made = build_groups(table, VoteSettings(columns=VoteColumns("p", "r", "s"), rule=GapRule()))
    assert pairs(made.groups) == {"a>b"}


@pytest.mark.parametrize(
    ("min_gap", "cap", "num_edges"), [(1, None, 1648), (2, None, 373), (3, None, 132), (1, 10, 616)]
)
def test_counsel_chat_makes_the_counted_edges(real_data: Path, min_gap: int, cap: int | None, num_edges: int) -> None:
    columns = VoteColumns("questionText", "answerText", "upvotes", group="questionID")
    table = open_file(real_data / "data" / "counsel_chat.jsonl", list(columns.given().values()))
    made = build_groups(table, VoteSettings(columns=columns, rule=GapRule(min_gap), cap=cap))
    groups = list(made.groups)
    account = made.card.account
    assert sum(len(group.edges) for group in groups) == account.edges == num_edges
    assert sum(len(group.responses) for group in groups) == account.responses == account.rows_used
    assert len(groups) == account.groups
    assert account.rows_read == 1539
    assert account.notes["keys split because they carry several prompts"] == 15
