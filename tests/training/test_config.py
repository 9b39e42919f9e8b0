"""The recipe: every wrong key names the nearest right one."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from tropism.errors import ConfigError
from tropism.training.recipe.arguments import TRAIN_DEFAULTS
from tropism.training.recipe.recipe_faults import REFUSED
from tropism.training.recipe.recipe_file import load_recipe, read_yaml
from tropism.training.recipe.sections import Recipe
from tropism.training.recipe.training_fields import TRAINING_FIELDS

MINIMAL = {"model": "m", "data": {"train": "groups.parquet"}, "output": "runs/a"}


def written(tmp_path, **changes):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, **changes}))
    return path


def test_a_minimal_recipe_is_one_stage_of_dpo(tmp_path):
    recipe = load_recipe(written(tmp_path))
    (stage,) = recipe.resolved_stages()
    assert (stage.name, stage.loss, stage.reference.kind) == ("dpo", {"dpo": {}}, "cached")
    assert recipe.data.train[0].path == "groups.parquet"


def test_overrides_reach_into_any_section(tmp_path):
    overrides = ["loss.dpo.beta=0.05", "train.learning_rate=1.0e-4", "data.holdout=0.2", "lora.r=8", "output=runs/b"]
    recipe = load_recipe(written(tmp_path, loss="dpo"), overrides)
    assert recipe.loss == {"dpo": {"beta": 0.05}}
    assert recipe.train == {"learning_rate": 1e-4}
    assert (recipe.data.holdout, recipe.lora.r, recipe.output) == (0.2, 8, "runs/b")


def test_stages_inherit_what_they_leave_out(tmp_path):
    stages = [{"name": "sft", "loss": "nll", "train": {"max_steps": 3}}, {"name": "dpo"}]
    recipe = load_recipe(written(tmp_path, stages=stages, train={"learning_rate": 1e-4, "max_steps": 9}))
    first, second = recipe.resolved_stages()
    assert first.train == {"learning_rate": 1e-4, "max_steps": 3}
    assert (second.loss, second.train["max_steps"]) == ({"dpo": {}}, 9)


def test_several_sources_with_fractions(tmp_path):
    recipe = load_recipe(written(tmp_path, data={"train": ["a.jsonl", {"path": "b.csv", "fraction": 0.5}]}))
    assert [(source.path, source.fraction) for source in recipe.data.train] == [("a.jsonl", 1.0), ("b.csv", 0.5)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lss": "dpo"}, "the recipe has an unknown key 'lss'. Did you mean 'loss'?"),
        ({"data": {"train": "a", "holdot": 1}}, "unknown key 'data.holdot'. Did you mean 'holdout'?"),
        ({"lora": {"rank": 8}}, "unknown key 'lora.rank'."),
        ({"train": {"learning_rat": 1}}, "unknown key 'train.learning_rat'. Did you mean 'learning_rate'?"),
        ({"train": {"output_dir": "x"}}, "train.output_dir is set by `output`. Set `output` instead."),
        ({"model": None}, "the recipe's 'model' is None"),
        ({"data": {}}, "the recipe lacks 'data.train'. Add `data.train: ...`."),
        ({"reference": "froze"}, "unknown reference 'froze'; available: cached, adapter, frozen, moving, none."),
        ({"reference": "frozen"}, "reference 'frozen': model: field required. Available besides kind: model."),
        ({"reference": {"kind": "cached", "every": 3}}, "reference 'cached': every: extra inputs are not permitted"),
        ({"reference": {"kind": "cached", "model": "a"}}, "reference 'cached': model: extra inputs are not permitted"),
        (
            {"reference": {"kind": "moving", "alpha": 2}},
            "reference 'moving': alpha: input should be less than or equal",
        ),
        ({"policy": "vison"}, "unknown policy 'vison'; available: text, reward."),
        ({"policy": {"kind": "text", "size": 3}}, "policy 'text': size: extra inputs are not permitted"),
        ({"stages": [{"name": "a"}, {"name": "a"}]}, "two stages have one name"),
        ({"stages": [{"name": "../a"}]}, "the recipe's 'stages.0.name' is '../a'"),
    ],
)
def test_a_wrong_recipe_says_what_and_where(tmp_path, changes, message):
    with pytest.raises(ConfigError) as error:
        load_recipe(written(tmp_path, **changes))
    assert message in str(error.value)


def test_broken_files_and_overrides_are_plain_errors(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_recipe(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(ConfigError, match="holds no keys"):
        load_recipe(tmp_path / "list.yaml")
    with pytest.raises(ConfigError, match="must look like key=value, got 'beta'"):
        load_recipe(written(tmp_path), ["beta"])
    with pytest.raises(ConfigError, match=r"'model\.a' cannot be set"):
        load_recipe(written(tmp_path), ["model.a=1"])


@pytest.mark.parametrize(
    ("written_as", "number"), [("1e-4", 1e-4), ("5E+2", 500.0), ("2.5e-5", 2.5e-5), ("-1e3", -1e3)]
)
def test_a_number_in_scientific_notation_is_a_number(tmp_path, written_as, number):
    recipe = load_recipe(written(tmp_path), [f"train.learning_rate={written_as}"])
    assert recipe.train["learning_rate"] == number


def test_a_path_may_name_environment_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("MODELS", "/models")
    assert load_recipe(written(tmp_path, model="${MODELS}/tiny")).model == "/models/tiny"
    with pytest.raises(ConfigError, match="the environment variable NO_SUCH is not set"):
        load_recipe(written(tmp_path, output="$NO_SUCH/run"))


def test_a_later_stage_may_not_switch_its_adapter_off(tmp_path):
    stages = [{"name": "sft", "loss": "nll"}, {"name": "dpo", "reference": "adapter"}]
    with pytest.raises(ConfigError, match=r"switching the adapter off .* is not its start state"):
        load_recipe(written(tmp_path, stages=stages, lora={"r": 4}))


def test_a_setting_that_no_stage_uses_is_an_error(tmp_path):
    stages = [{"name": "sft", "loss": "nll"}, {"name": "dpo", "loss": "dpo"}]
    with pytest.raises(ConfigError, match=r"'loss' has no effect.* Set stages.dpo.loss instead"):
        load_recipe(written(tmp_path, stages=stages), ["loss.dpo.beta=0.05"])
    with pytest.raises(ConfigError, match=r"data.holdout has no effect beside data.eval"):
        load_recipe(written(tmp_path, data={"train": "a", "eval": "b", "holdout": 0.2}))


def test_an_override_reaches_a_stage_by_its_name(tmp_path):
    stages = [{"name": "sft", "loss": "nll"}, {"name": "dpo", "loss": "dpo"}]
    recipe = load_recipe(written(tmp_path, stages=stages), ["stages.dpo.loss.dpo.beta=0.05", "stages.sft.data=x.jsonl"])
    first, second = recipe.resolved_stages()
    assert second.loss == {"dpo": {"beta": 0.05}}
    assert (first.data[0].path, second.data[0].path) == ("x.jsonl", "groups.parquet")


def test_all_mistakes_are_listed_in_one_error(tmp_path):
    wrong = {
        "lss": "dpo",
        "lora": {"rank": 8},
        "train": {"learning_rat": 1, "output_dir": "x"},
        "data": {"train": "a", "holdout": 2},
        "alarms": {"kll": 3},
    }
    with pytest.raises(ConfigError) as error:
        load_recipe(written(tmp_path, **wrong))
    message = str(error.value)
    assert "the recipe has 6 mistakes: (1) " in message
    for fault in ("'lss'", "'lora.rank'", "'train.learning_rat'", "train.output_dir", "'data.holdout'", "'kll'"):
        assert fault in message
    assert "unknown alarm 'kll'. Did you mean 'kl'?" in message


@pytest.mark.parametrize(
    ("name", "way"),
    [("dpo+nll", "{dpo: {}, nll: {}}"), ("dpo, nll", "{dpo: {}, nll: {}}"), ("DPO Loss", "write dpo")],
)
def test_a_loss_that_is_not_a_name_says_how_to_write_it(tmp_path, name, way):
    with pytest.raises(ConfigError) as error:
        load_recipe(written(tmp_path, loss=name))
    assert way in str(error.value)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("train", "package"),
    [
        ({"report_to": "neptune"}, "neptune"),
        ({"optim": "adamw_8bit"}, "bitsandbytes"),
        ({"deepspeed": "x.json"}, "deepspeed"),
    ],
)
def test_a_missing_package_is_named_before_anything_is_loaded(tmp_path, monkeypatch, train, package):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=f"requires the package {package}, which is not installed"):
        load_recipe(written(tmp_path, train=train))


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"base_model": "m", "datasets": [], "sequence_len": 8}, "an Axolotl configuration"),
        ({"model_name_or_path": "m", "stage": "dpo", "dataset": "d"}, "a LLaMA-Factory configuration"),
        ({"model_name_or_path": "m", "dataset_name": "d"}, "arguments of a TRL script"),
    ],
)
def test_configurations_of_other_trainers_are_recognised(tmp_path, settings, what):
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigError, match=f"looks like {what}"):
        load_recipe(path)


def test_a_key_that_is_given_twice_is_refused_with_its_lines(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("model: a\nloss: dpo\nmodel: b\n")
    with pytest.raises(ConfigError, match="the key 'model' is given twice, in lines 1 and 3"):
        load_recipe(path)


def test_training_fields_are_those_of_the_installed_transformers():
    from transformers import TrainingArguments

    assert {field.name for field in dataclasses.fields(TrainingArguments) if field.init} == set(TRAINING_FIELDS)
    assert set(REFUSED) <= set(TRAINING_FIELDS)


def test_a_misspelt_key_is_refused_without_importing_torch(tmp_path):
    path = written(tmp_path, lss="dpo")
    code = (
        "import sys; from tropism.cli import run; status = run(['train', sys.argv[1]]);"
        "assert status == 2; assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "unknown key 'lss'" in done.stderr


def test_the_documented_defaults_are_those_of_the_code():
    page = (Path(__file__).parents[2] / "docs" / "recipe.md").read_text(encoding="utf-8")
    started = re.search(r"Tropism sets (.*?)\. Everything else", page, re.DOTALL)
    assert started
    written_down = dict(re.findall(r"`(\w+): ([^`]+)`", started[1]))
    assert {key: read_yaml(value) for key, value in written_down.items()} == TRAIN_DEFAULTS
    rows = re.findall(r"^\| `([\w.]+)` \| [^|]* \| ([^|]*) \|", page, re.MULTILINE)
    checked = 0
    for key, shown in rows:
        section = Recipe
        *parents, last = key.split(".")
        for parent in parents:
            (section,) = [
                one
                for one in (section.model_fields[parent].annotation, *get_args(section.model_fields[parent].annotation))
                if isinstance(one, type) and issubclass(one, BaseModel)
            ] or [None]
            if section is None:
                break
        if section is None or last not in section.model_fields:
            continue
        default = section.model_fields[last].default
        if isinstance(default, (int, float, str)) and not isinstance(default, bool):
            assert read_yaml(shown.strip().strip("`")) == default, key
            checked += 1
    assert checked >= 15
    refused = page.split("## What is refused under `train`")[1].split("##")[0]
    assert set(re.findall(r"`(\w+)`", refused)) - {"TrainingArguments", "train"} == set(REFUSED)
