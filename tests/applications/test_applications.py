"""Every application keeps the contract, claims are judged by their intervals, and a kill changes nothing."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tropism.applications.application import ArmMetrics, Claim
from tropism.applications.application_table import APPLICATIONS, find_application
from tropism.applications.runner import recipe_of, result_of
from tropism.applications.seed_estimates import change_of, over_seeds, value_of
from tropism.cli import run
from tropism.cli.json_keys import JSON_KEYS
from tropism.errors import ConfigError
from tropism.evals.core.suite import parse_entry
from tropism.records import ApplicationRun, Estimate
from tropism.testing import tiny_policy

TINY = {"quickstart": {"posts": 40, "held_out_posts": 20, "sft_steps": 2, "dpo_steps": 2, "prompts": 4}}
"""Settings of each application that make its demo a matter of seconds."""


def tiny(name: str) -> list[str]:
    return [word for key, value in TINY[name].items() for word in ("--set", f"{key}={value}")]


def read(folder: Path) -> ApplicationRun:
    return ApplicationRun.model_validate_json((folder / "application.json").read_text())


def at(value: float, low: float, high: float, n: int = 10) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=n)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_has_valid_settings_groups_arms_and_suite(name, tmp_path):
    application = APPLICATIONS[name]
    assert application.name == name
    assert application.paper
    assert application.summary
    assert len({claim.name for claim in application.claims}) == len(application.claims) > 0
    application.settings()
    settings = application.settings.model_validate(TINY[name])
    sets = application.groups(settings, 0)
    assert all(one.groups for one in sets.values())
    assert application.groups(settings, 0).keys() == sets.keys()
    assert [group.id for group in application.groups(settings, 0)["votes"].groups] == [
        group.id for group in sets["votes"].groups
    ]
    files = {one: tmp_path / f"{one}.parquet" for one in sets}
    arms = application.arms(settings, 0)
    assert application.compare_with is None or application.compare_with in arms
    for arm, given in arms.items():
        recipe = recipe_of(given, files, tmp_path / arm, suite=tmp_path / "suite.yaml", seed=0)
        used = [source.path for stage in recipe.resolved_stages() for source in stage.data]
        assert all(Path(path).suffix == ".parquet" for path in used)
    assert all(parse_entry(entry) for entry in application.suite(settings))


@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_demo_ends_with_a_number_for_every_claim(name, tmp_path, capsys):
    output = tmp_path / "app"
    assert run(["app", name, "--demo", *tiny(name), "--seeds", "2", "-o", str(output), "--json"]) == 0
    payload = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert set(payload) == set(JSON_KEYS["app"]) - {"applications"}
    assert payload["seeds"] == [0, 1]
    assert all(claim["value"] is not None and claim["low"] <= claim["high"] for claim in payload["claims"])
    page = Path(payload["report"]).read_text()
    record = read(output)
    assert page.index("Claims") < page.index(record.claims[0].sentence.split("'")[0]) < page.index("Arms")
    assert all((output / one / "report.html").exists() for one in record.evaluations)
    trained = {path: path.stat().st_mtime_ns for path in output.rglob("model.safetensors")}
    assert len(trained) == 2 * len(record.arms) * 1
    assert run(["app", name, "--demo", *tiny(name), "--seeds", "3", "-o", str(output)]) == 0
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    again = read(output)
    assert (again.seeds, len(again.evaluations)) == ([0, 1, 2], 3)
    assert again.arms != record.arms


@pytest.mark.timeout(900)
def test_a_killed_demo_started_again_ends_with_the_same_claims(tmp_path):
    """Ten kills at random moments, each in a folder and a cache of its own, against one run that nobody stopped."""
    rng = random.Random(7)

    def start(folder: Path) -> subprocess.Popen:
        cache = folder.parent / f"{folder.name}-cache"
        environment = os.environ | {"TROPISM_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tropism", "app", "quickstart", "--demo", *tiny("quickstart")]
        command += ["-o", str(folder)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def finish(folder: Path) -> ApplicationRun:
        with start(folder) as process:
            _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return read(folder)

    started = time.monotonic()
    whole = finish(tmp_path / "whole")
    seconds = time.monotonic() - started
    killed, finished = 0, set()
    folder = tmp_path / "killed"
    for number in range(10):
        if number == 5:  # five kills in a row in one folder, then five more in another
            assert finish(folder).claims == whole.claims
            folder = tmp_path / "killed-again"
        with start(folder) as process:
            if number % 5 == 4:  # the last kill of a folder comes after a finished stage, however slow the machine is
                while process.poll() is None and not any(folder.rglob("stage.json")):
                    time.sleep(0.05)
            else:
                time.sleep(rng.uniform(0.25, 0.95) * seconds)
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
        finished.update(path.parent for path in folder.rglob("stage.json"))
    again = finish(folder)
    assert killed >= 5
    assert finished
    assert again.claims == whole.claims
    assert again.arms == whole.arms
    left = [path for path in folder.rglob("*") if path.name.endswith(".tmp") or path.name in (".tropism.lock",)]
    assert left == []


def test_without_a_name_all_applications_are_listed(capsys):
    assert run(["app"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for application in APPLICATIONS.values():
        assert application.name in shown
        assert application.paper.split()[0] in shown
    assert run(["app", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.strip().splitlines()[-1])["applications"]
    assert [row["name"] for row in rows] == list(APPLICATIONS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["unheard"], "unknown application 'unheard'; available: quickstart"),
        (["quickstart"], "there is nothing to work on. Give --demo, or --model and --data."),
        (["quickstart", "--model", "m"], "the setting 'model' of quickstart is not valid"),
        (["quickstart", "--demo", "--model", "m"], "--demo has no effect beside --model and --data."),
        (["quickstart", "--demo", "--set", "post=3"], "the setting 'post' of quickstart is not valid"),
        (["quickstart", "--demo", "--set", "posts=0"], "the setting 'posts' of quickstart is not valid"),
        (["math:pi", "--demo"], "must be an Application, got float"),
    ],
)
def test_a_wrong_option_is_one_line(arguments, message, capsys):
    assert run(["app", *arguments]) == 2
    assert message in capsys.readouterr().err


MINE = """
from tropism.applications import Application, ApplicationSettings, Claim, GroupSet, change_of, value_of
from tropism.testing import pairs

