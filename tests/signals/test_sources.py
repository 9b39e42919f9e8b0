"""Readers of foreign files: exact counts on real data, hand-made exports, and junk of every kind."""

import gzip
import json
import random
import sqlite3
import string
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tropism.data.label_choices import ChoiceItem, Option, row_of_item
from tropism.errors import DataError
from tropism.ingest import Unusable, read_rows
from tropism.ingest.choice_tables import CHOICES_SCHEMA, TABLES
from tropism.ingest.row_values import time as time_of
from tropism.signals.privacy.personal import scrub_text
from tropism.signals.sources.argilla import read_argilla
from tropism.signals.sources.aspects import weighed
from tropism.signals.sources.choices_file import read_choices_file, who_answered
from tropism.signals.sources.contents import cleaned
from tropism.signals.sources.feedback_rows import AnswerRow, Aside, ChoiceRow, Feedback, RankRow, RatingRow, Refused
from tropism.signals.sources.imagereward import read_imagereward
from tropism.signals.sources.label_studio import read_label_studio
from tropism.signals.sources.markdown import LONGEST, TooLongError, to_markdown
from tropism.signals.sources.names import Fields, Questions, few_reasons, meaning, rated_by
from tropism.signals.sources.oasst import read_oasst
from tropism.signals.sources.stackexchange import read_stack_exchange

Row = Feedback | Aside | Refused


def told(rows: list[Row]) -> Counter[str]:
    """How many rows of each kind, and of each reason."""
    return Counter(
        row.reason if isinstance(row, Refused) else row.kind if isinstance(row, Aside) else type(row).__name__
        for row in rows
    )


def written(folder: Path, records: list[Any], name: str = "file.jsonl") -> Path:
    """Records as a file: a list where it is named `.json`, else lines."""
    path = folder / name
    text = json.dumps(records) if name.endswith(".json") else "".join(json.dumps(one) + "\n" for one in records)
    path.write_text(text, encoding="utf-8")
    return path


# Stack Exchange


def post(post_id: Any, **values: Any) -> dict[str, Any]:
    """A question, or an answer where it has a `parent_id`."""
    kind = "answer" if "parent_id" in values else "question"
    body = f"<p>Body {post_id}</p>"
    return {"post_id": post_id, "type": kind, "score": 1, "body_html": body, "owner_user_id": "7"} | values


def edges(rows: list[Row]) -> tuple[int, int]:
    """Untied pairs of answers to one question, and those whose better answer was written later."""
    threads: dict[str, list[AnswerRow]] = {}
    for row in rows:
        if isinstance(row, AnswerRow):
            threads.setdefault(row.group, []).append(row)
    untied = [sorted(pair, key=lambda row: row.score) for one in threads.values() for pair in combinations(one, 2)]
    untied = [pair for pair in untied if pair[0].score != pair[1].score]
    return len(untied), sum((better.time or 0) > (worse.time or 0) for worse, better in untied)


def test_stack_exchange_counts_of_the_real_file(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "data" / "stackexchange_coffee.jsonl"
    rows = list(read_stack_exchange(path))
    assert told(rows) == {"AnswerRow": 327, "question": 225}
    assert edges(rows) == (150, 41)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(0).shuffle(lines)
    packed = tmp_path / "shuffled.jsonl.gz"
    packed.write_bytes(gzip.compress("".join(lines).encode()))
    shuffled = list(read_stack_exchange(packed))
    assert {row._replace(number=0) for row in shuffled if isinstance(row, AnswerRow)} == {
        row._replace(number=0) for row in rows if isinstance(row, AnswerRow)
    }


def test_an_answer_finds_its_question_wherever_it_stands(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        [
            post(2, parent_id=1, site="tea", score=-3, created="2020-01-01T00:00:01.5", owner_user_id="9"),
            post(1, title=" How  long? ", site="tea", accepted_answer_id=2, owner_user_id="8"),
            post(3, parent_id=1, site="tea", owner_user_id="8"),
            post(4, parent_id=1, site="coffee"),
        ],
    )
    first, question, own, elsewhere = read_stack_exchange(path)
    prompt = "How long?\n\nBody 1"
    assert first == AnswerRow(1, prompt, "Body 2", "tea/1", -3.0, 1577836801.5, "tea/9", accepted=True, by_asker=False)
    assert question == Aside(2, "question")
    assert isinstance(own, AnswerRow)
    assert (own.accepted, own.by_asker, own.time) == (False, True, None)
    assert elsewhere == Refused(4, "its question is not in the file")


def test_posts_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    records = [
        post(1, title="Q"),
        post(1, title="Another"),
        post(2, title=None, body_html=""),
        post(3, parent_id=2),
        post(4, parent_id=None),
        post(5, parent_id=1, body_html="<p> </p>"),
        post(6, parent_id=1, score=None),
        post(7, parent_id=1, score="four"),
        post(8, parent_id=1, score=float("nan")),
        post(9, parent_id=1, created="yesterday"),
        post(10, parent_id=1, body_html="\ud800"),
        post(11, parent_id=1, body_html="x" * (LONGEST + 1)),
        post(12, type="wiki"),
        [],
    ]
    reasons = [row.reason for row in read_stack_exchange(written(tmp_path, records)) if isinstance(row, Refused)]
    assert reasons == [
        "question with the post_id of another",
        "'prompt' is empty",
        "missing parent_id",
        "'response' is empty",
        "'score' is missing",
        "'score' is not a number",
        "'score' is not finite",
        "'time' cannot be read",
        "text that is not valid UTF-8",
        "a text longer than any post",
        "neither question nor answer",
        "not a JSON object",
    ]


# Markdown


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<p>One\n two</p><p>Three</p>", "One two\n\nThree"),
        ("<h2>Head</h2>text<br>next<hr>end", "## Head\n\ntext\nnext\n\n---\n\nend"),
        ("a <strong> b </strong>c <em>d</em><i> </i>e", "a **b** c *d* e"),
        ('<a href="https://a.org/(x) y">link</a>', "[link](https://a.org/%28x%29%20y)"),
        ('<a href="https://a.org">https://a.org</a>', "https://a.org"),
        ('<a href="javascript:alert(1)">x</a> <a href="java\nscript:1">y</a> <a href="data:,1">z</a>', "x y z"),
        ('<p>before<img src="http://evil/x.png" alt="a cup">after</p>', "beforea cupafter"),
        ('<img src="x" alt="enter image description here">', ""),
        ("<script>steal()</script><style>p{}</style><p>safe</p>", "safe"),
        ("<pre><code>if a &lt; b:\n    go()\n</code></pre>", "```\nif a < b:\n    go()\n```"),
        ("<pre>```\nin\n```</pre>", "````\n```\nin\n```\n````"),
        ("use <code>a`b</code> and <code>c</code>", "use ``a`b`` and `c`"),
        ("<ul><li>one<li>two<ul><li>in</ul></ul>after", "- one\n- two\n  - in\n\nafter"),
        ("<ol><li><p>a</p><p>b</p></li><li>c</li></ol>", "1. a\n\n   b\n2. c"),
        ("<blockquote><p>a</p><p>b</p></blockquote><p>c</p>", "> a\n>\n> b\n\nc"),
        ("<ul><li><blockquote>q</blockquote></li></ul>", "- > q"),
        ("1 < 2 && 3 > 2 &amp;&lt;b&gt; &#x27; <", "1 < 2 && 3 > 2 &<b> ' <"),
        ("<b>open <i>inner</b> rest", "**open *inner*** rest"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\n\nc"),
        ("</p></ul></b>text<li>lost", "text\n\n- lost"),
        ("a<!-- b -->c<!-- d", "ac"),
        ("&#" + "9" * 5000 + ";", "\ufffd"),
    ],
)
def test_markdown_of_html(html: str, markdown: str) -> None:
    assert to_markdown(html) == markdown


