"""Makes files of broken rows: wrong types, NaN, huge texts, bytes that are not UTF-8, nested JSON; seeded."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tropism.data.forms import FORMS

NUM_ROWS = 160
"""In each of 13 forms and 5 kinds of file: 10,400 rows."""
USER, ASSISTANT = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
SAID = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
HH = "\n\nHuman: Hi\n\nAssistant: Hello"

Row = dict[str, Any]


def deep(levels: int) -> Any:
    """A list in a list in a list."""
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**400, 1.5, -0.0, float("nan"), float("inf"), float("-inf"), "", " ", "\x00", "\ufeff",
    "nan", "1e999", "-5", "true", "[{", "[[", '{"role": "user"}', '[{"role": 1}]', "null", "\ud800", "a\ud83d", "é" * 3,
    "\u202egnp", "<|im_start|>", "x" * 100_000, "word " * 20_000, [], {}, [None], [[]], [{}], ["a", ["b"]], deep(40),
    deep(150), [1, "a"], {"role": "user"}, {"role": None, "content": "x"}, {"content": "x"}, [USER], [ASSISTANT],
    [USER, 5], SAID, HH, [HH], {"a": {"b": float("nan")}},
    [{"role": "user", "content": [{"type": "image", "image": "no.png"}]}],
    [{"role": "user", "content": [{"type": "text"}, 3]}], [{"role": "assistant", "tool_calls": [{"x": 10**30}]}],
    [{"from": ["human"], "value": "x"}], [{"role": "user", "content": "\ud800"}],
)  # fmt: skip
"""What stands where something sensible should."""


def sound_row(form: str, columns: tuple[str, ...], random_: random.Random) -> Row:
    """A row as its form wants it."""
    words = [f"{word}{random_.randrange(40)}" for word in ("one", "two", "three", "four")]
    values: Row = {
        "prompt": words[0], "chosen": words[1], "rejected": words[2], "completion": words[1], "output": words[1],
        "instruction": words[0], "text": words[3], "label": random_.random() < 0.5, "conversations": SAID,
        "messages": [USER, ASSISTANT], "weight": 1.5, "prob": 0.75, "margin": 0, "tools": [], "tie": False,
    }  # fmt: skip
    values |= {key: [words[1], [words[2]], words[3]] for key in ("responses", "ranking", "completions", "ranked")}
    if form == "pairs" and random_.random() < 0.2:
        return {"chosen": HH + words[1], "rejected": HH + words[2]}
    optional = random_.sample(("weight", "prob", "margin", "tools", "tie"), 2) if random_.random() < 0.3 else ()
    return {name: values[name] for name in (*columns, *optional)}


def broken_row(row: Row, random_: random.Random) -> Row:
    """A row in which up to three things are not as they should be."""
    for _ in range(random_.choice((0, 1, 1, 2, 3))):
        name = random_.choice(list(row))
        row[name] = random_.choice(NASTY)
        if random_.random() < 0.1:
            del row[name]
        if random_.random() < 0.1:
            row[random_.choice(("image", "system", "history", "prompt", "tools", "\ud800", "x" * 50))] = row.get(name)
        if not row:
            break
    return row


def rows_of(form: int, seed: int) -> list[Row]:
    """A file's rows."""
    random_ = random.Random(f"{form} {seed}")
    columns, name = FORMS[form].columns, FORMS[form].name
    return [broken_row(sound_row(name, columns, random_), random_) for _ in range(NUM_ROWS)]


