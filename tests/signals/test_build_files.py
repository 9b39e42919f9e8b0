"""Files of every kind to groups: real counts, personal data, the gate, marks for the split, the fast way of writing."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropism.data.group_store import read_card, read_groups_file, write_groups, write_tables
from tropism.errors import ConfigError, DataError
from tropism.ingest.group_rows import json_texts, to_json
from tropism.signals.build import build_groups
from tropism.signals.engines import group_stream as stream
from tropism.signals.kinds.choices import ChoiceSettings
from tropism.signals.kinds.columns import ChoiceColumns, VoteColumns
from tropism.signals.kinds.rankings import RankingSettings
from tropism.signals.kinds.signal_settings import SignalSettings
from tropism.signals.kinds.vote_rules import GapRule, Log2Rule
from tropism.signals.kinds.votes import VoteSettings

VOTES = VoteColumns("q", "a", "score", "thread")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def forum(num_threads: int) -> list[dict[str, Any]]:
    rng = random.Random(3)
    return [
        {
            "q": f"Question {thread}?",
            "a": f'{thread} "{place}"\n\\ ü {chr(place)}',
            "score": rng.randint(-2, 9),
            "thread": thread,
        }
        for thread in range(num_threads)
        for place in range(rng.randint(1, 5))
    ]


@pytest.mark.parametrize(
    ("name", "settings", "edges", "groups"),
    [
        ("stackexchange_coffee.jsonl", VoteSettings(), 150, 76),
        ("stackexchange_coffee.jsonl", VoteSettings(rule=GapRule(1, later=True)), 41, 33),
        ("imagereward_rankings.json", RankingSettings(), 6399, 466),
        ("oasst_en_100_trees.jsonl", RankingSettings(), 732, 207),
    ],
)
def test_real_files_make_the_counted_edges(
    real_data: Path, name: str, settings: SignalSettings, edges: int, groups: int
) -> None:
    with build_groups(real_data / "data" / name, settings) as made:
        found = list(made.groups)
    account = made.card.account
    assert (account.edges, account.groups) == (edges, groups)
    assert sum(len(group.edges) for group in found) == edges
    assert account.rows_read == account.rows_used + sum(account.dropped.values())
    assert {"bag_of_words_accuracy", "near_duplicate_edges"} <= made.card.confounds.keys()
    if name.startswith("oasst"):
        assert all(isinstance(group.prompts[0], tuple) for group in found)


@pytest.mark.parametrize(("per_bucket", "text"), [(7, 10**6), (20_000, 10**6), (20_000, 300)])
def test_written_tables_are_the_groups_one_by_one(
    per_bucket: int, text: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way by columns, in one bucket or several, against the way through Python objects."""
    monkeypatch.setattr(stream, "GROUPS_PER_BUCKET", per_bucket)
    monkeypatch.setattr(stream, "BYTES_PER_BUCKET", text)
    path = write_rows(tmp_path / "votes.jsonl", forum(60))
    with build_groups(path, VoteSettings(columns=VOTES, rule=GapRule(1), holdout=0.3)) as made:
        groups = list(made.groups)
        assert len(groups) > 30
        assert [group.id for group in groups] == sorted(group.id for group in groups)
        write_tables(made.groups.tables(), tmp_path / "fast.parquet", card=made.card)
        write_groups(made.groups, tmp_path / "slow.parquet", card=made.card)
    assert (
        list(read_groups_file(tmp_path / "fast.parquet")) == groups == list(read_groups_file(tmp_path / "slow.parquet"))
    )
    assert read_card(tmp_path / "fast.parquet") == made.card
    assert {group.split for group in groups} == {"train", "eval"}


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=20))
def test_json_by_the_column_is_json_by_the_text(texts: list[str | None]) -> None:
    expected = [None if text is None else to_json(text) for text in texts]
    assert json_texts(pa.array(texts, pa.string())).to_pylist() == expected


def test_marked_groups_stay_on_their_side_when_rows_are_added(tmp_path: Path) -> None:
    def sides(num_threads: int) -> dict[str, str | None]:
        path = write_rows(tmp_path / f"{num_threads}.jsonl", forum(num_threads)[::-1])
        with build_groups(path, VoteSettings(columns=VOTES, rule=GapRule(1), holdout=0.3)) as made:
            return {group.id: group.split for group in made.groups}

    few, many = sides(40), sides(80)
    common = few.keys() & many.keys()
    assert len(common) > 20
    assert all(few[name] == many[name] for name in common)


