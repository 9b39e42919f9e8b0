"""A question as the turns that a model was trained to read, whether it is on this machine or behind an endpoint."""

from __future__ import annotations

from tropism.groups import Content
from tropism.policies.generating import GeneratingPolicy


def as_turns(policy: GeneratingPolicy | None, user: str, *, system: str = "") -> Content:
    """A user's words, with a system turn before them, in the form that a model reads.

    Args:
        policy: the model; None behind an endpoint, which takes turns.
        user: what the user says.
        system: what the application says, if anything.

    Example:
        >>> as_turns(None, "Hi")
        ({'role': 'user', 'content': 'Hi'},)
    """
    if policy is not None:
        return policy.as_turns(user, system=system)
    first = ({"role": "system", "content": system},) if system else ()
    return (*first, {"role": "user", "content": user})


def leaves_room(policy: GeneratingPolicy | None, prompt: Content, *, max_new_tokens: int) -> bool:
    """Whether a prompt and an answer fit into a model's context; an endpoint is assumed to have room.

    Args:
        policy: the model.
        prompt: what it reads.
        max_new_tokens: maximum length of its answer.
    """
    return policy is None or policy.leaves_room(prompt, max_new_tokens=max_new_tokens)
