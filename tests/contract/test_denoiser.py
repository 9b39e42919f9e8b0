"""A policy whose score is a negative denoising error, with fresh noise that the reference must share."""

import dataclasses

import torch
from torch import nn

from tests.contract.toys import ToyPolicy, group, train
from tropism.layout import padded
from tropism.references.reference import Reference
from tropism.scores import ResponseScores


class Denoiser(ToyPolicy):
    """Predicts the noise of a noisy point."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 4))
        self.noise = torch.Generator().manual_seed(1)

    def collate(self, groups, *, tokens_per_batch):
        found = []
        for part in padded.split(groups, tokens_per_batch=tokens_per_batch):
            batch = padded.collate(part)
            noise = torch.randn(len(batch.length), 4, generator=self.noise)
            found.append(dataclasses.replace(batch, inputs={"noise": noise}))
        return found

    def score(self, model, batch, *, statistics=()) -> ResponseScores:
        image = batch.input_ids[:, -4:].float() / 10
        noise = batch.inputs["noise"]
        error = (model(image + noise) - noise).square().mean(1)
        return ResponseScores(-error.double(), batch.reference, batch.length)

    def fingerprint(self):
        return "never the same noise twice"


class SameNoise(Reference):
    """A frozen copy that sees the batch's own noise; nothing of it could be cached."""

    kind = "same noise"

    def __init__(self, policy, start):
        self.policy, self.start = policy, start

    @torch.no_grad()
    def attach(self, batch, model):
        return batch.with_reference(self.policy.score(self.start, batch).policy)


def test_a_denoising_error_is_a_score(tmp_path):
    policy, start = Denoiser(), Denoiser().model
    groups = [group(str(i), [], [[i, 2, 3, 4], [9, 9, i, 9]]) for i in range(8)]
    log = train(policy, SameNoise(policy, start), groups, {"dpo": {"beta": 20.0}}, tmp_path, steps=60)
    assert abs(log[0]["loss"] - 0.6931472) < 1e-6
    assert sum(line["pair_accuracy"] for line in log[-10:]) / 10 > 0.8
