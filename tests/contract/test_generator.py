"""A generator without a likelihood: samples are ranked, and their features drift to the preferred ones."""

import torch
from torch import nn

from tests.contract.toys import ToyPolicy, group, train
from tropism.references.reference import NoReference
from tropism.scores import ResponseScores, SampleFeatures

K, KEPT = 12, 4


class Generator(ToyPolicy):
    """Turns noise into points; a judge likes points on the right."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 2))
        self.noise = torch.Generator().manual_seed(1)

    def points(self, model, count):
        return model(torch.randn(count, K, 3, generator=self.noise))

    def score(self, model, batch, *, statistics=()) -> ResponseScores:
        points = self.points(model, len(batch.group_ids))
        order = points.detach()[..., 0].argsort(dim=1, descending=True)
        ranked = torch.gather(points.detach(), 1, order[..., None].expand_as(points))
        features = SampleFeatures(points, ranked[:, :KEPT], ranked[:, -KEPT:])
        nothing = torch.zeros(len(batch.length), dtype=torch.float64)
        return ResponseScores(nothing, None, batch.length, samples=features)


def test_samples_drift_to_what_a_judge_prefers(tmp_path):
    policy = Generator()
    groups = [group(str(i), [1], [[2]], edges=[]) for i in range(8)]
    before = policy.points(policy.model, 50)[..., 0].mean().item()
    train(policy, NoReference(), groups, {"drift": {}}, tmp_path, steps=40)
    assert policy.points(policy.model, 50)[..., 0].mean().item() > before + 0.5
