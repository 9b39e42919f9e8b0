"""Preference losses: pure functions from scores and feedback to unreduced terms, and the table that names them."""

from tropism.losses.mixture import LOSSES, Mixture, mixture

__all__ = ["LOSSES", "Mixture", "mixture"]
