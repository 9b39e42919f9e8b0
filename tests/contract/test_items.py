"""A policy whose responses are items: one token each, a listening history as the prompt."""

from collections.abc import Collection

import torch
from torch import nn

from tests.contract.toys import ToyPolicy, group, train
from tropism.groups import Edge
from tropism.layout.logprobs import token_scores
from tropism.references.cached import CachedReference
from tropism.scores import TokenScores

NUM_ITEMS = 40


class Recommender(nn.Module):
    """The mean of a history's embeddings against every item's."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(NUM_ITEMS, 16)

    def forward(self, input_ids, attention_mask):
        weights = torch.cumsum(attention_mask, 1).clamp(min=1)
        return (self.items(input_ids) * attention_mask[..., None]).cumsum(1) / weights[..., None]


class ItemPolicy(ToyPolicy):
    """Scores items after histories."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = Recommender()

    def token_scores(self, model, batch, *, statistics: Collection = ()) -> TokenScores:
        hidden = model(batch.input_ids, batch.attention_mask).flatten(0, 1)[batch.predicting]
        head = lambda states: states @ self.model.items.weight.T  # noqa: E731
        return token_scores(head, hidden, batch.targets, vocabulary=NUM_ITEMS, statistics=statistics)

    def fingerprint(self):
        return f"items{float(self.model.items.weight.detach().double().sum())}"


def test_items_are_responses_of_one_token(tmp_path):
    histories = [[i, i + 1, i + 2] for i in range(8)]
    groups = [
        group(str(i), history, [[i + 20], *([k] for k in range(30, 34))], edges=[Edge(0, k) for k in range(1, 5)])
        for i, history in enumerate(histories)
    ]
    policy = ItemPolicy()
    log = train(policy, CachedReference(policy), groups, {"softmax_dpo": {}}, tmp_path)
    assert abs(log[0]["loss"] - 1.6094379) < 1e-4  # log 5: the winner is one of five
    assert log[-1]["pair_accuracy"] == 1.0
    assert log[-1]["loss"] < 0.5
