"""A policy with segment embeddings (instruction levels): tokens differ though their ids agree."""

import pytest
import torch
from torch import nn

from tests.contract.toys import group
from tropism.policies.text import TextPolicy
from tropism.references.cached import CachedReference
from tropism.testing import byte_tokenizer, tiny_llama
from tropism.text.render import Renderer, RenderRules


class SegmentPolicy(TextPolicy):
    """Adds the embedding of each token's level to that of its id."""

    def __init__(self, layout) -> None:
        tokenizer = byte_tokenizer()
        super().__init__(tiny_llama(), tokenizer, Renderer(tokenizer, RenderRules(128, 4)), layout=layout)
        torch.manual_seed(5)
        self.levels = nn.Embedding(3, 32)

    def model_inputs(self, batch):
        return batch.model_inputs()  # the levels are added to embeddings below

    def token_scores(self, model, batch, *, statistics=()):
        def add(module, inputs, output):
            return output + self.levels(batch.inputs["levels"])

        handle = model.get_input_embeddings().register_forward_hook(add)
        try:
            return super().token_scores(model, batch, statistics=statistics)
        finally:
            handle.remove()


GROUPS = [
    group("system", [7, 8, 9], [[5, 6], [5, 4]], levels=([0, 0, 0], [[2, 2], [2, 2]])),
    group("user", [7, 8, 9], [[5, 6], [5, 4]], levels=([0, 1, 1], [[2, 2], [2, 2]])),
]


def scores(policy) -> dict[bytes, float]:
    (batch,) = policy.collate(GROUPS, tokens_per_batch=4096)
    return dict(zip(batch.keys, policy.score(policy.model, batch).policy.tolist(), strict=True))


def test_tokens_of_other_levels_are_other_tokens_to_tries_and_cache():
    ours, plain = SegmentPolicy("forest"), SegmentPolicy("padded")
    assert scores(ours) == pytest.approx(scores(plain), rel=1e-5)
    assert len(scores(ours)) == 4
    (batch,) = ours.collate(GROUPS, tokens_per_batch=4096)
    assert batch.num_distinct_tokens == 11  # 7 is shared; 8 9, 5, 6 and 4 are each there twice
    reference = CachedReference(ours)
    reference.prepare(GROUPS)
    assert len(reference.known) == 4
