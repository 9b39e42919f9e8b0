"""The attention function: the GPU's block mask by the rule, what is honoured, and what is refused by name."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.layout.architectures import REFUSED, SUPPORTED, build
from tests.layout.test_forest import policy_of
from tropism.errors import ModelError
from tropism.layout import attention, support
from tropism.layout.attention import ForestPlan, block_mask, forest_attention, in_blocks, in_segments
from tropism.layout.tries import plant
from tropism.testing import tiny_llama

SEQUENCES = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=120).map(tuple), min_size=1, max_size=6)


def plan_of(sequences) -> ForestPlan:
    forest = plant(sequences)
    return ForestPlan(forest.parent, forest.subtree_end, forest.depth)


def heads(plan, *, count=4, seed=0):
    torch.manual_seed(seed)
    return torch.randn(1, count, len(plan.parent), 16)


@settings(max_examples=60, deadline=None)
@given(SEQUENCES, st.sampled_from([None, 1, 40, 150]))
def test_the_block_mask_holds_the_rule_and_skips_whole_blocks_only(sequences, window):
    plan = plan_of(sequences)
    size = len(plan.parent)
    everywhere = np.arange(size)
    wanted = plan.allows(everywhere, everywhere, window)
    mask = block_mask(plan, window)
    q, k = torch.arange(size)[:, None], torch.arange(size)[None, :]
    given_by_rule = mask.mask_mod(torch.tensor(0), torch.tensor(0), q, k).numpy()
    assert (given_by_rule == wanted).all()
    for row in range(mask.kv_num_blocks.shape[-1]):
        partial = mask.kv_indices[0, 0, row, : mask.kv_num_blocks[0, 0, row]].tolist()
        full = mask.full_kv_indices[0, 0, row, : mask.full_kv_num_blocks[0, 0, row]].tolist()
        assert not set(partial) & set(full)
        for column in range(mask.kv_num_blocks.shape[-1]):
            block = wanted[row * 128 : (row + 1) * 128, column * 128 : (column + 1) * 128]
            if column in full:
                assert block.all()
            elif column not in partial:
                assert not block.any()


@pytest.mark.parametrize("window", [None, 9])
@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
def test_the_blocks_of_a_gpu_give_what_the_segments_of_a_cpu_give(window, softcap, kv_heads):
    rng = np.random.default_rng(0)
    prompt, *answers = (tuple(rng.integers(0, 9, size).tolist()) for size in (140, 40, 41, 3, 37))
    plan = plan_of([*((*prompt, *answer) for answer in answers[:3]), answers[3]])
    plan = ForestPlan(  # padded to whole blocks, as on a GPU
        *(np.append(one, filler) for one, filler in zip(
            (plan.parent, plan.subtree_end, plan.depth), tail(len(plan.parent)), strict=True
        ))
    )  # fmt: skip
    query, key, value = heads(plan), heads(plan, count=kv_heads, seed=1), heads(plan, count=kv_heads, seed=2)
    settings = {"scale": 0.3, "window": window, "softcap": softcap}
    with torch.no_grad():
        blocks = in_blocks(query, key, value, plan, **settings)
        segments = in_segments(query, key, value, plan, sinks=None, **settings)
    torch.testing.assert_close(blocks, segments, rtol=1e-5, atol=1e-5)


def tail(size):
    padding = -size % 128
    return np.full(padding, -1), np.arange(size, size + padding) + 1, np.zeros(padding, dtype=np.int64)


def test_a_missing_plan_is_an_error_and_never_a_wrong_number():
    policy = policy_of(tiny_llama(), "forest")
    with (
        support.attending(policy.model, attention.NAME),
        pytest.raises(ModelError, match=r"LlamaAttention was called without its forest plan"),
    ):
        policy.model(input_ids=torch.tensor([[1, 2]]))


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"dropout": 0.1}, "dropout 0.1"),
        ({"position_bias": torch.zeros(1)}, "a position bias"),
        ({"is_causal": False}, "attention that is not causal"),
    ],
)
def test_what_a_forest_cannot_give_is_refused_by_the_name_of_the_layer(asked, what):
    plan = plan_of([(1, 2, 3)])
    one = heads(plan)
    with pytest.raises(ModelError, match=rf"Identity asks for {what}, which .* Set layout: padded"):
        forest_attention(nn.Identity(), one, one, one, None, forest=plan, **asked)
    with pytest.raises(ModelError, match="an attention mask"):
        forest_attention(nn.Identity(), one, one, one, torch.zeros(1), forest=plan)


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_mix_tokens_elsewhere_are_refused_by_the_name_of_the_layer(name):
    make, layer = REFUSED[name]
    with pytest.raises(ModelError, match=rf"{layer}.*Set layout: padded\."):
        policy_of(build(make), "forest")


@pytest.mark.parametrize("name", ["falcon_h1", "mamba", "lfm2", "bloom", "falcon"])
def test_refused_models_score_in_the_padded_layout(name):
    from tests.layout.test_forest import AWKWARD, rendered

    policy = policy_of(build(REFUSED[name][0]), "padded")
    (batch,) = policy.collate(rendered(AWKWARD), tokens_per_batch=10**6)
    assert torch.isfinite(policy.score(policy.model, batch).policy).all()


class Gossip(nn.Module):
    """Looks like any layer, and adds to each token what the one before it holds."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, hidden):
        return self.inner(hidden + torch.roll(hidden, 1, dims=1))


def test_a_layer_that_no_list_knows_is_found_by_trial():
    model = build(SUPPORTED["llama"])
    model.model.layers[1].mlp = Gossip(model.model.layers[1].mlp)
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\S* computes a fork of tokens differently"):
        policy_of(model, "forest")


def test_a_head_that_no_configuration_tells_of_is_left_to_the_model():
    from tests.layout.test_forest import AWKWARD, rendered

    model, plain = build(SUPPORTED["llama"]), build(SUPPORTED["llama"])
    for one in (model, plain):
        before = one.forward

        def shifted(*args, before=before, **kwargs):
            output = before(*args, **kwargs)
            output.logits = output.logits * 1.5
            return output

        one.forward = shifted
    ours, theirs = policy_of(model, "forest"), policy_of(plain, "padded")
    assert not ours._head_is_known
    scores = [
        {
            key: value
            for batch in policy.collate(rendered(AWKWARD), tokens_per_batch=4096)
            for key, value in zip(batch.keys, policy.score(policy.model, batch).policy.tolist(), strict=True)
        }
        for policy in (ours, theirs)
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)
