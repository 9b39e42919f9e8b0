"""One table of hostile files: what is sound in each, and why the rest is not; every entrance is held to it.

Every file has the columns `prompt`, `chosen`, `rejected` and `choice`, so that each command finds feedback in it.
"""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ("prompt", "chosen", "rejected", "choice")
NOT_UTF8, NOT_JSON, NO_OBJECT = "text that is not valid UTF-8", "not valid JSON", "not a JSON object"
FEWER, MORE, NOT_CSV = "fewer cells than columns", "more cells than columns", "not a valid CSV record"

Values = tuple[str, ...]


def row(number: int) -> Values:
    """A sound row."""
    return f"p{number}", f"good {number}", f"bad {number}", "a"


def line(number: int) -> bytes:
    """A sound row as a line of JSON."""
    return json.dumps(dict(zip(COLUMNS, row(number), strict=True))).encode() + b"\n"


def csv(*records: bytes, separator: bytes = b",", end: bytes = b"\n") -> bytes:
    """A header and records."""
    header = separator.join(name.encode() for name in COLUMNS)
    return b"".join(one + end for one in (header, *records))


def record(number: int) -> bytes:
    """A sound row as a record of CSV."""
    return ",".join(row(number)).encode()


def parquet(**columns: list[Any]) -> bytes:
    """A Parquet file."""
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target)
    return target.getvalue()


@dataclass(frozen=True)
class Hostile:
    """A file and what is in it.

    Args:
        data: its bytes.
        sound: row number to values, of the rows that can be read.
        lost: reason to the places of the other rows.
        refused: what the error says if nothing of the file can be read; the rest is empty then.
        is_fast: whether DuckDB reads the file itself.
    """

    data: bytes
    sound: dict[int, Values] = field(default_factory=dict)
    lost: dict[str, list[str]] = field(default_factory=dict)
    refused: str = ""
    is_fast: bool = False


TWO = {1: row(1), 2: row(2)}
FIRST_AND_THIRD = {1: row(1), 3: row(3)}
_PACKED = gzip.compress(csv(record(1), record(2)))
_WRONG_SUM = _PACKED[:-8] + bytes(byte ^ 1 for byte in _PACKED[-8:-4]) + _PACKED[-4:]

