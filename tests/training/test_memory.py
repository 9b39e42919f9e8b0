"""The memory plan: measured on the model, leaves it as it was, and chooses by what is free."""

import pytest
import torch

from tropism.errors import ConfigError
from tropism.testing import pairs, tiny_llama, tiny_policy
from tropism.training.loop import memory
from tropism.training.loop.memory import describe, plan_memory

PROMPTS = [f"question {i} {'x' * (5 * i % 31)}" for i in range(40)]


def planned(policy=None, *, tokens_per_batch=None, recompute=None, **settings):
    policy = policy or tiny_policy()
    groups, _ = policy.prepare(pairs(PROMPTS))
    return plan_memory(
        policy, groups, groups_per_step=32, tokens_per_batch=tokens_per_batch, recompute=recompute, **settings
    )


def test_planning_leaves_weights_gradients_and_random_state_alone():
    policy = tiny_policy()
    weights = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    random = torch.random.get_rng_state()
    plan = planned(policy)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in policy.model.state_dict().items())
    assert all(parameter.grad is None for parameter in policy.model.parameters())
    assert torch.equal(random, torch.random.get_rng_state())
    assert not policy.model.is_activation_checkpointing
    assert plan.kb_per_token > 0


def test_a_roomy_machine_keeps_activations_in_micro_batches_that_are_fast():
    plan = planned()
    assert not plan.gradient_checkpointing
    assert plan.tokens_per_batch == 1024
    assert plan.peak_mb > plan.weights_mb + plan.optimizer_mb
    assert "micro-batches of up to 1,024 tokens, activations kept" in describe(plan)


def test_measured_bytes_per_token_are_those_of_the_largest_tensors():
    # the loss of 261 logits alone keeps 261 * 4 bytes a scored token; two layers of 32 + 2 * 64 numbers some more
    plan = planned()
    assert 1.0 < plan.kb_per_token < 60.0


def test_recomputed_activations_take_less():
    wide = tiny_llama(hidden_size=128)
    kept, thrifty = (planned(tiny_policy(wide), recompute=recompute) for recompute in (False, True))
    assert thrifty.kb_per_token < 0.7 * kept.kb_per_token


def test_a_machine_short_of_memory_recomputes_and_cuts_smaller(monkeypatch):
    wide = tiny_policy(tiny_llama(hidden_size=128))
    kept, thrifty = (planned(wide, recompute=recompute) for recompute in (False, True))
    scarce = (thrifty.optimizer_mb + thrifty.fixed_mb + 0.3 * thrifty.kb_per_token) * memory.MB / memory.SHARE_TO_USE
    monkeypatch.setattr(memory, "free_bytes", lambda device: scarce)
    plan = planned(wide)
    assert plan.gradient_checkpointing
    assert plan.largest_group_tokens <= plan.tokens_per_batch < 400
    assert plan.kb_per_token < kept.kb_per_token


def test_where_nothing_fits_the_plan_says_what_is_needed(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0.3 * memory.MB)
    with pytest.raises(ConfigError, match=r"group p\d+ has \d+ tokens and would need about .* 0 MB are free\. Lower"):
        planned()
    assert planned(tokens_per_batch=500).tokens_per_batch == 500


def test_an_adapter_keeps_no_optimizer_state_for_the_weights_below():
    from tropism.policies.loading import add_lora

    lora = {"r": 4, "alpha": 8, "dropout": 0.1, "targets": "all-linear"}
    assert planned(tiny_policy(add_lora(tiny_llama(), lora))).optimizer_mb < planned().optimizer_mb
