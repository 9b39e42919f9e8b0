"""`DPOTrainer`: TRL 1.16's trainer by its arguments, over our layouts, cache and losses."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from datasets import Dataset, IterableDataset
from peft import PeftConfig, PeftModel, get_peft_model
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    set_seed,
)

from tropism.data.formats import groups_of_rows
from tropism.dropin.trl_config import DPOConfig
from tropism.dropin.trl_metrics import STATISTICS, TRLMonitors
from tropism.errors import ConfigError
from tropism.policies.base import Policy
from tropism.policies.text import text_policy
from tropism.policies.transformer import TransformerPolicy
from tropism.references.cached import CachedReference
from tropism.references.moving import MovingReference
from tropism.references.reference import Reference
from tropism.text.prepared import Prepared, require_groups
from tropism.text.render import Renderer, RenderRules
from tropism.training.loop.trainer import PreferenceTrainer

logger = logging.getLogger(__name__)

Rows: TypeAlias = Dataset | IterableDataset
REFUSED = {
    "data_collator": "rows become groups, and the layout cuts them into batches; there is nothing to collate",
    "compute_metrics": "logits never exist in full; write an evaluation of your own over `trainer.evaluate()`",
}


class DPOTrainer(PreferenceTrainer):
    """Trains a model on pairs, rankings or dialogues by TRL's arguments.

    Args:
        model: a hub id or folder, a model, or a PEFT model.
        ref_model: the reference; None is the policy as it is now, adapters and edited weights included.
        args: a `DPOConfig`.
        data_collator, compute_metrics: refused, see docs/migrate.md.
        train_dataset: rows in any form that TRL takes, and ours (weights, margins, ties, rankings).
        eval_dataset: one data set, or several by name.
        processing_class: the tokenizer; None loads it beside the model.
        callbacks, optimizers: see transformers.
        quantization_config: handed to `from_pretrained` if the model is a name.
        peft_config: an adapter to train.

    Raises:
        ConfigError: for arguments that TRL refuses or that would have no effect.
        DataError: if no row can be used.
    """

    def __init__(
        self,
        model: str | PreTrainedModel | PeftModel,
        ref_model: PreTrainedModel | None = None,
        args: DPOConfig | None = None,
        data_collator: Any = None,
        train_dataset: Rows | None = None,
        eval_dataset: Rows | Mapping[str, Rows] | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        compute_metrics: Callable[..., Any] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[Optimizer | None, LRScheduler | None] = (None, None),
        quantization_config: Any = None,
        peft_config: PeftConfig | None = None,
    ) -> None:
        for name, value in (("data_collator", data_collator), ("compute_metrics", compute_metrics)):
            if value is not None:
                raise ConfigError(f"{name} has no place here: {REFUSED[name]}.", remedy="Omit it.")
        if train_dataset is None:
            raise ConfigError("train_dataset is required.", remedy="Give the pairs to train on.")
        name = model if isinstance(model, str) else str(model.config.name_or_path or "model")
        args = args or DPOConfig(f"{name.rstrip('/').split('/')[-1]}-DPO")
        set_seed(args.seed)
        policy = open_policy(model, args, processing_class, quantization_config, peft_config)
        if ref_model is policy.model:
            raise ConfigError("model and ref_model are one object.", remedy="Leave ref_model out.")
        losses = args.to_mixture()
        self.beta = args.beta
        train_groups = rendered(policy, train_dataset, "train_dataset")
        several = isinstance(eval_dataset, Mapping)
        named: Mapping[str, Rows] = (
            eval_dataset if isinstance(eval_dataset, Mapping) else {} if eval_dataset is None else {"": eval_dataset}
        )
        self._eval_sets: dict[str, list[Prepared]] = {
            f"_{key}" if several else "": rendered(policy, rows, f"eval_dataset {key}".strip())
            for key, rows in named.items()
        }
        super().__init__(
            policy,
            losses,
            _reference_for(policy, ref_model, args),
            args,
            train_groups=train_groups,
            eval_groups=[group for groups in self._eval_sets.values() for group in groups],
            callbacks=callbacks or (),
            tokens_per_batch=args.tokens_per_batch,
            optimizers=optimizers,
            processing_class=policy.tokenizer,
        )
        self.statistics = (*(self.statistics or ()), *STATISTICS)
        self.monitors = TRLMonitors(args.beta)

    def evaluate(
        self,
        eval_dataset: Rows | Mapping[str, Rows] | str | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Loss and metrics of every evaluation set, of one of them by its name, or of another data set.

        Raises:
            ConfigError: for other rows after training has begun, if the reference was the start state: it is gone.
        """
        sets = self._eval_sets
        if isinstance(eval_dataset, str):
            sets = {f"_{eval_dataset}": sets[f"_{eval_dataset}"]}
        elif eval_dataset is not None:
            named = eval_dataset if isinstance(eval_dataset, Mapping) else {"": eval_dataset}
            sets = {
                f"_{key}" if key else "": rendered(self.policy, rows, f"eval_dataset {key}")
                for key, rows in named.items()
            }
        self._prepare_reference([group for groups in sets.values() for group in groups])
        before, found = self.eval_groups, dict[str, float]()
        try:
            for name, groups in sets.items():
                self.eval_groups = groups
                found |= super().evaluate(metric_key_prefix=f"{metric_key_prefix}{name}")
        finally:
            self.eval_groups = before
        return found


