"""The text policy against a plain implementation of DPO, on random and on real weights."""

import pytest
import torch
import torch.nn.functional as F

from tropism.data.formats import Source, load
from tropism.errors import ModelError
from tropism.layout import forest, padded
from tropism.layout.tries import count_distinct
from tropism.losses import make_mixture
from tropism.policies.text import TextPolicy
from tropism.references.cached import CachedReference
from tropism.testing import pairs, tiny_llama, tiny_policy


def plain_dpo(model, reference, pairs_of_ids, beta=0.1):
    """DPO in twenty lines: one sequence at a time, no padding, the whole vocabulary, eq. 7 of arXiv:2305.18290."""

    def sequence_logp(network, prompt, response):
        ids = torch.tensor([[*prompt, *response]])
        logits = network(input_ids=ids).logits[0, :-1]
        logp = F.log_softmax(logits, dim=-1).gather(1, ids[0, 1:, None])[:, 0]
        return logp[len(prompt) - 1 :].double().sum()

    losses = []
    for prompt, winner, loser in pairs_of_ids:
        policy = [sequence_logp(model, prompt, response) for response in (winner, loser)]
        with torch.no_grad():
            base = [sequence_logp(reference, prompt, response) for response in (winner, loser)]
        margin = (policy[0] - base[0]) - (policy[1] - base[1])
        losses.append(-F.logsigmoid(beta * margin))
    return torch.stack(losses).mean()


def tropism_dpo(policy: TextPolicy, reference: CachedReference, groups, beta=0.1):
    """The same number through layout, policy, reference and loss."""
    losses = make_mixture({"dpo": {"beta": beta}})
    total, weight = torch.zeros(()), 0.0
    for batch in policy.collate(groups, tokens_per_batch=4096):
        terms = losses.terms(policy.score(policy.model, reference.attach(batch, policy.model)), batch.feedback)["dpo"]
        total, weight = total + terms.weighted_sum(), weight + terms.weight.sum()
    return total / weight


def check_against_plain(policy: TextPolicy, reference_model, groups):
    policy.model.eval()
    reference = CachedReference(TextPolicy(reference_model, policy.tokenizer, policy.renderer))
    reference.prepare(groups)
    ids = [(g.prompts[0], g.responses[e.winner].ids, g.responses[e.loser].ids) for g in groups for e in g.edges]
    expected = plain_dpo(policy.model, reference_model.eval(), ids)
    wanted = torch.autograd.grad(expected, list(policy.model.parameters()))
    value = tropism_dpo(policy, reference, groups)
    given = torch.autograd.grad(value, list(policy.model.parameters()))
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    for mine, theirs in zip(given, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5 * max(1.0, theirs.abs().max().item()))


def test_dpo_equals_a_plain_implementation_on_random_weights():
    policy = tiny_policy(tiny_llama(seed=1))
    groups, _ = policy.prepare(pairs(["one", "twenty-two", "three words here", "4"]))
    check_against_plain(policy, tiny_llama(seed=2), groups)


def test_dpo_equals_a_plain_implementation_on_real_weights(real_data):
    path = real_data / "models" / "stories260K"
    policy, start = (TextPolicy.from_pretrained(path, max_tokens=256, min_response_tokens=8) for _ in range(2))
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    loaded = load([Source(str(real_data / "data" / "hh_harmless.jsonl"))])
    groups, _ = policy.prepare(loaded.groups[:8])
    assert len(groups) >= 4
    check_against_plain(policy, start.model, groups)


def test_the_head_meets_only_the_scored_positions():
    policy = tiny_policy()
    groups, _ = policy.prepare(pairs(["a long prompt that the head need not see", "b"]))
    (batch,) = policy.collate(groups, tokens_per_batch=4096)
    seen = []
    policy.model.get_output_embeddings().register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    policy.token_logp(policy.model, batch)
    num_scored = sum(count_distinct([response.ids for response in group.responses]) for group in groups)
    assert seen == [(1, 0, 261), (num_scored, 261)]
    assert batch.input_ids.numel() > seen[0][1]


def test_one_row_at_a_time_equals_a_padded_batch():
    policy = tiny_policy(layout="padded")
    groups, _ = policy.prepare(pairs(["one", "a much longer prompt than the other", "mid size"]))
    together = policy.score(policy.model, padded.collate(groups)).policy
    alone = torch.cat([policy.score(policy.model, padded.collate([group])).policy for group in groups])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("layout", ["forest", "padded"])
def test_a_response_without_a_prompt_loses_its_first_token_only(layout):
    policy = tiny_policy(layout=layout)
    groups, _ = policy.prepare(pairs([""]))
    (batch,) = policy.collate(groups, tokens_per_batch=4096)
    assert batch.length.tolist() == [len(response.ids) - 1 for response in groups[0].responses]


def test_dropout_is_switched_off():
    model = tiny_llama()
    model.model.layers[0].self_attn.attention_dropout = 0.5
    policy = tiny_policy(model)
    groups, _ = policy.prepare(pairs(["abc"]))
    model.train()
    first, second = (policy.score(model, forest.collate(groups)).policy for _ in range(2))
    assert torch.equal(first, second)


