"""A question as the turns that a model was trained to read."""

from __future__ import annotations

from tropism.errors import DataError
from tropism.groups import Content
from tropism.policies.text import TextPolicy


def as_turns(policy: TextPolicy | None, user: str, *, system: str = "") -> Content:
    """A user's words, with a system turn before them, in the form that a model's template takes.

    A template without a system role, and one that writes plain text, gets both in one text.

    Args:
        policy: the model; None behind an endpoint, which takes turns.
        user: what the user says.
        system: what the application says, if anything.

    Example:
        >>> as_turns(None, "Hi")
        ({'role': 'user', 'content': 'Hi'},)
    """
    together = f"{system}\n\n{user}" if system else user
    if policy is None or policy.renderer.rules.template != "plain":
        first = ({"role": "system", "content": system},) if system else ()
        turns = (*first, {"role": "user", "content": user})
        if policy is None or not system or takes(policy, turns):
            return turns
        return ({"role": "user", "content": together},)
    return f"{together}\n"


def takes(policy: TextPolicy, prompt: Content) -> bool:
    """Whether a model's template can write a prompt."""
    try:
        policy.renderer.prompt_ids(prompt)
    except DataError:
        return False
    return True


def leaves_room(policy: TextPolicy | None, prompt: Content, *, max_new_tokens: int) -> bool:
    """Whether a prompt and an answer fit into a model's context; an endpoint is believed to have room.

    Args:
        policy: the model.
        prompt: what it reads.
        max_new_tokens: what it may write.
    """
    return policy is None or len(policy.renderer.prompt_ids(prompt)) + max_new_tokens <= policy.context
