"""Rows in every known form become the groups that a reader would expect, and every row is accounted for."""

import gzip
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tropism.data.dialogues import with_prompt, without_prompt
from tropism.data.formats import Loaded, Source, load
from tropism.data.group_store import read_groups_file, write_groups
from tropism.errors import DataError
from tropism.groups import Edge, Label, PreferenceGroup, Response
from tropism.records import Account

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes rows as JSONL and returns the path."""

    def writer(*rows: object, name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return writer


def user(words: str) -> dict[str, str]:
    return {"role": "user", "content": words}


def assistant(words: str) -> dict[str, str]:
    return {"role": "assistant", "content": words}


def loaded(*paths: Path | str, fraction: float = 1.0, seed: int = 0) -> Loaded:
    return load([Source(str(path), fraction) for path in paths], seed=seed)


def only(*paths: Path) -> PreferenceGroup:
    (group,) = loaded(*paths).groups
    return group


def account(*paths: Path) -> Account:
    return loaded(*paths).cards[0].account


def contents(group: PreferenceGroup) -> list[Any]:
    return [response.content for response in group.responses]


def problem(*paths: Path | str) -> str:
    with pytest.raises(DataError) as error:
        loaded(*paths)
    return str(error.value)


# Pairs


def test_a_text_pair_is_a_group_with_one_edge(write: Write) -> None:
    group = only(write({"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}))
    assert group.prompts == ("2 + 2?",)
    assert contents(group) == ["4", "5"]
    assert group.edges == (Edge(0, 1),)


def test_a_conversational_pair_may_repeat_its_prompt(write: Write) -> None:
    asked = [user("Hi")]
    row = {"prompt": asked, "chosen": [*asked, assistant("Hello")], "rejected": [assistant("What?")]}
    group = only(write(row))
    assert group.prompts == ((user("Hi"),),)
    assert contents(group) == [(assistant("Hello"),), (assistant("What?"),)]


def test_a_text_prompt_over_messages_is_the_users_turn_as_in_ultrafeedback(write: Write) -> None:
    row = {
        "prompt": "Hi",
        "chosen": [user("Hi"), assistant("Hello")],
        "rejected": [user("Hi"), assistant("What?")],
        "score_chosen": 8.5,
        "score_rejected": 3,
        "messages": [user("Hi"), assistant("Hello")],
    }
    group = only(write(row))
    assert group.prompts == ((user("Hi"),),)
    assert [response.score for response in group.responses] == [8.5, 3.0]
    assert account(write(row)).notes == {"columns not read (messages)": 1}


def test_a_system_turn_before_a_text_prompt_is_kept() -> None:
    system = {"role": "system", "content": "Be brief."}
    prompt, answers = with_prompt("Hi", [(system, user("Hi"), assistant("A")), (system, user("Hi"), assistant("B"))])
    assert prompt == (system, user("Hi"))
    assert answers == ((assistant("A"),), (assistant("B"),))


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt", "rests"),
    [
        ("The sky is blue", "The sky is green", "The sky is", (" blue", " green")),
        ("Q: 1+1?\nA: 2", "Q: 1+1?\nA: 3", "Q: 1+1?\nA:", (" 2", " 3")),
        ("x=1", "x=2", "x=", ("1", "2")),
        ("abc", "abcd", "ab", ("c", "cd")),
        ("two  a", "two  b", "two ", (" a", " b")),
    ],
)
def test_an_implicit_text_prompt_is_cut_as_trl_cuts_it(
    chosen: str, rejected: str, prompt: str, rests: tuple[str, str]
) -> None:
    assert without_prompt([chosen, rejected]) == (prompt, rests)


def test_implicit_text_prompts_equal_trls_on_random_texts() -> None:
    trl = pytest.importorskip("trl.data_utils", reason="trl is not installed", exc_type=ImportError)
    random_ = random.Random(0)
    for _ in range(500):
        start = "p" + "".join(random_.choices("ab ", k=random_.randrange(6)))
        chosen, rejected = (start + "".join(random_.choices("ab ", k=random_.randrange(1, 5))) for _ in range(2))
        theirs = trl.extract_prompt({"chosen": chosen, "rejected": rejected})
        if chosen == rejected or not theirs["prompt"].strip():
            continue
        assert without_prompt([chosen, rejected]) == (theirs["prompt"], (theirs["chosen"], theirs["rejected"]))


def test_an_implicit_message_prompt_is_cut_between_turns(write: Write) -> None:
    asked = [user("Hi"), assistant("Hello"), user("Colour of the sky?")]
    row = {"chosen": [*asked, assistant("It is blue")], "rejected": [*asked, assistant("It is green")]}
    group = only(write(row))
    assert group.prompts == (tuple(asked),)
    assert contents(group) == [(assistant("It is blue"),), (assistant("It is green"),)]


def test_an_answer_that_ends_where_the_other_goes_on_keeps_its_turn() -> None:
    longer = (user("Hi"), assistant("Hello"), user("Bye"), assistant("Bye"))
    assert without_prompt([longer[:2], longer]) == ((user("Hi"),), (longer[1:2], longer[1:]))


def test_answers_without_a_common_beginning_are_dropped(write: Write) -> None:
    path = write({"chosen": "ab", "rejected": "ac"}, {"chosen": "yes", "rejected": "no"})
    assert account(path).dropped == {"no prompt, and the answers have no common beginning": 1}


def test_weight_margin_and_prob_reach_the_edge(write: Write) -> None:
    row = {"prompt": "p", "chosen": "a", "rejected": "b", "weight": 2, "margin": 0.5, "prob": 0.75}
    assert only(write(row)).edges == (Edge(0, 1, weight=2.0, margin=0.5, prob=0.75),)


def test_a_prob_below_one_half_swaps_winner_and_loser(write: Write) -> None:
    path = write({"prompt": "p", "chosen": "a", "rejected": "b", "prob": 0.25, "margin": 1.0})
    assert only(path).edges == (Edge(1, 0, margin=-1.0, prob=0.75),)
    assert account(path).notes == {"rejected is the likelier winner, by 'prob'": 1}


def test_a_tie_is_an_edge_with_prob_one_half(write: Write) -> None:
    path = write({"prompt": "p", "chosen": "a", "rejected": "b", "tie": True})
    assert only(path).edges == (Edge(0, 1, prob=0.5),)
    assert account(path).ties == 1


# hh-rlhf


def test_an_hh_dialogue_becomes_turns_and_loses_only_the_leading_space(write: Write) -> None:
    start = "\n\nHuman: Hi\n\nAssistant:  Two spaces\n\nHuman:none"
    row = {"chosen": start + "\n\nAssistant: Yes \n", "rejected": start + "\n\nAssistant: No"}
    group = only(write(row))
    assert group.prompts == ((user("Hi"), assistant(" Two spaces"), user("none")),)
    assert contents(group) == [(assistant("Yes \n"),), (assistant("No"),)]


def test_an_hh_prompt_column_is_the_start_of_the_dialogue(write: Write) -> None:
    group = only(write({"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": " Yes", "rejected": " No"}))
    assert group.prompts == ((user("Hi"),),)
    assert contents(group) == [(assistant("Yes"),), (assistant("No"),)]


def test_real_hh_rows_without_a_shared_prompt_are_named_by_row(real_data: Path) -> None:
    reason = "chosen and rejected do not share a prompt"
    found = loaded(real_data / "data" / "hh_harmless.jsonl")
    account = found.cards[0].account
    assert (account.rows_read, account.rows_used) == (1812, 1807)
    assert account.dropped == {reason: 5}
    assert account.examples[reason] == ["975", "1311", "1526", "1528", "1592"]
    assert account.edges == sum(len(group.edges) for group in found.groups) == 1807


# Labels, dialogues, Alpaca, ShareGPT, rankings


def test_kto_rows_of_one_prompt_are_labels_of_one_group(write: Write) -> None:
    path = write(
        {"prompt": "p", "completion": "a", "label": True},
        {"prompt": "p", "completion": "b", "label": False, "weight": 3},
    )
    assert only(path).labels == (Label(0, True), Label(1, False, weight=3.0))


def test_a_row_to_imitate_has_neither_edge_nor_label(write: Write) -> None:
    group = only(write({"prompt": [user("Hi")], "completion": [assistant("Hello")]}))
    assert (group.edges, group.labels, contents(group)) == ((), (), [(assistant("Hello"),)])


def test_messages_are_cut_before_the_assistants_first_turn(write: Write) -> None:
    system = {"role": "system", "content": "Be brief."}
    turns = [system, user("Hi"), assistant("Hello"), user("Bye"), assistant("Bye")]
    group = only(write({"messages": turns}))
    assert group.prompts == ((system, user("Hi")),)
    assert contents(group) == [tuple(turns[2:])]


def test_tool_calls_are_kept_and_nulls_are_not(write: Write) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    group = only(write({"messages": [user("Hi"), call, {"role": "tool", "content": "1", "name": None}]}))
    assert contents(group) == [
        ({"role": "assistant", "tool_calls": call["tool_calls"]}, {"role": "tool", "content": "1"})
    ]


def test_texts_without_a_prompt_stay_apart(write: Write) -> None:
    groups = loaded(write({"text": "one"}, {"text": "two"}, {"text": "one"})).groups
    assert [contents(group) for group in groups] == [["one"], ["two"]]
    assert {group.prompts for group in groups} == {("",)}


def test_alpaca_is_a_dialogue(write: Write) -> None:
    row = {"instruction": "Add.", "input": "2 + 2", "output": "4", "system": "Be brief.", "history": [["a", "b"]]}
    group = only(write(row))
    system = {"role": "system", "content": "Be brief."}
    assert group.prompts == ((system, user("a"), assistant("b"), user("Add.\n2 + 2")),)
    assert contents(group) == [(assistant("4"),)]


def test_alpaca_pairs_have_an_edge(write: Write) -> None:
    group = only(write({"instruction": "Add.", "input": "", "chosen": "4", "rejected": "5"}))
    assert group.prompts == ((user("Add."),),)
    assert contents(group) == [(assistant("4"),), (assistant("5"),)]
    assert group.edges == (Edge(0, 1),)


def test_sharegpt_speakers_become_roles(write: Write) -> None:
    row = {"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}]}
    row["conversations"].append({"from": "gpt", "value": "a"})
    group = only(write(row))
    assert group.prompts == (({"role": "system", "content": "s"}, user("q")),)
    assert contents(group) == [(assistant("a"),)]


def test_sharegpt_preferences_are_single_turns(write: Write) -> None:
    row = {
        "conversations": [{"from": "human", "value": "q"}],
        "chosen": {"from": "gpt", "value": "a"},
        "rejected": {"from": "gpt", "value": "b"},
    }
    group = only(write(row))
    assert group.prompts == ((user("q"),),)
    assert contents(group) == [(assistant("a"),), (assistant("b"),)]


@pytest.mark.parametrize("column", ["responses", "ranking", "completions", "ranked"])
def test_a_ranking_gives_ranks_and_an_edge_for_every_strict_preference(write: Write, column: str) -> None:
    path = write({"prompt": "p", column: ["a", ["b", "c"], "d"]})
    group = only(path)
    assert [response.rank for response in group.responses] == [0, 1, 1, 2]
    assert {(e.winner, e.loser) for e in group.edges} == {(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)}
    assert account(path).ties == 1


def test_a_list_with_scores_beside_it_is_not_taken_for_a_ranking(write: Write) -> None:
    assert "fit no form" in problem(write({"prompt": "p", "responses": ["a", "b"], "scores": [1, 2]}))


def test_two_rankings_that_differ_leave_edges_but_no_ranks(write: Write) -> None:
    path = write({"prompt": "p", "ranking": ["a", "b", "c"]}, {"prompt": "p", "ranking": ["b", "a"]})
    group = only(path)
    assert [response.rank for response in group.responses] == [None] * 3
    assert len(group.edges) == 4
    assert account(path).notes == {"groups with different rankings, whose ranks are left out and edges kept": 1}


# Template columns


def test_tools_and_template_arguments_belong_to_the_prompt(write: Write) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    pair = {"prompt": "p", "chosen": "a", "rejected": "b"}
    arguments = {"enable_thinking": False}
    path = write(
        pair,
        pair | {"tools": tools},
        pair | {"tools": json.dumps(tools)},
        pair | {"chat_template_kwargs": arguments},
        pair | {"tools": [], "chat_template_kwargs": None},
    )
    groups = loaded(path).groups
    assert [dict(group.extra) for group in groups] == [{}, {"tools": tools}, {"chat_template_kwargs": arguments}]
    assert [group.edges[0].weight for group in groups] == [2.0, 2.0, 1.0]
    assert len({group.id for group in groups}) == 3


# Merging and counting


def test_rows_of_one_prompt_share_responses_and_equal_edges(write: Write) -> None:
    path = write(
        {"prompt": "p", "chosen": "a", "rejected": "b"},
        {"prompt": "p", "chosen": "a", "rejected": "c"},
        {"prompt": "p", "chosen": "a", "rejected": "b"},
        {"prompt": "p", "chosen": "b", "rejected": "a"},
    )
    group = only(path)
    assert contents(group) == ["a", "b", "c"]
    assert group.edges == (Edge(0, 1, weight=2.0), Edge(0, 2), Edge(1, 0))
    assert account(path).notes == {"equal edges, joined by adding their weights": 1}


def test_a_tie_and_its_mirror_image_are_one_edge(write: Write) -> None:
    tie = {"prompt": "p", "chosen": "a", "rejected": "b", "prob": 0.5}
    path = write(tie, tie | {"chosen": "b", "rejected": "a"})
    assert only(path).edges == (Edge(0, 1, weight=2.0, prob=0.5),)


def test_two_sources_share_a_group_and_their_cards_sum_to_the_whole(write: Write) -> None:
    one = write({"prompt": "p", "chosen": "a", "rejected": "b"}, name="one.jsonl")
    two = write(
        {"prompt": "p", "completion": "a", "label": True},
        {"prompt": "q", "completion": "a", "label": True},
        name="two.jsonl",
    )
    found = loaded(one, two)
    accounts = [card.account for card in found.cards]
    assert accounts[1].notes == {"groups joined with those of an earlier source": 1}
    assert sum(a.groups for a in accounts) == len(found.groups) == 2
    assert sum(a.responses for a in accounts) == sum(len(group.responses) for group in found.groups) == 3
    assert sum(a.labels for a in accounts) == 2
    assert found.groups[0].labels == (Label(0, True),)


def test_ids_do_not_depend_on_the_order_of_rows(write: Write) -> None:
    rows = [{"prompt": f"p{n % 3}", "chosen": f"a{n}", "rejected": "b"} for n in range(9)]
    forward, backward = loaded(write(*rows)).groups, loaded(write(*rows[::-1])).groups
    assert {g.id for g in forward} == {g.id for g in backward}
    ids = [{(g.id, r.id, r.content) for g in groups for r in g.responses} for groups in (forward, backward)]
    assert ids[0] == ids[1]


def test_a_fraction_takes_prompts_by_hash_and_counts_the_rest(write: Write) -> None:
    rows = [{"prompt": f"p{n}", "chosen": "a", "rejected": "b"} for n in range(400)]
    half = loaded(write(*rows), fraction=0.5)
    account = half.cards[0].account
    assert account.dropped == {"outside the fraction": 400 - len(half.groups)}
    assert 160 < len(half.groups) < 240
    shuffled = loaded(write(*rows[::-1]), fraction=0.5)
    assert {g.id for g in shuffled.groups} == {g.id for g in half.groups}
    assert {g.id for g in loaded(write(*rows), fraction=0.5, seed=1).groups} != {g.id for g in half.groups}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "p", "chosen": "a", "rejected": "a"}, "chosen and rejected are equal"),
        ({"prompt": "p", "chosen": "a", "rejected": " "}, "'rejected' is empty"),
        ({"prompt": "p", "chosen": "a"}, "'rejected' is missing"),
        ({"prompt": None, "chosen": "a", "rejected": "b"}, "'prompt' is missing"),
        ({"prompt": "p", "chosen": 3, "rejected": "b"}, "'chosen' is neither text nor messages"),
        ({"prompt": "p", "chosen": [], "rejected": "b"}, "'chosen' is empty"),
        ({"prompt": "p", "chosen": ["a"], "rejected": "b"}, "'chosen' is not a list of messages"),
        ({"prompt": "p", "chosen": [{"content": "a"}], "rejected": "b"}, "a turn of 'chosen' has no role"),
        ({"prompt": "p", "chosen": [{"role": "user"}], "rejected": "b"}, "a turn of 'chosen' has no content"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "weight": float("nan")}, "'weight' is not finite"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "weight": -1}, "'weight' is negative"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "margin": "much"}, "'margin' is not a number"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "prob": 2}, "'prob' is outside [0, 1]"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "tie": "x"}, "'tie' is not true or false"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "tools": "[{"}, "'tools' is not valid JSON"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "tools": {"a": 1}}, "'tools' is not a list"),
        ({"prompt": "p", "chosen": "a\ud800", "rejected": "b"}, "text that is not valid UTF-8"),
        (
            {"prompt": "p", "chosen": "a", "rejected": "b", "images": ["x.png"]},
            "images, which are not read from these forms",
        ),
        (["prompt"], "not a JSON object"),
    ],
)
def test_an_unusable_row_is_dropped_with_its_reason_and_number(write: Write, row: object, reason: str) -> None:
    good = {"prompt": "p", "chosen": "a", "rejected": "b"}
    found = account(write(good, row))
    assert found.dropped == {reason: 1}
    assert found.examples == {reason: ["2"]}
    assert found.rows_used == 1


def test_broken_lines_cost_a_row_each_and_not_the_file(tmp_path: Path) -> None:
    good = b'{"prompt": "p", "chosen": "a", "rejected": "b"}'
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join([b"\xef\xbb\xbf" + good, b'{"prompt": ', b"", b'{"prompt": "\xff"}', good]))
    found = account(path)
    assert found.dropped == {"not valid JSON": 1, "text that is not valid UTF-8": 1}
    assert found.examples["text that is not valid UTF-8"] == ["4"]
    assert (found.rows_read, found.rows_used) == (4, 2)


# Files


PAIRS = [{"prompt": "p", "chosen": "a, b", "rejected": "c\nd"}, {"prompt": "q", "chosen": "e", "rejected": "f"}]


def write_csv(path: Path) -> None:
    path.write_text('prompt,chosen,rejected,weight\np,"a, b","c\nd",2\nq,e,f,\n\nr,"x"y,\xff,1,2\n', encoding="utf-8")


def write_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(PAIRS), path)


def write_saved(path: Path) -> None:
    import datasets

    datasets.Dataset.from_list(PAIRS).save_to_disk(str(path))


def write_saved_splits(path: Path) -> None:
    import datasets

    splits = {"train": datasets.Dataset.from_list(PAIRS), "test": datasets.Dataset.from_list(PAIRS[:1])}
    datasets.DatasetDict(splits).save_to_disk(str(path))


def write_gzip(path: Path) -> None:
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in PAIRS)


def write_packed_tsv(path: Path) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write('prompt\tchosen\trejected\np\t"a, b"\t"c\nd"\nq\te\tf\n')


@pytest.mark.parametrize(
    ("name", "writer"),
    [
        ("rows.json", lambda path: path.write_text(json.dumps(PAIRS))),
        ("data.json", lambda path: path.write_text(json.dumps({"data": PAIRS}))),
        ("lines.json", lambda path: path.write_text("\n".join(map(json.dumps, PAIRS)))),
        ("rows.csv", write_csv),
        ("rows.parquet", write_parquet),
        ("saved", write_saved),
        ("splits", write_saved_splits),
        ("rows.jsonl.gz", write_gzip),
        ("rows.JSONL.GZ", write_gzip),
        ("rows.ndjson.gz", write_gzip),
        ("rows.tsv.gz", write_packed_tsv),
    ],
)
def test_every_kind_of_file_holds_the_same_groups(tmp_path: Path, name: str, writer: Callable[[Path], Any]) -> None:
    writer(tmp_path / name)
    groups = loaded(tmp_path / name).groups
    assert [(group.prompts[0], contents(group)) for group in groups] == [("p", ["a, b", "c\nd"]), ("q", ["e", "f"])]


def test_a_split_of_a_saved_folder_can_be_named(tmp_path: Path) -> None:
    write_saved_splits(tmp_path / "splits")
    assert len(loaded(f"{tmp_path / 'splits'}:test").groups) == 1
    expected = (
        f"{tmp_path / 'splits'} has no split 'dev', only test, train. Name one of them, as {tmp_path}/splits:test."
    )
    assert problem(f"{tmp_path / 'splits'}:dev") == expected


def test_csv_counts_records_weights_and_dialogues(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv")
    found = loaded(tmp_path / "rows.csv")
    assert [group.edges[0].weight for group in found.groups] == [2.0, 1.0]
    assert found.cards[0].account.dropped == {"not a valid CSV record": 1}
    turns = json.dumps([user("Hi"), assistant("Hello")]).replace('"', '""')
    (tmp_path / "turns.csv").write_text(f'messages\n"{turns}"\n')
    assert only(tmp_path / "turns.csv").prompts == ((user("Hi"),),)


def test_csv_columns_without_a_name_are_passed_over_and_repeated_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(",Chosen,prompt,chosen,rejected,\n0,z,p,a,b,\n")
    found = loaded(path)
    assert contents(found.groups[0]) == ["a", "b"]
    assert found.cards[0].account.notes == {"columns not read (Chosen)": 1}
    path.write_text("prompt,chosen,rejected,chosen\np,a,b,c\n")
    assert problem(path) == f"{path} has two columns named 'chosen'. Rename one of them."


def test_bytes_inside_messages_in_parquet_are_text_too(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    turns = [[{"role": b"user", "content": b"p"}, {"role": b"assistant", "content": answer}] for answer in (b"a", b"b")]
    pq.write_table(pa.table({"chosen": turns[:1], "rejected": turns[1:]}), tmp_path / "rows.parquet")
    (group,) = loaded(tmp_path / "rows.parquet").groups
    assert group.prompts == (({"role": "user", "content": "p"},),)
    assert [response.content[0]["content"] for response in group.responses] == ["a", "b"]


def test_bytes_in_parquet_are_text_where_they_are_utf8(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    chosen = ["größer".encode(), b"\xff"]
    pq.write_table(
        pa.table({"prompt": ["p", "q"], "chosen": chosen, "rejected": ["b", "b"]}), tmp_path / "rows.parquet"
    )
    found = loaded(tmp_path / "rows.parquet")
    assert [contents(group) for group in found.groups] == [["größer", "b"]]
    assert found.cards[0].account.dropped == {"'chosen' is neither text nor messages": 1}


@pytest.mark.parametrize("cut", [0, 3])
def test_a_damaged_gzip_is_one_clear_error(tmp_path: Path, cut: int) -> None:
    packed = bytearray(gzip.compress(b"prompt,chosen,rejected\np,a,b\n"))
    packed[-8] ^= 1
    (tmp_path / "rows.csv.gz").write_bytes(packed[: len(packed) - cut])
    reason = "it was cut off" if cut else "its checksum is wrong"
    assert f"rows.csv.gz is a damaged gzip: {reason}. Fetch" in problem(tmp_path / "rows.csv.gz")


def test_broken_utf8_costs_a_row_of_csv(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"prompt,chosen,rejected\np,a\xff,b\nq,a,b\n")
    assert account(tmp_path / "rows.csv").examples == {"text that is not valid UTF-8": ["1"]}


def test_messages_survive_parquets_union_of_keys(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    turns = [user("Hi"), {"role": "assistant", "content": "Hello", "name": "bot"}]
    pq.write_table(pa.Table.from_pylist([{"messages": turns}]), tmp_path / "rows.parquet")
    assert only(tmp_path / "rows.parquet").prompts == ((user("Hi"),),)


def test_our_own_file_comes_back_as_it_was(tmp_path: Path) -> None:
    groups = [
        PreferenceGroup("a", ("p",), (Response("x", "1"), Response("y", "1")), extra={"levels": [1]}, split="eval"),
        PreferenceGroup("b", ("p",), (Response("x", "1"), Response("y", None)), (Edge(0, 1),), source="forum"),
    ]
    write_groups(groups, tmp_path / "groups.parquet")
    found = loaded(tmp_path / "groups.parquet")
    assert list(found.groups) == list(read_groups_file(tmp_path / "groups.parquet")) == groups
    assert found.cards[0].rule == "groups"


def test_own_groups_are_joined_across_files_and_held_out_prompts_stay_held_out(tmp_path: Path) -> None:
    one = PreferenceGroup("a", ("p",), (Response("x", "1"), Response("y", "2")), (Edge(0, 1),), split="train")
    two = PreferenceGroup("b", ("p",), (Response("x", "3"), Response("y", "1")), (Edge(0, 1),), split="eval")
    write_groups([one], tmp_path / "one.parquet")
    write_groups([two], tmp_path / "two.parquet")
    found = loaded(tmp_path / "one.parquet", tmp_path / "two.parquet")
    (group,) = found.groups
    assert (group.id, group.split, contents(group)) == ("a", "eval", ["1", "2", "3"])
    assert group.edges == (Edge(0, 1), Edge(2, 0))
    assert found.cards[1].account.notes == {
        "prompts both to train on and held out, now held out": 1,
        "groups joined with those of an earlier source": 1,
    }


# Errors


def test_a_missing_file_names_the_nearest_one(write: Write) -> None:
    path = write({"text": "a"}, name="train.jsonl")
    wrong = path.with_name("trian.jsonl")
    assert problem(wrong) == f"there is no file {wrong}. Did you mean {path}?"
    nowhere = path.parent / "nowhere" / "x.jsonl"
    assert problem(nowhere) == f"there is no file {nowhere} (nor a folder {nowhere.parent}). Check the path."


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"
    path.write_text("x")
    assert problem(path) == (
        f"{path} has the unknown ending '.xlsx'; expected one of .jsonl, .ndjson, .json, .csv, .tsv (each also with "
        ".gz), .parquet. Rename or convert the file."
    )


def test_an_empty_file_and_a_file_without_rows_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("")
    assert problem(path) == f"{path} is empty. Give a file with at least one record."
    path.write_text("\n\n")
    assert problem(path) == f"{path} holds no rows. Name a file that holds rows."


def test_unknown_columns_are_listed_with_the_nearest_name(write: Write) -> None:
    path = write({"prompt": "p", "choosen": "a", "rejected": "b"})
    assert problem(path) == (
        f"the columns of {path} fit no form: given prompt, choosen, rejected; expected one of "
        "conversations/chosen/rejected; instruction/chosen/rejected; chosen/rejected; prompt/responses; "
        "prompt/ranking; prompt/completions; prompt/ranked; prompt/completion/label; prompt/completion; "
        "conversations; instruction/output; messages; text. Did you mean 'chosen' by 'choosen'?"
    )


def test_a_file_without_a_usable_row_says_why(write: Write) -> None:
    row = {"prompt": "p", "chosen": "a", "rejected": "a"}
    path = write(row, row, row | {"rejected": None})
    assert problem(path) == (
        f"none of the 3 rows of {path} can be used: chosen and rejected are equal: 2 (rows 1, 2); "
        "'rejected' is missing: 1 (row 3). Correct the rows."
    )


def test_broken_files_are_one_clear_error(tmp_path: Path) -> None:
    broken = tmp_path / "rows.json"
    broken.write_text('[{"prompt": ]')
    assert problem(broken) == (
        f"{broken} is not valid JSON (line 1, column 13: Expecting value). Correct the file, or write one object per "
        "line as .jsonl."
    )
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no PAR1")
    assert "is not a readable Parquet file" in problem(tmp_path / "rows.parquet")
    (tmp_path / "rows.jsonl.gz").write_bytes(b"no gzip")
    assert "is named .gz, but is not gzip" in problem(tmp_path / "rows.jsonl.gz")
    assert problem(tmp_path) == (
        f"{tmp_path} is a folder, but not one that datasets.save_to_disk wrote. Name a file in it, such as rows.json."
    )


def test_a_hub_name_without_network_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def unreachable(name: str) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    assert problem("someone/something") == (
        "'someone/something' is neither a local path nor a hub data set that can be loaded (no network). "
        "Check the name and the network, or download the data and name the local file."
    )


def test_a_hub_name_is_loaded_by_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    hub = {"train": datasets.Dataset.from_list(PAIRS), "test": datasets.Dataset.from_list(PAIRS[:1])}
    monkeypatch.setattr(datasets, "load_dataset", {"someone/something": hub}.__getitem__)
    assert len(loaded("someone/something").groups) == 2
    assert len(loaded("someone/something:test").groups) == 1


def test_fractions_and_empty_lists_of_sources_are_refused() -> None:
    with pytest.raises(DataError, match=r"the fraction of x must lie in \(0, 1\], not 0"):
        Source("x", 0)
    with pytest.raises(DataError, match="no data was named"):
        load([])


# Anything at all


def anything(random_: random.Random, depth: int = 0) -> Any:
    """A JSON value that no one would expect."""
    simple = [
        None,
        True,
        0,
        -1,
        1e400,
        float("nan"),
        10**400,
        "",
        " ",
        "a",
        "b",
        "\ud800",
        "x" * 100_000,
        "[{",
        "{}",
        "nan",
    ]
    simple += [user("Hi"), assistant("Hello"), "\n\nHuman: Hi\n\nAssistant: Hello", "\n\nHuman: Hi\n\nAssistant:"]
    if depth == 3 or random_.random() < 0.7:
        return random_.choice(simple)
    if random_.random() < 0.02:
        return json.loads("[" * 150 + "]" * 150)
    items = [anything(random_, depth + 1) for _ in range(random_.randrange(4))]
    if random_.random() < 0.5:
        return items
    return dict(zip(random_.choices(["role", "content", "from", "value", "x", "tool_calls"], k=4), items, strict=False))


def fuzzed(random_: random.Random, columns: Iterable[str], num_rows: int) -> bytes:
    """JSONL in which most rows are wrong."""
    lines = []
    for _ in range(num_rows):
        row: Any = {name: anything(random_) for name in columns if random_.random() < 0.95}
        line = json.dumps(row if random_.random() < 0.95 else anything(random_)).encode()
        if random_.random() < 0.05:
            line = line[: random_.randrange(1, len(line) + 1)] + b"\xff"
        lines.append(line or b"{}")
    return b"\n".join(lines)


@pytest.mark.parametrize(
    "columns",
    [
        ("prompt", "chosen", "rejected", "weight", "margin", "prob", "tie", "tools", "chosen_score"),
        ("chosen", "rejected", "chat_template_kwargs"),
        ("conversations", "chosen", "rejected"),
        ("prompt", "ranking", "weight"),
        ("prompt", "completion", "label"),
        ("conversations", "label", "system"),
        ("instruction", "input", "output", "history"),
        ("messages", "tools"),
    ],
)
def test_fuzzed_rows_are_used_or_dropped_and_never_raise(tmp_path: Path, columns: tuple[str, ...]) -> None:
    good = {"prompt": "p", "chosen": [user("p"), assistant("a")], "rejected": [user("p"), assistant("b")]}
    good |= {"conversations": good["chosen"], "messages": good["chosen"], "instruction": "p", "output": "a"}
    good |= {"ranking": ["a", "b"], "completion": "a", "label": True}
    first = json.dumps({name: good[name] for name in columns if name in good}).encode()
    path = tmp_path / "rows.jsonl"
    path.write_bytes(first + b"\n" + fuzzed(random.Random(0), columns, 250))
    found = loaded(path)
    account = found.cards[0].account
    assert account.rows_read == 251 == account.rows_used + sum(account.dropped.values())
    assert account.groups == len(found.groups)
    assert account.edges == sum(len(group.edges) for group in found.groups)
    write_groups(found.groups, tmp_path / "groups.parquet", card=found.cards[0])
    assert list(loaded(tmp_path / "groups.parquet").groups) == list(found.groups)