PIECES = ["<", "<!--", "<a ", "<a '", '<a x="" ', "<ul><li>", "<b>", "</", "<blockquote>", "&", "<![", "<p>a", "<?"]
PIECES += ["<pre>", "<script>", "<br>", "`", "<b>a </b>", "<a href='", "</b>", "<li>", "&#", "<a href=http://a>"]


@pytest.mark.parametrize("piece", PIECES)
def test_markdown_takes_no_longer_than_its_text_is_long(piece: str) -> None:
    html = (piece * LONGEST)[:LONGEST]
    begun = time.process_time()
    assert len(to_markdown(html)) <= 3 * LONGEST
    assert time.process_time() - begun < 5  # the library's parser takes half a minute for "<!--"


def test_html_beyond_any_post_is_refused() -> None:
    with pytest.raises(TooLongError):
        to_markdown("x" * (LONGEST + 1))


def test_markdown_survives_random_markup() -> None:
    rng = random.Random(0)
    pieces = ["<p>", "</p>", "<li>", "<ul>", "</ol>", "<pre>", "</pre>", "<a href='", "'>", "x", "\n", "&lt;", "<!--"]
    pieces += ["-->", "<b>", "</i>", "<blockquote>", "</blockquote>", "<script>", "</script>", "<code>", "`", "\x00"]
    for _ in range(1000):
        text = to_markdown("".join(rng.choices(pieces, k=rng.randrange(30))))
        assert text.encode("utf-8").decode("utf-8") == text


# OpenAssistant


def message(name: str, role: str, *replies: Any, **values: Any) -> dict[str, Any]:
    return {"message_id": name, "role": role, "text": f"text of {name}", "replies": list(replies)} | values


def ranked_pairs(rows: list[Row]) -> tuple[int, int]:
    """Groups, and untied pairs of responses in them."""
    groups: dict[str, list[int]] = {}
    for row in rows:
        if isinstance(row, RankRow):
            groups.setdefault(row.group, []).append(row.rank)
    return len(groups), sum(a != b for ranks in groups.values() for a, b in combinations(ranks, 2))


def test_oasst_counts_of_the_real_file(real_data: Path) -> None:
    path = real_data / "data" / "oasst_en_100_trees.jsonl"
    rows = list(read_oasst(path))
    assert told(rows) == {"RankRow": 624, "message of a prompter": 480, "unranked reply": 46, "synthetic reply": 17}
    assert len(rows) == 1167  # every message once
    assert ranked_pairs(rows) == (207, 732)
    assert ranked_pairs(list(read_oasst(path, keep_synthetic=True))) == (212, 754)


def test_oasst_tree_by_hand(tmp_path: Path) -> None:
    deep = [message("d1", "assistant", rank=1), message("d2", "assistant", rank=0)]
    root = message(
        "root",
        "prompter",
        message("a", "assistant", message("q", "prompter", *deep), rank=1),
        message("b", "assistant", rank=0),
        message("gone", "assistant", message("q2", "prompter", message("lost", "assistant", rank=0)), deleted=True),
        message("bad", "assistant", rank=2, review_result=False),
        message("machine", "assistant", rank=3, synthetic=True),
        message("new", "assistant", message("q3", "prompter", message("alone", "assistant", rank=0)), rank=None),
    )
    rows = list(read_oasst(written(tmp_path, [{"tree_state": "ready_for_export", "prompt": root}])))
    ranks = [row for row in rows if isinstance(row, RankRow)]
    assert [(row.group, row.response, row.rank) for row in ranks] == [
        ("root", "text of a", 1),
        ("root", "text of b", 0),
        ("q", "text of d1", 1),
        ("q", "text of d2", 0),
    ]
    turns = [("user", "root"), ("assistant", "a"), ("user", "q")]
    expected = [{"role": role, "content": f"text of {name}"} for role, name in turns]
    assert json.loads(ranks[2].prompt) == expected
    assert ranks[2].prompt_is_json
    assert not ranks[2].response_is_json
    assert told(rows) == {
        "RankRow": 4,
        "message of a prompter": 4,
        "deleted reply": 1,
        "reply to a message that cannot be used": 1,
        "reply failed its review": 1,
        "synthetic reply": 1,
        "unranked reply": 1,
        "only ranked reply to its message": 1,
    }


