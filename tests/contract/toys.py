"""What the toys share: groups in ids, and a few steps of training."""

from __future__ import annotations

import json

import torch
from transformers import TrainingArguments

from tropism.groups import Edge, PreferenceGroup, Response
from tropism.layout import padded
from tropism.losses import make_mixture
from tropism.policies.base import Policy
from tropism.text.extra_inputs import NO_INPUTS, ExtraInputs, extra_inputs
from tropism.text.rendered import RenderedGroup, RenderedResponse
from tropism.training.loop.trainer import PreferenceTrainer

PAIR = (Edge(0, 1),)


class ToyPolicy(Policy[RenderedGroup]):
    """What the toys share: contents are lists of ids written as JSON, laid out in padded rows."""

    def prepare_group(self, group_, notes):
        return group(
            group_.id,
            json.loads(group_.prompts[0]),
            [json.loads(response.content) for response in group_.responses],
            edges=group_.edges,
        )

    def collate(self, groups, *, tokens_per_batch):
        return [padded.collate(part) for part in padded.split(groups, tokens_per_batch=tokens_per_batch)]

    def num_tokens(self, group):
        return padded.num_padded_tokens(group)

    def save(self, folder):
        raise NotImplementedError

    def fingerprint(self):
        raise NotImplementedError


def levels_of(ids, levels) -> ExtraInputs:
    """An instruction level for each token."""
    return extra_inputs(ids, per_token={"levels": torch.tensor(levels)})


def group(name, prompt, answers, *, edges=PAIR, ranks=None, levels=None, scores=None) -> RenderedGroup:
    """A group in ids: a prompt, its answers, and what people thought of them."""
    nouns = tuple(Response(str(i), i) for i in range(len(answers)))
    responses = tuple(
        RenderedResponse(tuple(ids), (True,) * len(ids), 0, True, levels_of(ids, levels[1][i]) if levels else NO_INPUTS)
        for i, ids in enumerate(answers)
    )
    return RenderedGroup(
        PreferenceGroup(name, ("",), nouns, tuple(edges)), (tuple(prompt),), responses, tuple(edges), (),
        tuple(ranks or [None] * len(answers)), tuple(scores or [None] * len(answers)),
        prompt_inputs=(levels_of(prompt, levels[0]),) if levels else (),
    )  # fmt: skip


def train(policy, reference, groups, loss, folder, *, steps=30, **settings) -> list[dict]:
    """The log of a few steps."""
    args = TrainingArguments(
        str(folder), per_device_train_batch_size=8, max_steps=steps, learning_rate=3e-2, logging_steps=1, use_cpu=True,
        save_strategy="no", report_to="none", disable_tqdm=True, seed=0, **settings,
    )  # fmt: skip
    trainer = PreferenceTrainer(policy, make_mixture(loss), reference, args, train_groups=groups)
    trainer.train()
    return [line for line in trainer.state.log_history if "loss" in line]
