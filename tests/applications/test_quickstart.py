"""The quickstart in small: the same road with few posts and steps; the full one is `make quickstart`."""

import json
import subprocess
import sys

import pytest

from tropism.applications.quickstart import road
from tropism.cli import run
from tropism.cli.json_keys import JSON_KEYS
from tropism.data.group_store import read_groups_file
from tropism.training.recipe.recipe_file import parse_recipe


@pytest.fixture
def small(monkeypatch):
    """Few steps and prompts."""
    whole = road.quickstart_recipe

    def few(folder, *, seed):
        settings = whole(folder, seed=seed).model_dump(mode="json", exclude_unset=True)
        for stage in settings["stages"]:
            stage["train"]["max_steps"] = 2
        settings["evaluation"] |= {"prompts": 4, "max_new_tokens": 20}
        return parse_recipe(settings)

    monkeypatch.setattr(road, "quickstart_recipe", few)
    monkeypatch.setattr(road, "NUM_HELD_OUT_POSTS", 20)


@pytest.mark.usefixtures("small")
def test_the_whole_road_in_small(tmp_path, capsys):
    assert run(["quickstart", "-o", str(tmp_path / "qs"), "--posts", "60", "--json"]) == 0
    payload = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert set(payload) == set(JSON_KEYS["quickstart"])
    assert payload["steps"] == 4
    assert {"win_rate", "on_topic_before", "parsed_after", "pair_accuracy", "kl"} <= set(payload["metrics"])
    train = {group.prompts[0] for group in read_groups_file(tmp_path / "qs" / "votes.parquet")}
    held_out = {group.prompts[0] for group in read_groups_file(tmp_path / "qs" / "held_out.parquet")}
    assert not train & held_out


def test_a_folder_with_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert run(["quickstart", "-o", str(tmp_path)]) != 0
    assert "holds something else than a quickstart. Give another --output." in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_threads_are_chosen_among_those_there_are():
    script = (
        "import torch; from tropism.applications.quickstart.road import best_thread_count;"
        "n = torch.get_num_threads(); assert 1 <= best_thread_count() <= n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
