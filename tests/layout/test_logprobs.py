"""The chunked head against the whole one: same values, same gradients, and never more than a chunk of logits."""

import pytest
import torch
from torch import nn

from tests.layout.architectures import SUPPORTED, build
from tests.layout.test_forest import AWKWARD, policy_of, rendered
from tropism.layout import logprobs
from tropism.layout.logprobs import token_scores
from tropism.policies.loading import add_lora

VOCABULARY, WIDTH, PLACES = 50, 8, 23


def head_and_states(*, bias=True, dtype=torch.float64):
    torch.manual_seed(0)
    head = nn.Linear(WIDTH, VOCABULARY, bias=bias, dtype=dtype)
    hidden = torch.randn(PLACES, WIDTH, dtype=dtype, requires_grad=True)
    return head, hidden, torch.randint(VOCABULARY, (PLACES,))


def soft_capped(head):
    return lambda states: torch.tanh(head(states) * 0.5 / 3.0) * 3.0


@pytest.mark.parametrize("wrap", [lambda head: head, soft_capped])
@pytest.mark.parametrize("rows", [1, 5, 23, 100])
def test_chunks_give_the_values_and_gradients_of_the_whole(wrap, rows):
    head, hidden, targets = head_and_states()
    weights = torch.linspace(-1, 2, PLACES, dtype=torch.float64)
    whole = torch.log_softmax(wrap(head)(hidden), dim=1).gather(1, targets[:, None])[:, 0]
    wanted = torch.autograd.grad((whole * weights).sum(), [hidden, *head.parameters()])
    sizes = {"chunk_bytes": rows * VOCABULARY * 8, "keep_bytes": 0}
    ours = token_scores(wrap(head), hidden, targets, vocabulary=VOCABULARY, **sizes).policy
    given = torch.autograd.grad((ours * weights).sum(), [hidden, *head.parameters()])
    torch.testing.assert_close(ours, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(given, wanted, rtol=1e-11, atol=1e-12)


def test_logits_never_exist_beyond_a_chunk_unless_they_are_few():
    head, hidden, targets = head_and_states()
    seen = []
    head.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    sizes = {"chunk_bytes": 5 * VOCABULARY * 8, "keep_bytes": PLACES * VOCABULARY * 8 - 1}
    token_scores(head, hidden, targets, vocabulary=VOCABULARY, **sizes).policy.sum().backward()
    assert max(seen) == 5
    assert sum(seen) == 2 * PLACES  # once forward, once again backward
    seen.clear()
    sizes["keep_bytes"] += 1
    token_scores(head, hidden, targets, vocabulary=VOCABULARY, **sizes).policy.sum().backward()
    assert seen == [PLACES]


def test_statistics_equal_their_definitions_and_carry_no_gradient():
    head, hidden, targets = head_and_states()
    logits = head(hidden).detach()
    probabilities = torch.softmax(logits, dim=1)
    found = token_scores(
        head, hidden, targets, vocabulary=VOCABULARY, statistics=logprobs.STATISTICS, chunk_bytes=2000, keep_bytes=0
    )
    torch.testing.assert_close(found.entropy, -(probabilities * probabilities.log()).sum(1))
    torch.testing.assert_close(found.sum_squares, probabilities.square().sum(1))
    torch.testing.assert_close(found.mean_logit, logits.mean(1))
    assert torch.equal(found.is_top, (logits.argmax(1) == targets).double())
    assert found.policy.requires_grad
    assert not found.entropy.requires_grad


def test_extreme_logits_stay_finite():
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]], requires_grad=True)
    found = token_scores(nn.Identity(), logits * 1.0, torch.tensor([1, 2]), vocabulary=3, statistics=("entropy",))
    found.policy.sum().backward()
    assert found.policy.tolist() == pytest.approx([-2e4, -1.0986123])
    assert found.entropy.tolist() == pytest.approx([0.0, 1.0986123], abs=1e-6)
    assert torch.isfinite(logits.grad).all()


def test_a_second_backward_pass_is_an_error_and_not_a_wrong_gradient():
    head, hidden, targets = head_and_states()
    logp = token_scores(head, hidden, targets, vocabulary=VOCABULARY).policy.sum()
    logp.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        logp.backward()


@pytest.mark.parametrize("name", ["llama", "gemma2", "granite", "cohere2", "gpt_oss"])
@pytest.mark.parametrize("with_adapter", [False, True])
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
def test_chunks_honour_what_a_model_does_around_its_head(name, with_adapter, monkeypatch):
    """Soft cap, logit scale, and an adapter on the head itself."""
    values = []
    for is_chunked in (False, True):
        model = build(SUPPORTED[name])
        if with_adapter:
            model = add_lora(model, {"r": 4, "alpha": 8, "dropout": 0.0, "targets": ["lm_head", "q_proj"]})
            torch.manual_seed(1)
            for key, parameter in model.named_parameters():
                if "lora_B" in key:
                    nn.init.normal_(parameter, std=0.1)
        policy = policy_of(model, "forest")
        assert policy._head_is_known
        policy._head_is_known = is_chunked
        monkeypatch.setitem(logprobs.KEEP_BYTES, "cpu", 0)
        monkeypatch.setitem(logprobs.CHUNK_BYTES, "cpu", 7 * 261 * 4)
        (batch,) = policy.collate(rendered(AWKWARD), tokens_per_batch=4096)
        score = policy.score(policy.model, batch).policy
        score.sum().backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        values.append((score.detach(), torch.cat([gradient.flatten() for gradient in gradients])))
    torch.testing.assert_close(values[0][0], values[1][0], rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(values[0][1], values[1][1], rtol=1e-4, atol=1e-5 * float(values[0][1].abs().max()))


def test_policies_give_statistics_for_every_scored_token():
    policy = policy_of(build(SUPPORTED["llama"]), "forest")
    (batch,) = policy.collate(rendered(AWKWARD), tokens_per_batch=4096)
    found = policy.token_scores(policy.model, batch, statistics=("entropy", "sum_squares"))
    assert len(found.policy) == len(found.entropy) == len(found.sum_squares) == len(batch.response)
    assert found.mean_logit is None
    assert bool((found.entropy > 0).all())
