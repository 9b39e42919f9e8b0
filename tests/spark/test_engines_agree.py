"""DuckDB and Spark make the same groups of the same rows, for every rule and every kind of signal, in any order."""

import json
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.signals.settings_by_columns import settings_of
from tropism.groups import PreferenceGroup
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
from tropism.signals.kinds.exclusions import Exclusions
from tropism.signals.kinds.vote_rules import GapRule, LeadRule, Log2Rule, QuantileRule, RatioRule, ShpRule

NUM_ROWS = 1_500
TEXTS = [
    "Grüße, 世界",
    "naïve  café",
    "tab\there",
    "line\nbreak",
    "👍 emoji",
    'quote " and \\ slash',
    "plain words here",
    "ß",
]
TIMES = [
    "2021-03-01T10:00:00Z", "2021-03-01T12:00:00+02:00", "2021-03-01 10:00:00", "2021-03-02", "1614592800",
    "1614592800.25", "2020-02-29T23:59:59.999Z", "1969-12-31T23:59:59Z", None, "", "yesterday",
]  # fmt: skip


SAID = ["a", "B", "tie", "both_bad", "skip", "1", "left", None]


def vote_rows(seed: int) -> list[dict[str, Any]]:
    """Comments with equal times, nulls, negative and equal scores, unicode, repeated answers and split keys."""
    rng = random.Random(seed)
    rows = []
    for _ in range(NUM_ROWS):
        thread = rng.randrange(150)
        rows.append(
            {
                "q": f"Question {thread} {TEXTS[thread % 8]}" + (" again" if rng.random() < 0.02 else ""),
                "a": rng.choice([None, "", "[deleted]"]) if rng.random() < 0.05
                else f"{rng.choice(TEXTS)} {'word ' * rng.randrange(6)}{rng.randrange(40)}",
                "score": rng.choice([None, "x", "1e2", " 7 ", "NaN", "-3.5"]) if rng.random() < 0.1
                else rng.randint(-4, 40),
                "thread": f"t{thread:03}" if rng.random() > 0.02 else None,
                "at": rng.choice(TIMES),
                "who": rng.choice(["ann", "Bob ", "AutoModerator", "somebot", "[deleted]", None, "José"]),
                "yes": rng.choice(["true", "False", "1", None, "maybe" if rng.random() < 0.02 else "0"]),
                "q_score": rng.choice(["12", "3", None]),
                "honest": rng.choice(["1", "2.5", "5", None]),
                "rank": rng.choice(["1", "2", "2", "3", "4.5", None, "first" if rng.random() < 0.02 else "5"]),
                "thumb": rng.choice(["up", "down", "1", "-1", "yes", "👎", None, "0", *["meh"] * (rng.random() < 0.1)]),
            }
        )  # fmt: skip
    return rows


def choice_rows(seed: int) -> list[dict[str, Any]]:
    """Judgements of few pairs by several people, on both sides, some of them unreadable."""
    rng = random.Random(seed)
    rows = []
    for _ in range(NUM_ROWS):
        thread = rng.randrange(100)
        first, second = rng.choice(TEXTS), rng.choice(TEXTS)
        rows.append(
            {
                "q": f"Question {thread}",
                "x": f"{first} {thread}",
                "y": f"{second} {thread}",
                "choice": rng.choice([*SAID, "hm" if rng.random() < 0.1 else "2"]),
                "who": rng.choice(["ann", "bob", "cem", None]),
                "model_x": rng.choice(["m1", "m2", "m3"]),
                "model_y": rng.choice(["m1", "m2", "m3"]),
            }
        )  # fmt: skip
    return rows


def marked_rows(seed: int) -> list[dict[str, Any]]:
    """The same comments with marks, askers and what they reply to; more than half have nothing against them."""
    rng = random.Random(seed)
    unmarked, marked = (
        [None, "", "0", "false", False, "no"],
        [" Moderator", "special", True, 1614592800.5, "1", "hm", "NaN"],
    )
    rows = []
    for row in vote_rows(seed):
        fault = rng.randrange(9)
        more = {
            "mod": rng.choice(marked if fault == 0 else unmarked),
            "op": rng.choice(["ann", "José ", "Bob"] if fault == 1 else ["olga", None, ""]),
            "reply_to": "t1" if fault == 2 else rng.choice([f" {row['thread']}", row["thread"], None]),
        }
        rows.append(row | more | ({"who": " [Deleted]"} if fault == 3 else {}))
    return rows


