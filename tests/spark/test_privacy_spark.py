"""Java's expressions find the same as RE2's and Python's."""

import random
import re
from pathlib import Path
from typing import Any

import ibis
import pytest

from tropism.signals.privacy.personal import count_hits, scrub_text
from tropism.signals.privacy.redaction import hits, is_bot, is_deleted, is_moderator, salted, scrub

# pyspark 4.3 on pandas 3: it says that it may not work, and uses what pandas 4 will not have
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning")]

EXAMPLES = Path(__file__).parents[1] / "signals" / "personal_examples.txt"
PIECES = [
    *" .,;:!?()[]{}@/+-–_#$1\\\n\r\u0085\u2028\u00a0\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4'",
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
    *("[URL]", "[EMAIL]", "[USER]", "[PHONE]", "[ADDRESS]", "P.O. Box 1", "call me at ", "日本", "😀", "\u0130", "ſ"),
]


def texts() -> list[str | None]:
    """The labelled lines, and 3,000 made of pieces that meet at the borders of patterns."""
    lines = EXAMPLES.read_text(encoding="utf-8").splitlines()
    draw = random.Random(0)
    made = ["".join(draw.choice(PIECES) for _ in range(draw.randint(1, 14))) for _ in range(3_000)]
    return [re.sub(r"<<\w+:(.*)>>", r"\1", line) for line in lines] + made + [None]


def rows(connection: Any, table: ibis.Table) -> list[dict[str, Any]]:
    found = connection.to_pyarrow(table).to_pylist()
    return sorted(found, key=lambda row: row["row"])


def test_scrub_and_hits_equal_duckdb_and_python(spark: Any) -> None:
    told = texts()
    table = ibis.memtable({"row": range(len(told)), "text": told}, schema={"row": "int64", "text": "string"})
    asked = table.select("row", clean=scrub(table.text), **hits(table.text))
    found = rows(spark, asked)
    assert found == rows(ibis.duckdb.connect(), asked)
    for text, row in zip(told[:-1], found, strict=False):
        assert row["clean"] == scrub_text(text)
        assert {name: row[name] for name in count_hits(text)} == count_hits(text)
    assert found[-1]["clean"] is None


def test_long_hostile_texts_do_not_exhaust_the_stack(spark: Any) -> None:
    told = [(piece * 100_000)[:100_000] + "@" for piece in ("a", "1", "a.", "1 ", "A-", "Aa ", "1-", "a@a.", "(1)")]
    table = ibis.memtable({"row": range(len(told)), "text": told}, schema={"row": "int64", "text": "string"})
    found = rows(spark, table.select("row", clean=scrub(table.text)))
    assert [row["clean"] for row in found] == [scrub_text(text) for text in told]


def test_ids_bots_and_deleted_posts_equal_duckdb(spark: Any) -> None:
    names = ["ann", "AutoModerator", " RemindMeBot", "dependabot[bot]", "[deleted]", "Ünal", "yes", "1", "", None]
    posts = ["here", "[removed]", " [deleted]\n", "[ Removed by Reddit ]", "x", "[removed]\u2028", "", "[x]", "1", None]
    table = ibis.memtable(
        {"row": range(len(names)), "name": names, "post": posts},
        schema={"row": "int64", "name": "string", "post": "string"},
    )
    asked = table.select(
        "row",
        id=salted(table.name, "it's $1 salt\\"),
        bot=is_bot(table.name),
        deleted=is_deleted(table.name, table.post),
        moderator=is_moderator(table.name),
    )
    found = rows(spark, asked)
    assert found == rows(ibis.duckdb.connect(), asked)
    assert [row["bot"] for row in found] == [False, True, True, True, *[False] * 6]
