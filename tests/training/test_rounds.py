"""On-policy rounds: each round samples from the model before it, is judged, trains, and can be gone on with."""

import json
from pathlib import Path

import pytest
import yaml

from tropism.cli import run as run_command
from tropism.cli.json_keys import JSON_KEYS
from tropism.data.group_store import read_groups_file, write_pairs
from tropism.errors import ConfigError, Interrupted, OutputError
from tropism.records import read_run
from tropism.testing import pairs, tiny_policy
from tropism.training.recipe.recipe_file import load_recipe
from tropism.training.runs import rounds as rounding
from tropism.training.runs.rounds import check_rounds, read_rounds, round_recipe, run_rounds
from tropism.training.runs.run import run_recipe


@pytest.fixture
def recipe(tmp_path) -> Path:
    """Rounds of two steps, for a judge that likes early letters."""
    write_pairs(pairs([f"question {i}" for i in range(16)]), tmp_path / "pairs.jsonl")
    tiny_policy().save(tmp_path / "model")
    (tmp_path / "rule.py").write_text("def early(prompt, answer):\n    return -sum(map(ord, answer)) / len(answer)\n")
    settings = {
        "model": str(tmp_path / "model"),
        "data": {"train": str(tmp_path / "pairs.jsonl"), "holdout": 0.3, "max_tokens": 64, "min_response_tokens": 4},
        "loss": {"dpo": {"beta": 0.1}},
        "train": {"max_steps": 2, "learning_rate": 1e-3, "use_cpu": True, "save_strategy": "no"},
        "evaluation": {"prompts": 3, "max_new_tokens": 8, "judge": f"{tmp_path}/rule.py:early"},
        "alarms": False,
        "rounds": {"count": 2, "answers": 3, "max_new_tokens": 8},
        "output": str(tmp_path / "out"),
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_each_round_trains_on_answers_of_the_model_before_it(recipe, tmp_path, capsys):
    status = run_command(["train", str(recipe), "--rounds", "2", "--json"])
    assert status == 0
    result = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert result.keys() == JSON_KEYS["train"].keys()
    found = read_rounds(tmp_path / "out" / "rounds.json")
    first, second = found.rounds
    assert [one["number"] for one in result["rounds"]] == [1, 2]
    assert first.start_model == str(tmp_path / "model")
    assert second.start_model == first.model
    run = read_run(tmp_path / "out" / "round-2" / "run" / "run.json")
    assert run.stages[0].start_model == first.model
    assert run.evaluation is not None
    assert run.evaluation.base == "round-1"
    assert second.against_first is not None
    assert (second.against_first.base, second.against_first.others) == (tmp_path.name, ["round-2"])
    assert second.against_first["win_rate.rate"].n > 0
    groups = list(read_groups_file(tmp_path / "out" / "round-2" / "groups.parquet"))
    trained = {group.prompts for group in groups}
    held_out = {group.prompts for group in read_groups_file(tmp_path / "out" / "held_out.parquet")}
    assert len(trained) + len(held_out) == 16
    assert not trained & held_out
    assert all(group.responses[edge.winner].score > group.responses[edge.loser].score
               for group in groups for edge in group.edges)  # fmt: skip
    other = list(read_groups_file(tmp_path / "out" / "round-1" / "groups.parquet"))
    assert [group.responses for group in other] != [group.responses for group in groups]
    assert "judge" in second.card.rule
    assert (tmp_path / "out" / "round-2" / "run" / "report.html").exists()


def test_rounds_go_on_where_they_stopped_and_more_can_be_added(recipe, tmp_path, monkeypatch):
    began = []

    def stops(recipe, **given):
        began.append(Path(recipe.output).parent.name)
        if len(began) == 2:
            raise Interrupted("Interrupted after step 1.", remedy="x")
        return run_recipe(recipe, **given)

    monkeypatch.setattr(rounding, "run_recipe", stops)
    with pytest.raises(Interrupted, match=r"Go on with: tropism train r\.yaml --resume"):
        run_rounds(load_recipe(recipe), command="tropism train r.yaml")
    sampled = (tmp_path / "out" / "round-2" / "groups.parquet").read_bytes()
    with pytest.raises(OutputError, match=r"holds rounds\. Give another `output`, or use `resume`"):
        run_rounds(load_recipe(recipe), command="test")
    found = run_rounds(load_recipe(recipe, ["rounds.count=3"]), command="test", resume=True)
    assert began == ["round-1", "round-2", "round-2", "round-3"]
    assert len(found.rounds) == 3
    assert (tmp_path / "out" / "round-2" / "groups.parquet").read_bytes() == sampled
    with pytest.raises(ConfigError, match=r"holds rounds with other settings \(loss\)"):
        run_rounds(load_recipe(recipe, ["loss.dpo.beta=0.2"]), command="test", resume=True)


def test_the_reference_is_the_rounds_start_or_the_first_model(recipe, tmp_path):
    own = load_recipe(recipe)
    first = load_recipe(recipe, ["rounds.reference=first"])
    kinds = [
        [round_recipe(one, one.rounds, number=number, model="m").reference.kind for number in (1, 2)]
        for one in (own, first)
    ]
    assert kinds == [["cached", "cached"], ["cached", "frozen"]]
    assert round_recipe(first, first.rounds, number=2, model="m").reference.model == str(tmp_path / "model")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["evaluation.judge=null"], r"rounds need a judge.*Set evaluation\.judge"),
        (["stages=[{name: a}]"], r"rounds repeat one stage, and the recipe has 1 under `stages`"),
        (["loss=simpo", "rounds.reference=first"], r"rounds\.reference has no effect: simpo reads no reference"),
        (["data.holdout=0"], r"evaluation\.judge has no effect"),
        (["rounds.answers=1"], r"'rounds\.answers' is 1"),
        (["rounds.temprature=1"], r"unknown key 'rounds\.temprature'\. Did you mean 'temperature'"),
    ],
)
def test_rounds_that_make_no_sense_are_refused_before_they_cost_time(recipe, tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        run_rounds(load_recipe(recipe, overrides), command="test")
    assert not (tmp_path / "out").exists()


def test_the_recipe_that_is_shipped_holds_together(real_data, monkeypatch):
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    monkeypatch.setenv("TROPISM_TEST_DATA", str(real_data))
    shipped = load_recipe(root / "recipes" / "on-policy.yaml")
    assert check_rounds(shipped).count == 2
    assert round_recipe(shipped, shipped.rounds, number=1, model="m").alarms.decides