def test_oasst_trees_that_are_not_finished_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [{"tree_state": "growing", "prompt": message("a", "prompter")}, {"prompt": 3}, {}])
    assert [row.reason for row in read_oasst(path) if isinstance(row, Refused)] == [
        "tree is not ready for export",
        "'prompt' is not an object",
        "'prompt' is missing",
    ]


# ImageReward


def test_imagereward_counts_of_the_real_file(real_data: Path) -> None:
    rows = list(read_imagereward(real_data / "data" / "imagereward_rankings.json"))
    assert told(rows) == {"RankRow": 2720}
    assert ranked_pairs(rows) == (466, 6399)


def test_imagereward_by_hand(tmp_path: Path) -> None:
    images = ["a/1.webp", "a/2.webp"]
    records = [
        {"id": "x", "prompt": "a cat", "generations": images, "ranking": [1, 1]},
        {"id": "y", "prompt": "a cat", "generations": images, "ranking": [1]},
        {"id": "z", "prompt": "a cat", "generations": ["a/1.webp", "../2.webp"], "ranking": [1, 2]},
        {"id": "z", "prompt": "a cat", "generations": ["a/1.webp", "https://a.org/2.webp"], "ranking": [1, 2]},
        {"id": "z", "prompt": "a cat", "generations": ["a", "a"], "ranking": [1, 2]},
        {"id": "z", "prompt": " ", "generations": images, "ranking": [1, 2]},
        {"id": "z", "prompt": "a cat", "generations": images, "ranking": [1, 1.5]},
        {"id": "z", "prompt": "a cat", "generations": ["a"], "ranking": [1]},
    ]
    rows = list(read_imagereward(written(tmp_path, records, "file.json")))
    turn = [{"role": "assistant", "content": [{"type": "image", "path": "a/1.webp"}]}]
    assert isinstance(rows[0], RankRow)
    assert (json.loads(rows[0].response), rows[0].response_is_json, rows[0].rank) == (turn, True, 1)
    assert ranked_pairs(rows) == (1, 0)
    assert [row.reason for row in rows if isinstance(row, Refused)] == [
        "as many ranks as images were expected",
        "an image outside the folder of images",
        "an image outside the folder of images",
        "an image that is ranked twice",
        "'prompt' is empty",
        "'rank' is not a whole number of 0 or more",
        "fewer than two images",
    ]


# Argilla

ARGILLA = {
    "id": "r1",
    "fields": {"instruction": "Name a tree.", "response-1": "Oak", "response-2": "Rose"},
    "metadata": {},
    "suggestions": {"preference": {"value": "response-2", "score": 0.9, "agent": "model"}},
    "responses": {
        "preference": [{"value": "response-1", "user_id": "u1"}, {"value": "tie", "user_id": "u2"}],
        "order": [{"value": ["response-2", "response-1"], "user_id": "u1"}],
        "order_with_ties": [
            {"value": [{"value": "response-1", "rank": 1}, {"value": "response-2", "rank": 1}], "user_id": "u1"}
        ],
        "helpfulness-2": [{"value": 4, "user_id": "u1", "status": "submitted"}],
        "comment": [{"value": "I like trees", "user_id": "u1"}],
        "draft": [{"value": "response-1", "user_id": "u1", "status": "draft"}],
    },
    "vectors": {},
}


def test_argilla_records_as_to_json_writes_them(tmp_path: Path) -> None:
    rows = list(read_argilla(written(tmp_path, [ARGILLA], "records.json")))
    prompt, first, second = "Name a tree.", "Oak", "Rose"
    assert rows == [
        Aside(1, "suggestion of a model"),
        ChoiceRow(1, prompt, first, second, "a", "u1", "r1"),
        ChoiceRow(1, prompt, first, second, "tie", "u2", "r1"),
        RankRow(1, prompt, second, "r1", 0, "u1"),
        RankRow(1, prompt, first, "r1", 1, "u1"),
        RankRow(1, prompt, first, "r1", 1, "u1"),
        RankRow(1, prompt, second, "r1", 1, "u1"),
        RatingRow(1, prompt, second, "r1", "helpfulness", 4.0, "u1"),
        Refused(1, "an answer that names no response"),
        Refused(1, "answer that was not submitted"),
    ]


def test_argilla_records_as_data_sets_hold_them(tmp_path: Path) -> None:
    flat = {
        "id": "r1",
        "status": "completed",
        "_server_id": "s",
        "instruction": "Name a tree.",
        "chosen": "Oak",
        "rejected": "Rose",
        "preference.responses": ["chosen", "rejected", "both bad"],
        "preference.responses.users": ["u1", "u2", "u3"],
        "preference.responses.status": ["submitted", "discarded", "submitted"],
        "preference.suggestion": None,
    }
    rows = list(read_argilla(written(tmp_path, [flat, flat | {"preference.responses": None}])))
    assert rows == [
        ChoiceRow(1, "Name a tree.", "Oak", "Rose", "a", "u1", "r1"),
        Refused(1, "answer that was not submitted"),
        ChoiceRow(1, "Name a tree.", "Oak", "Rose", "both_bad", "u3", "r1"),
        Refused(2, "no response"),
    ]


def argilla(fields: dict[str, Any], *, flat: bool = False, **questions: object) -> dict[str, Any]:
    """A record with one answer of `u` to each question, nested or flat."""
    if flat:
        answers = {f"{name.replace('_', '-')}.responses": [value] for name, value in questions.items()}
        return {"id": "r1"} | fields | answers
    answers = {name.replace("_", "-"): [{"value": value, "user_id": "u"}] for name, value in questions.items()}
    return {"id": "r1", "fields": fields, "responses": answers}


