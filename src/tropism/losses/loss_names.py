"""Names of losses in other libraries, and what to say about a name that is not in the table."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from tropism.errors import ConfigError

RIVAL_NAMES = {
    "sigmoid": "dpo",
    "dpo_sigmoid": "dpo",
    "sft": "nll",
    "cross_entropy": "nll",
    "kto_pair": "kto",
    "exo_pair": "exo",
    "nca_pair": "nca",
    "sppo_hard": "sppo",
    "aot_pair": "aot",
    "aot_pairwise": "aot",
    "dpo_positive": "dpop",
    "dpop_loss": "dpop",
    "conservative_dpo": "cdpo",
    "robust_dpo": "robust",
    "length_normalized_dpo": "sigmoid_norm",
    "dpo_norm": "sigmoid_norm",
    "rso": "hinge",
    "rm": "bradley_terry",
    "reward": "bradley_terry",
    "reward_model": "bradley_terry",
    "lipo": "lipo_lambda",
    "chipo": "chi_po",
    "rdpo": "r_dpo",
    "lddpo": "ld_dpo",
    "caldpo": "cal_dpo",
    "fdpo": "f_dpo",
}
"""What TRL, LLaMA-Factory, Axolotl, OpenRLHF and ms-swift call a loss, and its name here."""

OTHER_METHODS = {
    "grpo": "reinforcement learning on sampled answers and their rewards",
    "dr_grpo": "reinforcement learning on sampled answers and their rewards",
    "dapo": "reinforcement learning on sampled answers and their rewards",
    "gspo": "reinforcement learning on sampled answers and their rewards",
    "rloo": "reinforcement learning on sampled answers and their rewards",
    "reinforce": "reinforcement learning on sampled answers and their rewards",
    "ppo": "reinforcement learning against a reward model",
    "gkd": "distillation from a teacher",
    "prm": "a reward model of single steps",
    "online_dpo": "a training loop, here `rounds` with the loss dpo",
    "xpo": "online exploration with a modified DPO",
}
"""Methods that are not losses over preferences, in a few words."""


def unknown_loss(name: str, known: Collection[str]) -> ConfigError:
    """The error for a name that is not in the table.

    Args:
        name: as given.
        known: the names in the table.

    Example:
        >>> print(unknown_loss("sigmoid", ["dpo"]))
        unknown loss 'sigmoid'; other libraries call 'dpo' so. Write dpo.
        >>> print(unknown_loss("grpo", ["dpo"]))
        unknown loss 'grpo': it is another method (reinforcement learning on sampled answers and their rewards). \
Train on comparisons of sampled answers instead: `rounds` with dpo. Known: dpo.
    """
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    if plain in OTHER_METHODS:
        return ConfigError(
            f"unknown loss {name!r}: it is another method ({OTHER_METHODS[plain]}).",
            remedy=f"Train on comparisons of sampled answers instead: `rounds` with dpo. Known: {', '.join(known)}.",
        )
    if plain in RIVAL_NAMES and RIVAL_NAMES[plain] in known:
        ours = RIVAL_NAMES[plain]
        return ConfigError(f"unknown loss {name!r}; other libraries call {ours!r} so.", remedy=f"Write {ours}.")
    if plain in known:
        return ConfigError(f"unknown loss {name!r}.", remedy=f"Did you mean {plain!r}? Names are in lower case.")
    return ConfigError(f"unknown loss {name!r}.", remedy=suggestion(name, known))


def suggestion(name: str, known: Collection[str]) -> str:
    """A remedy that names the nearest known name, and all of them."""
    nearest = difflib.get_close_matches(name.lower(), list(known), n=1)
    return (f"Did you mean {nearest[0]!r}? " if nearest else "") + f"Known: {', '.join(known)}."
