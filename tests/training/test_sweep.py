"""Sweeps: ordinary runs on one reference cache, gone on with where they stopped, failures told and left behind."""

import json
from pathlib import Path

import pytest
import yaml

from tropism.cli import run as run_command
from tropism.cli.json_keys import JSON_KEYS
from tropism.data.group_store import write_pairs
from tropism.errors import ConfigError, Interrupted, OutputError
from tropism.records import read_run
from tropism.testing import pairs, tiny_policy
from tropism.training.recipe.recipe_file import load_recipe
from tropism.training.runs import sweep as sweeping
from tropism.training.runs.run import run_recipe
from tropism.training.runs.sweep import grid, parse_axis, read_sweep, run_sweep

BETAS = "loss.dpo.beta=0.05,0.5"


@pytest.fixture
def recipe(tmp_path) -> Path:
    """Two steps of DPO on twenty-four pairs."""
    write_pairs(pairs([f"question {i}" for i in range(24)]), tmp_path / "pairs.jsonl")
    tiny_policy().save(tmp_path / "model")
    settings = {
        "model": str(tmp_path / "model"),
        "data": {"train": str(tmp_path / "pairs.jsonl"), "holdout": 0.3, "max_tokens": 64, "min_response_tokens": 4},
        "loss": "dpo",
        "train": {"max_steps": 2, "learning_rate": 1e-3, "use_cpu": True, "save_strategy": "no"},
        "evaluation": {"prompts": 0},
        "alarms": {"probe": {"prompts": 2, "groups": 4, "contents": 0, "max_new_tokens": 4, "every": 1}},
        "output": str(tmp_path / "unused"),
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def swept(recipe, *axes, **changes):
    output = recipe.parent / "sweep"
    return run_sweep(
        recipe, [parse_axis(axis) for axis in axes], output=output, command="tropism sweep", say=print, **changes
    )


def test_values_hold_commas_inside_brackets_and_quotes():
    assert parse_axis("loss=dpo,{dpo: {beta: 0.1}, nll: {}},ipo").values == (
        "dpo",
        "{dpo: {beta: 0.1}, nll: {}}",
        "ipo",
    )
    assert parse_axis("lora.targets=[q_proj, v_proj],all-linear").values == ("[q_proj, v_proj]", "all-linear")
    assert parse_axis("data.train='a,b.jsonl',c").values == ("'a,b.jsonl'", "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beta", "must look like key=value,value"),
        ("loss.dpo.beta=", "must look like key=value,value"),
        ("loss.dpo.beta=0.1,,0.2", "must look like key=value,value"),
        ("output=a,b", r"sets `output` of every run itself"),
        ("loss=dpo,dpo", "loss names a value twice"),
    ],
)
def test_a_wrong_axis_is_an_error(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_axis(text)


def test_a_grid_is_the_product_with_names_that_differ_and_are_safe():
    points = list(grid([parse_axis("loss=dpo,ipo"), parse_axis("train.learning_rate=1e-4,1e-5")]))
    assert [point.overrides for point in points] == [
        ("loss=dpo", "train.learning_rate=1e-4"), ("loss=dpo", "train.learning_rate=1e-5"),
        ("loss=ipo", "train.learning_rate=1e-4"), ("loss=ipo", "train.learning_rate=1e-5"),
    ]  # fmt: skip
    assert points[0].name == "loss-dpo_learning_rate-1e-4"
    odd = [point.name for point in grid([parse_axis("a.beta=0.1"), parse_axis("b.beta={x: ../..},{x: ..-..}")])]
    assert len(set(odd)) == 2
    assert all("/" not in name and not name.startswith(".") and "a.beta-0.1_b.beta" in name for name in odd)


def test_runs_share_one_cache_and_equal_those_of_train(recipe, tmp_path):
    found = swept(recipe, BETAS)
    first, second = found.runs
    assert [run.name for run in found.runs] == ["beta-0.05", "beta-0.5"]
    assert first.reference_tokens_scored > 0
    assert second.reference_tokens_scored == 0
    assert second.settings == {"loss.dpo.beta": 0.5}
    assert second.metrics["preference.pair_accuracy"].n > 0
    alone = run_recipe(load_recipe(recipe, ["loss.dpo.beta=0.5"]), command="test")
    mine = read_run(tmp_path / "sweep" / "beta-0.5" / "run.json")
    assert mine.stages[0].last_loss == alone.stages[0].last_loss
    assert mine.stages[0].probes == alone.stages[0].probes
    assert [probe.step for probe in mine.stages[0].probes] == [0, 1, 2]
    assert read_sweep(tmp_path / "sweep" / "sweep.json") == found


def test_whole_losses_are_swept_with_their_settings(recipe):
    found = swept(recipe, "loss=dpo,{ipo: {tau: 0.2}}")
    assert [run.error for run in found.runs] == [None, None]
    assert found.runs[1].settings == {"loss": {"ipo": {"tau": 0.2}}}
    assert found.runs[1].reference_tokens_scored == 0


def test_a_sweep_goes_on_where_it_stopped_and_runs_nothing_twice(recipe, tmp_path, monkeypatch):
    began = []

    def stops(recipe, **given):
        began.append(Path(recipe.output).name)
        if len(began) == 2:
            raise Interrupted("Interrupted after step 1.", remedy="x")
        return run_recipe(recipe, **given)

    monkeypatch.setattr(sweeping, "run_recipe", stops)
    with pytest.raises(Interrupted, match=r"Interrupted after step 1\. Go on with: tropism sweep"):
        swept(recipe, BETAS)
    assert [run.name for run in read_sweep(tmp_path / "sweep" / "sweep.json").runs] == ["beta-0.05"]
    found = swept(recipe, "loss.dpo.beta=0.05,0.5,0.1")
    assert began == ["beta-0.05", "beta-0.5", "beta-0.5", "beta-0.1"]
    assert [run.name for run in found.runs] == ["beta-0.05", "beta-0.5", "beta-0.1"]


def test_a_failed_run_is_reported_and_the_others_go_on(recipe, tmp_path, capsys):
    output = str(tmp_path / "sweep")
    status = run_command(["sweep", str(recipe), "data.max_tokens=9999,64", "-o", output, "--json"])
    captured = capsys.readouterr()
    result = json.loads(captured.out.strip().splitlines()[-1])
    assert status == 2
    assert result.keys() == JSON_KEYS["sweep"].keys()
    assert result["failed"] == 1
    failed, fine = result["runs"]
    assert "9999" in failed["error"]
    assert fine["error"] is None
    assert (tmp_path / "sweep" / fine["folder"] / "report.html").exists()
    assert "Traceback" not in captured.err


def test_a_wrong_value_is_found_before_anything_is_trained(recipe, tmp_path):
    with pytest.raises(ConfigError, match=r"unknown key 'train\.learning_rat'"):
        swept(recipe, "train.learning_rat=1e-3,1e-4")
    assert not (tmp_path / "sweep").exists()


def test_a_folder_of_something_else_is_refused(recipe, tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty and holds no sweep"):
        swept(recipe, BETAS)
    (tmp_path / "sweep" / "thesis.txt").unlink()
    swept(recipe, "loss.dpo.beta=0.05")
    other = yaml.safe_load(recipe.read_text())
    other["train"]["max_steps"] = 3
    recipe.write_text(yaml.safe_dump(other))
    with pytest.raises(ConfigError, match=r"holds a sweep with other settings \(train\)"):
        swept(recipe, "loss.dpo.beta=0.05")
