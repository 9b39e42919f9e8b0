"""What tests/toy_components.py adds from outside works through recipe, evaluation, report and `tropism app`."""

import ast
import json
import sys
from pathlib import Path

import pytest

from tests import toy_components
from tropism.cli import run
from tropism.records import ApplicationRun, Run
from tropism.testing import tiny_policy

FILE = Path(toy_components.__file__)
PUBLIC = 2
"""Parts of the name of a module that may be imported: `tropism`, or a package in it."""


def test_the_toys_take_under_120_lines_and_public_names_alone():
    source = FILE.read_text(encoding="utf-8")
    assert len(source.splitlines()) < 120
    modules = [node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    ours = [module for module in modules if module.startswith("tropism")]
    assert all(module.count(".") < PUBLIC for module in ours), ours
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in ours and node.module != "tropism.scores":
            assert {name.name for name in node.names} <= set(sys.modules[node.module].__all__)


@pytest.fixture(scope="module")
def application(tmp_path_factory):
    """The toy application run once."""
    folder = tmp_path_factory.mktemp("toy")
    tiny_policy().save(folder / "model")
    command = ["app", f"{FILE}:TOY", "--demo", "--set", f"model={folder / 'model'}", "-o", str(folder / "out")]
    assert run(command) == 0
    return folder


def test_the_application_runs_both_arms_and_judges_its_claim(application):
    record = ApplicationRun.model_validate_json((application / "out" / "application.json").read_text())
    (claim,) = record.claims
    assert claim.holds
    assert claim.estimate.value == 1.0  # one p in "a plant"
    assert set(record.arms) >= {"focal", "dpo"}
    runs = {path.parent.name: Run.model_validate_json(path.read_text()) for path in application.rglob("run.json")}
    focal, dpo = runs["focal"].stages[0], runs["dpo"].stages[0]
    # at the start policy equals reference: log 2 times (1 - 1/2) to the power of 1.5
    assert focal.first_loss == pytest.approx(0.6931472 * 0.5**1.5, abs=1e-4)
    assert dpo.first_loss == pytest.approx(0.6931472, abs=1e-4)
    assert any(alarm.name.endswith(":wordy") for alarm in focal.alarms)
    assert focal.reference == "cached"


def test_the_report_shows_the_toys_own_words(application):
    pages = [path.read_text(encoding="utf-8") for path in application.rglob("report.html")]
    assert any("Letters per preferred answer" in page for page in pages)
    assert any("Preferred answers hold half a p at least." in page for page in pages)


def test_eval_measures_a_run_of_the_toy_policy_as_training_did(application, tmp_path, capsys):
    folder = next(path.parent for path in application.rglob("run.json") if path.parent.name == "focal")
    capsys.readouterr()
    suite = Run.model_validate_json((folder / "run.json").read_text()).recipe["evaluation"]["suite"]
    assert run(["eval", str(folder), "--suite", suite, "-o", str(tmp_path / "eval"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])["metrics"]
    assert any(name.endswith("letters.letters") for name in found)
