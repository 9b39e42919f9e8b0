"""The delimiters of a model's own template, and the ordinary tokens that come nearest to them."""

from __future__ import annotations

import torch

from tropism.errors import DataError
from tropism.evals.security.attacks import Delimiters
from tropism.policies.transformer import TransformerPolicy
from tropism.text.templates import template_for

WORDS = ("Aardvark", "Bumblebee", "Chaffinch")
"""Three words that no template writes by itself."""


def own_delimiters(policy: TransformerPolicy) -> Delimiters | None:
    """What a model's template writes between a user's words and the answer, and from there to the user's next words.

    Returns:
        None for a model that is written to as plain text, or whose template keeps no dialogue.
    """
    rules = policy.renderer.rules
    if rules.template == "plain":
        return None
    first, answer, second = WORDS
    turns = (
        {"role": "user", "content": first},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": second},
    )
    try:
        text = template_for(policy.tokenizer, rules.template, turns).prompt(turns, {})
    except DataError:
        return None
    if any(text.count(word) != 1 for word in WORDS):
        return None
    return Delimiters(text.split(first)[1].split(answer)[0], text.split(answer)[1].split(second)[0])


@torch.no_grad()
def near_delimiters(policy: TransformerPolicy, own: Delimiters) -> Delimiters:
    """The delimiters with each special token replaced by the ordinary token whose embedding is nearest to it.

    Args:
        policy: the model.
        own: its delimiters.

    Reference: Chen et al. 2025, arXiv:2507.02735 (distance L2).
    """
    table = policy.model.get_input_embeddings().weight.detach().float()
    special = {token for token, content in policy.tokenizer.added_tokens_decoder.items() if content.special}
    ordinary = torch.tensor([token for token in range(len(policy.tokenizer)) if token not in special])

    def nearest(token: int) -> str:
        distances = torch.cdist(table[token][None], table[ordinary])[0]
        return policy.tokenizer.decode([int(ordinary[distances.argmin()])])

    def replaced(text: str) -> str:
        for token in special:
            written = policy.tokenizer.added_tokens_decoder[token].content
            if written in text:
                text = text.replace(written, nearest(token))
        return text

    return Delimiters(replaced(own.answer), replaced(own.user))
