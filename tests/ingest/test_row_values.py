"""Single values and whole columns are read by the same rules, and what is refused has one of few reasons."""

import math

import pyarrow as pa
import pytest

from tropism.ingest import Unusable, row_values
from tropism.signals.engines import expressions
from tropism.signals.engines.duck import DuckEngine, connect
from tropism.signals.engines.engine import rows

WORDS = [
    "1", " 2 ", "+3.5", "-.5", "4.", "1e3", "1E-3", "1_000", "0x1F", "１", "1,5", "", " ", "nan", "-inf", "Infinity",
    "true", "True", " YES ", "f", "no", "0.0", "1.0", "2", "maybe", "t\n",
    "2026-03-01", "2026-02-30", "2026-03-01T10:15:00Z", "2026-03-01 10:15", "2026-03-01T10", "2026-03-01T24:00",
    "2026-03-01T24:01", "2026-03-01T10:15:60Z", "2026-03-01T10:15:00.25+02:00", "2026-03-01T10:15:00,5-0530",
    "20260301T101500Z", "20260301", "20260301T10", "2026-03-01T101500", "1969-12-31T23:59:59Z", "2026-03-01+02:00",
    "2026-3-1", "yesterday", "2026-03-01T10:15:00 Z", "0001-01-01", "9999-12-31T23:59:59Z", "1614592800.25",
]  # fmt: skip


def one_of(read: object, *given: object) -> object:
    """What a function reads, or nothing."""
    try:
        return read(*given)  # type: ignore[operator]
    except Unusable:
        return None


def test_columns_are_read_as_single_values_are() -> None:
    table = DuckEngine(connect()).put(pa.table({"row": list(range(len(WORDS))), "word": WORDS}))
    asked = table.select(
        "row",
        number=expressions.number(table.word),
        flag=expressions.flag(table.word),
        time=expressions.seconds(table.word),
    )
    for word, found in zip(WORDS, rows(asked.order_by("row")), strict=True):
        number, time = (None if not math.isfinite(one or 0) else one for one in (found["number"], found["time"]))
        assert one_of(row_values.number, word, "x") == number, word
        assert one_of(row_values.flag, word, "x") == found["flag"], word
        assert one_of(row_values.time, word) == (time if time is None else pytest.approx(time)), word


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "'x' is missing"),
        ("", "'x' is missing"),
        ("four", "'x' is not a number"),
        (True, "'x' is not a number"),
        ([1], "'x' is not a number"),
        (10**400, "'x' is not finite"),
        ("1e999", "'x' is not finite"),
        ("NaN", "'x' is not finite"),
        (float("inf"), "'x' is not finite"),
    ],
)
def test_what_is_no_finite_number_has_a_reason(value: object, reason: str) -> None:
    with pytest.raises(Unusable) as caught:
        row_values.number(value, "x")
    assert str(caught.value) == reason


def test_values_may_be_nested_a_hundred_levels_deep() -> None:
    deep: object = "x"
    for _ in range(100):
        deep = [deep]
    row_values.check_json(deep)
    with pytest.raises(Unusable, match="nested too deeply"):
        row_values.check_json([deep])