def write_jsonl(rows: list[Row], path: Path, random_: random.Random) -> None:
    """Lines of JSON, some cut short, of another kind, or with bytes that are not UTF-8."""
    with path.open("wb") as file:
        for row in rows:
            line = json.dumps(row).encode()
            spoiled = (
                line,
                line[: len(line) // 2] + b"{",
                b"[1, 2]",
                b"\xff\xfe" + line,
                line[:-1] + b', "x": "\x80"}',
            )
            file.write((random_.choice(spoiled) if random_.random() < 0.2 else line) + b"\n")


def write_json(rows: list[Row], path: Path, random_: random.Random) -> None:
    """One list, in which some entries are no objects."""
    kept = [random_.choice(NASTY) if random_.random() < 0.1 else row for row in rows]
    text = json.dumps(kept).encode()
    path.write_bytes(text.replace(b'"two', b'"tw\xff', 3))


def write_table(delimiter: str) -> Callable[[list[Row], Path, random.Random], None]:
    """A writer of CSV or TSV: records with too many or too few cells, NUL and bytes that are not UTF-8."""

    def write(rows: list[Row], path: Path, random_: random.Random) -> None:
        names = list(dict.fromkeys(name for row in rows[:5] for name in row))
        file = io.StringIO()
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow([cell(name) for name in names])
        for row in rows:
            cells = [cell(row.get(name)) for name in names]
            few, many = random_.random() < 0.1, random_.random() < 0.1
            writer.writerow(cells[:1] if few else [*cells, "y"] if many else cells)
        path.write_bytes(file.getvalue().encode().replace(b"three1", b"three\xff"))

    return write


def cell(value: Any) -> str:
    """A value as a cell; never quite empty, because a record without any cell is no record."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode() or " "


def write_parquet(rows: list[Row], path: Path, random_: random.Random) -> None:
    """Columns of one type each: text where values differ, in some of it bytes that are not UTF-8."""
    names = list(dict.fromkeys(name.encode("utf-8", "replace").decode() for row in rows for name in row))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        kinds = [type(value) for value in values if value is not None] or [str]
        kind = random_.choice(kinds) if random_.random() < 0.2 else max(kinds, key=kinds.count)
        try:
            columns[name] = pa.array([value if type(value) is kind else None for value in values])
            pq.write_table(pa.table({name: columns[name]}), io.BytesIO())
        except (pa.ArrowException, OverflowError, ValueError, TypeError):
            raw = [None if value is None else cell(value).encode().replace(b"two", b"tw\xff") for value in values]
            columns[name] = pa.array(raw, pa.binary()).view(pa.string())
    pq.write_table(pa.table(columns), path, row_group_size=50)


WRITERS = {
    ".jsonl": write_jsonl,
    ".json": write_json,
    ".csv": write_table(","),
    ".tsv": write_table("\t"),
    ".parquet": write_parquet,
}


def files(folder: Path, ending: str) -> list[Path]:
    """A fuzzed file of every form."""
    made = []
    for form in range(len(FORMS)):
        path = folder / f"{form}{ending}"
        WRITERS[ending](rows_of(form, len(ending)), path, random.Random(form))
        made.append(path)
    return made


BROKEN_JSON = (
    "", "x", "null", "5", "true", "1.5", "NaN", "[1]", '["a"]', "[null]", "{}", '{"role": "user"}', '"\\ud800"', "[[]]",
    '[{"role": 5, "content": "x"}]', '[{"content": "x"}]', '[{"role": "user"}]', '[{"role": "user", "content": NaN}]',
    "[" * 5_000, json.dumps(deep(150)), '"' + "x" * 100_000 + '"', "[]", '""', '{"author": ["a", 5, null]}', "10e999",
    '{"images": [5, {"path": null}, "no.png"]}', '{"tools": 5, "chat_template_kwargs": [1]}', '[{"role": "user"}, 5]',
)  # fmt: skip


def broken_group(index: int, random_: random.Random) -> Row:
    """A row of `groups.parquet` that only its types hold together."""

    def text() -> str | None:
        return random_.choice((None, *BROKEN_JSON)) if random_.random() < 0.05 else json.dumps(f"w{random_.random()}")

    def number(low: int, high: int) -> int | None:
        return random_.choice((None, -1, 7)) if random_.random() < 0.02 else random_.randint(low, high)

    def amount() -> float | None:
        return random_.choice((None, float("nan"), -1.0, 1e308)) if random_.random() < 0.02 else random_.uniform(0.5, 1)

    responses: list[Any] = [
        {"id": f"r{k % (7 if random_.random() < 0.95 else 2)}", "content": text(), "prompt": number(0, 0),
         "rank": random_.choice((None, None, number(0, 3))), "score": random_.choice((None, amount()))}
        for k in range(random_.randint(0 if random_.random() < 0.05 else 2, 4))
    ]  # fmt: skip
    edges = [
        {"winner": number(0, 0), "loser": number(1, 1), "weight": amount(), "margin": amount(), "prob": amount()}
        for _ in range(random_.randint(0, 2))
    ]
    labels = [{"response": number(0, 1), "desirable": random_.choice((True, False)), "weight": amount()}]
    return {
        "group_id": None if random_.random() < 0.02 else f"g{index}",
        "prompts": None if random_.random() < 0.02 else [text() for _ in range(random_.randint(1, 2))],
        "responses": [*responses, None] if random_.random() < 0.02 else responses,
        "edges": edges,
        "labels": None if random_.random() < 0.02 else labels * random_.randint(0, 1),
        "source": None if random_.random() < 0.02 else "s",
        "split": random_.choice((None, None, "train", "eval", "test")) if random_.random() < 0.3 else None,
        "extra": random_.choice(BROKEN_JSON) if random_.random() < 0.2 else "{}",
    }
