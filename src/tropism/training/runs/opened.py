"""What a recipe names, opened: policies, reward models, references."""

from __future__ import annotations

from tropism.errors import ConfigError
from tropism.policies.loading import load_text_policy
from tropism.policies.reward import RewardPolicy, load_reward_policy
from tropism.policies.text import TextPolicy
from tropism.policies.transformer import TransformerPolicy
from tropism.references.moving import MIXUP_ALPHA, SYNC_STEPS, MovingReference
from tropism.references.reference import AdapterReference, CachedReference, FrozenReference, NoReference, Reference
from tropism.training.recipe.sections import Recipe, ReferenceRecipe, StageRecipe


def open_policy(recipe: Recipe, path: str) -> TextPolicy:
    """The policy of a recipe, from any of its models."""
    return load_text_policy(
        path,
        max_tokens=recipe.data.max_tokens,
        min_response_tokens=recipe.data.min_response_tokens,
        template=recipe.data.template,
        dtype=recipe.dtype,
        lora=recipe.lora.model_dump() if recipe.lora else None,
        layout=recipe.layout,
    )


def trains_rewards(stage: StageRecipe) -> bool:
    """Whether a stage trains a reward model, and not a model that answers."""
    return "bradley_terry" in (stage.loss or {})


def open_reward_policy(recipe: Recipe, path: str) -> RewardPolicy:
    """The reward model of a recipe, or one with a fresh head over its language model."""
    return load_reward_policy(
        path,
        max_tokens=recipe.data.max_tokens,
        min_response_tokens=recipe.data.min_response_tokens,
        template=recipe.data.template,
        dtype=recipe.dtype,
        layout=recipe.layout,
    )


def make_reference(
    recipe: Recipe,
    settings: ReferenceRecipe,
    policy: TransformerPolicy,
    *,
    tokens_per_batch: int | None,
) -> Reference:
    """The reference that a recipe names.

    Raises:
        ConfigError: for `adapter` without an adapter, or a frozen model with another vocabulary.
    """
    if settings.kind == "none" or not isinstance(policy, TextPolicy):
        return NoReference()
    if settings.kind == "adapter":
        return AdapterReference(policy)
    if settings.kind == "moving":
        return MovingReference(policy, alpha=settings.alpha or MIXUP_ALPHA, every=settings.every or SYNC_STEPS)
    if settings.kind == "cached":
        return CachedReference(policy, tokens_per_batch=tokens_per_batch)
    assert settings.model is not None
    frozen = open_policy(recipe.model_copy(update={"lora": None}), settings.model)
    if frozen.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise ConfigError(
            f"the frozen reference {settings.model} has another vocabulary than the model.",
            remedy="Use a reference with the same tokenizer.",
        )
    return FrozenReference(frozen)
