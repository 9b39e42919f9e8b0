"""Published systems on a user's model, each a value that one runner runs, measures and reports."""

from tropism.applications.base import Application, ApplicationSettings, ArmMetrics, Claim, GroupSet
from tropism.applications.seed_estimates import change_of, over_seeds, value_of

__all__ = [
    "Application",
    "ApplicationSettings",
    "ArmMetrics",
    "Claim",
    "GroupSet",
    "change_of",
    "over_seeds",
    "value_of",
]
