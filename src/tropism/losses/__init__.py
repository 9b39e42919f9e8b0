"""Preference losses: pure functions from scores and feedback to unreduced terms, and the table that names them."""

from tropism.losses.loss_row import FlipRate, Loss, Positive, Range, Share, preference_loss
from tropism.losses.mixture import Mixture, make_mixture
from tropism.losses.table import LOSSES, MIXTURES

__all__ = [
    "LOSSES",
    "MIXTURES",
    "FlipRate",
    "Loss",
    "Mixture",
    "Positive",
    "Range",
    "Share",
    "make_mixture",
    "preference_loss",
]
