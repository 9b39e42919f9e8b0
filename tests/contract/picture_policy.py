"""A policy kind in a file of its own: a language model that sees a picture before the prompt, through real inputs.

Two placeholder tokens stand for the picture. Both have position 0, so positions are not depths.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from pydantic import Field
from safetensors import safe_open
from torch import nn

from tropism.errors import DataError
from tropism.policies.base import PolicySettings
from tropism.policies.text import TextPolicy
from tropism.text.extra_inputs import extra_inputs

PLACEHOLDER, NUM_PLACEHOLDERS = 2, 2


class PictureSettings(PolicySettings):
    """How many pixels a picture has."""

    size: int = Field(4, gt=0)


class PicturePolicy(TextPolicy):
    """Adds a projection of the picture's pixels to the embeddings of its placeholders."""

    capabilities = TextPolicy.capabilities | {"images"}
    settings_type = PictureSettings
    takes_adapter = False

    @classmethod
    def open(cls, path, model, settings):
        policy = super().open(path, model, settings)
        torch.manual_seed(3)
        eye = nn.Linear(settings.size, policy.model.config.hidden_size, bias=False)
        with safe_open(Path(path) / "model.safetensors", framework="pt") as weights:
            if "eye.weight" in weights.keys():  # noqa: SIM118  (not a mapping)
                eye.weight = nn.Parameter(weights.get_tensor("eye.weight"))
        policy.model.eye = eye
        return policy

    def prepare_group(self, group, notes):
        pixels = group.extra.get("pixels")
        if not isinstance(pixels, list) or len(pixels) != self.model.eye.in_features:
            raise DataError(f"a picture must have {self.model.eye.in_features} pixels.", remedy="Give `pixels`.")
        rendered = super().prepare_group(group, notes)
        prompts = tuple((PLACEHOLDER,) * NUM_PLACEHOLDERS + ids for ids in rendered.prompts)
        seen = tuple(extra_inputs(ids, shared={"pixels": torch.tensor([pixels])}) for ids in prompts)
        return dataclasses.replace(rendered, prompts=prompts, prompt_inputs=seen)

    def positions(self, group, index):
        num_tokens = group.num_tokens(index)
        if not group.has_inputs:
            return torch.arange(num_tokens)
        return (torch.arange(num_tokens) - NUM_PLACEHOLDERS + 1).clamp(min=0)

    def model_inputs(self, batch):
        return batch.model_inputs()  # the pixels go into embeddings below

    def token_scores(self, model, batch, *, statistics=()):
        def look(module, inputs, output):
            seen = self.model.eye(batch.inputs["pixels"]).repeat_interleave(NUM_PLACEHOLDERS, dim=0)
            where = (batch.input_ids == PLACEHOLDER).nonzero(as_tuple=True)
            return output.index_put(where, seen, accumulate=True)

        if "pixels" not in batch.inputs:
            return super().token_scores(model, batch, statistics=statistics)
        handle = model.get_input_embeddings().register_forward_hook(look)
        try:
            return super().token_scores(model, batch, statistics=statistics)
        finally:
            handle.remove()