def test_private_builds_hold_no_names_and_no_keys(tmp_path: Path) -> None:
    rows = [
        {
            "q": "Who is @jo_1984?",
            "a": "Write to jo@example.org or see https://example.org/jo",
            "score": 5,
            "thread": 7,
        },
        {"q": "Who is @jo_1984?", "a": "No idea", "score": 1, "thread": 7},
    ]
    path = write_rows(tmp_path / "votes.jsonl", rows)
    settings = VoteSettings(columns=VOTES, rule=GapRule(1), private=True)
    with build_groups(path, settings) as made:
        (group,) = made.groups
    assert group.prompts == ("Who is [USER]?",)
    assert group.responses[group.edges[0].winner].content == "Write to [EMAIL] or see [URL]"
    assert group.id != "7"
    notes = made.card.account.notes
    assert (notes["replaced: email"], notes["replaced: url"], notes["replaced: user"]) == (1, 1, 2)
    ids = []
    for salt in ("a", "a", "b", None):
        with build_groups(path, replace(settings, salt=salt)) as again:
            ids.append(next(iter(again.groups)).id)
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_sources_that_are_hashed_are_counted(tmp_path: Path) -> None:
    rows = [
        {"q": f"Q{place}", "x": "a", "y": "b", "said": "a", "by_x": "jane.doe@example.org", "by_y": "model-2"}
        for place in range(3)
    ]
    path = write_rows(tmp_path / "choices.jsonl", rows)
    columns = ChoiceColumns("q", "x", "y", "said", source_a="by_x", source_b="by_y")
    for private, hashed in ((True, 3), (False, None)):
        with build_groups(path, ChoiceSettings(columns=columns, private=private)) as made:
            assert made.card.account.notes.get("hashed: names of sources that hold personal data") == hashed


def test_rankings_of_nobody_in_particular_know_no_truth(tmp_path: Path) -> None:
    lists = [{"id": "x", "prompt": "a cat", "generations": ["a", "b"], "ranking": [1, 2]}]
    (tmp_path / "images.json").write_text(json.dumps(lists))
    for settings in (RankingSettings(truth="dawid-skene"), RankingSettings(weight="agreement")):
        with (
            pytest.raises(ConfigError, match=r"no effect on rankings without annotators"),
            build_groups(tmp_path / "images.json", settings),
        ):
            pass


def test_bots_are_dropped_and_counted_unless_they_are_kept(tmp_path: Path) -> None:
    rows = [
        {"q": "Q", "a": f"answer {who}", "score": score, "thread": 1, "who": who}
        for score, who in enumerate(["AutoModerator", "ann", "helper_bot", "bob", None])
    ]
    columns = VoteColumns("q", "a", "score", "thread", author="who")
    path = write_rows(tmp_path / "votes.jsonl", rows)
    with build_groups(path, VoteSettings(columns=columns, rule=GapRule(1))) as made:
        assert made.card.account.dropped == {"author is a bot": 2}
        assert made.card.account.edges == 3
    with build_groups(path, VoteSettings(columns=columns, rule=GapRule(1), keep_bots=True)) as made:
        assert made.card.account.edges == 10


def test_gate_of_words_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("pills\n")
    rows = [
        {"q": "Q", "a": "take pills", "score": 9, "thread": 1},
        {"q": "Q", "a": "call a friend", "score": 2, "thread": 1},
    ]
    path = write_rows(tmp_path / "votes.jsonl", rows)
    with build_groups(path, VoteSettings(columns=VOTES, rule=GapRule(1), gate=str(tmp_path / "words.txt"))) as made:
        (group,) = made.groups
        assert group.responses[group.edges[0].winner].content == "call a friend"
        assert made.card.account.notes["edges turned round: the safety gate stops the winner"] == 1


def test_accepted_answers_count_in_posts(tmp_path: Path) -> None:
    question = {"site": "s", "post_id": "1", "type": "question", "title": "T", "body_html": "<p>Q</p>", "score": 1,
                "created": "2020-01-01T00:00:00", "accepted_answer_id": "3"}  # fmt: skip
    answers = [
        {"site": "s", "post_id": name, "type": "answer", "parent_id": "1", "body_html": f"<p>{name}</p>",
         "score": score, "created": "2020-01-02T00:00:00"}
        for name, score in (("2", 1), ("3", 1))
    ]  # fmt: skip
    path = write_rows(tmp_path / "posts.jsonl", [*answers, question])
    with build_groups(path, VoteSettings(rule=Log2Rule())) as made:
        (group,) = made.groups
        assert group.responses[group.edges[0].winner].content == "3"
        assert made.card.account.dropped == {"question": 1}
    with pytest.raises(DataError, match="no pair passes the rule"), build_groups(path, VoteSettings()):
        pass


def test_settings_that_nothing_knows_are_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "votes.jsonl", forum(3))
    with (
        pytest.raises(ConfigError, match="`engine` must be duckdb, spark"),
        build_groups(path, VoteSettings(columns=VOTES, rule=GapRule(1), engine="sqlite")),
    ):
        pass
    with pytest.raises(ConfigError, match="`form` must be one of auto, table, posts for votes, got 'oasst'"):
        VoteSettings(form="oasst")
    with (
        pytest.raises(DataError, match="holds no feedback that can be used"),
        build_groups(path, RankingSettings(form="oasst")),
    ):
        pass
