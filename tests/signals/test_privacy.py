"""What is personal leaves the data, and nothing else does."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.signals.privacy.personal import ANY, PLACEHOLDERS, count_hits, scrub_text
from tropism.signals.privacy.redaction import gained, hits, is_bot, is_deleted, is_moderator, new_salt, salted, scrub

EXAMPLES = Path(__file__).with_name("personal_examples.txt")


class Example(NamedTuple):
    text: str
    scrubbed: str
    kind: str | None


def examples() -> list[Example]:
    """The labelled lines; `kind` is None where nothing is personal."""
    found = []
    for line in EXAMPLES.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("# "):
            continue
        marked = re.search(r"<<(\w+):(.*)>>", line)
        if marked is None:
            found.append(Example(line, line, None))
        else:
            found.append(
                Example(line.replace(marked[0], marked[2]), line.replace(marked[0], PLACEHOLDERS[marked[1]]), marked[1])
            )
    return found


def column(values: Sequence[Any], kind: str = "string") -> ibis.Value:
    return ibis.memtable({"value": list(values)}, schema={"value": kind}).value


def computed(expression: ibis.Value) -> list[Any]:
    return expression.name("out").as_table().to_pyarrow()["out"].to_pylist()


# pieces that meet at the borders of patterns, so that neighbours, separators and half spots come up often
PIECES = st.sampled_from(
    [
        *" .,;:!?()[]{}@/+-–_#$1\\\n\u00a0\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4",
        *("$1", "\\1", "$2", "030", "1234567", "+49", "00", "555", "123-4567", "(555)", "1999", "0171", "12", "tel: "),
        *("a", "É", "ß", "Main", "Street", "St.", "Haupt", "straße", "str.", "Berliner", "10115", "Berlin", "Way"),
        *("www.", "http://", ".com", ".de/", "x.org", "@jo", "u/joe", "/u/", "mail@", "jo at x dot com", "(at)"),
        *(
            "git@",
            "x.net",
            "asp.net",
            "@property",
            "@wraps(",
            "\n def ",
            " dot com",
            " bubble",
            "me at ",
            " @ ",
            "＠",
            "<at>",
        ),
        *("@gmail", " at gmail", ",com", "ann#1234", "issue#", "skype: ", "j.d9", "by user ", "müller.de", "@10.0.0.1"),
        *(
            "10 ",
            "Miles ",
            "Great ",
            "GB ",
            "Drive",
            "Stellplatz ",
            "hauptstr.",
            "12 main st",
            "rue de la Paix ",
            "–",
            " is my number",
        ),
        *("Unter den Linden ", "Platz der ", "One ", ", CA 95014", "http : //", "555-123-45-67"),
        *("[URL]", "[EMAIL]", "[USER]", "[PHONE]", "[ADDRESS]", "P.O. Box 1", "call me at ", "NY 10001", "日本", "😀"),
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=14).map("".join), st.text(max_size=40).filter(lambda text: "\0" not in text)
)


def test_labelled_examples_are_found_and_others_left_alone() -> None:
    """The table of docs/privacy.md."""
    spots, found, exact, false = Counter(), Counter(), Counter(), Counter()
    for example in examples():
        counted = count_hits(example.text)
        spots[example.kind] += 1
        if example.kind is not None:
            found[example.kind] += counted[example.kind] > 0
            exact[example.kind] += scrub_text(example.text) == example.scrubbed
        for kind, count in counted.items():
            false[kind] += count - (kind == example.kind and count > 0)
    assert spots == {"email": 40, "url": 33, "user": 32, "phone": 59, "address": 54, None: 178}
    assert found == {"email": 38, "url": 32, "user": 31, "phone": 54, "address": 50}
    assert exact == {"email": 38, "url": 31, "user": 31, "phone": 54, "address": 48}
    assert +false == {"user": 1}


def test_decorators_above_a_definition_stay_and_people_at_a_line_s_end_do_not() -> None:
    code = ["@cached\ndef f(x):", "@cached\r\n    async def f(x):", "  @Mine\n  public void run()", "@a.b\nclass C:"]
    code += ["@Test\n@Override\npublic void f()", "@Test\n@Before\n@Mine\nprivate static Map<String, Long> all = null;"]
    code += ["@it\nclass Dog extends Animal {", "@it\npublic class Dog {"]
    people = ["thanks @cached\nI defined it", "@jane\n\ndef f(x):", 'ask jo@wraps.com("x")']
    people += ["@maria\nclass is at 5", "@john\npublic opinion says (I hear) no", "@ann\nprivate message me"]
    assert [scrub_text(text) for text in code] == code
    assert [scrub_text(text) for text in people] == [
        "thanks [USER]\nI defined it",
        "[USER]\n\ndef f(x):",
        'ask [EMAIL]("x")',
        "[USER]\nclass is at 5",
        "[USER]\npublic opinion says (I hear) no",
        "[USER]\nprivate message me",
    ]
    assert computed(scrub(column(code + people))) == [scrub_text(text) for text in code + people]


def test_what_is_kept_in_code_hides_no_address_beside_it() -> None:
    """A mailbox at a .net site, a way named by a size with a town after it, and a path behind a git host."""
    texts = [
        "max@asp.net",
        "www.asp.net",
        "10 Great Place, London NW1 6XE",
        "git@github.com:jane/x.git and git@github.com",
    ]
    clean = ["[EMAIL]", "[URL]", "[ADDRESS]", "[URL] and git@github.com"]
    assert [scrub_text(text) for text in texts] == clean == computed(scrub(column(texts)))


def test_expression_equals_twin_on_labelled_examples() -> None:
    texts = [example.text for example in examples()]
    assert computed(scrub(column(texts))) == [scrub_text(text) for text in texts]


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXTS, min_size=20, max_size=40))
def test_expression_equals_twin_and_scrubbing_twice_changes_nothing(texts: list[str]) -> None:
    once = [scrub_text(text) for text in texts]
    assert computed(scrub(column(texts))) == once
    assert [scrub_text(text) for text in once] == once
    assert [count_hits(text) for text in once] == [dict.fromkeys(PLACEHOLDERS, 0)] * len(texts)
    for text, clean in zip(texts, once, strict=True):
        assert min(count_hits(text).values()) >= 0
        if not re.search(ANY, text):
            assert clean == re.sub("[\ufdd0-\ufdd4]", "", text)


def test_hits_count_what_is_replaced() -> None:
    text = "@jo, see http://x.org/a and x.org; jo@x.org or ann@x.org, [PHONE] 030 1234567, 030 7654321"
    table = column([text, "nothing", None]).name("text").as_table()
    counted = table.select(**hits(table.text)).to_pyarrow().to_pylist()
    assert counted[0] == {"url": 2, "email": 2, "user": 1, "address": 0, "phone": 2} == count_hits(text)
    assert counted[1] == counted[2] == dict.fromkeys(PLACEHOLDERS, 0)
    assert table.select(**gained(table.text, scrub(table.text))).to_pyarrow().to_pylist() == counted


def test_null_stays_null_and_group_names_in_a_text_are_text() -> None:
    assert computed(scrub(column([None, r"$1 @jo \1 $2"]))) == [None, r"$1 [USER] \1 $2"]


@pytest.mark.timeout(60)
def test_long_hostile_texts_take_no_time() -> None:
    """With a pattern that is not linear, one of these would take hours."""
    for piece in (
        "a",
        "1",
        "a.",
        "1 ",
        "@",
        "A-",
        "(",
        "Aa ",
        "1-",
        "a@a.",
        "http:",
        "a_",
        "a.1",
        "@a.",
        "a dot ",
        "a1#",
        "1 A ",
        "A b-",
        "user a",
    ):
        text = (piece * 20_000)[:20_000] + "@"
        assert computed(scrub(column([text])))[0] == scrub_text(text)


def test_salted_ids_join_within_a_build_and_not_between_builds() -> None:
    first, second = new_salt(), new_salt()
    assert first != second
    once, again, other = (
        computed(salted(column(["ann", "ben", "ann", None]), salt)) for salt in (first, first, second)
    )
    assert once == again
    assert once[0] == once[2] != once[1]
    assert once[3] is None
    assert not set(once[:3]) & set(other[:3])
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in once[:3])


def test_deleted_posts_and_accounts() -> None:
    authors = ["ann", "ann", "[deleted]", None, None, "ann"]
    texts = ["here", " [removed]\n", "still here", "here", "[ Removed by Reddit ]", None]
    table = ibis.memtable({"author": authors, "text": texts}, schema={"author": "string", "text": "string"})
    assert computed(is_deleted(table.author, table.text)) == [False, True, True, False, True, False]
    assert computed(is_deleted(None, table.text)) == [False, True, False, False, True, False]


def test_bots_by_name() -> None:
    names = ["AutoModerator", "RemindMeBot", "gifv-bot ", "dependabot[bot]", "news-ModTeam", "bottle", "ann", None]
    assert computed(is_bot(column(names))) == [True, True, True, True, True, False, False, False]


def test_moderators_by_flags_of_any_type() -> None:
    assert computed(is_moderator(column([True, False, None], "boolean"))) == [True, False, False]
    assert computed(is_moderator(column([1, 0, None], "int64"))) == [True, False, False]
    assert computed(is_moderator(column(["Moderator", "no", "", None, " true"]))) == [True, False, False, False, True]
