"""Greedy coordinate gradient: a suffix, token by token, that makes a model likelier to say a given text.

An attacker who holds the weights swaps one token at a time, tries those that the gradient favours, and keeps the best.
Random search with the same number of trials is reported as well: what the gradient adds is the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tropism.layout.logprobs import head_sees_only
from tropism.policies.model_mode import in_mode
from tropism.policies.transformer import TransformerPolicy

BATCH_TOKENS = 8192
"""Tokens of candidates that are tried together."""


class Around(NamedTuple):
    """Token ids around the suffix: the prompt before it, what follows it up to the answer, and the wanted answer."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    target: tuple[int, ...]


class FoundSuffix(NamedTuple):
    """What a search found.

    Attributes:
        suffix: the best suffix, token ids.
        losses: negative log-probability (nats) of the target under the best suffix so far, before each step and at the
            end; it never rises.
        trials: how many suffixes were tried.
    """

    suffix: tuple[int, ...]
    losses: tuple[float, ...]
    trials: int


Proposals = Callable[[Int[Tensor, " suffix"], torch.Generator], Int[Tensor, "candidates suffix"]]
"""From a suffix and a source of chance to suffixes that differ in one token."""


def gcg(
    policy: TransformerPolicy,
    around: Around,
    suffix: Sequence[int],
    *,
    steps: int = 20,
    candidates: int = 64,
    top_k: int = 64,
    seed: int = 0,
) -> FoundSuffix:
    """Search by gradient.

    In each step the gradient of the loss with respect to the suffix's one-hot tokens names `top_k` swaps for each
    place; `candidates` of them are drawn and tried, and the best becomes the next suffix, better or not.

    Args:
        policy: the model, its weights at hand.
        around: what stands before and after, and the wanted answer.
        suffix: where to start; its length stays.
        steps, candidates, top_k: the budget; the paper has 500, 512 and 256.
        seed: of the draws.

    Reference: Zou et al. 2023, arXiv:2307.15043, algorithm 1. Departure: a suffix that would be read as other tokens
    once written as text is not tried, as in the authors' code.
    """
    allowed = plain_tokens(policy)

    def proposed(current: Int[Tensor, " suffix"], chance: torch.Generator) -> Int[Tensor, "candidates suffix"]:
        gradient = token_gradient(policy, around, current).masked_fill(~allowed, torch.inf)
        best = gradient.topk(min(top_k, int(allowed.sum())), dim=1, largest=False).indices
        place = torch.randint(len(current), (candidates,), generator=chance)
        choice = torch.randint(best.shape[1], (candidates,), generator=chance)
        return swapped(current, place, best[place, choice])

    return search(policy, around, suffix, proposed, steps=steps, seed=seed)


def random_search(
    policy: TransformerPolicy,
    around: Around,
    suffix: Sequence[int],
    *,
    steps: int = 20,
    candidates: int = 64,
    seed: int = 0,
) -> FoundSuffix:
    """The same search with swaps that know nothing: any place, any plain token."""
    tokens = plain_tokens(policy).nonzero()[:, 0]

    def proposed(current: Int[Tensor, " suffix"], chance: torch.Generator) -> Int[Tensor, "candidates suffix"]:
        place = torch.randint(len(current), (candidates,), generator=chance)
        return swapped(current, place, tokens[torch.randint(len(tokens), (candidates,), generator=chance)])

    return search(policy, around, suffix, proposed, steps=steps, seed=seed)


def search(
    policy: TransformerPolicy, around: Around, suffix: Sequence[int], proposed: Proposals, *, steps: int, seed: int
) -> FoundSuffix:
    """Try what is proposed, step by step, and remember the best."""
    chance = torch.Generator().manual_seed(seed)
    current = torch.tensor(list(suffix))
    with in_mode(policy.model):
        best, least = current, float(target_loss(policy, around, current[None])[0])
        losses, trials = [least], 1
        for _ in range(steps):
            tried = [row for row in proposed(current, chance) if stays_itself(policy, row.tolist())]
            if tried:
                loss = target_loss(policy, around, torch.stack(tried))
                trials += len(tried)
                current = tried[int(loss.argmin())]
                if float(loss.min()) < least:
                    best, least = current, float(loss.min())
            losses.append(least)
    return FoundSuffix(tuple(best.tolist()), tuple(losses), trials)


