"""A scalar head as a policy: its score is a reward, and there is no reference."""

import torch
from torch import nn

from tests.contract.toys import ToyPolicy, group, train
from tropism.groups import Edge
from tropism.references.reference import NoReference
from tropism.scores import ResponseScores


class BagOfTokens(ToyPolicy):
    """A reward is the sum of its tokens' worths."""

    def __init__(self) -> None:
        self.model = nn.Embedding(20, 1)
        nn.init.zeros_(self.model.weight)

    def score(self, model, batch, *, statistics=()) -> ResponseScores:
        worth = model(batch.input_ids)[..., 0] * batch.attention_mask
        return ResponseScores(worth.sum(1).double(), None, batch.length)


def test_a_reward_model_is_the_logistic_loss_over_scalar_scores(tmp_path):
    groups = [group(str(i), [0], [[i % 5 + 1, 7], [i % 5 + 10, 7]], edges=[Edge(0, 1, margin=0.5)]) for i in range(16)]
    policy = BagOfTokens()
    log = train(policy, NoReference(), groups, {"bradley_terry": {"centring": 0.01}}, tmp_path)
    assert abs(log[0]["loss"] - 0.9740770) < 1e-5  # -log sigmoid(0 - 0.5)
    worth = policy.model.weight.detach()[:, 0]
    assert worth[1:6].min() > 0 > worth[10:15].max()
    assert torch.equal(worth[8:10], torch.zeros(2))
