"""Preference losses: pure functions from scores and feedback to unreduced terms, and the table that names them."""

from tropism.losses.table import LOSSES, Mixture, make_mixture

__all__ = ["LOSSES", "Mixture", "make_mixture"]
