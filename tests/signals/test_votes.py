"""Votes to groups: hand-worked tables, real counts, and every error."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tropism.errors import ConfigError, DataError
from tropism.groups import PreferenceGroup
from tropism.signals.confounds import share
from tropism.signals.engines import open_file
from tropism.signals.rules import GapRule, ShpRule, VoteRule
from tropism.signals.votes import VoteColumns, Votes, votes_to_groups

# Ibis 12 still calls a method that DuckDB 2 deprecates; nothing of ours does.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

COLUMNS = VoteColumns("q", "a", "votes", group="thread", time="at", author="who")
Row = dict[str, Any]


@pytest.fixture
def votes(tmp_path: Path) -> Callable[..., Votes]:
    """Builds votes of rows by way of a JSONL file; `thread` is 1 and `who` nobody unless a row says otherwise."""

    def build(rows: list[Row], rule: VoteRule, columns: VoteColumns = COLUMNS, **options: Any) -> Votes:
        path = tmp_path / "votes.jsonl"
        filled = [{"q": "Q?", "thread": 1, "at": None, "who": None} | row for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in filled), encoding="utf-8")
        table = open_file(path, list(columns.given().values()))
        return votes_to_groups(table, columns, rule, source="votes.jsonl", **options)

    return build


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


def answers(**scores: Any) -> list[Row]:
    return [{"a": name, "votes": score} for name, score in scores.items()]


def test_gap_rule_keeps_the_pairs_that_lead_by_enough(votes: Callable[..., Votes]) -> None:
    rows = answers(a=5, b=3, c=3, d=-2)
    assert pairs(votes(rows, GapRule(1)).groups) == {"a>b", "a>c", "a>d", "b>d", "c>d"}
    assert pairs(votes(rows, GapRule(5)).groups) == {"a>d", "b>d", "c>d"}
    assert pairs(votes(rows, GapRule(5.5)).groups) == {"a>d"}


def test_later_asks_that_the_winner_was_written_strictly_later(votes: Callable[..., Votes]) -> None:
    rows = [
        {"a": "a", "votes": 9, "at": 100},
        {"a": "b", "votes": 5, "at": 100},
        {"a": "c", "votes": 1, "at": 99},
        {"a": "d", "votes": 7, "at": 200},
    ]
    assert pairs(votes(rows, GapRule(1, later=True)).groups) == {"a>c", "b>c", "d>b", "d>c"}


def test_shp_rule_by_hand(votes: Callable[..., Votes]) -> None:
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


def test_shp_rule_never_pairs_equal_votes(votes: Callable[..., Votes]) -> None:
    rows = [{"a": name, "votes": score, "at": 1} for name, score in (("a", 0), ("b", 0), ("c", 3))]
    assert pairs(votes(rows, ShpRule(min_ratio=1, min_score=0)).groups) == {"c>a", "c>b"}


def test_group_holds_prompt_scores_and_stable_ids(votes: Callable[..., Votes]) -> None:
    rows = [{"a": "naïve 🙂", "votes": 2, "at": 5}, {"a": "日本", "votes": 0.5, "at": 4}]
    (group,) = votes([row | {"q": "Wie?\nÜber"} for row in rows], GapRule()).groups
    assert (group.id, group.prompts, group.source) == ("1", ("Wie?\nÜber",), "votes.jsonl")
    assert [(one.content, one.score) for one in group.responses] == [("日本", 0.5), ("naïve 🙂", 2.0)]
    assert (group.edges[0].winner, group.edges[0].loser, group.edges[0].weight) == (1, 0, 1.0)
    (other,) = votes(answers(x=0) + [row | {"q": "Wie?\nÜber"} for row in rows], GapRule()).groups
    assert {one.id for one in other.responses} == {one.id for one in group.responses}


def test_weight_gap_is_the_lead_in_votes(votes: Callable[..., Votes]) -> None:
    made = votes(answers(a=5, b=3, c=-2), GapRule(), weight="gap")
    (group,) = made.groups
    assert {edge.weight for edge in group.edges} == {2.0, 5.0, 7.0}
    assert made.card.rule == "gap: the winner leads by at least 1; an edge weighs its gap"


def test_cap_keeps_the_largest_gaps(votes: Callable[..., Votes]) -> None:
    made = votes(answers(a=10, b=6, c=3, d=1), GapRule(), cap=3)
    assert pairs(made.groups) == {"a>d", "a>c", "b>d"}
    assert made.card.account.notes == {"pairs over the cap": 3}
    assert made.card.rule == "gap: the winner leads by at least 1; at most 3 edges of a thread, the largest gaps first"


def test_cap_breaks_ties_by_the_texts_and_not_by_the_order(votes: Callable[..., Votes]) -> None:
    rows = answers(**{f"w{i}": 1 for i in range(9)}, **{f"l{i}": 0 for i in range(9)})
    first = pairs(votes(rows, GapRule(), cap=4).groups)
    assert len(first) == 4
    assert pairs(votes(rows[::-1], GapRule(), cap=4).groups) == first
    assert len({pair.split(">")[0] for pair in first}) > 1


def test_key_with_two_prompts_is_split_and_counted(votes: Callable[..., Votes]) -> None:
    rows = answers(a=2, b=1) + [row | {"q": "R?"} for row in answers(c=5, d=1)]
    made = votes([*rows, *[row | {"thread": 2} for row in answers(e=1, f=0)]], GapRule())
    assert pairs(made.groups) == {"a>b", "c>d", "e>f"}
    note = "keys split because they carry several prompts"
    assert made.card.account.notes == {note: 1}
    assert made.card.account.examples[note] == ["1"]
    ids = [group.id for group in made.groups]
    assert ids == sorted(ids)
    assert [name.partition("/")[0] for name in ids] == ["1", "1", "2"]


def test_without_a_key_equal_prompts_are_a_thread(votes: Callable[..., Votes]) -> None:
    columns = VoteColumns("q", "a", "votes")
    made = votes([*answers(a=2), *[row | {"thread": 2} for row in answers(b=1)]], GapRule(), columns)
    assert pairs(made.groups) == {"a>b"}
    assert "keys split" not in str(made.card.account.notes)


def test_key_keeps_its_zeros(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("thread,q,a,votes\n007,Q,a,2\n007,Q,b,1\n7,Q,c,9\n")
    made = votes_to_groups(
        open_file(path, ["thread", "q", "a", "votes"]), VoteColumns("q", "a", "votes", group="thread"), GapRule()
    )
    assert told(made.groups) == {("007", "a", "b")}


def test_account_adds_up_and_names_rows(votes: Callable[..., Votes]) -> None:
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


def test_response_without_an_edge_stays_in_its_group(votes: Callable[..., Votes]) -> None:
    made = votes(answers(a=5, b=3, c=1), GapRule(4))
    (group,) = made.groups
    assert len(group.responses) == 3
    assert made.card.account.notes == {"responses without an edge": 1}


def test_shuffled_rows_make_the_same_groups_and_card(votes: Callable[..., Votes]) -> None:
    rng = random.Random(0)
    rows: list[Row] = [
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


def test_groups_can_be_read_twice(votes: Callable[..., Votes]) -> None:
    made = votes(answers(a=2, b=1), GapRule())
    assert list(made.groups) == list(made.groups) != []


@pytest.mark.parametrize("kind", ["csv", "tsv", "semicolon", "parquet", "json", "csv.gz", "stamps"])
def test_every_kind_of_file_makes_the_same_groups(kind: str, tmp_path: Path, votes: Callable[..., Votes]) -> None:
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
    made = votes_to_groups(open_file(path, list(columns.given().values())), columns, rule, source="votes.jsonl")
    expected = votes(rows, rule, columns)
    assert list(made.groups) == list(expected.groups)
    assert told(made.groups) == {("01", "a, \ta", "b, \tb")}
    assert made.card == expected.card


def test_a_table_of_your_own_works() -> None:
    table = ibis.memtable(pa.table({"p": ["Q", "Q"], "r": ["a", "b"], "s": [3, 1]}))
    made = votes_to_groups(table, VoteColumns("p", "r", "s"), GapRule())
    assert pairs(made.groups) == {"a>b"}


@pytest.mark.parametrize(
    ("min_gap", "cap", "num_edges"), [(1, None, 1648), (2, None, 373), (3, None, 132), (1, 10, 616)]
)
def test_counsel_chat_makes_the_counted_edges(real_data: Path, min_gap: int, cap: int | None, num_edges: int) -> None:
    columns = VoteColumns("questionText", "answerText", "upvotes", group="questionID")
    table = open_file(real_data / "data" / "counsel_chat.jsonl", list(columns.given().values()))
    made = votes_to_groups(table, columns, GapRule(min_gap), cap=cap)
    groups = list(made.groups)
    account = made.card.account
    assert sum(len(group.edges) for group in groups) == account.edges == num_edges
    assert sum(len(group.responses) for group in groups) == account.responses == account.rows_used
    assert len(groups) == account.groups
    assert account.rows_read == 1539
    assert account.notes["keys split because they carry several prompts"] == 15


# Confounds


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


def test_longer_and_earlier_count_ties_one_half(votes: Callable[..., Votes]) -> None:
    rows = [
        {"a": "three words here", "votes": 9, "at": 10},
        {"a": "two\nwords", "votes": 5, "at": 10},
        {"a": "also  two\t", "votes": 1, "at": 5},
    ]
    columns = VoteColumns("q", "a", "votes", time="at")
    found = votes(rows, GapRule(), columns).card.confounds
    assert found["chosen_longer"].value == pytest.approx((1 + 1 + 0.5) / 3)
    assert found["chosen_earlier"].value == pytest.approx((0.5 + 0 + 0) / 3)
    assert found["chosen_longer"].n == 3
    assert "author_only_accuracy" not in found


def test_earlier_leaves_out_edges_without_a_time(votes: Callable[..., Votes]) -> None:
    rows = [{"a": "a", "votes": 3, "at": 1}, {"a": "b", "votes": 2, "at": 2}, {"a": "c", "votes": 1}]
    found = votes(rows, GapRule()).card.confounds["chosen_earlier"]
    assert (found.value, found.n) == (1.0, 1)
    assert "chosen_earlier" not in votes(answers(a=2, b=1), GapRule()).card.confounds


def test_author_accuracy_uses_the_other_threads_only(votes: Callable[..., Votes]) -> None:
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


def test_deleted_authors_tell_nothing(votes: Callable[..., Votes]) -> None:
    rows = [
        {"thread": thread, "a": f"{thread}{name}", "who": who, "votes": score}
        for thread in (1, 2)
        for name, who, score in (("x", "[deleted]", 5), ("y", "", 1))
    ]
    assert votes(rows, GapRule()).card.confounds["author_only_accuracy"].value == 0.5


def test_length_accuracy_takes_its_direction_from_other_threads(votes: Callable[..., Votes]) -> None:
    """Winners are shorter in threads 1 to 3 and longer in thread 4: 3 of 4 are told by length."""
    rows = [
        {"thread": thread, "a": text, "votes": score}
        for thread in (1, 2, 3, 4)
        for text, score in ((f"{thread}", 0 if thread == 4 else 2), (f"{thread} and more", 1))
    ]
    found = votes(rows, GapRule()).card.confounds
    assert found["chosen_longer"].value == 0.25
    assert found["length_only_accuracy"].value == 0.75


# Errors


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ("NaN", "row 2: column 'votes' must hold a finite number, not 'NaN' (1 such row)."),
        ("-inf", "row 2: column 'votes' must hold a finite number, not '-inf' (1 such row)."),
        ("many", "row 2: column 'votes' must hold a number, not 'many' (1 such row)."),
        (True, "row 2: column 'votes' must hold a number, not 'true' (1 such row)."),
    ],
)
def test_score_that_is_no_number_stops_unless_skipped(votes: Callable[..., Votes], score: Any, message: str) -> None:
    rows = answers(a=3, x=score, b=1)
    with pytest.raises(DataError) as caught:
        votes(rows, GapRule())
    assert str(caught.value) == f"{message} Correct it, or drop and count such rows with --skip-bad."
    made = votes(rows, GapRule(), skip_bad=True)
    assert pairs(made.groups) == {"a>b"}
    (reason,) = made.card.account.dropped
    assert reason == ("score is not finite" if "finite" in message else "score is not a number")


def test_nan_in_parquet_is_found(tmp_path: Path) -> None:
    path = tmp_path / "votes.parquet"
    pq.write_table(pa.table({"q": ["Q"] * 3, "a": ["a", "b", "c"], "votes": [1.0, float("nan"), None]}), path)
    with pytest.raises(DataError, match=r"^row 2: column 'votes' must hold a finite number, not 'nan' \(1 such row\)"):
        votes_to_groups(open_file(path, ["q", "a", "votes"]), VoteColumns("q", "a", "votes"), GapRule())


def test_time_that_cannot_be_read_stops_unless_skipped(votes: Callable[..., Votes]) -> None:
    rows = [{"a": "a", "votes": 3, "at": "soon"}, {"a": "b", "votes": 2, "at": "later"}]
    rows += [{"a": "c", "votes": 3, "at": 2}, {"a": "d", "votes": 1, "at": "1970-01-01"}, {"a": "e", "votes": 1}]
    with pytest.raises(DataError) as caught:
        votes(rows, GapRule())
    assert str(caught.value) == (
        "row 1: column 'at' must hold a time (ISO 8601, or seconds since 1970), not 'soon' (2 such rows). "
        "Correct it, or drop and count such rows with --skip-bad."
    )
    made = votes(rows, GapRule(), skip_bad=True)
    assert made.card.account.dropped == {"time cannot be read": 2}
    assert pairs(made.groups) == {"c>d", "c>e"}
    made = votes(rows, GapRule(later=True), skip_bad=True)
    assert made.card.account.dropped == {"time cannot be read": 2, "missing time": 1}


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text("a\n1\n")
    with pytest.raises(DataError) as caught:
        open_file(tmp_path / "vote.csv", ["a"])
    assert str(caught.value) == f"{tmp_path}/vote.csv does not exist. Did you mean {tmp_path}/votes.csv?"
    with pytest.raises(DataError, match=r"does not exist\. Check the path; its folder has nothing like it\.$"):
        open_file(tmp_path / "qqq.parquet", ["a"])
    with pytest.raises(DataError, match=r"does not exist, nor does its folder\. Check the path\.$"):
        open_file(tmp_path / "none" / "votes.csv", ["a"])
    with pytest.raises(DataError, match=r"is a folder, not a file\. Name a file in it\.$"):
        open_file(tmp_path, ["a"])
    (tmp_path / "votes.xlsx").write_text("x")
    with pytest.raises(DataError, match=r"its name must end in one of \.jsonl, .*\.parquet\. Rename or convert it\.$"):
        open_file(tmp_path / "votes.xlsx", ["a"])


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet"])
def test_wrong_column_names_the_nearest(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"votes.{kind}"
    row = {"prompt": "x", "answer": "y", "Votes": 1}
    text = {"csv": "prompt,answer,Votes\nx,y,1\n", "json": json.dumps([row]), "jsonl": json.dumps(row)}
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        path.write_text(text[kind])
    with pytest.raises(DataError) as caught:
        open_file(path, ["prompt", "votes"])
    expected = f"{path} has no column 'votes'; its columns are prompt, answer, Votes. Did you mean 'Votes'?"
    assert str(caught.value) == expected
    with pytest.raises(DataError, match=r"Name one of them\.$"):
        open_file(path, ["zzz"])


def test_column_that_first_shows_up_late_is_found(tmp_path: Path) -> None:
    path = tmp_path / "late.jsonl"
    path.write_text('{"a": 1}\n' * 30_000 + '{"a": 2, "b": "x"}\n')
    assert open_file(path, ["a", "b"]).b.count().to_pyarrow().as_py() == 1


@pytest.mark.parametrize(("name", "text"), [("a.csv", ""), ("a.jsonl", ""), ("a.jsonl", "\n \n"), ("a.json", "[]")])
def test_empty_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        open_file(path, ["a"])
    assert str(caught.value) == f"{path} is empty. Give a file with at least one record."


def test_header_alone_has_no_record(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("q,a,votes\n")
    with pytest.raises(DataError) as caught:
        votes_to_groups(open_file(path, ["q", "a", "votes"]), VoteColumns("q", "a", "votes"), GapRule(), source="a.csv")
    assert str(caught.value) == "a.csv has no record. Give a file with at least one record."


def test_broken_files_end_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "a.jsonl"
    broken.write_text('{"q": "Q", "a": "x", "votes": 1}\n{"q": \n')
    with pytest.raises(
        DataError, match=r"a\.jsonl cannot be read: .*line 3: unexpected end of data\. Correct .*UTF-8\.$"
    ):
        open_file(broken, ["q"])
    ragged = tmp_path / "a.csv"
    ragged.write_text("q,a,votes\nQ,x,1\nQ,x\n")
    columns = VoteColumns("q", "a", "votes")
    with pytest.raises(DataError, match=r"^a\.csv cannot be read: .*[Ll]ine: 3.*UTF-8\.$"):
        votes_to_groups(open_file(ragged, ["q", "a", "votes"]), columns, GapRule(), source="a.csv")
    latin = tmp_path / "b.csv"
    latin.write_bytes("q,a,é\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"b\.csv is not UTF-8 text: .* Save it again in UTF-8\.$"):
        open_file(latin, ["q"])
    nested = tmp_path / "b.jsonl"
    nested.write_text('{"q": [{"role": "user"}]}\n')
    with pytest.raises(DataError, match=r"column 'q' of .*b\.jsonl holds lists or objects, but text or numbers were"):
        open_file(nested, ["q"])
    bare = tmp_path / "c.jsonl"
    bare.write_text("5\n")
    with pytest.raises(DataError, match=r"c\.jsonl has values that are no JSON objects\. Write each answer as one obj"):
        open_file(bare, ["q"])
    twice = tmp_path / "c.csv"
    twice.write_text("q,q\n1,2\n")
    with pytest.raises(DataError, match=r"has two columns named 'q'\. Rename one of them\.$"):
        open_file(twice, ["q"])


def test_no_edge_tells_threads_and_largest_gap(votes: Callable[..., Votes]) -> None:
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
        "prompt). Name with --group the column that holds the answers to one prompt together, or add answers."
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GapRule(0), "--min-gap must be a number above 0, not 0. Use 1, one vote, for every lead."),
        (
            lambda: GapRule(float("nan")),
            "--min-gap must be a number above 0, not nan. Use 1, one vote, for every lead.",
        ),
        (lambda: ShpRule(min_ratio=0.5), "--min-ratio must be a number of at least 1, not 0.5. Raise --min-ratio."),
        (lambda: ShpRule(min_score=-1), "--min-score must be a number of at least 0, not -1. Raise --min-score."),
        (
            lambda: VoteColumns("q", "q", "s"),
            "--prompt and --response both name the column 'q'. "
            "Give --response a column of its own or, where it may, leave it away.",
        ),
    ],
)
def test_settings_without_meaning_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message


def test_rule_over_time_needs_a_time(votes: Callable[..., Votes]) -> None:
    columns = VoteColumns("q", "a", "votes")
    with pytest.raises(ConfigError, match=r"written later\" compares when .* Name the column with --time\.$"):
        votes(answers(a=2, b=1), GapRule(later=True), columns)
    with pytest.raises(ConfigError, match=r"^--cap must be at least 1, not 0\. Leave it away to keep every pair\.$"):
        votes(answers(a=2, b=1), GapRule(), cap=0)
