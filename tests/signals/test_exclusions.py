"""Rows that a build leaves out on request, each under its own reason, on tables worked by hand."""

import json
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from tests.signals.settings_by_columns import settings_of
from tropism.errors import ConfigError, DataError
from tropism.records import DataCard
from tropism.signals.build import build_groups
from tropism.signals.kinds.columns import (
    ChoiceColumns,
    LabelColumns,
    RankingColumns,
    RatingColumns,
    SignalColumns,
    VoteColumns,
)
from tropism.signals.kinds.exclusions import Exclusions, is_marked
from tropism.signals.kinds.vote_rules import QuantileRule
from tropism.signals.kinds.votes import VoteSettings

DAY = 86_400
VOTES = VoteColumns("q", "a", "score", "thread", "at", "who")
KINDS: dict[str, SignalColumns] = {
    "votes": VOTES,
    "ratings": RatingColumns("q", "a", {"score": 1.0}, "thread", "at", "who"),
    "rankings": RankingColumns("q", "a", "score", "thread", "at", "who"),
    "labels": LabelColumns("q", "a", "thumb", "thread", "at", "who"),
}


def row(answer: str, score: int, **more: Any) -> dict[str, Any]:
    """An answer of `t3_q` by somebody, to the question itself, on the first day; with nothing said against it."""
    usual = {"q": "Q?", "thread": "t3_q", "at": 0, "who": f"by {answer}", "op": "olga", "reply_to": "t3_q"}
    unmarked = {"mod": None, "edited": False, "thumb": "up" if score > 1 else "down"}
    return usual | unmarked | {"a": answer, "score": score} | more


KEPT = [row("one two three", 9), row("four five six", 1)]


