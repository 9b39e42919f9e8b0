"""A question as the turns that a model was trained to read."""

from __future__ import annotations

from tropism.groups import Content
from tropism.policies.text import TextPolicy


def as_turns(policy: TextPolicy | None, user: str, *, system: str = "") -> Content:
    """A user's words, with a system turn before them, in the form that a model's template takes.

    Args:
        policy: the model; None behind an endpoint, which takes turns.
        user: what the user says.
        system: what the application says, if anything; a model that is written to as plain text reads it first.

    Example:
        >>> as_turns(None, "Hi")
        ({'role': 'user', 'content': 'Hi'},)
    """
    if policy is not None and policy.renderer.rules.template == "plain":
        return f"{system}\n\n{user}\n" if system else f"{user}\n"
    first = ({"role": "system", "content": system},) if system else ()
    return (*first, {"role": "user", "content": user})
