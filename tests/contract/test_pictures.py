"""A policy kind from a file, with real extra inputs: layouts, recipe, command line, evaluation and saving."""

import json
from pathlib import Path

import pytest
import torch

from tests.contract.picture_policy import PicturePolicy, PictureSettings
from tropism.cli import run
from tropism.data.group_store import write_groups
from tropism.groups import Edge, PreferenceGroup, Response
from tropism.layout import forest, padded
from tropism.policies.base import ModelSettings
from tropism.references.cached import CachedReference
from tropism.testing import tiny_policy

KIND = f"{Path(__file__).parent / 'picture_policy.py'}:PicturePolicy"


def pictured(name, prompt, pixels, *answers) -> PreferenceGroup:
    responses = tuple(Response(str(i), answer) for i, answer in enumerate(answers))
    return PreferenceGroup(name, (prompt,), responses, (Edge(0, 1),), extra={"pixels": pixels})


LIGHT, DARK = [1.0, 0.9, 1.0, 0.8], [0.0, 0.1, 0.0, 0.2]
GROUPS = [
    pictured("light", "What is it?", LIGHT, " light", " dark"),
    pictured("dark", "What is it?", DARK, " dark", " light"),
    pictured("again", "What is it?", LIGHT, " light!", " dark"),
    pictured("other", "Where?", LIGHT, " here", " there"),
]


@pytest.fixture
def base(tmp_path):
    tiny_policy().save(tmp_path / "base")
    return tmp_path / "base"


def opened(path, layout="forest", size=4) -> PicturePolicy:
    return PicturePolicy.open(
        str(path), ModelSettings(layout=layout, min_response_tokens=1), PictureSettings(size=size)
    )


def scores(policy, groups) -> dict[bytes, float]:
    found = {}
    for batch in policy.collate(groups, tokens_per_batch=4096):
        found |= dict(zip(batch.keys, policy.score(policy.model, batch.to("cpu")).policy.tolist(), strict=True))
    return found


def test_one_prompt_with_two_pictures_is_two_prompts_to_tries_and_cache(base):
    policy = opened(base)
    groups, _ = policy.prepare(GROUPS)
    assert len({group.response_key(group.responses[1]) for group in groups[:2]}) == 2
    batch = forest.collate(groups, positions=policy.positions)
    assert batch.inputs["pixels"].shape == (3, 4)  # the first and the third group have prompt and picture in common
    assert padded.collate(groups).inputs["pixels"].shape == (8, 4)
    assert forest.num_distinct_tokens([groups[0], groups[2]]) < sum(map(policy.num_tokens, (groups[0], groups[2])))
    reference = CachedReference(policy)
    reference.prepare(groups)
    assert len(reference.known) == 7  # the first and the third group have one response in common


def test_forest_equals_padded_with_pictures_and_positions_that_are_not_depths(base):
    ours, plain = opened(base), opened(base, "padded")
    groups, _ = ours.prepare(GROUPS)
    found = scores(ours, groups)
    assert found == pytest.approx(scores(plain, groups), rel=1e-5)
    keys = [group.response_key(group.responses[0]) for group in groups]
    swapped, _ = ours.prepare([pictured("light", "What is it?", DARK, " light", " dark")])
    assert found[keys[0]] != pytest.approx(scores(ours, swapped)[swapped[0].response_key(swapped[0].responses[0])])
    places = forest.collate(groups, positions=ours.positions).position_ids[0]
    assert sorted(places.tolist())[:6] == [0] * 6  # three pictures of two tokens each


def test_a_group_without_a_picture_is_a_counted_drop(base):
    groups, account = opened(base, size=3).prepare(GROUPS)
    assert groups == []
    assert account.dropped == {"a picture must have 3 pixels": 4}


def test_a_policy_in_a_file_goes_through_recipe_training_evaluation_and_saving(base, tmp_path, capsys):
    groups = [
        pictured(f"g{i}", f"Picture {i}?", LIGHT if i % 2 else DARK, *((" light", " dark")[:: 1 if i % 2 else -1]))
        for i in range(40)
    ]
    write_groups(groups, tmp_path / "groups.parquet")
    (tmp_path / "recipe.yaml").write_text(
        f"model: {base}\n"
        f"policy: {{kind: '{KIND}', size: 4}}\n"
        f"data: {{train: {tmp_path}/groups.parquet, holdout: 0.3, min_response_tokens: 1}}\n"
        "loss: {dpo: {beta: 0.5}}\n"
        "evaluation: {prompts: 2, max_new_tokens: 4}\n"
        "alarms: {probe: {prompts: 2, groups: 4, contents: 0, max_new_tokens: 4}}\n"
        "train: {max_steps: 25, learning_rate: 1.0e-2, per_device_train_batch_size: 8, use_cpu: true}\n"
        f"output: {tmp_path}/run\n"
    )
    assert run(["train", str(tmp_path / "recipe.yaml"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert (tmp_path / "run" / "report.html").exists()
    trained, start = opened(found["model"]), opened(base)
    assert not torch.equal(trained.model.eye.weight, start.model.eye.weight)
    held, _ = trained.prepare(groups)
    before, after = scores(start, held), scores(trained, held)
    right = [
        after[w] - before[w] > after[x] - before[x]
        for w, x in ([group.response_key(response) for response in group.responses] for group in held)
    ]
    assert sum(right) / len(right) > 0.9  # only the picture tells which answer is right
    (tmp_path / "suite.yaml").write_text("evals: [preference]\n")
    status = run(["eval", f"{tmp_path}/run", "--suite", f"{tmp_path}/suite.yaml", "-o", f"{tmp_path}/eval", "--json"])
    assert status == 0, capsys.readouterr().err
    measured = json.loads((tmp_path / "eval" / "eval.json").read_text())
    assert any(one["metrics"].get("pair_accuracy", {"value": 0})["value"] > 0.9 for one in measured["results"])
