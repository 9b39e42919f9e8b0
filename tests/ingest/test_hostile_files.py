"""Every entrance reads the same rows of a hostile file, and says the same of the others."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.ingest.hostile import COLUMNS, HOSTILE, Hostile, Values, written
from tropism.data.audit.audited_rows import AuditSources, read_units
from tropism.data.formats import Source, load
from tropism.errors import DataError
from tropism.ingest import ROW, NotRead, TableFile, open_table, read_rows
from tropism.ingest.table_file import _slow_table
from tropism.sampling.prompt_files import read_prompts
from tropism.signals.build import build_groups
from tropism.signals.kinds.choices import ChoiceSettings
from tropism.signals.kinds.columns import ChoiceColumns

READABLE = [name for name, file in HOSTILE.items() if not file.refused]
TEXTS = [name for name in READABLE if not name.endswith(".parquet")]
REFUSED = [name for name, file in HOSTILE.items() if file.refused]
CHOICES = ChoiceColumns("prompt", "chosen", "rejected", "choice")


def numbers(file: Hostile) -> dict[str, list[str]]:
    """The lost rows as an account names them: how many for each reason."""
    return {reason: [str(len(places))] for reason, places in file.lost.items()}


def counted(dropped: dict[str, int]) -> dict[str, list[str]]:
    return {reason: [str(count)] for reason, count in dropped.items()}


def table_of(path: Path, *, skip_bad: bool, slow: bool) -> tuple[TableFile, dict[int, Values]]:
    """A file's columns as a table, by the fast way where it is taken or by the slow one, and the rows by number."""
    connection, folder = duckdb.connect(), path.parent
    if slow:
        table = _slow_table(path, COLUMNS, folder / "slow.parquet", skip_bad=skip_bad)
    else:
        table = open_table(path, COLUMNS, connection=connection, folder=folder, skip_bad=skip_bad)
    found = connection.execute(f"SELECT * FROM ({table.query}) ORDER BY {ROW}").fetchall()
    return table, {number: tuple(values) for *values, number in found}


@pytest.mark.parametrize("name", READABLE)
def test_rows_are_read_or_have_a_reason(name: str, tmp_path: Path) -> None:
    file = HOSTILE[name]
    sound: dict[int, Values] = {}
    lost = NotRead()
    for row in read_rows(written(tmp_path, name)):
        values = [row.values.get(column) for column in COLUMNS]
        if row.problem:
            lost.add(row.problem, row.place)
        elif all(
            (isinstance(value, str) and value.isprintable()) or "\n" in str(value) or "\0" in str(value)
            for value in values
        ):
            sound[row.number] = tuple(map(str, values))
    in_values = {reason for reason in file.lost if reason.startswith("'")} | {"text that is not valid UTF-8"}
    assert sound == file.sound
    for reason, places in file.lost.items():
        assert lost.examples.get(reason, places if reason in in_values else None) == places
    assert set(lost.counts) <= set(file.lost)


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize("name", READABLE)
def test_the_fast_way_and_the_slow_one_give_the_same_table(name: str, skip_bad: bool, tmp_path: Path) -> None:
    file, path = HOSTILE[name], written(tmp_path, name)
    for slow in (False, True):
        if file.lost and not skip_bad:
            reason, places = next(iter(file.lost.items()))
            with pytest.raises(DataError, match=f"cannot be read: {places[0]}: .*such row.*`skip_bad` drops") as caught:
                table_of(path, skip_bad=skip_bad, slow=slow)
            assert f"({len(places)} such row" in str(caught.value)
            assert reason in str(caught.value) or "but the header has 4" in str(caught.value)
            continue
        table, rows = table_of(path, skip_bad=skip_bad, slow=slow)
        assert rows == file.sound
        assert table.is_fast == (file.is_fast and not slow)
        assert table.not_read.examples == file.lost


@pytest.mark.parametrize("name", READABLE)
def test_train_accounts_for_every_row(name: str, tmp_path: Path) -> None:
    file = HOSTILE[name]
    found = load([Source(str(written(tmp_path, name)))])
    assert {(group.prompts[0], *(one.content for one in group.responses)) for group in found.groups} == {
        values[:3] for values in file.sound.values()
    }
    account = found.cards[0].account
    assert counted(account.dropped) == numbers(file)
    assert account.rows_read == len(file.sound) + sum(map(len, file.lost.values()))


@pytest.mark.parametrize("name", READABLE)
def test_audit_and_sample_account_for_every_row(name: str, tmp_path: Path) -> None:
    file, path = HOSTILE[name], str(written(tmp_path, name))
    problems = NotRead()
    for unit in read_units(AuditSources((path,))):
        if unit.problem:
            problems.add(unit.problem, unit.place.ordinal)
    assert counted(problems.counts) == numbers(file)
    prompts = read_prompts(path)
    assert list(prompts.contents) == [values[0] for values in file.sound.values()]
    assert counted(prompts.dropped) == numbers(file)


@pytest.mark.parametrize("name", READABLE)
def test_build_accounts_for_every_row(name: str, tmp_path: Path) -> None:
    file, path = HOSTILE[name], written(tmp_path, name)
    with build_groups(path, ChoiceSettings(columns=CHOICES, form="table", skip_bad=True)) as made:
        groups = list(made.groups)
    account = made.card.account
    assert {(group.prompts[0], *sorted(str(one.content) for one in group.responses)) for group in groups} == {
        (values[0], *sorted(values[1:3])) for values in file.sound.values()
    }
    assert counted(account.dropped) == numbers(file)
    assert {reason: account.examples[reason] for reason in account.dropped} == file.lost
    if file.lost:
        with (
            pytest.raises(DataError, match="cannot be read"),
            build_groups(path, ChoiceSettings(columns=CHOICES, form="table")),
        ):
            pass


ENTRANCES: dict[str, Callable[[Path], Any]] = {
    "rows": lambda path: list(read_rows(path)),
    "table": lambda path: table_of(path, skip_bad=True, slow=False),
    "train": lambda path: load([Source(str(path))]),
    "audit": lambda path: list(read_units(AuditSources((str(path),)))),
    "sample": lambda path: read_prompts(str(path)),
    "build": lambda path: build_groups(path, ChoiceSettings(columns=CHOICES, form="table", skip_bad=True)).__enter__(),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("name", REFUSED)
def test_a_file_of_which_nothing_can_be_read_is_one_error(name: str, entrance: str, tmp_path: Path) -> None:
    path = written(tmp_path, name)
    with pytest.raises(DataError, match=re.escape(HOSTILE[name].refused)) as caught:
        ENTRANCES[entrance](path)
    assert str(path) in caught.value.problem
    assert caught.value.remedy
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_missing_file_names_the_nearest_one(entrance: str, tmp_path: Path) -> None:
    path = written(tmp_path, "plain.csv")
    for wrong, message in (
        (tmp_path / "plian.csv", f"there is no file {tmp_path}/plian.csv. Did you mean {path}?"),
        (tmp_path / "qqq.parquet", f"there is no file {tmp_path}/qqq.parquet. Check the path."),
        (
            tmp_path / "no" / "a.csv",
            f"there is no file {tmp_path}/no/a.csv (nor a folder {tmp_path}/no). Check the path.",
        ),
    ):
        with pytest.raises(DataError) as caught:
            ENTRANCES[entrance](wrong)
        assert str(caught.value) == message
