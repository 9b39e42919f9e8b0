"""Published systems on a user's model, each a value that one runner runs, measures and reports."""

from typing import TYPE_CHECKING

from tropism.lazy import lazy_names

if TYPE_CHECKING:
    from tropism.applications.application import Application, ApplicationSettings, ArmMetrics, Claim, GroupSet
    from tropism.applications.application_table import APPLICATIONS
    from tropism.applications.runner import run_application
    from tropism.applications.seed_estimates import change_of, over_seeds, value_of
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "tropism.applications.application": (
                "Application",
                "ApplicationSettings",
                "ArmMetrics",
                "Claim",
                "GroupSet",
            ),
            "tropism.applications.application_table": ("APPLICATIONS",),
            "tropism.applications.runner": ("run_application",),
            "tropism.applications.seed_estimates": ("change_of", "over_seeds", "value_of"),
        },
    )

__all__ = [
    "APPLICATIONS",
    "Application",
    "ApplicationSettings",
    "ArmMetrics",
    "Claim",
    "GroupSet",
    "change_of",
    "over_seeds",
    "run_application",
    "value_of",
]
