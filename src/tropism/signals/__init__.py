"""Feedback (votes, ratings, rankings, choices, thumbs) becomes preference groups, as Ibis expressions on any engine."""

from typing import TYPE_CHECKING

from tropism.lazy import lazy_names

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
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "tropism.signals.kinds.built_groups": ("BuiltGroups",),
            "tropism.signals.kinds.choices": ("from_choices",),
            "tropism.signals.kinds.exclusions": ("Exclusions",),
            "tropism.signals.kinds.labels": ("from_labels",),
            "tropism.signals.kinds.rankings": ("from_rankings",),
            "tropism.signals.kinds.ratings": ("from_ratings",),
            "tropism.signals.kinds.vote_rules": (
                "GapRule",
                "LeadRule",
                "Log2Rule",
                "QuantileRule",
                "RatioRule",
                "ShpRule",
                "VoteRule",
            ),
            "tropism.signals.kinds.votes": ("from_votes",),
            "tropism.signals.privacy.safety_gate": ("SafetyGate",),
        },
    )

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
