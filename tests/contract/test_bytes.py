"""A policy kind that shares nothing with transformers is trained by a recipe and measured by the suites."""

import itertools
import json
from pathlib import Path

import pytest
import torch

from tests.contract.byte_policy import BytePolicy
from tests.contract.toys import ToyPolicy
from tropism.cli import run
from tropism.data.group_store import write_groups
from tropism.errors import ConfigError
from tropism.evals.core.subject import policy_subject
from tropism.policies.generating import generator_of
from tropism.testing import pair

KIND = f"{Path(__file__).parent / 'byte_policy.py'}:BytePolicy"
GROUPS = [pair(f"g{i}", f"Question {i}?", "aaaa", "bbbb") for i in range(40)]


def table(seed=0) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randn(256, 256)


def test_a_subject_of_any_kind_scores_answers_and_has_the_policys_capabilities():
    policy = BytePolicy(table())
    subject = policy_subject("bytes", policy)
    assert subject.capabilities == {"logp", "generate"}
    ((winner, loser),) = subject.logp(GROUPS[:1])
    logp = table().log_softmax(1)
    path = [ord("?"), ord("a"), ord("a"), ord("a"), ord("a"), 0]
    by_hand = sum(float(logp[one, two]) for one, two in itertools.pairwise(path))
    assert winner.nats == pytest.approx(by_hand, abs=1e-4)
    assert (winner.tokens, loser.tokens) == (5, 5)
    rows = subject.drawn(GROUPS[:2], temperature=1.0, max_new_tokens=6, seed=1)
    assert [row[0].ids for row in rows] == [
        row[0] for row in policy.sample([b"Question 0?", b"Question 1?"], temperature=1.0, max_new_tokens=6, seed=1)
    ]
    with pytest.raises(ConfigError, match="bytes is not a reward model"):
        subject.rewards(GROUPS)


def test_a_prompt_without_room_is_cut_on_the_left():
    class Short(BytePolicy):
        context = 8

    policy = Short(table())
    assert bytes(policy.start_of("abcdefgh", max_new_tokens=2)) == b"cdefgh"
    assert bytes(policy.start_of("abcdefgh", max_new_tokens=100)) == b"efgh"
    assert not policy.leaves_room("abcdefgh", max_new_tokens=1)


def test_a_policy_that_says_it_generates_and_cannot_is_refused():
    class Mute(ToyPolicy):
        capabilities = frozenset({"generate"})

    with pytest.raises(ConfigError, match="Mute has the capability generate, so it must derive from GeneratingPolicy"):
        generator_of(Mute())


def test_a_kind_of_ones_own_goes_through_recipe_and_suites_and_what_it_cannot_do_is_said(tmp_path, capsys):
    BytePolicy(table()).save(tmp_path / "base")
    write_groups(GROUPS, tmp_path / "groups.parquet")
    (tmp_path / "recipe.yaml").write_text(
        f"model: {tmp_path}/base\n"
        f"policy: {{kind: '{KIND}'}}\n"
        f"data: {{train: {tmp_path}/groups.parquet, holdout: 0.3}}\n"
        "loss: {dpo: {beta: 0.5}}\n"
        "evaluation: {prompts: 3, max_new_tokens: 4}\n"
        "train: {max_steps: 10, learning_rate: 1.0e-1, per_device_train_batch_size: 8, use_cpu: true}\n"
        f"output: {tmp_path}/run\n"
    )
    assert run(["train", str(tmp_path / "recipe.yaml"), "--json"]) == 0, capsys.readouterr().err
    evals = "evals: [preference, displacement, drift, style, forgetting, reward_accuracy, refusal]\n"
    (tmp_path / "suite.yaml").write_text(evals)
    capsys.readouterr()
    status = run(["eval", f"{tmp_path}/run", "--suite", f"{tmp_path}/suite.yaml", "-o", f"{tmp_path}/eval", "--json"])
    told = capsys.readouterr()
    assert status == 0, told.err
    left_out = json.loads(told.out.strip().splitlines()[-1])["left_out"]
    measured = json.loads((tmp_path / "eval" / "eval.json").read_text())
    after = {one["eval"]: one["metrics"] for one in measured["results"]}
    assert after["preference"]["pair_accuracy"]["value"] == 1.0  # "aa" and "bb" are told apart by two entries
    assert after["drift"].keys() >= {"words", "ended"}
    assert set(left_out) == {"style", "forgetting", "reward_accuracy"}
    assert "gives no hidden states" in left_out["style"]
    assert "needs a causal language model of transformers, got BytePolicy" in left_out["forgetting"]