def test_argilla_chats_stay_dialogues_and_questions_name_their_responses(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "Name a tree."}]
    record = argilla({"dialog": chat, "left side": "Oak", "right side": "Rose"}, which="right side", stars_left_side=3)
    path = written(tmp_path, [record])
    expected = [
        ChoiceRow(1, json.dumps(chat), "Oak", "Rose", "b", "u", "r1", prompt_is_json=True),
        Refused(1, "a rating of a dialogue"),
    ]
    assert list(read_argilla(path)) == expected
    assert list(read_argilla(path, fields=Fields("dialog", ("left side", "right side")))) == expected


TWO = {"response-2": "Rose", "response-1": "Oak"}


@pytest.mark.parametrize(
    ("others", "prompt"),
    [
        ({"instruction": "Translate to German.", "input": "Hello"}, "Translate to German.\n\nHello"),
        ({"system": "Be brief.", "prompt": "Name a tree.", "context": None}, "Be brief.\n\nName a tree."),
        ({"prompt": "Name a tree.", "context": "We are in a wood."}, "Name a tree.\n\nWe are in a wood."),
        ({"prompt": "Name it.", "text": "A tall plant."}, "Name it.\n\nA tall plant."),
        ({"prompt": "Name a tree.", "model_a": "gpt", "model_b": "llama"}, "Name a tree."),
    ],
)
@pytest.mark.parametrize("flat", [False, True])
def test_all_text_of_an_argilla_record_that_is_no_response_is_its_prompt(
    others: dict[str, Any], prompt: str, flat: bool, tmp_path: Path
) -> None:
    rows = list(read_argilla(written(tmp_path, [argilla(others | TWO, flat=flat, which="response-1")])))
    assert rows == [ChoiceRow(1, prompt, "Oak", "Rose", "a", None if flat else "u", "r1")]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (
            argilla({"prompt": "P", "answer": "Elm"} | TWO, which="response-1"),
            "unclear whether a response or a part of the prompt: field 'answer'",
        ),
        (
            argilla({"prompt": "P", "answer": "Elm", "output": "Oak"}, stars_answer=2),
            "unclear whether a response or a part of the prompt: fields 'answer', 'output'",
        ),
        (
            argilla({"prompt": "P", "base": "Elm", "tuned": "Oak"}, which="tuned"),
            "unclear whether a response or a part of the prompt: field 'base'",
        ),
        (
            argilla({"prompt": "P", "topic": "trees", "grade": 3} | TWO, flat=True, which="response-1"),
            "unclear whether metadata or a part of the prompt: field 'topic'",
        ),
        (
            argilla({"prompt": "P", "image": "https://example.org/a.png"} | TWO, which="response-1"),
            "a prompt with more than text: field 'image'",
        ),
        (
            argilla({"prompt": "P", "chat": [{"role": "user", "content": "x"}]} | TWO, which="response-1"),
            "a prompt of turns and text: fields 'prompt', 'chat'",
        ),
    ],
)
def test_an_argilla_record_that_does_not_say_what_its_prompt_is_is_refused_by_name(
    record: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    assert list(read_argilla(written(tmp_path, [record]))) == [Refused(1, reason)]


def test_argilla_rankings_and_ratings_name_responses_of_any_name(tmp_path: Path) -> None:
    ranked = argilla({"prompt": "P", "base": "Elm", "tuned": "Oak"}, order=["tuned", "base"])
    rated = argilla({"prompt": "P", "base": "Elm", "tuned": "Oak"}, quality_base=2, quality_tuned=5)
    assert list(read_argilla(written(tmp_path, [ranked, rated]))) == [
        RankRow(1, "P", "Oak", "r1", 0, "u"),
        RankRow(1, "P", "Elm", "r1", 1, "u"),
        RatingRow(2, "P", "Elm", "r1", "quality", 2.0, "u"),
        RatingRow(2, "P", "Oak", "r1", "quality", 5.0, "u"),
    ]


def test_private_turns_hold_no_one_s_name_in_any_key() -> None:
    turns = [
        {"role": "user", "name": "jane.doe@example.org", "id": 7, "content": "Hi", "meta": {"jo@example.org": "@jo"}},
        {"role": "assistant", "author": "Jane Doe", "content": [{"type": "text", "text": "Ask @jo"}]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "call_1", "content": "rain"},
        {"role": "u/jane99", "content": ""},
    ]
    assert json.loads(cleaned(json.dumps(turns), scrub_text, is_json=True)) == [
        {"role": "user", "name": "[USER]", "id": "[USER]", "content": "Hi", "meta": {"[EMAIL]": "[USER]"}},
        {"role": "assistant", "author": "[USER]", "content": [{"type": "text", "text": "Ask [USER]"}]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "call_1", "content": "rain"},
        {"role": "[USER]", "content": ""},
    ]
    assert cleaned('{"a@x.org": 1, "b@x.org": 2}', scrub_text, is_json=True) == '{"[EMAIL]": 1, "[EMAIL] 1": 2}'


def test_reasons_that_name_fields_are_few_and_short_and_private_ones_name_none(tmp_path: Path) -> None:
    records = [argilla({"prompt": "P", f"Jane Doe {place}": "x"} | TWO, flat=True, which="a") for place in range(30)]
    records.append(argilla({"prompt": "P", "y" * 100_000: "x"} | TWO, flat=True, which="a"))
    path = written(tmp_path, records)
    unclear = "unclear whether metadata or a part of the prompt"
    open_reasons = told(list(few_reasons(read_argilla(path), private=False)))
    assert open_reasons[f"{unclear}: other fields"] == 11
    assert open_reasons[f"{unclear}: field 'Jane Doe 19'"] == 1
    assert len(open_reasons) == 21
    assert max(map(len, told(list(read_argilla(path))))) < 120
    assert told(list(few_reasons(read_argilla(path), private=True))) == {
        f"{unclear} (its fields are not named in a private build)": 31
    }


def test_questions_that_are_not_named_are_asides(tmp_path: Path) -> None:
    asked = Questions(["order"])
    record = argilla({"prompt": "P"} | TWO, which="response-1", order=["response-2", "response-1"])
    rows = list(read_argilla(written(tmp_path, [record]), questions=asked))
    assert rows[0] == Aside(1, "answer to another question")
    assert [(row.response, row.rank) for row in rows if isinstance(row, RankRow)] == [("Rose", 0), ("Oak", 1)]
    assert asked.found == {"which": "choices", "order": "rankings"}
    picked = result("pairwise", {"selected": "left"}, name="tone")
    labelled = result("choices", {"choices": ["Tie"]}, name="help")
    path = written(tmp_path, [task(picked, labelled, predictions=[])], "tasks.json")
    asked = Questions(["help"])
    rows = list(read_label_studio(path, questions=asked))
    assert rows[0] == Aside(1, "answer to another question")
    assert isinstance(rows[1], ChoiceRow)
    assert rows[1].choice == "tie"
    assert asked.found == {"tone": "choices", "help": "choices"}


def test_ratings_of_nobody_in_particular_are_not_those_of_one_person() -> None:
    def rating(aspect: str, score: float) -> RatingRow:
        return RatingRow(1, "Q", "a", "g", aspect, score)

    rows = [rating("help", 1.0), rating("help", 5.0), rating("tone", 3.0)]
    notes: Counter[str] = Counter()
    merged = list(weighed(rows, {"help": 1.0, "tone": 3.0}, source="r.json", notes=notes))
    # the first ratings together, (1 + 3 * 3) / 4, and the second by itself
    assert [row.score for row in merged if isinstance(row, RatingRow)] == [2.5, 5.0]
    assert notes == {"ratings of further aspects in the mean of the same annotator and response": 1}
    named = [row._replace(annotator="ann") for row in rows[:1]] + rows[1:]
    assert [row.score for row in weighed(named, {"help": 1.0, "tone": 3.0}, source="r.json")] == [1.0, 3.5]


def test_a_long_text_named_model_is_part_of_the_prompt(tmp_path: Path) -> None:
    record = argilla({"prompt": "Explain.", "model": "def f():\n    pass"} | TWO, which="response-2")
    assert list(read_argilla(written(tmp_path, [record]))) == [
        ChoiceRow(1, "Explain.\n\ndef f():\n    pass", "Oak", "Rose", "b", "u", "r1")
    ]


def test_one_text_beside_a_prompt_is_the_response(tmp_path: Path) -> None:
    record = argilla({"prompt": "P", "text": "Elm"}, quality=2)
    assert list(read_argilla(written(tmp_path, [record]))) == [RatingRow(1, "P", "Elm", "r1", "quality", 2.0, "u")]


# Label Studio


def task(*results: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A task with one annotation."""
    annotation = {
        "result": list(results),
        "completed_by": {"id": 4, "email": "ada@example.org"},
        "lead_time": 12.5,
        "created_at": "1970-01-01T00:01:00Z",
        "was_cancelled": False,
    }
    data = {"prompt": "Name a tree.", "text1": "Oak", "text2": "Rose"}
    return {"id": 9, "data": data, "annotations": [annotation], "predictions": [{"result": []}]} | values


def result(kind: str, value: Any, *, name: str = "x", to: str = "text") -> dict[str, Any]:
    return {"type": kind, "value": value, "from_name": name, "to_name": to}


def test_label_studio_prompts_have_all_their_parts(tmp_path: Path) -> None:
    data = {"instruction": "To German:", "input": "Hello", "id": "t-9", "text1": "Hallo", "text2": "Tschau"}
    rows = list(read_label_studio(written(tmp_path, [task(result("pairwise", {"selected": "left"}), data=data)])))
    choice = next(row for row in rows if isinstance(row, ChoiceRow))
    assert (choice.prompt, choice.response_a, choice.response_b) == ("To German:\n\nHello", "Hallo", "Tschau")


def test_label_studio_tasks(tmp_path: Path) -> None:
    rows = list(
        read_label_studio(
            written(
                tmp_path,
                [
                    task(
                        result("pairwise", {"selected": "right"}),
                        result("pairwise", {"selected": "none"}),
                        result("choices", {"choices": ["Equally good"]}),
                        result("rating", {"rating": 5}, name="style_2"),
                        result("rating", {"rating": 2}, name="stars", to="text1"),
                        result("textarea", {"text": ["why"]}),
                    ),
                    task(annotations=[{"was_cancelled": True}]),
                    task(annotations=[]),
                ],
                "export.json",
            )
        )
    )
    choice = ChoiceRow(1, "Name a tree.", "Oak", "Rose", "b", "ada@example.org", "9", seconds=12.5, time=60.0)
    assert rows == [
        Aside(1, "prediction of a model"),
        choice,
        Refused(1, "nothing was selected"),
        choice._replace(choice="tie"),
        RatingRow(1, "Name a tree.", "Rose", "9", "style", 5.0, "ada@example.org"),
        RatingRow(1, "Name a tree.", "Oak", "9", "stars", 2.0, "ada@example.org"),
        Aside(1, "result that compares nothing"),
        Aside(2, "prediction of a model"),
        Refused(2, "skipped by the annotator"),
        Aside(3, "prediction of a model"),
        Refused(3, "no annotation"),
    ]


def test_label_studio_rankings(tmp_path: Path) -> None:
    items = [{"id": "oak", "title": "1", "body": "Oak"}, {"id": 2, "title": "Rose"}, {"id": "elm", "body": "Elm"}]
    data = {"prompt": "Name a tree.", "items": items}
    ranking = result("ranker", {"ranker": {"rank": ["elm", "2", "oak"]}})
    buckets = result("ranker", {"ranker": {"good": ["elm"], "bad": ["oak"]}})
    rows = list(read_label_studio(written(tmp_path, [task(ranking, buckets, data=data, predictions=[])])))
    assert [(row.response, row.rank) for row in rows if isinstance(row, RankRow)] == [
        ("Elm", 0),
        ("Rose", 1),
        ("Oak", 2),
    ]
    assert rows[-1] == Refused(1, "items sorted into buckets")


def test_what_labels_and_questions_mean() -> None:
    names = ["response_a", "response_b"]
    for label, expected in (
        ("response_b", 1),
        ("B", 1),
        ("Response A is better", 0),
        ("left", 0),
        ("second", 1),
        ("A is slightly better", 0),
        ("Tie", "tie"),
        ("both", "tie"),
        ("Neither", "both_bad"),
        ("Skip", "skip"),
    ):
        assert meaning(label, names) == expected, label
    assert meaning("0", ["text_0", "text_1"]) == 0
    assert meaning("1", ["text_0", "text_1"]) == 1
    assert meaning("10", [f"answer{place}" for place in range(1, 12)]) == 9
    for label in ("C", "maybe", "", 3, None):
        with pytest.raises(Unusable):
            meaning(label, names)
    assert rated_by("quality", ["answer"]) == (0, "quality")
    assert rated_by("clarity-response_b", names) == (1, "clarity")
    with pytest.raises(Unusable):
        rated_by("clarity", names)


# The label page


def choices_file(folder: Path, items: list[ChoiceItem], choices: list[tuple[Any, ...]]) -> sqlite3.Connection:
    """A file of choices; a choice is (id, item, annotator, shown, verdict, winner, is_check, revokes)."""
    connection = sqlite3.connect(folder / "choices.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(TABLES)
    connection.execute("INSERT INTO meta VALUES ('schema', ?)", (CHOICES_SCHEMA,))
    for item in items:
        connection.execute("INSERT INTO items VALUES (?, ?, ?, ?)", row_of_item(item))
        if item.expected:
            connection.execute("INSERT INTO checks VALUES (?, ?)", (item.item_id, item.expected))
    for choice_id, item_id, annotator, shown, verdict, winner, is_check, revokes in choices:
        row = (choice_id, item_id, annotator, json.dumps(shown), verdict, winner, "[]", "1970-01-01T00:00:09Z", 1.5)
        connection.execute("INSERT INTO choices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, is_check, revokes))
    return connection


PAIR = ChoiceItem("i1", "g1", "Name a tree.", (Option("oak", "Oak"), Option("rose", "Rose")))
THREE = ChoiceItem("i2", "g2", "Name a tree.", (Option("a", "Oak"), Option("b", "Rose"), Option("c", "Elm")))
TURNS = ({"role": "user", "content": "Hi"},)
ANSWER = ({"role": "assistant", "content": "Ho"},)
CHATS = ChoiceItem("i3", "g3", TURNS, (Option("a", ANSWER), Option("b", ({"role": "assistant", "content": "He"},))))
CHECK = ChoiceItem("k1", "g1", "Name a tree.", (Option("oak", "Oak"), Option("broken", "kaO")), expected="oak")


def test_choices_that_stand(tmp_path: Path) -> None:
    connection = choices_file(
        tmp_path,
        [PAIR, THREE, CHATS, CHECK],
        [
            ("1", "i1", "ada", ["rose", "oak"], "win", "oak", 0, None),
            ("2", "i1", "bob", ["oak", "rose"], "win", "rose", 0, None),
            ("3", "i1", "bob", [], "undo", None, 0, "2"),
            ("4", "i1", "bob", ["oak", "rose"], "both_bad", None, 0, None),
            ("5", "i2", "ada", ["a", "b", "c"], "skip", None, 0, None),
            ("7", "i2", "eve", ["a", "b", "c"], "both_bad", None, 0, None),
            ("8", "i3", "ada", ["a", "b"], "skip", None, 0, None),
            ("9", "k1", "ada", ["oak", "broken"], "win", "oak", 1, None),
            ("10", "i1", "eve", ["oak", "rose"], "win", "elm", 0, None),
        ],
    )
    rows = list(read_choices_file(tmp_path / "choices.sqlite"))  # while the page still holds it open
    connection.close()
    one = ChoiceRow(1, "Name a tree.", "Oak", "Rose", "a", "ada", "g1", 1.5, time=9.0, shown_first="b")
    assert rows == [
        one,
        Aside(2, "choice that was taken back"),
        Aside(3, "undo"),
        one._replace(number=4, choice="both_bad", annotator="bob", shown_first="a"),
        Refused(5, "skipped"),
        Refused(6, "none of several responses was good"),
        ChoiceRow(
            7,
            json.dumps(TURNS),
            json.dumps(ANSWER),
            json.dumps(CHATS.options[1].content),
            "skip",
            "ada",
            "g3",
            1.5,
            time=9.0,
            shown_first="a",
            prompt_is_json=True,
            response_is_json=True,
        ),
        Aside(8, "attention check"),
        Refused(9, "a winner that was not shown"),
    ]


def test_choices_name_a_source_where_ids_say_who_answered(tmp_path: Path) -> None:
    again = PAIR._replace(item_id="i4", group_id="g4", options=(Option("oak", "An oak"), Option("rose", "A rose")))
    same = PAIR._replace(item_id="i6", group_id="g6")
    places = ChoiceItem("i5", "g5", "Name a tree.", (Option("a", "Oak"), Option("b", "Rose")))
    shown = ["oak", "rose"]
    wins = [("1", "i1", "ada", shown, "win", "oak", 0, None), ("2", "i5", "ada", ["a", "b"], "win", "a", 0, None)]
    connection = choices_file(tmp_path, [PAIR, same, CHATS, places, CHECK._replace(group_id="g9")], wins)
    rows = list(read_choices_file(tmp_path / "choices.sqlite"))
    # oak stands in two groups, always for the same text, and in an attention check; a and b say a place
    assert [(row.source_a, row.source_b) for row in rows if isinstance(row, ChoiceRow)] == [(None, None)] * 2
    connection.execute("INSERT INTO items VALUES (?, ?, ?, ?)", row_of_item(again))
    connection.close()
    rows = list(read_choices_file(tmp_path / "choices.sqlite"))
    assert [(row.source_a, row.source_b) for row in rows if isinstance(row, ChoiceRow)] == [
        ("oak", "rose"),
        (None, None),
    ]


def test_two_responses_are_choices_until_a_best_of_three_stands(tmp_path: Path) -> None:
    connection = choices_file(
        tmp_path,
        [PAIR, THREE],
        [
            ("1", "i1", "ada", ["oak", "rose"], "win", "rose", 0, None),
            ("2", "i2", "ada", ["a", "b", "c"], "skip", None, 0, None),
            ("3", "i2", "bob", ["a", "b", "c"], "win", "a", 0, None),
            ("4", "i2", "bob", [], "undo", None, 0, "3"),
            ("5", "i1", "bob", ["oak", "rose"], "both_bad", None, 0, None),
        ],
    )
    kinds = [type(row) for row in read_choices_file(tmp_path / "choices.sqlite")]
    assert kinds == [ChoiceRow, Refused, Aside, Aside, ChoiceRow]
    shown = json.dumps(["a", "b", "c"])
    for name, who, verdict, winner in (("6", "eve", "tie", None), ("7", "ann", "win", "b")):
        row = (name, "i2", who, shown, verdict, winner, "[]", "1970-01-01T00:00:09Z", 1.5, 0, None)
        connection.execute("INSERT INTO choices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.close()
    rows = list(read_choices_file(tmp_path / "choices.sqlite"))
    assert rows[:2] == [
        RankRow(1, "Name a tree.", "Oak", "g1", 1, "ada"),
        RankRow(1, "Name a tree.", "Rose", "g1", 0, "ada"),
    ]
    assert rows[2] == Refused(2, "skipped")
    assert rows[5] == Refused(5, "none of several responses was good")
    three = [
        RankRow(7, "Name a tree.", text, "g2", rank, "ann") for text, rank in (("Oak", 1), ("Rose", 0), ("Elm", 1))
    ]
    assert rows[6:] == [*(row._replace(number=6, rank=0, annotator="eve") for row in three), *three]


def test_answers_of_two_items_of_one_prompt_are_not_ranked_against_each_other(tmp_path: Path) -> None:
    pair = PAIR._replace(group_id="g2")  # begun with --pairs, and gone on with --best-of 3
    wins = [("1", "i1", "ada", ["oak", "rose"], "win", "oak", 0, None)]
    wins += [("2", "i2", "ada", ["a", "b", "c"], "win", "c", 0, None)]
    choices_file(tmp_path, [pair, THREE], wins).close()
    rows = [row for row in read_choices_file(tmp_path / "choices.sqlite") if isinstance(row, RankRow)]
    assert [(row.response, row.rank, row.annotator) for row in rows] == [
        ("Oak", 0, "ada on i1"),
        ("Rose", 1, "ada on i1"),
        ("Oak", 1, "ada on i2"),
        ("Rose", 1, "ada on i2"),
        ("Elm", 0, "ada on i2"),
    ]


@pytest.mark.parametrize(
    "place",
    [
        *("0", "12", "a", "Z", "r0", "chosen", "left", "first", "response_1", "response-b", "Answer 2", "answerB"),
        *("output.3", "left answer", "chosen_response", "1_response", "option c", "model_a", "Model-1", "assistant b"),
    ],
)
def test_places_are_nobody(place: str) -> None:
    assert who_answered([("g1", [(place, "x")]), ("g2", [(place, "y")])]) == frozenset()


@pytest.mark.parametrize(
    "name",
    [
        "gpt",
        "gpt-4",
        "model-x",
        "model_7b",
        "llama-3",
        "base",
        "tuned",
        "sampler",
        "texts",
        "ai",
        "answerbot",
        "4o-mini",
    ],
)
def test_names_are_whoever_wrote_several_contents_in_several_groups(name: str) -> None:
    assert who_answered([("g1", [(name, "x")]), ("g2", [(name, "y")])]) == {name}
    assert who_answered([("g1", [(name, "x")]), ("g1", [(name, "y")])]) == frozenset()
    # an id of a text, such as a hash of it, says no more than the text
    assert who_answered([("g1", [(name, "x")]), ("g2", [(name, "x")])]) == frozenset()


def test_what_is_no_file_of_choices_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    for text, message in (
        ("CREATE TABLE x (a)", "must hold the schema 'tropism.choices 1', not None"),
        ("CREATE TABLE meta (key, value)", "must hold the schema 'tropism.choices 1', not None"),
    ):
        with sqlite3.connect(other) as connection:
            connection.execute(text)
        connection.close()
        with pytest.raises(DataError, match=message):
            list(read_choices_file(other))
    (tmp_path / "text.sqlite").write_text("hello")
    with pytest.raises(DataError, match="not a readable file of choices"):
        list(read_choices_file(tmp_path / "text.sqlite"))
    with pytest.raises(DataError, match="there is no file"):
        list(read_choices_file(tmp_path / "absent.sqlite"))


# All readers

READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "posts": read_stack_exchange,
    "trees": read_oasst,
    "images": read_imagereward,
    "argilla": read_argilla,
    "label studio": read_label_studio,
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_only_a_file_that_cannot_be_read_at_all_raises(reader: Callable[[Path], Iterator[Row]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        list(reader(tmp_path / "absent.jsonl"))
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(gzip.compress(b"{}\n" * 1000)[:-20])
    with pytest.raises(DataError, match="is a damaged gzip: it was cut off"):
        list(reader(broken))
    lines = tmp_path / "lines.jsonl"
    lines.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n[1]\nnope\n"\xff"\n' + b"[" * 100_000 + b"\n{" + b'"a":1' * 3 + b"}")
    reasons = told(list(reader(lines)))
    assert (reasons["not valid JSON"], reasons["nested too deeply"]) == (2, 1)
    assert reasons["not a JSON object"] == 1
    assert reasons["text that is not valid UTF-8"] == 1


def test_json_files_hold_a_list_or_lines(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for text, numbers in (('[{"a": 1}, 2]', [1, 2]), ('{"data": [{}]}', [1]), ('{"a": 1}\n{"a": 2}\n', [1, 2])):
        path.write_text(text)
        assert [record.number for record in read_rows(path)] == numbers
    for text, message in (("[1", "not valid JSON"), ("3", "must hold a list"), ("[" * 10**5, "nested too deeply")):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            list(read_rows(path))


def test_times() -> None:
    assert time_of("2015-01-27T20:09:32.720") == pytest.approx(1422389372.72)
    assert time_of(12) == 12.0
    for value in ("", "2020-13-01", True, float("inf"), []):
        with pytest.raises(Unusable):
            time_of(value)


JUNK = [None, True, 0, -7, 10**400, 1.5, float("nan"), float("inf"), "", " ", "x", "\ud800", "\x00", "é" * 3000, [], {}]
JUNK += [[[]], {"a": {"b": []}}, [None], ["x", 1], "2020-01-01", "<p>x", "response-1", ["response-1"] * 2, "a", "tie"]
KEYS = {
    "posts": ["post_id", "type", "parent_id", "score", "title", "body_html", "created", "owner_user_id", "site"],
    "trees": ["message_id", "prompt", "tree_state", "role", "text", "replies", "rank", "deleted", "synthetic"],
    "images": ["id", "prompt", "generations", "ranking"],
    "argilla": ["id", "fields", "responses", "suggestions", "prompt", "response-1", "q.responses", "q.responses.users"],
    "label studio": [
        "id",
        "data",
        "annotations",
        "predictions",
        "result",
        "value",
        "type",
        "completed_by",
        "lead_time",
    ],
}
GOOD: dict[str, Any] = {
    "posts": post(2, parent_id=1, title="T"),
    "trees": {"prompt": message("r", "prompter", *[message(name, "assistant", rank=0) for name in "ab"])},
    "images": {"id": "x", "prompt": "a cat", "generations": ["a", "b"], "ranking": [1, 2]},
    "argilla": ARGILLA,
    "label studio": task(result("pairwise", {"selected": "left"}), result("ranker", {"ranker": {"rank": ["a"]}})),
}


def spoiled(value: Any, rng: random.Random) -> Any:
    """A copy of a record in which some values are junk, keys are gone or junk was added."""
    if rng.random() < 0.08:
        return rng.choice(JUNK)
    if isinstance(value, dict):
        kept = {key: spoiled(item, rng) for key, item in value.items() if rng.random() > 0.05}
        if rng.random() < 0.1:
            kept["".join(rng.choices(string.printable, k=3))] = rng.choice(JUNK)
        return kept
    return [spoiled(item, rng) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", READERS)
def test_junk_gives_no_traceback_and_every_record_is_accounted_for(name: str, tmp_path: Path) -> None:
    rng = random.Random(17)
    records = [{"post_id": 1, "type": "question", "title": "Q"}] if name == "posts" else []
    while len(records) < 1000:
        mixed = {key: rng.choice(JUNK) for key in KEYS[name] if rng.random() < 0.8}
        records.append(rng.choice([mixed, spoiled(GOOD[name], rng), spoiled(GOOD[name], rng), rng.choice(JUNK)]))
    rows = list(READERS[name](written(tmp_path, records)))
    assert {row.number for row in rows} == set(range(1, 1001))
    kinds = Counter(type(row) for row in rows)
    assert kinds[Refused] > 100
    assert sum(kinds[kind] for kind in (AnswerRow, RankRow, RatingRow, ChoiceRow)) > 50
    if name == "posts":
        assert len(rows) == 1000
    assert len(told(rows)) < 60  # reasons are few, so that they can be counted
    for row in rows:
        for text in row:
            if isinstance(text, str):
                text.encode("utf-8")
        if isinstance(row, RankRow | ChoiceRow) and row.prompt_is_json:
            json.loads(row.prompt)


def test_junk_in_a_file_of_choices_is_accounted_for(tmp_path: Path) -> None:
    rng = random.Random(5)
    connection = sqlite3.connect(tmp_path / "choices.sqlite", isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE meta (key, value)")
    connection.execute("INSERT INTO meta VALUES ('schema', ?)", (CHOICES_SCHEMA,))
    connection.execute("CREATE TABLE items (item_id, group_id, prompt, responses)")
    names = "choice_id, item_id, annotator, shown, verdict, winner, reasons, created_at, seconds, is_check, revokes"
    connection.execute(f"CREATE TABLE choices ({names})")
    junk = [
        None,
        0,
        1.5,
        float("inf"),
        b"\xff\x00",
        "",
        "x",
        "[]",
        "[1]",
        "{",
        "null",
        "\x00",
        '"\\ud800"',
        "[" * 10**5,
    ]
    good_item = row_of_item(PAIR)
    for place in range(50):
        columns = [value if rng.random() < 0.8 else rng.choice(junk) for value in good_item[1:]]
        connection.execute("INSERT INTO items VALUES (?, ?, ?, ?)", (f"i{place}", *columns))
    connection.execute("INSERT INTO items VALUES ('text', 'g', CAST(x'ff' AS TEXT), CAST(x'22ff22' AS TEXT))")
    for place in range(1000):
        good = (
            str(place),
            f"i{rng.randrange(50)}",
            "ada",
            '["oak", "rose"]',
            "win",
            "oak",
            "[]",
            "2020-01-01",
            1.0,
            0,
            None,
        )
        row = [value if rng.random() < 0.92 else rng.choice(junk) for value in good]
        connection.execute(f"INSERT INTO choices VALUES ({', '.join('?' * 11)})", row)
    connection.execute("UPDATE choices SET item_id = 'text' WHERE rowid <= 5")
    connection.execute("COMMIT")
    connection.close()
    rows = list(read_choices_file(tmp_path / "choices.sqlite"))
    assert [row.number for row in rows] == list(range(1, 1001))
    assert sum(isinstance(row, ChoiceRow) for row in rows) > 100
    assert len(told(rows)) < 60
