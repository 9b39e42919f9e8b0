"""Planted faults of every kind are found with their counts, none is found on the clean twin, and --fix mends them."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest

from tests.audit.planter import EXPECTED, MAX_TOKENS, NUM_BASE, NUM_HELD, Planted, plant
from tropism.cli import run
from tropism.data.audit.audit import Audit, audit
from tropism.data.audit.audited_rows import AuditSources
from tropism.data.audit.contract import CHECKS
from tropism.data.audit.findings import AuditFinding
from tropism.policies.token_facts import open_token_reader

MODELS_OF_WORDS = {"separable-by-words", "separable-by-first-word"}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("audit") / "planted", faulty=True)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("audit") / "clean", faulty=False)


def audited(files: Planted) -> Audit:
    tokens = open_token_reader(str(files.model), max_tokens=MAX_TOKENS, min_response_tokens=16, template="auto")
    sources = AuditSources((str(files.groups), str(files.rows)), (str(files.evaluation),))
    return audit(sources, tokens=tokens)


@pytest.fixture(scope="module")
def report(planted: Planted) -> Audit:
    return audited(planted)


@pytest.fixture(scope="module")
def found(report: Audit) -> dict[str, AuditFinding]:
    return {finding.check: finding for finding in report.findings}


def test_every_check_of_the_contract_is_planted() -> None:
    assert EXPECTED.keys() | MODELS_OF_WORDS == CHECKS.keys()


@pytest.mark.parametrize("check", EXPECTED)
def test_a_planted_fault_is_found_with_its_count(found: dict[str, AuditFinding], check: str) -> None:
    assert found[check].count == EXPECTED[check]
    assert 1 <= len(found[check].examples) <= 3


@pytest.mark.parametrize("check", sorted(MODELS_OF_WORDS))
def test_a_model_of_words_separates_planted_winners(found: dict[str, AuditFinding], check: str) -> None:
    finding = found[check]
    assert finding.count >= 0.96 * finding.n
    assert finding.n > NUM_BASE
    assert finding.interval is not None
    low, high = finding.interval
    assert 0.9 < low < finding.share < high


def test_every_check_runs_on_the_planted_files_and_each_example_is_a_row_of_them(
    planted: Planted, report: Audit, found: dict[str, AuditFinding]
) -> None:
    assert (report.not_run, report.num_rows) == ({}, planted.num_rows)
    assert found["leaked-prompts"].examples == ("held.parquet:g319", "held.parquet:g320", "held.parquet:g321")
    assert found["unreadable-rows"].examples == ("rows.jsonl:11", "rows.jsonl:12", "rows.jsonl:13")


def test_nothing_is_found_on_the_clean_twin(clean: Planted) -> None:
    report = audited(clean)
    assert [finding.check for finding in report.findings] == []
    assert (report.not_run, report.num_rows) == ({}, clean.num_rows)


def report_of(files: Planted, *more: str) -> tuple[int, Any]:
    """The exit status and the JSON object of a command that writes the files again."""
    line = io.StringIO()
    with redirect_stdout(line):
        status = run([
            *("audit", str(files.groups), str(files.rows), "--eval", str(files.evaluation)),
            *("--model", str(files.model), "--max-tokens", str(MAX_TOKENS), "--json"),
            *("--fix", "--overwrite", "-o", str(files.groups.parent / "fixed.parquet"), *more),
        ])  # fmt: skip
    return status, json.loads(line.getvalue())


@pytest.fixture(scope="module")
def mended(planted: Planted) -> tuple[int, Any]:
    return report_of(planted)


def test_fix_leaves_only_what_cannot_be_fixed(mended: tuple[int, Any]) -> None:
    status, report = mended
    assert {finding["check"] for finding in report["findings"]} == CHECKS.keys()
    assert not [finding["check"] for finding in report["left"] if CHECKS[finding["check"]].fix]
    errors = [finding["check"] for finding in report["left"] if finding["severity"] == "error"]
    assert (status, report["passed"], errors) == (1, False, ["beyond-vocabulary"])


def test_the_new_file_passes_without_the_check_that_nothing_can_fix(planted: Planted, mended: tuple[int, Any]) -> None:
    target, held = str(planted.groups.parent / "fixed.parquet"), str(planted.evaluation)
    model = ["--model", str(planted.model), "--max-tokens", str(MAX_TOKENS)]
    assert run(["audit", target, "--eval", held, *model, "--skip", "beyond-vocabulary"]) == 0


def test_fix_says_what_became_of_every_row(planted: Planted, mended: tuple[int, Any]) -> None:
    fixed = mended[1]["fixed"]
    assert fixed["rows_read"] == planted.num_rows - NUM_HELD  # the evaluation file is not written
    assert fixed["rows_read"] == fixed["rows_used"] + sum(fixed["dropped"].values())
    assert fixed["dropped"] == {
        "empty-responses": 2,
        "equal-responses": 2,
        "missing-images": 2,
        "contradictory-edges": 2,
        "not-rendered": 2,
        "collapsed-pairs": 2,
        "too-long": 2,
        "duplicate-rows": 3,
        "near-duplicate-rows": 2,
        "leaked-prompts": 3,
        "leaked-near-prompts": 2,
        "'chosen' is neither text nor messages": 1,
        "'weight' is negative": 1,
        "'prompt' is missing": 1,
        "'rejected' is empty": 1,
        "chosen and rejected are equal": 1,
    }
    assert fixed["notes"] == {
        "edges left out: contradictory-edges": 1,
        "edges left out: preference-cycles": 2,
        "labels left out: contradictory-labels": 2,
        "texts whose turn marks were escaped": 6,
    }


def test_fix_changes_nothing_on_the_clean_twin(clean: Planted) -> None:
    status, report = report_of(clean, "--strict")
    assert (status, report["findings"], report["left"], report["fixed"]["dropped"]) == (0, [], [], {})
    assert report["fixed"]["groups"] == clean.num_rows - NUM_HELD
