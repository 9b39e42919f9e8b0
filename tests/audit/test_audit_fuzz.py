"""Broken rows through the audit: findings or one clear error, and an account of every row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.fuzzing import NUM_ROWS, WRITERS, files
from tropism.cli import run


@pytest.mark.parametrize("ending", WRITERS)
def test_audit_ends_in_findings_or_in_words(tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    for path in files(tmp_path, ending):
        fixed = tmp_path / f"fixed{path.stem}.parquet"
        status = run(["audit", str(path), "--json", "--fix", "-o", str(fixed)])
        report = json.loads(capsys.readouterr().out)
        assert status in (0, 1, 2)
        if status != 2:
            account = report["fixed"]
            assert report["rows_read"] == account["rows_read"] == NUM_ROWS
            assert account["rows_used"] + sum(account["dropped"].values()) == NUM_ROWS
            assert not [finding["check"] for finding in report["left"] if finding["fix"]]
        else:
            assert report["error"]["remedy"]
            assert not fixed.exists()