def open_policy(
    model: str | PreTrainedModel | PeftModel,
    args: DPOConfig,
    tokenizer: PreTrainedTokenizerBase | None,
    quantization_config: Any,
    peft_config: PeftConfig | None,
) -> TransformerPolicy:
    """The policy of the trainer's arguments."""
    if isinstance(model, str):
        given = args.model_init_kwargs or {}
        settings: dict[str, Any] = {"dtype": "float32", **(json.loads(given) if isinstance(given, str) else given)}
        if quantization_config is not None:
            settings["quantization_config"] = quantization_config
        tokenizer = tokenizer or AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(model, trust_remote_code=False, **settings)
    elif args.model_init_kwargs or quantization_config is not None:
        raise ConfigError(
            "model_init_kwargs and quantization_config have no effect on a model that is already there.",
            remedy="Give the model's name, or omit them.",
        )
    if tokenizer is None:
        tokenizer = AutoTokenizer.from_pretrained(model.config.name_or_path, trust_remote_code=False)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise ConfigError(
            f"processing_class must be a tokenizer, not a {type(tokenizer).__name__}: images come later.",
            remedy="Give the tokenizer.",
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = args.pad_token or tokenizer.eos_token
    if peft_config is not None:
        if isinstance(model, PeftModel):
            raise ConfigError(
                "a PEFT model and a peft_config were given.",
                remedy="Merge the adapter first, or leave peft_config out.",
            )
        model = get_peft_model(model, peft_config)
    for module in model.modules():  # disable_dropout means the adapter's too, as in TRL
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2**20
    longest = min(args.max_length or context, context)
    rules = RenderRules(max_tokens=longest, min_response_tokens=1)
    own = model.generation_config.eos_token_id if model.generation_config else None
    stops = own if isinstance(own, list) else [] if own is None else [own]
    layout: Any = args.layout
    return text_policy(model, tokenizer, Renderer(tokenizer, rules, stops=stops), layout=layout)


def rendered(policy: Policy, rows: Iterable[Any], name: str) -> list[Prepared]:
    """The rows of a data set as groups in token ids; what was dropped is logged with its number."""
    groups, read = groups_of_rows(rows, source=name)
    found, account = policy.prepare(groups)
    require_groups(found, account, what=name)
    for reason, count in {**read.dropped, **account.dropped}.items():
        logger.warning("%s: %d of %d rows dropped: %s", name, count, read.rows_read, reason)
    for note, count in account.notes.items():
        if count:
            logger.warning("%s: %d %s", name, count, note)
    return [*found]


def _reference_for(policy: TransformerPolicy, ref_model: PreTrainedModel | None, args: DPOConfig) -> Reference:
    """The start state, a model of the user's, or one that follows; scores are kept on disk wherever they can be."""
    if args.sync_ref_model:
        if ref_model is not None or args.precompute_ref_log_probs:
            raise ConfigError(
                "sync_ref_model follows the policy from its start, so ref_model and precompute_ref_log_probs have no "
                "place beside it.",
                remedy="Omit them.",
            )
        return MovingReference(policy, alpha=args.ref_model_mixup_alpha, every=args.ref_model_sync_steps)
    if ref_model is None:
        return CachedReference(policy, tokens_per_batch=args.tokens_per_batch)
    layout: Any = args.layout
    frozen = text_policy(ref_model, policy.tokenizer, policy.renderer, layout=layout)
    frozen.model.to(args.device)
    reference = CachedReference(frozen, tokens_per_batch=args.tokens_per_batch)
    reference.is_start = False
    return reference
