"""Inputs beside token ids, by name (levels of tokens, pixel values), and how they tell tokens apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True, eq=False)
class ExtraInputs:
    """What a model sees of a prompt or of a response beside its token ids; made by `extra_inputs`.

    Attributes:
        keys: an integer for each token: two tokens are the same only if their ids and their keys agree.
        per_token: by name, a value for each token, shape (tokens, ...).
        shared: by name, what belongs to all of the tokens together, shape (rows, ...), such as the pixels of an image.
    """

    keys: tuple[int, ...] = ()
    per_token: Mapping[str, Tensor] = field(default_factory=dict)
    shared: Mapping[str, Tensor] = field(default_factory=dict)

    def first(self, num_tokens: int) -> ExtraInputs:
        """The inputs of the first tokens."""
        per_token = {name: values[:num_tokens] for name, values in self.per_token.items()}
        return replace(self, keys=self.keys[:num_tokens], per_token=per_token)


NO_INPUTS = ExtraInputs()


def extra_inputs(
    ids: Sequence[int],
    *,
    per_token: Mapping[str, Tensor] | None = None,
    shared: Mapping[str, Tensor] | None = None,
) -> ExtraInputs:
    """The extra inputs of a prompt or of a response.

    Args:
        ids: its token ids, at least one.
        per_token: by name, a value for each token, shape (tokens, ...).
        shared: by name, what belongs to all tokens together, shape (rows, ...); a batch joins the rows of its prompts
            and responses in order. A token that has any is the same as another only if all ids and all of this agree.

    Example:
        >>> import torch
        >>> first, second = (extra_inputs([5, 6], per_token={"level": torch.tensor(row)}) for row in ([0, 1], [0, 2]))
        >>> first.keys[0] == second.keys[0], first.keys[1] == second.keys[1]
        (True, False)
    """
    per_token, shared = dict(per_token or {}), dict(shared or {})
    assert ids, "extra inputs belong to tokens: give a placeholder token"
    assert all(len(values) == len(ids) for values in per_token.values()), "per_token needs a value for each token"
    whole = hashlib.blake2b(digest_size=16)
    if shared:
        whole.update(repr(tuple(ids)).encode())
    for name, values in sorted(shared.items()):
        whole.update(_described(name, values))
    keys = []
    for place in range(len(ids)):
        digest = hashlib.blake2b(whole.digest(), digest_size=7)  # fits into an int64
        for name, values in sorted(per_token.items()):
            digest.update(_described(name, values[place]))
        keys.append(int.from_bytes(digest.digest(), "big"))
    return ExtraInputs(tuple(keys), per_token, shared)


def _described(name: str, values: Tensor) -> bytes:
    """A tensor with its name, dtype and shape as bytes that no other tensor has."""
    tensor = values.detach().cpu().contiguous()
    return f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|{tensor.tolist()}".encode()
