"""The kinds of policy that a recipe can name: `POLICIES`, from kind to its settings, its opener and what it can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tropism.errors import ConfigError
from tropism.functions import load_function
from tropism.policies.base import Capability, ModelSettings, Policy, PolicySettings
from tropism.policies.reward import RewardPolicy
from tropism.policies.text import TextPolicy


@dataclass(frozen=True)
class PolicyKind:
    """A row of the table of kinds.

    Args:
        settings: the type of what a recipe's `policy` may say beside `kind`.
        opener: opens a model folder by a path, the settings of every kind, and its own.
        capabilities: what its policies can do.
        takes_adapter: whether the opener can put a LoRA adapter on the model.
    """

    settings: type[PolicySettings]
    opener: Callable[[str, ModelSettings, Any], Policy]
    capabilities: frozenset[Capability]
    takes_adapter: bool = False

    def parse(self, settings: Mapping[str, Any]) -> PolicySettings:
        """Check what a recipe says for this kind.

        Raises:
            ConfigError: for the first thing that is wrong.
        """
        try:
            return self.settings.model_validate(settings)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(
                f"`policy`: {where}: {first['msg'][:1].lower()}{first['msg'][1:]}.",
                remedy=f"Available beside kind: {', '.join(self.settings.model_fields) or 'nothing'}.",
            ) from None


def kind_of(policy: type[Policy]) -> PolicyKind:
    """The row of a class of policies that has `open`, see `Policy`."""
    return PolicyKind(policy.settings_type, policy.open, policy.capabilities, policy.takes_adapter)


POLICIES: dict[str, PolicyKind] = {
    "text": kind_of(TextPolicy),
    "reward": kind_of(RewardPolicy),
}


def register_policy(name: str, policy: type[Policy]) -> None:
    """Add a kind of policy, so that recipes of this process can name it.

    Args:
        name: a Python identifier that is not taken.
        policy: a class with `open`, `capabilities` and, if it has settings, `settings_type`.

    Raises:
        ConfigError: if the name is taken or not an identifier.
    """
    if not name.isidentifier() or name in POLICIES:
        raise ConfigError(
            f"`name` must be an identifier that is not taken, got {name!r}; taken: {', '.join(POLICIES)}.",
            remedy="Choose another name.",
        )
    POLICIES[name] = kind_of(policy)


def policy_kind(name: str) -> PolicyKind:
    """The kind of policy by its name in `POLICIES`, or a class by `file.py:Class` or `module:Class`.

    A class by its file or module is run as code, so it must be one that the user trusts.

    Raises:
        ConfigError: if there is no such kind.
    """
    if name in POLICIES:
        return POLICIES[name]
    known = f"available: {', '.join(POLICIES)}, or a class of yours as file.py:Class or module:Class"
    if ":" not in name:
        raise ConfigError(f"unknown policy {name!r}; {known}.", remedy="Use text for a language model.")
    found = load_function(name, role="policy", remedy="Check the file and the class's name.")
    if not (isinstance(found, type) and issubclass(found, Policy)):
        raise ConfigError(f"the policy {name!r} must be a class derived from Policy.", remedy="Name such a class.")
    return kind_of(found)