def made(
    folder: Path, rows: list[dict[str, Any]], exclude: Exclusions, columns: SignalColumns = VOTES, **settings: Any
) -> tuple[set[str], DataCard]:
    """The answers of all groups, and the card."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    with build_groups(path, settings_of(columns, exclude=exclude, **settings)) as built:
        return {str(one.content) for group in built.groups for one in group.responses}, built.card


EXCLUDED: dict[str, tuple[Exclusions, dict[str, Any], str]] = {
    "moderator": (Exclusions(marks=("mod",)), {"mod": "moderator"}, "marked mod"),
    "time of an edit": (Exclusions(marks=("mod", "edited")), {"edited": 1614592800.0}, "marked edited"),
    "asker": (Exclusions(asker="op"), {"who": " olga"}, "written by the asker"),
    "reply": (Exclusions(parent="reply_to"), {"reply_to": "t1_x"}, "reply to another answer"),
    "deleted author": (Exclusions(known_authors=True), {"who": "[deleted]"}, "author is missing or deleted"),
    "deleted author in capitals": (
        Exclusions(known_authors=True),
        {"who": " [Deleted]"},
        "author is missing or deleted",
    ),
    "no author": (Exclusions(known_authors=True), {"who": None}, "author is missing or deleted"),
    "short": (Exclusions(min_words=3), {"a": "two words"}, "response has fewer than 3 words"),
    "long": (Exclusions(max_words=3), {"a": "no more than three"}, "response has more than 3 words"),
    "young": (
        Exclusions(settled_days=7, as_of=10 * DAY),
        {"at": 3 * DAY + 1},
        "younger than 7 days on 1970-01-11T00:00:00Z",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", EXCLUDED)
def test_row_is_left_out_under_its_own_reason_in_every_kind(case: str, kind: str, tmp_path: Path) -> None:
    exclude, fault, reason = EXCLUDED[case]
    rows = [*KEPT, row("seven eight nine", 5, **fault)]
    texts, card = made(tmp_path, rows, exclude, KINDS[kind])
    assert texts == {"one two three", "four five six"}
    account = card.account
    assert (account.rows_read, account.rows_used, account.dropped) == (3, 2, {reason: 1})
    assert account.examples[reason] == ["row 3"]
    assert card.rule.endswith(str(exclude))
    assert str(exclude).startswith("; excluded: ")
    everything, plain = made(tmp_path, rows, Exclusions(), KINDS[kind])
    assert len(everything) == 3
    assert plain.account.dropped == {}
    assert "left out" not in plain.rule.replace("ties are left out", "")


def test_nothing_is_left_out_at_the_limits(tmp_path: Path) -> None:
    exclude = Exclusions(min_words=3, max_words=3, settled_days=7, as_of=10 * DAY, parent="reply_to", asker="op")
    rows = [
        *KEPT,
        row("seven eight nine", 5, at=3 * DAY, reply_to=None, op=None),
        row("ten eleven twelve", 6, who=None, op=""),
    ]
    assert made(tmp_path, rows, exclude)[1].account.dropped == {}


def test_age_is_measured_against_the_newest_time_of_the_file(tmp_path: Path) -> None:
    rows = [
        *KEPT,
        row("of day 4", 5, at="1970-01-05"),
        row("of day 3", 6, at=3 * DAY),
        row("[deleted]", 7, at=10 * DAY),  # tells how late it was, though it cannot be used
        row("whenever", 3, at=None),
    ]
    texts, card = made(tmp_path, rows, Exclusions(settled_days=7))
    assert texts == {"one two three", "four five six", "of day 3"}
    assert card.account.dropped == {
        "deleted response": 1,
        "missing time": 1,
        "younger than 7 days on 1970-01-11T00:00:00Z": 1,
    }
    assert card.rule.endswith("; excluded: younger than 7 days on 1970-01-11T00:00:00Z")
    texts, _ = made(tmp_path, rows, Exclusions(settled_days=7, as_of=20 * DAY))
    assert texts == {"one two three", "four five six", "of day 3", "of day 4"}


def test_row_has_the_first_reason_that_holds(tmp_path: Path) -> None:
    exclude = Exclusions(marks=("mod",), asker="op", known_authors=True, parent="reply_to", min_words=3)
    rows = [*KEPT, row("x", 5, mod="yes", who="olga", reply_to="t1_x"), row("y", 5, who="olga", reply_to="t1_x")]
    assert made(tmp_path, rows, exclude)[1].account.dropped == {"marked mod": 1, "written by the asker": 1}


def test_choice_is_left_out_for_either_answer(tmp_path: Path) -> None:
    columns = ChoiceColumns("q", "x", "y", "said")
    rows = [
        {"q": "Q", "x": "one two", "y": "three four", "said": "a", "failed": 0},
        {"q": "Q", "x": "one two", "y": "three", "said": "a", "failed": 0},
        {"q": "Q", "x": "one", "y": "three four", "said": "b", "failed": 0},
        {"q": "Q", "x": "three four", "y": "one two", "said": "b", "failed": 1},
    ]
    texts, card = made(tmp_path, rows, Exclusions(marks=("failed",), min_words=2), columns)
    assert texts == {"one two", "three four"}
    assert card.account.dropped == {"response has fewer than 2 words": 2, "marked failed": 1}


def test_left_out_rows_move_no_quantile(tmp_path: Path) -> None:
    people = [row(f"answer {score}", score) for score in range(10)]
    mods = [row(f"rule {number}", 100 + number, mod=True) for number in range(10)]
    rule = QuantileRule(high=0.1, low=0.1, min_gap=1)
    _, card = made(tmp_path, people + mods, Exclusions(marks=("mod",)), rule=rule)
    assert "(from 8 votes)" in card.rule
    assert (card.account.rows_used, card.account.edges) == (10, 2)
    _, card = made(tmp_path, people + mods, Exclusions(), rule=rule)
    assert "(from 107 votes)" in card.rule
    with pytest.raises(DataError, match=r"^no prompt of rows\.jsonl has two .* \(10 rows: 10 x marked mod\)"):
        made(tmp_path, mods, Exclusions(marks=("mod",)), rule=rule)


def test_mark_that_cannot_be_read_stops_unless_skipped(tmp_path: Path) -> None:
    rows = [*KEPT, row("seven eight nine", 5, mod="perhaps")]
    with pytest.raises(DataError) as caught:
        made(tmp_path, rows, Exclusions(marks=("mod",)))
    assert str(caught.value) == (
        "row 3: column 'mod' must hold true or false, got 'perhaps' (1 such row). "
        "Correct it, or drop and count such rows with `skip_bad=True`."
    )
    _, card = made(tmp_path, rows, Exclusions(marks=("mod",)), skip_bad=True)
    assert card.account.dropped == {"mark mod is not true or false": 1}


def test_unreadable_mark_names_its_own_column_though_a_role_has_that_name(tmp_path: Path) -> None:
    columns = VoteColumns("q", "a", "score", "thread")
    rows = [one | {"time": "soon", "votes cast": 1} for one in KEPT]
    with pytest.raises(DataError, match=r"^row 1: column 'time' must hold true or false, got 'soon' \(2 such rows\)"):
        made(tmp_path, rows, Exclusions(marks=("time",)), columns)
    rows = [one | {"votes cast": "many"} for one in KEPT]
    with pytest.raises(DataError, match=r"^row 1: column 'votes cast' must hold true or false, got 'many'"):
        made(tmp_path, rows, Exclusions(marks=("votes cast",)), columns)


def test_marks_of_any_name_are_told_by_their_own_column(tmp_path: Path) -> None:
    rows = [KEPT[0], KEPT[1], row("seven eight nine", 5)]
    told = [one | {"is no label": place == 2, "a b": False, "a-b": False} for place, one in enumerate(rows)]
    _, card = made(tmp_path, told, Exclusions(marks=("is no label",)))
    assert card.account.dropped == {"marked is no label": 1}
    told[1]["a-b"] = "perhaps"
    with pytest.raises(DataError, match=r"^row 2: column 'a-b' must hold true or false, got 'perhaps'"):
        made(tmp_path, [{**one, "a-b": str(one["a-b"])} for one in told], Exclusions(marks=("a b", "a-b")))


@pytest.mark.parametrize(
    ("given", "marks"),
    [
        ([True, False, None], [True, False, False]),
        ([1, 0, None, -1, 1614592800], [True, False, False, True, True]),
        ([1.5, 0.0, float("nan"), float("inf"), None], [True, False, None, None, False]),
        (["Moderator", " admin", "special", "YES", "true", "1", "1614592800.0"], [True] * 7),
        (["no", "False", "0", "0.0", "", "  ", None], [False] * 7),
        (["perhaps", "NaN", "inf"], [None] * 3),
    ],
)
def test_marks_are_what_forums_write(given: list[Any], marks: list[bool | None]) -> None:
    table = ibis.memtable(pa.table({"at": range(len(given)), "mark": given}))
    told = table.mutate(marked=is_marked(table.mark)).order_by("at").to_pyarrow()
    assert told["marked"].to_pylist() == marks


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        ({"marks": ("m", "n", "m")}, "`marks` names the column 'm' twice. Name it once."),
        ({"min_words": 0}, "`min_words` must be at least 1, got 0. Omit it to keep every answer."),
        (
            {"min_words": 5, "max_words": 4},
            "`max_words` must be at least 5, got 4. Raise or omit `max_words`.",
        ),
        ({"max_words": 0}, "`max_words` must be at least 1, got 0. Raise or omit `max_words`."),
        ({"settled_days": 0}, "`settled_days` must be a number of days above 0, got 0. Use 7, for example."),
        (
            {"settled_days": float("nan")},
            "`settled_days` must be a number of days above 0, got nan. Use 7, for example.",
        ),
        ({"as_of": 1.0}, "`as_of` has no effect without `settled_days`. Set `settled_days` to 7 days."),
        ({"asker": "op"}, "`asker` has no effect without `author`. Name the column with `author`."),
        ({"known_authors": True}, "`known_authors` has no effect without `author`. Name the column with `author`."),
        ({"parent": "reply_to"}, "`parent` has no effect without `group`. Name the column with `group`."),
        ({"settled_days": 7}, "`settled_days` has no effect without `time`. Name the column with `time`."),
    ],
)
def test_exclusion_without_effect_is_refused(exclude: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, KEPT, Exclusions(**exclude), VoteColumns("q", "a", "score"))
    assert str(caught.value) == message


def test_column_of_an_exclusion_must_be_there_and_its_own(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no column 'nsfw'; its columns are "):
        made(tmp_path, KEPT, Exclusions(marks=("nsfw",)))
    with pytest.raises(ConfigError, match=r"^`author` and `asker` both name the column 'who'\."):
        made(tmp_path, KEPT, Exclusions(asker="who"))


def test_stack_exchange_keeps_the_askers_own_answers_unless_told(real_data: Path) -> None:
    path = real_data / "data" / "stackexchange_coffee.jsonl"
    posts = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    askers = {post["post_id"]: post["owner_user_id"] for post in posts if post["type"] == "question"}
    own = sum(
        post["type"] == "answer" and post["owner_user_id"] is not None
        and askers.get(post["parent_id"]) == post["owner_user_id"]
        for post in posts
    )  # fmt: skip
    assert own > 0
    with build_groups(path, VoteSettings(exclude=Exclusions(marks=("by_asker",), min_words=5))) as built:
        dropped = built.card.account.dropped
    assert dropped["marked by_asker"] == own
    with build_groups(path, VoteSettings()) as built:
        assert "marked by_asker" not in built.card.account.dropped
    message = r"^`marks` names 'mod', which stackexchange_coffee\.jsonl does not have\. Use accepted or by_asker\.$"
    settings = VoteSettings(exclude=Exclusions(marks=("mod",)))
    with pytest.raises(ConfigError, match=message), build_groups(path, settings):
        pass


def test_nothing_asked_adds_nothing_to_the_work() -> None:
    nothing = Exclusions()
    table = ibis.memtable(pa.table({"response": ["a"], "time": [0.0], "author": ["ann"]}))
    assert (nothing.reasons(table), nothing.roles(), nothing.column_names(), str(nothing)) == ([], {}, {}, "")
    assert nothing.dated(table, {"time": "time"}) is nothing
