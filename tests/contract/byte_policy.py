"""A policy kind of its own, no model of transformers: a table of the next byte, which answers prompts too."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tropism.errors import DataError
from tropism.groups import content_text
from tropism.layout import padded
from tropism.policies import GeneratingPolicy
from tropism.scores import TokenScores
from tropism.text.render import used_responses
from tropism.text.rendered import RenderedGroup, RenderedResponse

END = 0


class BytePolicy(GeneratingPolicy[RenderedGroup]):
    """Logits of the next byte from the last one."""

    capabilities = frozenset({"logp", "generate"})
    stops = frozenset({END})

    def __init__(self, table: torch.Tensor) -> None:
        self.model = nn.Embedding.from_pretrained(table, freeze=False)

    @classmethod
    def open(cls, path, model, settings):
        return cls(load_file(Path(path) / "table.safetensors")["weight"])

    def save(self, folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        save_file({"weight": self.model.weight.detach().clone()}, Path(folder) / "table.safetensors")

    def fingerprint(self):
        return hashlib.sha256(self.model.weight.detach().numpy().tobytes()).hexdigest()[:40]

    def prepare_group(self, group, notes):
        if not all(map(content_text, group.prompts)):
            raise DataError("the prompt is empty.", remedy="Give one.")
        used = used_responses(group)
        place = {index: new for new, index in enumerate(used)}
        responses = [group.responses[index] for index in used]
        ids = [(*content_text(one.content).encode(), END) for one in responses]
        edges = tuple(replace(edge, winner=place[edge.winner], loser=place[edge.loser]) for edge in group.edges)
        return RenderedGroup(
            group,
            tuple(self.prompt_ids(prompt) for prompt in group.prompts),
            tuple(RenderedResponse(one, (True,) * len(one), 0, complete=True) for one in ids),
            edges, (), (None,) * len(used), (None,) * len(used),
        )  # fmt: skip

    def collate(self, groups, *, tokens_per_batch):
        return [padded.collate(part) for part in padded.split(groups, tokens_per_batch=tokens_per_batch)]

    def num_tokens(self, group):
        return padded.num_padded_tokens(group)

    def token_scores(self, model, batch, *, statistics=()):
        logits = model(batch.input_ids).flatten(0, 1)[batch.predicting]
        logp = logits.log_softmax(1).gather(1, batch.targets[:, None])[:, 0]
        return TokenScores(logp[batch.place])

    def prompt_ids(self, prompt):
        return tuple(content_text(prompt).encode())

    def start_of_group(self, group):
        return group.prompts[0]

    @torch.no_grad()
    def sample(self, prompts, *, num_answers=1, temperature, max_new_tokens, seed, progress=None):
        probs = self.model.weight.double().div(temperature or 1e-6).softmax(1).numpy()
        rows = []
        for prompt in prompts:
            rows.append([])
            for number in range(num_answers):
                rng, ids = np.random.default_rng([seed, number, *prompt]), [prompt[-1]]
                while len(ids) <= max_new_tokens and ids[-1] != END:
                    ids.append(int(rng.choice(len(probs), p=probs[ids[-1]])))
                rows[-1].append(tuple(ids[1:]))
            if progress:
                progress(1)
        return rows

    def texts(self, rows):
        return [bytes(row).rstrip(b"\0").decode(errors="replace").strip() for row in rows]
