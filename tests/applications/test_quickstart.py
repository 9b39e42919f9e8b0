"""The quickstart in small: the same command with few posts and steps; the whole one is `make quickstart`."""

import json
import subprocess
import sys

import pytest

from tropism.applications.quickstart import forum_application
from tropism.applications.quickstart.forum_application import QUICKSTART, QuickstartSettings
from tropism.cli import run
from tropism.cli.json_keys import JSON_KEYS
from tropism.data.group_store import read_groups_file

SMALL = {"held_out_posts": 20, "sft_steps": 2, "dpo_steps": 2, "prompts": 4}


@pytest.fixture
def small(monkeypatch):
    """Few steps and prompts, where the command sets only the number of posts."""
    whole = QuickstartSettings.model_validate
    monkeypatch.setattr(QuickstartSettings, "model_validate", classmethod(lambda cls, given: whole(SMALL | given)))


@pytest.mark.usefixtures("small")
def test_the_command_prints_figures_and_keeps_prompts_apart(tmp_path, capsys):
    folder = tmp_path / "qs"
    arguments = ["quickstart", "-o", str(folder), "--posts", "60", "--json"]
    assert run(arguments) == 0
    captured = capsys.readouterr()
    payload = json.loads(captured.out.strip().splitlines()[-1])
    assert set(payload) == set(JSON_KEYS["quickstart"])
    assert payload["steps"] == 4
    assert payload["win_rate"]["n"] == 4
    assert {"win_rate.rate", "forum.on_topic", "forum.parsed", "preference.pair_accuracy", "drift.kl"} <= set(
        payload["metrics"]
    )
    for words in ("taste, supervised model", "on topic, after DPO", "distinct word pairs, after DPO", "hold"):
        assert words in captured.err
    train = {group.prompts[0] for group in read_groups_file(folder / "seed-0" / "data" / "votes.parquet")}
    held_out = {group.prompts[0] for group in read_groups_file(folder / "seed-0" / "data" / "held_out.parquet")}
    assert not train & held_out
    assert run([*arguments[:-2], "61"]) == 2
    assert "holds an application with other settings (settings). Use the same settings" in capsys.readouterr().err
    assert run([*arguments[:-2], "61", "--overwrite"]) == 0


def test_a_folder_with_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert run(["quickstart", "-o", str(tmp_path)]) != 0
    assert "is not empty and holds no application. Give another --output." in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_better_half_of_comments_is_learned_from_without_comparisons():
    sets = QUICKSTART.groups(QuickstartSettings(posts=20, held_out_posts=10), 3)
    posts = forum_application.simulate_posts(20, seed=3, held_out=False)
    texts = {response.content for group in sets["better_half"].groups for response in group.responses}
    assert not any(group.edges for group in sets["better_half"].groups)
    for post in posts:
        ordered = sorted(post.comments, key=lambda comment: (-comment.score, comment.id))
        assert {one.text for one in ordered[: len(ordered) // 2]} <= texts
    assert sets["votes"].card.account.edges == sum(len(group.edges) for group in sets["votes"].groups)


def test_threads_are_chosen_among_those_there_are():
    script = (
        "import torch; from tropism.applications.threads import best_thread_count;"
        "n = torch.get_num_threads(); assert 1 <= best_thread_count() <= n == torch.get_num_threads()"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
