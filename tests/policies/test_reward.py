"""Reward models: a scalar head over any backbone, both layouts alike, trained from a recipe, and a judge afterwards."""

import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from tests.layout.architectures import BASE
from tests.layout.test_forest import AWKWARD, rendered
from tropism.cli import run
from tropism.errors import ModelError
from tropism.judges.judge import load_judge
from tropism.policies.reward import RewardPolicy
from tropism.testing import byte_tokenizer, tiny_llama, tiny_policy
from tropism.text.render import Renderer, RenderRules


def reward_policy(layout="forest") -> RewardPolicy:
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    model = LlamaForSequenceClassification(LlamaConfig(**BASE, num_labels=1))
    tokenizer = byte_tokenizer()
    return RewardPolicy(model, tokenizer, Renderer(tokenizer, RenderRules(128, 1)), layout=layout)


def test_rewards_are_read_at_the_last_token_in_both_layouts():
    values = []
    for layout in ("forest", "padded"):
        policy, found = reward_policy(layout), {}
        for batch in policy.collate(rendered(AWKWARD), tokens_per_batch=4096):
            scores = policy.score(policy.model, batch).policy
            scores.sum().backward()
            found |= dict(zip(batch.keys, scores.tolist(), strict=True))
        values.append((found, policy.model.score.weight.grad.clone()))
    assert values[0][0] == pytest.approx(values[1][0], rel=1e-4, abs=1e-5)
    torch.testing.assert_close(values[0][1], values[1][1], rtol=1e-4, atol=1e-4)
    policy = reward_policy("padded")
    group = rendered(AWKWARD)[4]
    alone = policy.model(input_ids=torch.tensor([group.sequence(0)])).logits[0, 0]
    assert values[0][0][group.response_key(group.responses[0])] == pytest.approx(alone.item(), rel=1e-4)


def test_a_model_without_a_scalar_head_is_refused():
    policy = tiny_policy()
    with pytest.raises(ModelError, match="LlamaForCausalLM has no scalar head"):
        RewardPolicy(policy.model, policy.tokenizer, policy.renderer)


def test_a_recipe_trains_a_reward_model_that_judges_afterwards(tmp_path, capsys):
    tiny_policy(tiny_llama()).save(tmp_path / "base")
    rows = [
        {"prompt": f"question {i}", "chosen": f" yes {i} yes", "rejected": f" no {i}"} for i in range(60)
    ]  # fmt: skip
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "rm.yaml").write_text(
        f"model: {tmp_path}/base\n"
        f"data: {{train: {tmp_path}/pairs.jsonl, holdout: 0.3, max_tokens: 100, min_response_tokens: 4}}\n"
        "loss: bradley_terry\n"
        "train: {max_steps: 12, learning_rate: 1.0e-2, per_device_train_batch_size: 8, use_cpu: true}\n"
        f"output: {tmp_path}/rm\n"
    )
    assert run(["train", str(tmp_path / "rm.yaml"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert found["metrics"]["reward_accuracy.pair_accuracy"]["value"] > 0.9
    loaded = AutoModelForSequenceClassification.from_pretrained(found["model"])
    assert loaded.config.num_labels == 1
    judge = load_judge(f"reward-model:{found['model']}")
    verdict = judge.compare("question 7", " yes 7 yes", " no 7")
    assert verdict is not None
    assert verdict.first == 1.0
    assert RewardPolicy.from_pretrained(found["model"]).rewards(["question 3"], [" yes 3 yes"])[0] > 0


def test_a_reward_stage_stands_alone(tmp_path, capsys):
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 2)
    tiny_policy(tiny_llama()).save(tmp_path / "base")
    (tmp_path / "rm.yaml").write_text(
        f"model: {tmp_path}/base\ndata: {{train: {tmp_path}/pairs.jsonl, holdout: 0}}\n"
        f"loss: {{bradley_terry: {{}}, nll: {{}}}}\noutput: {tmp_path}/rm\n"
    )
    assert run(["train", str(tmp_path / "rm.yaml")]) == 2
    assert (
        "loss 'nll' needs logp, but policy 'reward' of stage 'bradley_terry-nll' has only rewards"
        in capsys.readouterr().err
    )
