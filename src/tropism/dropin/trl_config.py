"""`DPOConfig`: TRL 1.16's fields, and what each of them means here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from transformers import TrainingArguments

from tropism.errors import ConfigError
from tropism.losses import Mixture, make_mixture

LOSS_TYPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "sigmoid": ("dpo", ("beta",)),
    "hinge": ("hinge", ("beta",)),
    "ipo": ("ipo_norm", ("tau",)),
    "exo_pair": ("exo", ("beta", "label_smoothing")),
    "nca_pair": ("nca", ("beta",)),
    "robust": ("robust", ("beta", "label_smoothing")),
    "bco_pair": ("bco_pair", ("beta",)),
    "sppo_hard": ("sppo", ("beta",)),
    "aot": ("aot", ("beta", "label_smoothing")),
    "aot_unpaired": ("aot_unpaired", ("beta", "label_smoothing")),
    "apo_zero": ("apo_zero", ("beta",)),
    "apo_down": ("apo_down", ("beta",)),
    "discopop": ("discopop", ("beta", "discopop_tau")),
    "sft": ("nll", ()),
    "sigmoid_norm": ("sigmoid_norm", ("beta",)),
}
"""TRL's name of a loss to ours, and which of the config's numbers it takes."""
DIVERGENCES = {
    "reverse_kl": "reverse_kl", "forward_kl": "forward_kl", "js_divergence": "js", "alpha_divergence": "alpha",
}  # fmt: skip


@dataclass
class DPOConfig(TrainingArguments):
    """Training arguments with TRL 1.16's fields, defaults and meanings; docs/migrate.md lists the differences.

    Raises:
        ConfigError: for a value that TRL refuses, or that would have no effect here.
    """

    _VALID_DICT_FIELDS: ClassVar[list[str]] = [*TrainingArguments._VALID_DICT_FIELDS, "model_init_kwargs"]

    learning_rate: float = 1e-6
    logging_steps: float = 10
    gradient_checkpointing: bool | None = True
    bf16: bool | None = None
    model_init_kwargs: dict[str, Any] | str | None = None
    trust_remote_code: bool = False
    router_aux_loss_coef: float | None = None
    disable_dropout: bool = True
    dataset_num_proc: int | None = None
    max_length: int | None = 1024
    truncation_mode: str = "keep_start"
    padding_free: bool = False
    pad_to_multiple_of: int | str | None = "auto"
    precompute_ref_log_probs: bool = False
    precompute_ref_batch_size: int | None = None
    loss_type: list[str] | str = field(default_factory=lambda: ["sigmoid"])
    loss_weights: list[float] | None = None
    ld_alpha: float | None = None
    f_divergence_type: str = "reverse_kl"
    f_alpha_divergence_coef: float = 0.5
    label_smoothing: float = 0.0
    beta: float = 0.1
    use_weighting: bool = False
    discopop_tau: float = 0.05
    activation_offloading: bool = False
    sync_ref_model: bool = False
    ref_model_mixup_alpha: float = 0.6
    ref_model_sync_steps: int = 512
    pad_token: str | None = None
    layout: str = "forest"
    tokens_per_batch: int | None = None

    def __post_init__(self) -> None:
        self.loss_type = [self.loss_type] if isinstance(self.loss_type, str) else list(self.loss_type)
        self.bf16 = not self.fp16 if self.bf16 is None else self.bf16
        if self.gradient_checkpointing is not None and vars(self).get("activation_checkpointing") is None:
            # transformers' new name of the same setting; it warns of the old one
            self.activation_checkpointing, self.gradient_checkpointing = self.gradient_checkpointing, None
        super().__post_init__()
        self._refuse_what_has_no_effect()

    def _refuse_what_has_no_effect(self) -> None:
        refused = {
            "disable_dropout=False": not self.disable_dropout,
            "truncation_mode='keep_end'": self.truncation_mode != "keep_start",
            "activation_offloading=True": self.activation_offloading,
            "use_liger_kernel=True": bool(self.use_liger_kernel),
            "trust_remote_code=True": self.trust_remote_code,
            "a router_aux_loss_coef that is not 0": bool(self.router_aux_loss_coef),
        }
        for what, is_asked in refused.items():
            if is_asked:
                raise ConfigError(f"DPOConfig: {what} is not supported.", remedy="See docs/migrate.md for what to do.")

    def to_mixture(self) -> Mixture:
        """The losses that these fields name.

        Raises:
            ConfigError: for an unknown loss, weights of another number, or fields that cannot work together.
        """
        assert isinstance(self.loss_type, list)
        for name in self.loss_type:
            if name not in LOSS_TYPES:
                raise ConfigError(
                    f"loss_type {name!r} is unknown.", remedy=f"Use one of {', '.join(LOSS_TYPES)}, or a recipe."
                )
        loss_weights = self.loss_weights or [1.0] * len(self.loss_type)
        if len(loss_weights) != len(self.loss_type):
            raise ConfigError(
                f"loss_weights has {len(loss_weights)} numbers for {len(self.loss_type)} losses.",
                remedy="Give one for each.",
            )
        parts = [self._part(name) for name in self.loss_type]
        names = [name for name, _ in parts]
        if len(set(names)) < len(names):
            raise ConfigError("loss_type names a loss twice.", remedy="Name it once, with the sum of the weights.")
        return make_mixture({
            name: {**settings, "weight": weight}
            for (name, settings), weight in zip(parts, loss_weights, strict=True)
        })  # fmt: skip

    def _part(self, name: str) -> tuple[str, dict[str, Any]]:
        """One of TRL's losses as one of ours, with its settings."""
        ours, keys = LOSS_TYPES[name]
        values = {"beta": self.beta, "tau": self.beta, "label_smoothing": self.label_smoothing}
        settings: dict[str, Any] = {key: values[key] for key in keys if key in values}
        if "discopop_tau" in keys:
            settings["tau"] = self.discopop_tau
        variants = {
            "ld_dpo": self.ld_alpha is not None,
            "f_dpo": self.f_divergence_type != "reverse_kl",
            "wpo": self.use_weighting,
            "cdpo": self.label_smoothing > 0 and "label_smoothing" not in keys,
        }
        asked = [variant for variant, is_asked in variants.items() if is_asked]
        if not asked or name == "sft":
            return ours, settings
        if name != "sigmoid" or len(asked) > 1:
            fields = {"ld_dpo": "ld_alpha", "f_dpo": "f_divergence_type", "wpo": "use_weighting"}
            given = " and ".join(fields.get(variant, "label_smoothing") for variant in asked)
            raise ConfigError(
                f"loss_type {name!r} cannot be combined with {given} here.",
                remedy="Combine one of them with 'sigmoid'.",
            )
        extra: dict[str, dict[str, Any]] = {
            "ld_dpo": {"alpha": self.ld_alpha},
            "f_dpo": {
                "divergence": self._divergence(),
                **({"alpha": self.f_alpha_divergence_coef} if self.f_divergence_type == "alpha_divergence" else {}),
            },
            "wpo": {},
            "cdpo": {"label_smoothing": self.label_smoothing},
        }
        return asked[0], {**settings, **extra[asked[0]]}

    def _divergence(self) -> str:
        if self.f_divergence_type not in DIVERGENCES:
            raise ConfigError(
                f"f_divergence_type {self.f_divergence_type!r} is unknown.",
                remedy=f"Use one of {', '.join(DIVERGENCES)}.",
            )
        return DIVERGENCES[self.f_divergence_type]
