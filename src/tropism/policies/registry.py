"""The kinds of policy in recipes: `POLICIES`, from kind to its settings, its opener and its capabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tropism.policies.base import Capability, ModelSettings, Policy, PolicySettings
from tropism.policies.kinds import checked_settings, find_kind, require_free
from tropism.policies.reward import RewardPolicy
from tropism.policies.text import TextPolicy


@dataclass(frozen=True)
class PolicyKind:
    """A row of the table of kinds.

    Args:
        settings: the type of the keys of a recipe's `policy` other than `kind`.
        opener: opens a model folder by a path, the settings of every kind, and its own.
        capabilities: of its policies.
        takes_adapter: whether the opener can put a LoRA adapter on the model.
        check_folder: refuses a folder that the opener cannot open; see `Policy.check_folder`.
    """

    settings: type[PolicySettings]
    opener: Callable[[str, ModelSettings, Any], Policy]
    capabilities: frozenset[Capability]
    takes_adapter: bool = False
    check_folder: Callable[[str], None] = Policy.check_folder


def _kind_of(policy: type[Policy]) -> PolicyKind:
    """The row of a class of policies that has `open`, see `Policy`."""
    return PolicyKind(policy.settings_type, policy.open, policy.capabilities, policy.takes_adapter, policy.check_folder)


POLICIES: dict[str, PolicyKind] = {
    "text": _kind_of(TextPolicy),
    "reward": _kind_of(RewardPolicy),
}


def register_policy(name: str, policy: type[Policy]) -> None:
    """Add a kind of policy, so that recipes of this process can name it.

    Args:
        name: a Python identifier that is not taken.
        policy: a class with `open`, `capabilities` and, if it has settings, `settings_type`.

    Raises:
        ConfigError: if the name is taken or not an identifier.
    """
    require_free(POLICIES, name)
    POLICIES[name] = _kind_of(policy)


def policy_kind(name: str) -> PolicyKind:
    """The kind of policy by its name in `POLICIES`, or a class by `file.py:Class` or `module:Class`.

    Raises:
        ConfigError: if there is no such kind.
    """
    found = find_kind(POLICIES, name, base=Policy, role="policy")
    return found if isinstance(found, PolicyKind) else _kind_of(found)


def policy_settings(name: str, settings: Mapping[str, Any]) -> PolicySettings:
    """The settings of a kind of policy, checked.

    Raises:
        ConfigError: for an unknown kind, and for the first setting that is wrong.
    """
    found: PolicySettings = checked_settings(policy_kind(name).settings, settings, what=f"policy {name!r}")
    return found
