"""Several answers to a prompt: the shared way equals the plain one, and an answer depends on its prompt alone."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, MistralConfig, MistralForCausalLM

from tropism.policies import decoding
from tropism.policies.decoding import Sampling, can_share, draw, sample_plain, sample_shared
from tropism.testing import tiny_llama, tiny_policy

PROMPTS = ["a", "hello there", "what is this thing and what is it for", "b"]


def small(kind):
    torch.manual_seed(0)
    if kind == "gpt2":
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=261, n_embd=32, n_layer=2, n_head=4, n_positions=128, initializer_range=0.2, bos_token_id=1,
                eos_token_id=1,
            )
        )  # fmt: skip
    if kind == "sliding":
        return MistralForCausalLM(
            MistralConfig(
                vocab_size=261, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, sliding_window=8, initializer_range=0.2, max_position_embeddings=128,
                bos_token_id=1, eos_token_id=1,
            )
        )  # fmt: skip
    return tiny_llama()


def sampling(policy, **changes):
    settings = {"num_answers": 3, "temperature": 1.0, "max_new_tokens": 25, "context": 256, "seed": 0}
    return Sampling(**settings | changes, stops=policy.renderer.stops, pad=policy.renderer.eos)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "sliding"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_shared_way_equals_the_plain_way(kind, temperature):
    policy = tiny_policy(small(kind), layout="padded")
    policy.model.eval()
    prompts = [policy.renderer.prompt_ids(prompt) for prompt in PROMPTS]
    assert can_share(policy.model)
    with torch.no_grad():
        shared = sample_shared(policy.model, prompts, sampling(policy, temperature=temperature))
        plain = sample_plain(policy.model, prompts, sampling(policy, temperature=temperature))
    assert shared == plain
    assert [len(row) for row in shared] == [3] * 4


def test_the_prompt_is_computed_once_for_all_of_its_answers(monkeypatch):
    policy = tiny_policy()
    tokens = []
    forward = policy.model.forward
    monkeypatch.setattr(
        policy.model, "forward", lambda **inputs: tokens.append(inputs["input_ids"]) or forward(**inputs)
    )
    monkeypatch.setattr(decoding, "takes", lambda model, name: True)
    policy.sample([tuple(range(5, 45))], num_answers=8, temperature=1.0, max_new_tokens=4, seed=0)
    assert tokens[0].shape == (1, 40)
    assert all(ids.shape[0] <= 8 and ids.shape[1] == 1 for ids in tokens[1:])


def test_an_answer_depends_on_its_prompt_and_number_alone():
    policy = tiny_policy()
    rows = [policy.renderer.prompt_ids(prompt) for prompt in PROMPTS]
    settings = {"num_answers": 2, "temperature": 1.0, "max_new_tokens": 20, "seed": 5}
    together = policy.sample(rows, **settings)
    assert together == [policy.sample([row], **settings)[0] for row in rows]
    assert together == policy.sample(rows, **settings, rows_at_once=2)
    more = policy.sample(rows, **settings | {"num_answers": 3})
    assert [row[:2] for row in more] == together
    longer = policy.sample(rows, **settings | {"max_new_tokens": 30})
    assert [[one[:20] for one in row] for row in longer] == together
    assert policy.sample(rows, **settings | {"seed": 6}) != together


def test_answers_end_at_a_stop_token_or_where_the_context_ends():
    policy = tiny_policy()
    rows = policy.sample([tuple(range(5, 250))], num_answers=2, temperature=1.0, max_new_tokens=50, seed=0)
    assert all(len(answer) <= 11 for answer in rows[0])
    stops = policy.renderer.stops
    many = policy.sample([(5, 6)], num_answers=40, temperature=1.0, max_new_tokens=40, seed=0)[0]
    assert any(answer[-1] in stops and len(answer) < 40 for answer in many)
    assert all(token not in stops for answer in many for token in answer[:-1])


def test_draws_follow_the_distribution():
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.3]])).expand(3000, 3)
    chances = torch.rand(3000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(draw(logits, chances), minlength=3) / 3000
    assert torch.allclose(counts, torch.tensor([0.2, 0.5, 0.3]), atol=0.03)
    assert draw(torch.tensor([[0.0, -torch.inf]]), torch.tensor([1.0 - 2**-53], dtype=torch.float64)).item() == 0


def test_sampling_leaves_the_model_and_the_random_state_as_they_were():
    policy = tiny_policy()
    policy.model.train()
    before = torch.random.get_rng_state()
    policy.sample([(5, 6)], num_answers=1, temperature=1.0, max_new_tokens=3, seed=0)
    assert policy.model.training
    assert torch.equal(before, torch.random.get_rng_state())