def token_gradient(
    policy: TransformerPolicy, around: Around, suffix: Int[Tensor, " suffix"]
) -> Float[Tensor, "suffix vocabulary"]:
    """Gradient of the target's loss with respect to the one-hot token at each place of the suffix.

    That of the embeddings' output times the embedding table; a constant scale between them changes no order.
    """
    embeddings = policy.model.get_input_embeddings()
    row = rows_of(around, suffix[None]).to(policy.device)
    outputs: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        outputs.append(output.detach().requires_grad_())
        return outputs[-1]

    handle = embeddings.register_forward_hook(keep)
    try:
        loss = _row_losses(policy, row, len(around.target)).sum()
        (gradient,) = torch.autograd.grad(loss, outputs[0])
    finally:
        handle.remove()
    start = len(around.before)
    return (gradient[0, start : start + len(suffix)] @ embeddings.weight.detach().T).float().cpu()


@torch.no_grad()
def target_loss(
    policy: TransformerPolicy, around: Around, suffixes: Int[Tensor, "candidates suffix"]
) -> Float[Tensor, " candidates"]:
    """Negative log-probability (nats) of the whole target behind each suffix."""
    rows = rows_of(around, suffixes)
    size = max(1, BATCH_TOKENS // rows.shape[1])
    parts = [_row_losses(policy, part.to(policy.device), len(around.target)).cpu() for part in rows.split(size)]
    return torch.cat(parts)


def _row_losses(policy: TransformerPolicy, rows: Int[Tensor, "rows width"], num_target: int) -> Float[Tensor, " rows"]:
    """Negative log-probability of each row's last tokens."""
    count, width = rows.shape
    ends = torch.arange(width - num_target - 1, width - 1, device=rows.device)
    places = (torch.arange(count, device=rows.device)[:, None] * width + ends).flatten()
    head = policy.model.get_output_embeddings()
    with policy.own_attention(), head_sees_only(head, places):
        logits = policy.model(input_ids=rows, use_cache=False).logits[0].float()
    targets = rows[:, -num_target:].flatten()
    logp = logits.log_softmax(dim=-1).gather(1, targets[:, None])
    return -logp.view(count, num_target).sum(dim=1)


def rows_of(around: Around, suffixes: Int[Tensor, "candidates suffix"]) -> Int[Tensor, "candidates width"]:
    """Prompt, suffix, rest and target as one row for each suffix."""
    sides = [torch.tensor(part, dtype=torch.long).expand(len(suffixes), -1) for part in
             (around.before, (*around.after, *around.target))]  # fmt: skip
    return torch.cat([sides[0], suffixes, sides[1]], dim=1)


def swapped(
    suffix: Int[Tensor, " suffix"], place: Int[Tensor, " candidates"], token: Int[Tensor, " candidates"]
) -> Int[Tensor, "candidates suffix"]:
    """Copies of a suffix with one token changed in each."""
    rows = suffix.repeat(len(place), 1)
    rows[torch.arange(len(place)), place] = token
    return rows


def plain_tokens(policy: TransformerPolicy) -> Bool[Tensor, " vocabulary"]:
    """Which tokens an attacker could type: printable ASCII, no special token."""
    size = policy.model.get_input_embeddings().num_embeddings
    special = {token for token, content in policy.tokenizer.added_tokens_decoder.items() if content.special}
    texts = policy.tokenizer.batch_decode([[token] for token in range(len(policy.tokenizer))])
    plain = [token not in special and text.isascii() and text.isprintable() and text != "" for token, text in
             enumerate(texts)]  # fmt: skip
    return torch.tensor([*plain[:size], *[False] * (size - len(plain))])


def stays_itself(policy: TransformerPolicy, suffix: Sequence[int]) -> bool:
    """Whether a suffix, written as text and read again, is the same tokens."""
    text = policy.tokenizer.decode(suffix)
    return policy.tokenizer(text, add_special_tokens=False, verbose=False).input_ids == list(suffix)
