"""Feedback (votes, ratings, rankings, choices, thumbs) becomes preference groups, as Ibis expressions on any engine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tropism.signals.kinds.built_groups import BuiltGroups
    from tropism.signals.kinds.choices import from_choices
    from tropism.signals.kinds.exclusions import Exclusions
    from tropism.signals.kinds.labels import from_labels
    from tropism.signals.kinds.rankings import from_rankings
    from tropism.signals.kinds.ratings import from_ratings
    from tropism.signals.kinds.vote_rules import (
        GapRule,
        LeadRule,
        Log2Rule,
        QuantileRule,
        RatioRule,
        ShpRule,
        VoteRule,
    )
    from tropism.signals.kinds.votes import from_votes
    from tropism.signals.privacy.safety_gate import SafetyGate

_MODULES = {
    "from_votes": "kinds.votes",
    "from_ratings": "kinds.ratings",
    "from_rankings": "kinds.rankings",
    "from_choices": "kinds.choices",
    "from_labels": "kinds.labels",
    "BuiltGroups": "kinds.built_groups",
    "Exclusions": "kinds.exclusions",
    "SafetyGate": "privacy.safety_gate",
    "VoteRule": "kinds.vote_rules",
    "GapRule": "kinds.vote_rules",
    "LeadRule": "kinds.vote_rules",
    "RatioRule": "kinds.vote_rules",
    "ShpRule": "kinds.vote_rules",
    "Log2Rule": "kinds.vote_rules",
    "QuantileRule": "kinds.vote_rules",
}
__all__ = [
    "BuiltGroups",
    "Exclusions",
    "GapRule",
    "LeadRule",
    "Log2Rule",
    "QuantileRule",
    "RatioRule",
    "SafetyGate",
    "ShpRule",
    "VoteRule",
    "from_choices",
    "from_labels",
    "from_rankings",
    "from_ratings",
    "from_votes",
]


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is first used: Ibis and its engines take a while to import."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
