"""Ten thousand broken rows through every reader: no traceback, and every row is used or reported."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.fuzzing import NUM_ROWS, WRITERS, broken_group, files
from tropism.cli import run
from tropism.data.formats import Loaded, Source, load
from tropism.data.forms import FORMS
from tropism.data.group_store import read_groups_file, write_groups
from tropism.errors import DataError
from tropism.groups import PreferenceGroup


def loaded(path: Path) -> Loaded | None:
    """What could be read, or nothing where the whole file is refused in words."""
    try:
        return load([Source(str(path))])
    except DataError as error:
        refused = error
    assert str(path) in str(refused)
    assert refused.remedy
    return None


@pytest.mark.parametrize("ending", WRITERS)
def test_every_fuzzed_row_is_used_or_reported(tmp_path: Path, ending: str) -> None:
    found = [(path, loaded(path)) for path in files(tmp_path, ending)]
    read = [(path, one) for path, one in found if one]
    assert len(read) >= len(FORMS) - 4
    groups: list[PreferenceGroup] = []
    for path, one in read:
        account = one.cards[0].account
        assert account.rows_read == NUM_ROWS, path
        assert account.rows_used + sum(account.dropped.values()) == NUM_ROWS
        assert account.rows_used > 0
        groups += one.groups
    write_groups(groups, tmp_path / "groups.parquet")
    assert list(read_groups_file(tmp_path / "groups.parquet")) == groups


def test_every_broken_group_is_used_or_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, fixed, random_ = tmp_path / "groups.parquet", tmp_path / "fixed.parquet", random.Random(0)
    write_groups([], path)
    schema = pq.read_schema(path)
    rows = [broken_group(index, random_) for index in range(400)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    account = load([Source(str(path))]).cards[0].account
    assert account.rows_read == 400
    assert 100 < account.rows_used < 300
    run(["audit", str(path), "--json", "--fix", "-o", str(fixed)])
    report = json.loads(capsys.readouterr().out)
    assert report["fixed"]["rows_read"] == 400
    assert not [finding["check"] for finding in report["left"] if finding["fix"]]
    assert len(list(read_groups_file(fixed))) == report["fixed"]["groups"]
