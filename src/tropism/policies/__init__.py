"""Models that score responses, and may generate some."""

from typing import TYPE_CHECKING

from tropism.lazy import lazy_names

if TYPE_CHECKING:
    from tropism.policies.base import Capability, ModelSettings, Policy, PolicySettings
    from tropism.policies.generating import GeneratingPolicy
    from tropism.policies.registry import POLICIES, PolicyKind, register_policy
    from tropism.policies.reward import RewardPolicy
    from tropism.policies.text import TextPolicy
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "tropism.policies.base": (
                "Capability",
                "ModelSettings",
                "Policy",
                "PolicySettings",
            ),
            "tropism.policies.generating": ("GeneratingPolicy",),
            "tropism.policies.registry": (
                "POLICIES",
                "PolicyKind",
                "register_policy",
            ),
            "tropism.policies.reward": ("RewardPolicy",),
            "tropism.policies.text": ("TextPolicy",),
        },
    )

__all__ = [
    "POLICIES",
    "Capability",
    "GeneratingPolicy",
    "ModelSettings",
    "Policy",
    "PolicyKind",
    "PolicySettings",
    "RewardPolicy",
    "TextPolicy",
    "register_policy",
]