class Settings(ApplicationSettings):
    model: str | None = None
    data: str | None = None
    steps: int = 2

def groups(settings, seed):
    return {"pairs": GroupSet(pairs([f"question {i} of {seed}" for i in range(24)]))}

def arms(settings, seed):
    def arm(rate):
        return {
            "model": "TINY", "loss": "dpo", "alarms": False,
            "data": {"train": "pairs", "holdout": 0.3, "max_tokens": 64, "min_response_tokens": 4},
            "train": {"max_steps": settings.steps, "learning_rate": rate, "use_cpu": True, "seed": seed},
        }
    return {"still": arm(1e-9), "tuned": arm(1e-2)}

APP = Application(
    name="mine", paper="none", summary="Sides with pairs.", settings=Settings, groups=groups, arms=arms,
    suite=lambda settings: ["preference"], compare_with="still",
    claims=[
        Claim("ordered", "Most pairs are ordered.", value_of("tuned", "preference.pair_accuracy"), 0.5),
        Claim("never", "This one does not hold.", value_of("tuned", "preference.pair_accuracy"), 1.0),
        Claim("moved", "Tuning moves the accuracy.", change_of("tuned", "preference.pair_accuracy"), -1.5),
    ],
)
"""


def test_an_application_of_two_arms_from_a_file_is_compared_with_its_control(tmp_path, capsys):
    tiny_policy().save(tmp_path / "tiny")
    (tmp_path / "mine.py").write_text(MINE.replace("TINY", str(tmp_path / "tiny")))
    name, output = f"{tmp_path}/mine.py:APP", tmp_path / "out"
    assert run(["app", name, "--demo", "--seeds", "2", "-o", str(output), "--json"]) == 0
    payload = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert {"still", "tuned"} <= set(payload["arms"])
    assert payload["arms"]["tuned"]["preference.pair_accuracy"]["n"] > 0
    assert [claim["holds"] for claim in payload["claims"]][1:] == [False, True]
    assert "does not hold" in Path(payload["report"]).read_text()
    assert run(["app", name, "--demo", "--set", "steps=3", "-o", str(output)]) == 2
    assert "holds an application with other settings (settings)" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="cannot be loaded"):
        find_application(f"{tmp_path}/mine.py:OTHER")


def test_one_seed_keeps_its_own_interval():
    assert over_seeds([at(0.6, 0.5, 0.7)]) == at(0.6, 0.5, 0.7)


def test_seeds_that_agree_narrow_the_interval_by_the_root_of_their_number():
    found = over_seeds([at(0.6, 0.5, 0.7)] * 4)
    assert (found.value, found.n) == (pytest.approx(0.6), 40)
    assert (found.low, found.high) == (pytest.approx(0.55), pytest.approx(0.65))


def test_seeds_that_differ_widen_the_interval_by_hand():
    # values 0.5, 0.6, 0.7: variance 0.01; no variance within, so t = 0.01, SE = 0.1 / sqrt 3, 2 degrees: 4.302653
    found = over_seeds([at(value, value, value) for value in (0.5, 0.6, 0.7)])
    assert found.high - found.value == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-6)
    # within 0.004 each: t = 0.006, degrees 2 * (0.01 / 0.006)^2 = 5.5556, t-quantile 2.4953
    half = 1.959963984540054 * 0.004**0.5
    mixed = over_seeds([at(value, value - half, value + half) for value in (0.5, 0.6, 0.7)])
    assert mixed.high - mixed.value == pytest.approx(2.4953 * (0.01 / 3) ** 0.5, rel=1e-3)


def test_intervals_of_shares_stay_within_0_and_1():
    estimates = [at(0.9, 0.85, 0.95), at(1.0, 0.95, 1.0)]
    assert over_seeds(estimates, is_share=True).high == 1.0
    assert over_seeds(estimates).high > 1.0


@pytest.mark.parametrize(
    ("low", "high", "direction", "holds"),
    [(0.51, 0.6, "above", True), (0.5, 0.6, "above", False), (0.4, 0.49, "below", True), (0.4, 0.6, "below", False)],
)
def test_a_claim_holds_if_the_whole_interval_is_on_its_side(low, high, direction, holds):
    metrics = ArmMetrics({"a": [{"x.y": at((low + high) / 2, low, high)}]}, {"a": [{}]})
    result = result_of(Claim("c", "It works.", value_of("a", "x.y"), 0.5, direction), metrics)
    assert result.holds is holds
    assert result.says == ("holds" if holds else "does not hold")


def test_a_claim_about_what_was_not_measured_does_not_hold():
    result = result_of(Claim("c", "It works.", change_of("a", "x.y"), 0.5), ArmMetrics({}, {}))
    assert (result.holds, result.estimate, result.says) == (False, None, "not measured")
