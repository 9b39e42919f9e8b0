"""Rewards of responses under any policy with the capability `rewards`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from tropism.groups import Content, PreferenceGroup, Response
from tropism.policies.base import Policy
from tropism.policies.model_mode import in_mode
from tropism.text.prepared import Prepared, require_groups


@torch.no_grad()
def group_rewards(
    policy: Policy, groups: Sequence[Prepared], *, progress: Callable[[int], None] | None = None
) -> list[list[float]]:
    """The reward of every response of every group, in their order.

    Args:
        policy: gives the rewards.
        groups: as it prepared them.
        progress: called with the number of groups done since the last call.
    """
    known: dict[bytes, float] = {}
    plain = [group.without_feedback() for group in groups]
    with in_mode(policy.model):
        for batch in policy.collate(plain, tokens_per_batch=policy.fast_budget(plain)):
            scores = policy.score(policy.model, batch.to(policy.device)).policy.tolist()
            known |= dict(zip(batch.keys, scores, strict=True))
            if progress:
                progress(len(batch.group_ids))
    return [[known[group.response_key(response)] for response in group.responses] for group in groups]


def answer_rewards(policy: Policy, prompts: Sequence[Content], answers: Sequence[Content]) -> list[float | None]:
    """The reward of each answer to its prompt; None for one that the policy cannot take.

    Raises:
        DataError: if it can take none.
    """
    groups = [
        PreferenceGroup(str(number), (prompt,), (Response("0", answer),))
        for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
    ]
    prepared, account = policy.prepare(groups)
    require_groups(prepared, account, what="the reward model")
    found = {one.group.id: value for one, (value,) in zip(prepared, group_rewards(policy, prepared), strict=True)}
    return [found.get(group.id) for group in groups]
