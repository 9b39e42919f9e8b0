"""The forest equals the padded layout in values and gradients, and computes every distinct token exactly once."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from tests.layout.architectures import SUPPORTED, build
from tropism.errors import DataError
from tropism.groups import Edge, PreferenceGroup, Response
from tropism.layout import attention, forest, segments
from tropism.policies.text import TextPolicy
from tropism.testing import byte_tokenizer, pairs, tiny_policy
from tropism.text.render import Renderer, RenderRules
from tropism.text.rendered import RenderedGroup, RenderedResponse

IDS = st.lists(st.integers(2, 6), max_size=6).map(tuple)
RESPONSES = st.lists(st.lists(st.integers(2, 6), min_size=1, max_size=8).map(tuple), min_size=2, max_size=5)
GROUPS = st.lists(st.tuples(IDS, RESPONSES), min_size=1, max_size=4)
AWKWARD = [
    ((9, 8, 7), ((2, 3), (2, 3, 4), (2,))),  # a response that is a prefix of another, and one of one token
    ((9, 8, 7), ((2, 3, 5), (6,))),  # the same prompt in another group
    ((9, 8), ((7, 2), (7, 2))),  # a prompt that is a prefix of another; two equal responses
    ((), ((2, 3, 4), (5,))),  # no prompt: the first token cannot be scored, of the second nothing is left
    ((40, 41), (tuple(range(50, 75)), tuple(range(75, 90)))),  # nothing shared with the others
]


def rendered(sketch) -> list[RenderedGroup]:
    groups = []
    for number, (prompt, responses) in enumerate(sketch):
        some = tuple(RenderedResponse(ids, (True,) * len(ids), 0, complete=True) for ids in responses)
        nouns = tuple(Response(str(i), "x") for i in range(len(some)))
        edge = (Edge(0, 1),)
        nothing = (None,) * len(some)
        group = PreferenceGroup(str(number), ("p",), nouns, edge)
        groups.append(RenderedGroup(group, (prompt,), some, edge, (), nothing, nothing))
    return groups


def policy_of(model, layout) -> TextPolicy:
    tokenizer = byte_tokenizer()
    return TextPolicy(model, tokenizer, Renderer(tokenizer, RenderRules(128, 4)), layout=layout)


def scores(policy, groups, *, tokens_per_batch=4096):
    """Scores by (group, response), with a gradient of a loss that weighs every response differently."""
    policy.model.zero_grad(set_to_none=True)
    found = {}
    for batch in policy.collate(groups, tokens_per_batch=tokens_per_batch):
        values = policy.score(policy.model, batch).policy
        factors = torch.tensor([1.0 + key[0] / 256 for key in batch.keys], dtype=values.dtype)
        (values * factors).sum().backward()
        for key, value in zip(batch.keys, values.tolist(), strict=True):
            found.setdefault(key, []).append(value)
    gradients = [p.grad for p in policy.model.parameters() if p.grad is not None]
    return found, torch.cat([gradient.flatten() for gradient in gradients])


def assert_equal(first, second, *, rel):
    assert first[0].keys() == second[0].keys()
    for key, values in first[0].items():
        assert values == pytest.approx(second[0][key], rel=rel, abs=rel)
    assert float((first[1] - second[1]).abs().max()) <= rel * float(second[1].abs().max())


@pytest.fixture(scope="module", autouse=True)
def _exact_attention():
    """For models whose own attention softmax is float32 whatever the dtype: the same, in float64."""

    def attend(module, query, key, value, mask, scaling=None, softcap=None, s_aux=None, **others):
        rows = [
            attention.plain_attention(
                query[i : i + 1], key[i : i + 1], value[i : i + 1], mask[i, 0], scale=scaling, softcap=softcap,
                sinks=s_aux,
            )
            for i in range(len(query))
        ]  # fmt: skip
        return torch.cat(rows).transpose(1, 2), None

    AttentionInterface.register("exact", attend)
    AttentionMaskInterface.register("exact", eager_mask)


@pytest.mark.parametrize("name", SUPPORTED)
def test_float32_equals_padded_on_every_architecture(name):
    groups = rendered(AWKWARD)
    theirs = scores(policy_of(build(SUPPORTED[name]), "padded"), groups)
    ours = scores(policy_of(build(SUPPORTED[name]), "forest"), groups)
    assert_equal(ours, theirs, rel=1e-4)


@pytest.mark.parametrize("name", SUPPORTED)
def test_float64_equals_padded_to_nine_digits_on_every_architecture(name, monkeypatch):
    stays = torch.Tensor.float  # some models go down to float32 by themselves (router, rotary embedding)
    monkeypatch.setattr(torch.Tensor, "float", lambda self: self if self.dtype == torch.float64 else stays(self))
    models = [build(SUPPORTED[name], dtype=torch.float64) for _ in range(2)]
    groups = [dataclasses.replace(group) for group in rendered(AWKWARD)]
    if name in ("gemma2", "gpt_oss"):  # no sdpa: their eager attention leaves float64
        models[0].set_attn_implementation("exact")
    theirs = scores(policy_of(models[0], "padded"), groups)
    assert_equal(scores(policy_of(models[1], "forest"), groups), theirs, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(GROUPS, st.sampled_from([0, 60, 4096]))
def test_random_groups_equal_padded_in_float64_by_every_plan(sketch, call_area):
    groups = rendered(sketch)
    make = SUPPORTED["mistral_window"]
    theirs = scores(policy_of(build(make, dtype=torch.float64), "padded"), groups)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "plan_calls", lambda *forest: segments.plan_calls(*forest, call_area=call_area))
        ours = scores(policy_of(build(make, dtype=torch.float64), "forest"), groups)
    assert_equal(ours, theirs, rel=1e-9)


def test_every_distinct_token_is_computed_once_and_by_the_forest(monkeypatch):
    policy, groups = tiny_policy(), rendered(AWKWARD)
    embedded, calls = [], []
    policy.model.get_input_embeddings().register_forward_hook(lambda m, i, output: embedded.append(output.shape[1]))
    before = attention.in_segments
    monkeypatch.setattr(attention, "in_segments", lambda *a, **k: calls.append(1) or before(*a, **k))
    (batch,) = policy.collate(groups, tokens_per_batch=4096)
    policy.score(policy.model, batch)
    beginnings = {
        sequence[:length]
        for group in groups
        for sequence in map(group.sequence, range(len(group.responses)))
        for length in range(1, len(sequence) + 1)
    }
    assert embedded == [len(beginnings)]
    assert batch.num_computed_tokens / batch.num_distinct_tokens == 1.0
    assert batch.num_distinct_tokens == len(beginnings)
    assert len(calls) == 2  # once in each of the two layers


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2"])
def test_recomputed_activations_give_the_same_gradient_through_the_forest(name):
    groups = rendered(AWKWARD)
    plain = policy_of(build(SUPPORTED[name]), "forest")
    thrifty = policy_of(build(SUPPORTED[name]), "forest")
    thrifty.model.activation_checkpointing_enable()
    thrifty.model.train()
    assert_equal(scores(thrifty, groups), scores(plain, groups), rel=1e-6)
    native = plain.model.config._attn_implementation
    assert thrifty.model.config._attn_implementation == attention.NAME
    thrifty.release()
    assert thrifty.model.config._attn_implementation == native


def test_packing_respects_the_budget_and_changes_no_score():
    groups = rendered(AWKWARD)
    policy = tiny_policy()
    whole, cut = (scores(policy, groups, tokens_per_batch=budget) for budget in (4096, 45))
    assert_equal(cut, whole, rel=1e-5)
    batches = policy.collate(groups, tokens_per_batch=45)
    assert len(batches) > 1
    assert all(batch.num_computed_tokens <= 45 for batch in batches)


def test_groups_of_one_prompt_are_packed_together():
    prompt = tuple(range(2, 30))
    groups = rendered([(prompt, ((5,), (6,))), (tuple(range(30, 58)), ((5,), (6,))), (prompt, ((7,), (8,)))])
    together = [[group.group.id for group in part] for part in forest.split(groups, tokens_per_batch=33)]
    assert sorted(map(sorted, together)) == [["0", "2"], ["1"]]


def test_a_group_larger_than_the_budget_is_cut_where_no_edge_is():
    responses = tuple((number,) * 10 for number in range(2, 8))
    (group,) = rendered([((1,) * 5, responses)])
    edges = (Edge(0, 1), Edge(2, 3), Edge(4, 5))
    cut = forest.split([dataclasses.replace(group, edges=edges)], tokens_per_batch=45)
    assert [[len(part.responses) for part in batch] for batch in cut] == [[4], [2]]
    assert sum(len(part.edges) for batch in cut for part in batch) == 3
    assert [len(batch) for batch in forest.split([group.without_feedback()], tokens_per_batch=15)] == [1] * 6


def test_a_group_that_cannot_be_cut_says_what_it_needs():
    responses = tuple((number,) * 10 for number in range(2, 5))
    (group,) = rendered([((1,) * 5, responses)])
    chain = dataclasses.replace(group, edges=(Edge(0, 1), Edge(1, 2)))
    with pytest.raises(DataError, match=r"group 0 needs 35 tokens .* is 20\. Set tokens_per_batch to 35 or more"):
        forest.split([chain], tokens_per_batch=20)
    ranked = dataclasses.replace(group, edges=(), ranks=(0, 1, 2))
    with pytest.raises(DataError, match="needs 35 tokens"):
        forest.split([ranked], tokens_per_batch=20)


def test_rows_are_padded_for_a_gpu_with_tokens_that_see_only_themselves():
    groups = rendered(AWKWARD)
    batch = forest.collate(groups, multiple_of=128)
    size = batch.num_distinct_tokens
    assert batch.num_computed_tokens == 128
    seen = batch.plan.allows(np.arange(size, 128), np.arange(128), None)
    assert seen.sum() == 128 - size
    policy = tiny_policy()
    padded_row = policy.score(policy.model, batch).policy
    torch.testing.assert_close(padded_row, policy.score(policy.model, forest.collate(groups)).policy)


def test_a_window_is_counted_in_depth():
    plan = forest.collate(rendered([((1, 2, 3), ((4, 5), (6, 7)))])).plan
    # nodes 1 2 3 4 5 6 7: the last token sees its parent through a window of 2, not its cousin beside it
    assert np.flatnonzero(plan.allows(np.array([6]), np.arange(7), 2)[0]).tolist() == [5, 6]
    assert np.flatnonzero(plan.allows(np.array([6]), np.arange(7), None)[0]).tolist() == [0, 1, 2, 5, 6]


def test_generation_is_not_touched_by_the_forest():
    ours, plain = tiny_policy(), tiny_policy(layout="padded")
    groups, _ = ours.renderer.render(pairs(["one", "two"]))
    scores(ours, groups)
    settings = {"temperature": 1.0, "max_new_tokens": 12, "seed": 0}
    assert ours.generate(["ab", "c"], **settings) == plain.generate(["ab", "c"], **settings)
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(ours.model(input_ids=ids).logits, plain.model(input_ids=ids).logits)


def test_the_saved_model_knows_nothing_of_the_forest(tmp_path):
    policy = tiny_policy()
    groups, _ = policy.prepare(pairs(["one"]))
    scores(policy, groups)
    policy.save(tmp_path / "model")
    assert attention.NAME not in (tmp_path / "model" / "config.json").read_text()
    assert policy.fingerprint() == tiny_policy(layout="padded").fingerprint()
