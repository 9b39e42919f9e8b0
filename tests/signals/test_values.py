"""Times as texts spell them, against Python's datetime and against values worked by hand."""

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from ibis import Table

from tropism.signals.engines import expressions
from tropism.signals.engines.duck import DuckEngine, connect
from tropism.signals.engines.engine import rows

NOON = 1_772_359_200  # 2026-03-01T10:00:00Z: 20,513 days after 1970 and 10 hours
READ = {
    "2026-03-01": NOON - 36_000,
    "2026-03-01Z": NOON - 36_000,
    "2026-03-01+05:00": NOON - 54_000,
    "2026-03-01-0530": NOON - 16_200,
    "2026-03-01T10": NOON,
    "2026-03-01T10Z": NOON,
    "2026-03-01T10+05:00": NOON - 18_000,
    "2026-03-01T10-05": NOON + 18_000,
    "2026-03-01 10:00": NOON,
    "2026-03-01T10:15": NOON + 900,
    "2026-03-01T10:15+05:30": NOON + 900 - 19_800,
    "2026-03-01T10:15:07Z": NOON + 907,
    "2026-03-01 10:15:07.25": NOON + 907.25,
    "2026-03-01T10:15:07,25Z": NOON + 907.25,
    "2026-03-01T10:15:07.5-23:59": NOON + 907.5 + 86_340,
    "2026-03-01T10:15:07+2359": NOON + 907 - 86_340,
    "  2026-03-01T10:00:00Z\t": NOON,
    "20260301T10": NOON,
    "20260301T10Z": NOON,
    "20260301T1015": NOON + 900,
    "20260301T1015+0530": NOON + 900 - 19_800,
    "20260301T101500Z": NOON + 900,
    "20260301T101507,25-05:00": NOON + 907.25 + 18_000,
    "20260301T10+10": NOON - 36_000,
    "2026-02-28T24:00": NOON - 36_000,
    "2026-02-28T24:00:00.000Z": NOON - 36_000,
    "2026-02-28T24": NOON - 36_000,
    "20260228T240000+01:00": NOON - 39_600,
    "2016-12-31T23:59:60Z": 1_483_228_800,  # the last leap second, read as 2017-01-01T00:00:00Z
    "2016-12-31T23:59:60.5Z": 1_483_228_800.5,
    "20170101T045960+0500": 1_483_228_800,
    "2024-02-29": 1_709_164_800,
    "1970-01-01T00:00:00": 0,
    "1969-12-31T23:59:59.5Z": -0.5,
    "0001-01-01": -62_135_596_800,
    "9999-12-31T23:59:59Z": 253_402_300_799,
    "1772359200": NOON,
    "1772359200.5": NOON + 0.5,
    "1.7723592e9": NOON,
    "-5": -5,
    "20260301.0": 20_260_301,
    "20261301": 20_261_301,  # there is no month 13: seconds
    "12345678": 12_345_678,
}
UNREADABLE = [
    "20260301",
    "19991231",
    "2026-03-01T10:15:07+24:00",
    "2026-03-01+99:99",
    "2026-03-01+05:60",
    "2026-02-29",
    "2026-04-31T10:00",
    "2026-13-01",
    "2026-00-01",
    "2026-03-00",
    "2026-03-01T24:01",
    "2026-03-01T24:00:00.5",
    "2026-03-01T25:00",
    "2026-03-01T10:60",
    "2026-03-01T10:15:61",
    "2026-03-01T10:15.5",
    "2026-03-01T10:15:",
    "2026-03-01T10:15:07.",
    "2026-03-01T",
    "2026-03-01T1015",
    "20260301T10:15",
    "20260301 101500",
    "20260301Z",
    "2026-0301",
    "2026-3-1",
    "2026-03",
    "2026-W09-7",
    "2026-060",
    "10:15:07",
    "01.03.2026",
    "2026-03-01T10:15:07 CET",
    "2026-03-01T10:15:07++01:00",
    "x2026-03-01",
    "2026-03-01x",
    "2026-03-01\n2026-03-02",
    "soon",
]


def kept(**columns: Any) -> Table:
    """A table in DuckDB."""
    return DuckEngine(connect()).put(pa.table(columns))


def seconds(texts: list[str | None]) -> list[float | None]:
    """What DuckDB reads, in the order of the texts."""
    table = kept(place=range(len(texts)), text=pa.array(texts, pa.string()))
    told = table.select("place", seconds=expressions.seconds(table.text)).order_by("place")
    return [row["seconds"] for row in rows(told)]


def test_every_spelling_is_the_second_that_it_names() -> None:
    assert dict(zip(READ, seconds(list(READ)), strict=True)) == READ


def test_what_is_no_time_or_could_be_two_is_not_read() -> None:
    assert dict(zip(UNREADABLE, seconds(list(UNREADABLE)), strict=True)) == dict.fromkeys(UNREADABLE)


def test_nothing_stays_nothing_and_infinite_numbers_are_told() -> None:
    assert seconds([None, "", " \t"]) == [None, None, None]
    assert [value != value for value in seconds(["nan", "-inf", "Infinity"])] == [True, True, True]


@pytest.mark.parametrize("seed", range(2))
def test_times_are_those_of_pythons_datetime(seed: int) -> None:
    rng = random.Random(seed)
    expected = {}
    for _ in range(1_500):
        zone = timezone(timedelta(minutes=rng.randint(-1_439, 1_439)))
        moment = datetime(1, 1, 3, tzinfo=UTC) + timedelta(seconds=rng.randrange(315_537_000_000))
        moment = moment.replace(microsecond=rng.choice([0, 500_000, rng.randrange(10**6)])).astimezone(zone)
        local = moment.replace(tzinfo=None)
        form = rng.choice(["%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S,%f%z", "%Y%m%dT%H%M%S.%f%z"])
        year = f"{local.year:04}"  # strftime does not fill years everywhere
        text = moment.strftime(form.replace("%Y", year))
        if rng.random() < 0.5:
            text = f"{text[:-2]}:{text[-2:]}"
        expected[text] = moment.timestamp()
        expected[local.isoformat(sep=rng.choice("T "))] = local.replace(tzinfo=UTC).timestamp()
    found = dict(zip(expected, seconds(list(expected)), strict=True))
    assert found == pytest.approx(expected, rel=1e-15, abs=1e-9)


def test_columns_of_numbers_and_of_timestamps_are_taken_as_they_are() -> None:
    moments = [datetime(2026, 3, 1, 10, 15, 7, 250_000), None]
    table = kept(
        place=[0, 1],
        number=[20_260_301, None],
        stamp=pa.array(moments, pa.timestamp("us")),
        zoned=pa.array(moments, pa.timestamp("us", tz="UTC")),
        day=pa.array(moments, pa.timestamp("us")).cast(pa.date32(), safe=False),
    )
    told = table.select("place", *(expressions.seconds(table[name]).name(name) for name in table.columns[1:]))
    first, second = rows(told.order_by("place"))
    assert first == {
        "place": 0,
        "number": 20_260_301,
        "stamp": NOON + 907.25,
        "zoned": NOON + 907.25,
        "day": NOON - 36_000,
    }
    assert second == {"place": 1, "number": None, "stamp": None, "zoned": None, "day": None}