def test_a_saved_policy_loads_elsewhere_with_the_same_scores(tmp_path):
    from transformers import AutoModelForCausalLM

    policy = tiny_policy()
    policy.save(tmp_path / "model")
    groups, _ = policy.prepare(pairs(["abc"]))
    batch = forest.collate(groups)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert torch.equal(policy.token_logp(policy.model, batch), tiny_policy(model).token_logp(model, batch))
    assert not list(tmp_path.glob("**/*.bin"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_fingerprint_follows_weights_and_nothing_else():
    assert tiny_policy(tiny_llama(seed=1)).fingerprint() == tiny_policy(tiny_llama(seed=1)).fingerprint()
    assert tiny_policy(tiny_llama(seed=1)).fingerprint() != tiny_policy(tiny_llama(seed=2)).fingerprint()


def test_sampling_is_reproducible_for_a_seed_and_leaves_the_global_state_alone():
    policy = tiny_policy()
    before = torch.random.get_rng_state()
    answers = [policy.generate(["ab", "c"], temperature=1.0, max_new_tokens=12, seed=s) for s in (0, 0, 1)]
    assert answers[0] == answers[1] != answers[2]
    assert torch.equal(before, torch.random.get_rng_state())


def load_with(path, **changes):
    return TextPolicy.from_pretrained(path, **({"min_response_tokens": 4} | changes))


def test_loading_says_what_is_missing(tmp_path):
    policy = tiny_policy()
    with pytest.raises(ModelError, match=r"the model folder .*nowhere does not exist\. Check the path\."):
        load_with(tmp_path / "nowhere")
    policy.model.save_pretrained(tmp_path / "bare")
    with pytest.raises(ModelError, match=r"has no tokenizer \(none of tokenizer.json.*Save the tokenizer into it"):
        load_with(tmp_path / "bare")
    policy.tokenizer.save_pretrained(tmp_path / "hollow")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_with(tmp_path / "hollow")


def test_weights_in_a_pickle_are_refused(tmp_path):
    policy = tiny_policy()
    policy.save(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    torch.save(policy.model.state_dict(), tmp_path / "model" / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ModelError, match="must be a causal language model in safetensors"):
        load_with(tmp_path / "model")


def test_a_context_shorter_than_asked_for_is_an_error(tmp_path):
    tiny_policy().save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"`max_tokens` must be at most 256, the context of .*, got 999"):
        load_with(tmp_path / "model", max_tokens=999)
    assert load_with(tmp_path / "model").renderer.rules.max_tokens == 256


def test_a_tokenizer_larger_than_the_model_is_an_error(tmp_path):
    policy = tiny_policy(tiny_llama(vocab_size=100))
    policy.save(tmp_path / "model")
    with pytest.raises(ModelError, match="has 261 tokens, its model only 100 embeddings"):
        load_with(tmp_path / "model")


def test_dropout_written_as_a_number_is_switched_off_too():
    from transformers import OPTConfig, OPTForCausalLM

    torch.manual_seed(0)
    model = OPTForCausalLM(
        OPTConfig(
            vocab_size=261, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4, dropout=0.5,
            word_embed_proj_dim=32, max_position_embeddings=256, pad_token_id=0, bos_token_id=2, eos_token_id=1,
        )
    )  # fmt: skip
    policy = tiny_policy(model)
    groups, _ = policy.prepare(pairs(["abc"]))
    model.train()
    first, second = (policy.score(model, forest.collate(groups)).policy for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("with_adapter", [False, True])
def test_samples_come_from_the_model_and_not_from_its_folders_settings(with_adapter):
    from tropism.policies.loading import add_lora

    model = tiny_llama()
    if with_adapter:
        model = add_lora(model, {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"})
    policy = tiny_policy(model)
    prompts = [policy.renderer.prompt_ids(text) for text in ("aaaa", "b")]
    settings = {"temperature": 1.0, "max_new_tokens": 20, "seed": 0}
    plain = policy.sample(prompts, **settings)
    base = model.get_base_model() if with_adapter else model
    base.generation_config.repetition_penalty = 9.0
    assert policy.sample(prompts, **settings) == plain
    assert base.generation_config.repetition_penalty == 9.0


def test_generation_stops_where_the_model_says_a_turn_ends(tmp_path):
    policy = tiny_policy()
    policy.model.generation_config.eos_token_id = [1, 7]
    policy.save(tmp_path / "model")
    loaded = load_with(tmp_path / "model")
    assert loaded.renderer.stops == {1, 7}
    with torch.no_grad():
        loaded.model.lm_head.weight.zero_()
        loaded.model.lm_head.weight[7] = 0.0
    rows = loaded.sample([(10, 11 + k) for k in range(40)], temperature=1.0, max_new_tokens=400 // 2, seed=0)
    answers = [answer for (answer,) in rows]
    assert any(answer[-1] == 7 for answer in answers)
    assert all(7 not in answer[:-1] for answer in answers)


def test_a_fresh_adapter_scores_as_the_model_below_and_any_seed_finds_its_scores():
    from tropism.policies.loading import add_lora

    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"}
    prints = []
    for seed in (0, 1):
        model = tiny_llama()
        torch.manual_seed(seed)
        prints.append(tiny_policy(add_lora(model, lora)).fingerprint())
    assert prints[0] == prints[1]


def test_an_adapter_in_a_pickle_is_refused(tmp_path):
    from tropism.policies.loading import add_lora

    tiny_policy().save(tmp_path / "base")
    loaded = load_with(tmp_path / "base", lora={"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"})
    loaded.save(tmp_path / "adapter")
    assert add_lora(load_with(tmp_path / "adapter").model, {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "x"})
    with pytest.raises(ValueError, match=r"the model has an adapter with .* but `lora` is"):
        load_with(tmp_path / "adapter", lora={"r": 8, "alpha": 8, "dropout": 0.0, "targets": "all-linear"})
    (tmp_path / "adapter" / "adapter_model.safetensors").rename(tmp_path / "adapter" / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"it has no adapter_model\.safetensors"):
        load_with(tmp_path / "adapter")