HOSTILE = {
    # CSV that every reader takes
    "plain.csv": Hostile(csv(record(1), record(2)), TWO, is_fast=True),
    "no_end.csv": Hostile(csv(record(1), record(2))[:-1], TWO, is_fast=True),
    "mark.csv": Hostile(b"\xef\xbb\xbf" + csv(record(1), record(2)), TWO, is_fast=True),
    "semicolons.csv": Hostile(csv(b"p1;a, b;c;a", b"p2;d;e;a", separator=b";"),
                              {1: ("p1", "a, b", "c", "a"), 2: ("p2", "d", "e", "a")}, is_fast=True),
    "tabs.tsv": Hostile(csv(record(1).replace(b",", b"\t"), record(2).replace(b",", b"\t"), separator=b"\t"), TWO,
                        is_fast=True),
    "blank_line.csv": Hostile(csv(record(1), b"", record(2)), TWO, is_fast=True),
    "crlf.csv": Hostile(csv(record(1), record(2), end=b"\r\n"), TWO, is_fast=True),
    "cr.csv": Hostile(csv(record(1), record(2), end=b"\r"), TWO, is_fast=True),
    "mixed_ends.csv": Hostile(csv(record(1), end=b"\r\n") + record(2) + b"\r" + record(3) + b"\n", TWO | {3: row(3)}),
    "spaces.csv": Hostile(csv(b'p1, "good, 1" ,"bad 1",a', record(2)), {1: ("p1", "good, 1", "bad 1", "a"), 2: row(2)},
                          is_fast=True),
    "quotes.csv": Hostile(csv(b'p1,a "b" c,"d""e\nf",a'), {1: ("p1", 'a "b" c', 'd"e\nf', "a")}, is_fast=True),
    "more_names.csv": Hostile(csv(b"p1,good 1,bad 1,a,", record(2)), TWO, is_fast=True),
    "no_names.csv": Hostile(b",prompt,chosen,rejected,choice,\n0,p1,good 1,bad 1,a,\n", {1: row(1)}, is_fast=True),
    "packed.CSV.GZ": Hostile(_PACKED, TWO, is_fast=True),
    "nul.csv": Hostile(csv(b"p1,a\x00,b,a"), {1: ("p1", "a\x00", "b", "a")}, is_fast=True),
    "replaced.csv": Hostile(csv("p1,\ufffd,b,a".encode()), {1: ("p1", "\ufffd", "b", "a")}, is_fast=True),
    # CSV with records that cannot be read
    "few.csv": Hostile(csv(record(1), b"p2,x", record(3)), FIRST_AND_THIRD, {FEWER: ["line 3"]}),
    "many.csv": Hostile(csv(record(1), record(2) + b",x", record(3)), FIRST_AND_THIRD, {MORE: ["line 3"]}),
    "latin.csv": Hostile(csv(record(1), b"gr\xf6\xdfer,a,b,a", record(3)), FIRST_AND_THIRD, {NOT_UTF8: ["line 3"]}),
    "cut_letter.csv": Hostile(csv(record(1), b"p2,a,b,\xc3")[:-1], {1: row(1)}, {NOT_UTF8: ["line 3"]}),
    "after_quote.csv": Hostile(csv(record(1), b'"p"2,a,b,a', record(3)), FIRST_AND_THIRD, {NOT_CSV: ["line 3"]}),
    "open_quote.csv": Hostile(csv(record(1), b'p2,"a,b,a', record(3)), {1: row(1)}, {NOT_CSV: ["line 3"]}),
    "blanks.csv": Hostile(csv(record(1), b"  ", record(3)), FIRST_AND_THIRD, {FEWER: ["line 3"]}),
    "after_lines.csv": Hostile(csv(b'p1,"good\n1",bad 1,a', b"x", b'"p\n2",x', b"", record(4)),
                               {1: ("p1", "good\n1", "bad 1", "a"), 4: row(4)}, {FEWER: ["line 4", "line 5"]}),
    # CSV of which nothing can be read
    "empty.csv": Hostile(b"", refused="is empty"),
    "blank_start.csv": Hostile(b"\r\n" + csv(record(1)), refused="its first line is blank"),
    "twice.csv": Hostile(b"prompt,chosen,rejected,choice,chosen\n", refused="has two columns named 'chosen'"),
    "wrong_sum.csv.gz": Hostile(_WRONG_SUM, refused="is a damaged gzip: its checksum is wrong"),
    "cut.csv.gz": Hostile(_PACKED[:-3], refused="is a damaged gzip: it was cut off"),
    "cut_early.csv.gz": Hostile(_PACKED[:12], refused="is a damaged gzip: it was cut off"),
    "flipped.csv.gz": Hostile(_PACKED[:10] + b"\xff" + _PACKED[11:], refused="is a damaged gzip: Error -3 while"),
    "not_packed.csv.gz": Hostile(csv(record(1)), refused="is named .gz, but is not gzip"),
    # JSON lines
    "plain.jsonl": Hostile(line(1) + line(2), TWO, is_fast=True),
    "no_end.ndjson": Hostile(line(1) + line(2)[:-1], TWO, is_fast=True),
    "packed.jsonl.gz": Hostile(gzip.compress(line(1) + line(2)), TWO, is_fast=True),
    "comma.jsonl": Hostile(line(1) + line(2).replace(b"}", b",}"), TWO, is_fast=True),
    "brackets.jsonl": Hostile(line(1).replace(b"good 1", b"[good] 1"), {1: ("p1", "[good] 1", "bad 1", "a")},
                              is_fast=True),
    "mark.jsonl": Hostile(b"\xef\xbb\xbf" + line(1) + line(2), TWO),
    "blank_lines.jsonl": Hostile(line(1) + b"\n \n" + line(4), {1: row(1), 4: row(4)}),
    "cut.jsonl": Hostile(line(1) + line(2)[:20] + b"\n" + line(3), FIRST_AND_THIRD, {NOT_JSON: ["line 2"]}),
    "bare.jsonl": Hostile(line(1) + b"5\n" + line(3), FIRST_AND_THIRD, {NO_OBJECT: ["line 2"]}),
    "null.jsonl": Hostile(line(1) + b"null\n" + line(3), FIRST_AND_THIRD, {NO_OBJECT: ["line 2"]}),
    "latin.jsonl": Hostile(line(1) + line(2).replace(b"good", b"g\xf6d") + line(3), FIRST_AND_THIRD,
                           {NOT_UTF8: ["line 2"]}),
    "half_letter.jsonl": Hostile(line(1) + line(2).replace(b"good", b"\\ud800") + line(3), FIRST_AND_THIRD,
                                 {NOT_UTF8: ["line 2"]}),
    "two_on_a_line.jsonl": Hostile(line(1) + line(2)[:-1] + line(2), {1: row(1)}, {NOT_JSON: ["line 2"]}),
    "twice.jsonl": Hostile(line(1) + line(2)[:-2] + b', "chosen": "x"}\n' + line(3), FIRST_AND_THIRD,
                           {"'chosen' comes twice in its object": ["line 2"]}),
    "deep.jsonl": Hostile(line(1) + b"[" * 100_000 + b"\n" + line(3), FIRST_AND_THIRD,
                          {"nested too deeply": ["line 2"]}),
    "several.jsonl.gz": Hostile(gzip.compress(line(1) + b"{\n[]\nx\n" + line(5)), {1: row(1), 5: row(5)},
                                {NOT_JSON: ["line 2", "line 4"], NO_OBJECT: ["line 3"]}),
    # JSON
    "list.json": Hostile(b"[" + line(1) + b"," + line(2) + b"]", TWO, is_fast=True),
    "mark.json": Hostile(b"\xef\xbb\xbf[" + line(1) + b"," + line(2) + b"]", TWO),
    "lines.json": Hostile(line(1) + line(2), TWO, is_fast=True),
    "one.json": Hostile(line(1).replace(b", ", b",\n"), {1: row(1)}, is_fast=True),
    "together.json": Hostile(line(1).strip() + line(2).replace(b", ", b",\n"), TWO, is_fast=True),
    "data.json": Hostile(b'{"data": [' + line(1) + b"," + line(2) + b"]}", TWO),
    "comma.json": Hostile(b"[" + line(1) + b"," + line(2) + b",]", TWO),
    "bare.json": Hostile(b"[" + line(1) + b",5," + line(3) + b"]", FIRST_AND_THIRD, {NO_OBJECT: ["row 2"]}),
    "cut_line.json": Hostile(line(1) + b'{"prompt":\n' + line(3), FIRST_AND_THIRD, {NOT_JSON: ["line 2"]}),
    "latin.json": Hostile(b"[" + line(1) + b"," + line(2).replace(b"good", b"g\xf6d") + b"," + line(3) + b"]",
                          FIRST_AND_THIRD, {NOT_UTF8: ["row 2"]}),
    "cut.json": Hostile(b"[" + line(1) + b",", refused="is not valid JSON (line 2, column 2"),
    "deep.json": Hostile(b"[" * 100_000, refused="is nested too deeply"),
    "number.json": Hostile(b"3", refused="must hold a list of objects"),
    "blank.json": Hostile(b" \n", refused="is empty"),
    # Parquet
    "plain.parquet": Hostile(parquet(prompt=["p1"], chosen=["good 1"], rejected=["bad 1"], choice=["a"]), {1: row(1)},
                             is_fast=True),
    "bytes.parquet": Hostile(parquet(prompt=["p1"], chosen=[b"good 1"], rejected=["bad 1"], choice=[b"a"]), {1: row(1)},
                             is_fast=True),
    "case.parquet": Hostile(parquet(Chosen=["no"], chosen=["good 1"], prompt=["p1"], rejected=["bad 1"], choice=["a"],
                                    File_Row_Number=[7], __row__=[9]), {1: row(1)}, is_fast=True),
    "no.parquet": Hostile(b"PAR1 no PAR1", refused="is not a readable Parquet file"),
    # other names
    "rows.xlsx": Hostile(b"x", refused="has the unknown ending '.xlsx'; expected one of .jsonl, .ndjson, .json, .csv, "
                         ".tsv (each also with .gz), .parquet. Rename or convert"),
    "rows.parquet.gz": Hostile(b"x", refused="has the unknown ending '.parquet.gz'"),
}  # fmt: skip


def written(folder: Path, name: str) -> Path:
    """A file of the table."""
    path = folder / name
    path.write_bytes(HOSTILE[name].data)
    return path
