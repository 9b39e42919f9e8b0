"""Preference losses: pure functions from scores and feedback to unreduced terms, and the table that names them."""

from tropism.losses.anchored import apo_down, apo_zero, bco_pair, cal_dpo, dpop, nca, sppo
from tropism.losses.batchwise import aot, aot_unpaired, apo_zero_unpaired, bco, beta_dpo, kto
from tropism.losses.links import logistic
from tropism.losses.listwise import lipo_lambda, plackett_luce, softmax_dpo
from tropism.losses.loss_row import FlipRate, Loss, Positive, Range, Share, preference_loss
from tropism.losses.mixture import Mixture, make_mixture
from tropism.losses.pairwise import (
    cdpo,
    chi_po,
    discopop,
    dpo,
    exo,
    f_dpo,
    gravity,
    hinge,
    ipo,
    ipo_norm,
    ld_dpo,
    r_dpo,
    robust,
    sigmoid_norm,
    todo,
    wpo,
)
from tropism.losses.pointwise import nll
from tropism.losses.reference_free import bradley_terry, contrast, odds_ratio, simpo, slic
from tropism.losses.samples import drift
from tropism.losses.shaping import log_ratio_margin
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
    "aot",
    "aot_unpaired",
    "apo_down",
    "apo_zero",
    "apo_zero_unpaired",
    "bco",
    "bco_pair",
    "beta_dpo",
    "bradley_terry",
    "cal_dpo",
    "cdpo",
    "chi_po",
    "contrast",
    "discopop",
    "dpo",
    "dpop",
    "drift",
    "exo",
    "f_dpo",
    "gravity",
    "hinge",
    "ipo",
    "ipo_norm",
    "kto",
    "ld_dpo",
    "lipo_lambda",
    "log_ratio_margin",
    "logistic",
    "make_mixture",
    "nca",
    "nll",
    "odds_ratio",
    "plackett_luce",
    "preference_loss",
    "r_dpo",
    "robust",
    "sigmoid_norm",
    "simpo",
    "slic",
    "softmax_dpo",
    "sppo",
    "todo",
    "wpo",
]