VOTES = VoteColumns("q", "a", "score", "thread", "at", "who")
JUDGED = RankingColumns("q", "a", "rank", "thread", annotator="who")
CASES: dict[str, tuple[Callable[[int], list[dict[str, Any]]], SignalColumns, dict[str, Any]]] = {
    "gap": (vote_rows, VOTES, {"rule": GapRule(2)}),
    "gap without a key": (vote_rows, VoteColumns("q", "a", "score", time="at"), {"rule": GapRule(1)}),
    "gap, capped": (vote_rows, VOTES, {"rule": GapRule(1), "cap": 3, "weight": "gap", "margin": "gap"}),
    "gap, later, capped": (vote_rows, VOTES, {"rule": GapRule(1, later=True), "cap": 3}),
    "gap, length match": (vote_rows, VOTES, {"rule": GapRule(1, length_match=0.5, min_score=0)}),
    "ratio": (vote_rows, VOTES, {"rule": RatioRule(3)}),
    "shp": (
        vote_rows,
        VoteColumns("q", "a", "score", "thread", "at", "who", prompt_score="q_score"),
        {"rule": ShpRule()},
    ),
    "log2": (vote_rows, VoteColumns("q", "a", "score", "thread", accepted="yes"), {"rule": Log2Rule()}),
    "quantile": (vote_rows, VOTES, {"rule": QuantileRule(0.1, 0.3, 5)}),
    "private": (vote_rows, VOTES, {"rule": GapRule(1), "private": True, "salt": "s", "holdout": 0.3}),
    "ratings": (
        vote_rows,
        RatingColumns("q", "a", {"score": 1.0, "honest": 0.5}, "thread", "at", "who"),
        {"rule": LeadRule(), "ties": True, "weight": "gap"},
    ),
    "ratings, best against random": (
        vote_rows,
        RatingColumns("q", "a", {"honest": 1.0}, "thread"),
        {"pairing": "best-random", "seed": 3},
    ),
    "rankings": (vote_rows, RankingColumns("q", "a", "rank", "thread"), {"ties": True}),
    "rankings by several": (vote_rows, JUDGED, {"weight": "agreement", "cap": 4}),
    "thumbs": (vote_rows, LabelColumns("q", "a", "thumb", "thread"), {"weight": "agreement"}),
    "left out": (
        marked_rows,
        VOTES,
        {
            "rule": GapRule(1),
            "exclude": Exclusions(
                marks=("mod",),
                asker="op",
                parent="reply_to",
                known_authors=True,
                min_words=3,
                max_words=7,
                settled_days=0.1,
            ),
        },
    ),
    "rankings, left out": (
        marked_rows,
        JUDGED,
        {"ties": True, "exclude": Exclusions(marks=("mod",), parent="reply_to", min_words=3)},
    ),
    "choices": (
        choice_rows,
        ChoiceColumns("q", "x", "y", "choice", None, "who", "model_x", "model_y"),
        {"weight": "count"},
    ),
    "choices by majority": (
        choice_rows,
        ChoiceColumns("q", "x", "y", "choice", annotator="who"),
        {"truth": "majority", "weight": "agreement", "ties": False},
    ),
    "choices by Dawid and Skene": (
        choice_rows,
        ChoiceColumns("q", "x", "y", "choice", annotator="who"),
        {"truth": "dawid-skene"},
    ),
}


def made(
    path: Path, columns: SignalColumns, settings: dict[str, Any], engine: str
) -> tuple[list[PreferenceGroup], DataCard]:
    """Groups and card of a file on an engine."""
    with build_groups(path, settings_of(columns, **settings, engine=engine, skip_bad=True)) as built:
        return list(built.groups), built.card


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """PySpark warns of the installed pandas."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("case", CASES)
def test_engines_make_the_same_groups_of_shuffled_rows(case: str, spark: Any, tmp_path: Path) -> None:
    rows_of, columns, settings = CASES[case]
    rows = rows_of(7)
    path, shuffled = tmp_path / "rows.jsonl", tmp_path / "shuffled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    random.Random(1).shuffle(rows)
    shuffled.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    groups, card = made(path, columns, settings, "duckdb")
    others, other_card = made(shuffled, columns, settings, "local[2]")
    assert sum(len(group.edges) + len(group.labels) for group in groups) > 30
    assert [without_source(group) for group in groups] == [without_source(group) for group in others]
    account, other = card.account.model_dump(exclude={"examples"}), other_card.account.model_dump(exclude={"examples"})
    assert other["notes"].pop("rows of shuffled.jsonl converted to Parquet for Spark") == account["rows_read"]
    assert account == other
    for name, estimate in card.confounds.items():
        for field in ("value", "low", "high", "n"):
            assert getattr(other_card.confounds[name], field) == pytest.approx(getattr(estimate, field), abs=1e-9), name


def without_source(group: PreferenceGroup) -> tuple[Any, ...]:
    """All of a group but its file's name, numbers to 1e-12."""
    return (
        group.id,
        group.prompts,
        group.split,
        [(one.id, one.content, one.rank, rounded(one.score)) for one in group.responses],
        [(e.winner, e.loser, rounded(e.weight), rounded(e.margin), rounded(e.prob)) for e in group.edges],
        [(label.response, label.desirable, rounded(label.weight)) for label in group.labels],
    )


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 12)
