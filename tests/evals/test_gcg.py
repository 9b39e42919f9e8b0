"""The gradient attack: gradients against one-hot vectors, a loss that falls, and a budget equal to random search's."""

import contextlib

import pytest
import torch

from tropism.evals.core.items import Settings, Task
from tropism.evals.core.subject import policy_subject
from tropism.evals.security.gcg import (
    Around,
    gcg,
    plain_tokens,
    random_search,
    rows_of,
    stays_itself,
    swapped,
    target_loss,
    token_gradient,
)
from tropism.evals.security.injection_samples import Attacked, own_samples, payload_for
from tropism.evals.security.injection_search import SearchSettings, ids_around, searched_items
from tropism.testing import tiny_llama, tiny_policy

AROUND = Around(before=(10, 11, 12), after=(4,), target=(40, 41, 42))
START = (70, 71, 72, 73, 74, 75)


@contextlib.contextmanager
def silent(title, total):
    yield lambda count: None


def test_a_row_is_prompt_suffix_rest_and_target():
    assert rows_of(AROUND, torch.tensor([[1, 2], [3, 4]])).tolist() == [
        [10, 11, 12, 1, 2, 4, 40, 41, 42],
        [10, 11, 12, 3, 4, 4, 40, 41, 42],
    ]


@pytest.mark.parametrize("layout", ["forest", "padded"])
def test_the_loss_is_the_models_negative_log_probability_of_the_target(layout):
    policy = tiny_policy(layout=layout)
    row = torch.tensor([[*AROUND.before, *START, *AROUND.after, *AROUND.target]])
    with torch.no_grad():
        logp = policy.model(row).logits[0].log_softmax(dim=-1)
    slow = -sum(logp[row.shape[1] - 4 + k, token] for k, token in enumerate(AROUND.target))
    assert target_loss(policy, AROUND, torch.tensor([START, START])).tolist() == pytest.approx(
        [slow.item()] * 2, rel=1e-5
    )


def test_the_gradient_is_that_of_one_hot_vectors():
    policy = tiny_policy(tiny_llama().double())
    found = token_gradient(policy, AROUND, torch.tensor(START))
    table = policy.model.get_input_embeddings().weight
    row = torch.tensor([*AROUND.before, *START, *AROUND.after, *AROUND.target])
    one_hot = torch.nn.functional.one_hot(row, table.shape[0]).double().requires_grad_()
    logits = policy.model(inputs_embeds=(one_hot @ table)[None]).logits[0].float()
    ends = range(len(row) - 4, len(row) - 1)
    loss = -sum(logits[place].log_softmax(dim=-1)[row[place + 1]] for place in ends)
    (slow,) = torch.autograd.grad(loss, one_hot)
    assert torch.allclose(found, slow[3 : 3 + len(START)].float(), atol=1e-5)


def test_the_loss_falls_and_the_found_suffix_really_has_it():
    policy = tiny_policy()
    found = gcg(policy, AROUND, START, steps=12, candidates=32, top_k=16)
    assert found.losses[-1] < found.losses[0] - 3
    assert all(after <= before for before, after in zip(found.losses, found.losses[1:], strict=False))
    assert float(target_loss(policy, AROUND, torch.tensor([found.suffix]))[0]) == pytest.approx(
        found.losses[-1], abs=1e-4
    )
    assert len(found.suffix) == len(START)
    assert len(found.losses) == 13


def test_with_few_trials_the_gradient_gains_more_than_random_search_on_average():
    gains = []
    for seed in range(8):
        policy = tiny_policy(tiny_llama(seed=seed))
        by_gradient = gcg(policy, AROUND, START, steps=8, candidates=6, top_k=8, seed=seed)
        by_chance = random_search(policy, AROUND, START, steps=8, candidates=6, seed=seed)
        assert by_gradient.losses[0] == by_chance.losses[0]
        assert max(by_gradient.trials, by_chance.trials) <= 1 + 8 * 6
        gains.append(by_chance.losses[-1] - by_gradient.losses[-1])
    assert sum(gains) / len(gains) > 0.5  # nats; it was 0.87 when written, between -0.5 and 2.6 by model


def test_the_same_seed_finds_the_same_and_leaves_model_and_chance_alone():
    policy = tiny_policy()
    policy.model.train()
    before = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    chance = torch.random.get_rng_state()
    first = gcg(policy, AROUND, START, steps=2, candidates=8, top_k=8, seed=3)
    assert gcg(policy, AROUND, START, steps=2, candidates=8, top_k=8, seed=3) == first
    assert policy.model.training
    assert torch.equal(torch.random.get_rng_state(), chance)
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.model.state_dict().items())
    assert all(parameter.grad is None for parameter in policy.model.parameters())


def test_only_plain_text_that_is_read_as_it_was_written_is_tried():
    policy = tiny_policy()
    plain = plain_tokens(policy)
    assert not plain[:5].any()  # special tokens
    assert int(plain.sum()) == 95  # printable ASCII, a byte each
    assert len(plain) == policy.model.get_input_embeddings().num_embeddings
    assert stays_itself(policy, policy.tokenizer("abc").input_ids)
    half = policy.tokenizer("é").input_ids[:1]
    assert not stays_itself(policy, half)


def test_a_swap_changes_one_token():
    rows = swapped(torch.tensor([1, 2, 3]), torch.tensor([0, 2]), torch.tensor([9, 8]))
    assert rows.tolist() == [[9, 2, 3], [1, 2, 8]]


def test_the_searched_prompt_is_the_prompt_that_is_asked():
    policy = tiny_policy(max_tokens=256, template="chat")
    sample = own_samples()[0]
    one = Attacked(sample, payload_for(sample, instructions=(), own=None, near=None, seed=0), data="DATA",
                   channel="user", max_new_tokens=4)  # fmt: skip
    around = ids_around(policy, one)
    suffix = policy.tokenizer(" !!").input_ids
    assert (*around.before, *suffix, *around.after) == policy.renderer.prompt_ids(one.with_data(policy, "DATA !!"))
    assert policy.tokenizer.decode(around.target) == one.payload.target_word


def test_the_eval_attacks_by_gradient_with_random_search_beside_it():
    policy = tiny_policy(max_tokens=256, template="chat")
    subject = policy_subject("tiny", policy)
    attacked = [
        Attacked(sample, payload_for(sample, instructions=(), own=None, near=None, seed=0), data="Go.", channel="user",
                 max_new_tokens=4)
        for sample in own_samples(3)
    ]  # fmt: skip
    task = Task(subject, subject, (), (), None, Settings(), 0, silent)
    assert searched_items(task, SearchSettings(), attacked) == []
    items = searched_items(task, SearchSettings(samples=2, steps=3, candidates=8, top_k=8, suffix_tokens=4), attacked)
    assert len(items) == 2
    for item in items:
        assert item.values["gcg_lift"] >= 0
        assert item.values["random_search_lift"] >= 0
        assert item.detail["losses"][0] == item.detail["random_losses"][0]
        assert item.values["gcg_success"] in (0.0, 1.0)
