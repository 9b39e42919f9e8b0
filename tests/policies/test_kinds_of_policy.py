"""Kinds of policy and of reference: what a stage asks and its policy cannot do is refused before anything is loaded."""

import json

import pytest

from tropism.errors import ConfigError, ModelError
from tropism.policies.registry import POLICIES, policy_kind, register_policy
from tropism.policies.reward import RewardPolicy
from tropism.policies.text import TextPolicy
from tropism.references.reference import NoReference
from tropism.references.reference_kinds import REFERENCES, register_reference
from tropism.testing import tiny_policy
from tropism.training.recipe.recipe_file import parse_recipe
from tropism.training.runs.opened import check_policies, policy_of


def recipe_of(**changes):
    return parse_recipe({"model": "m", "data": {"train": "a.jsonl"}, "output": "o", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": {"kind": "frozen", "model": "/nowhere"}}, r"reference 'frozen' needs logp, but policy 'reward'"),
        ({"reference": "cached"}, r"reference 'cached' needs logp"),
        ({"reference": "moving"}, r"reference 'moving' needs logp"),
        ({"reference": "adapter"}, r"reference 'adapter' needs logp"),
        ({"alarms": {"kl": 3.0}}, r"`alarms` needs generate, logp, states, but policy 'reward'"),
        ({"evaluation": {"judge": "words.py:score"}}, r"`evaluation.judge` needs generate, but policy 'reward'"),
        ({"lora": {"r": 4}}, r"policy 'reward' of stage 'bradley_terry' takes no adapter"),
        ({"policy": "text"}, r"loss 'bradley_terry' needs rewards, but policy 'text'"),
        ({"policy": "reward", "loss": "dpo"}, r"loss 'dpo' needs logp, but policy 'reward'"),
        ({"loss": {"bradley_terry": {}, "nll": {}}}, r"loss 'nll' needs logp, but policy 'reward'"),
    ],
)
def test_what_a_reward_model_cannot_do_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_policies(recipe_of(**{"loss": "bradley_terry", **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"loss": "simpo", "reference": "cached"},
            r"reference 'cached' of stage 'simpo' has no effect: simpo reads no",
        ),
        ({"loss": "nll", "alarms": {"kl": 3.0}}, r"`alarms` has no effect: stage 'nll' imitates"),
        (
            {"stages": [{"name": "a", "loss": "nll", "reference": "moving"}, {"name": "b", "loss": "dpo"}]},
            r"reference 'moving' of stage 'a' has no effect",
        ),
    ],
)
def test_what_is_set_and_has_no_effect_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_policies(recipe_of(**changes))


def test_a_reference_and_alarms_of_all_stages_serve_those_that_need_them():
    stages = [{"name": "a", "loss": "nll"}, {"name": "b", "loss": "dpo"}]
    check_policies(recipe_of(stages=stages, reference="moving", alarms={"kl": 3.0}))
    check_policies(recipe_of(loss="simpo", reference="none"))


@pytest.mark.parametrize("changes", [{}, {"policy": "reward"}, {"alarms": False}, {"reference": "none"}])
def test_a_loss_over_rewards_implies_a_reward_model(changes):
    recipe = recipe_of(loss="bradley_terry", **changes)
    check_policies(recipe)
    assert policy_of(recipe.resolved_stages()[0]).kind == "reward"


def test_a_language_model_is_not_trained_from_the_reward_model_of_the_stage_before():
    stages = [{"name": "rm", "loss": "bradley_terry"}, {"name": "dpo", "loss": "dpo"}]
    with pytest.raises(ConfigError, match="stage 'dpo' starts from the reward model of the stage before it"):
        check_policies(recipe_of(stages=stages))
    check_policies(recipe_of(stages=[{"name": "sft", "loss": "nll"}, stages[0]]))


def test_a_reward_model_is_not_opened_as_a_language_model(tmp_path):
    tiny_policy().save(tmp_path / "base")
    RewardPolicy.from_pretrained(tmp_path / "base").save(tmp_path / "reward")
    with pytest.raises(ModelError, match="is a reward model \\(LlamaForSequenceClassification\\)"):
        TextPolicy.from_pretrained(tmp_path / "reward")


def test_kinds_are_added_by_name_or_by_a_class_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tropism.policies.registry.POLICIES", dict(POLICIES))
    monkeypatch.setattr("tropism.references.reference_kinds.REFERENCES", dict(REFERENCES))
    register_policy("mine", TextPolicy)
    register_reference("mine", NoReference)
    assert recipe_of(policy="mine", reference="mine").policy.kind == "mine"
    with pytest.raises(ConfigError, match=r"`name` must be an identifier that is not taken, got 'text'"):
        register_policy("text", TextPolicy)
    file = tmp_path / "mine.py"
    file.write_text("from tropism.policies.text import TextPolicy\nclass Mine(TextPolicy): ...\nclass Other: ...\n")
    assert policy_kind(f"{file}:Mine").capabilities == TextPolicy.capabilities
    with pytest.raises(ConfigError, match="must be a class derived from Policy"):
        recipe_of(policy=f"{file}:Other")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        recipe_of(policy=f"{file}:None")


def test_kinds_survive_a_written_recipe():
    recipe = recipe_of(policy="text", reference={"kind": "moving", "every": 3})
    written = json.loads(json.dumps(recipe.model_dump(mode="json", exclude_unset=True)))
    assert parse_recipe(written) == recipe
    assert written["reference"] == {"kind": "moving", "every": 3}


def test_a_class_may_be_a_reference(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from tropism.references.reference import NoReference\nclass Mine(NoReference): ...\n")
    assert recipe_of(reference=f"{file}:Mine").reference.kind == f"{file}:Mine"
