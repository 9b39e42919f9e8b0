"""Policies and references of a recipe, opened; and checks that a policy can do what its stage needs."""

from __future__ import annotations

from tropism.errors import ConfigError, TropismError, respelled
from tropism.policies.base import ModelSettings, Policy, require
from tropism.policies.registry import PolicyKind, policy_kind, policy_settings
from tropism.references.reference import NoReference, Reference, ReferenceRequest
from tropism.references.reference_kinds import reference_kind, reference_settings
from tropism.training.recipe.named_losses import mixture_of
from tropism.training.recipe.sections import PolicyRecipe, Recipe, StageRecipe
from tropism.training.watch.probe import WATCH_NEEDS

RECIPE_KEYS = {
    "max_tokens": "data.max_tokens",
    "min_response_tokens": "data.min_response_tokens",
    "template": "data.template",
    "targets": "lora.targets",
}
"""Parameters of the library and the recipe's keys that set them; others have the same name."""
TEXT = PolicyRecipe(kind="text")


def policy_of(stage: StageRecipe) -> PolicyRecipe:
    """The policy of a resolved stage: what the recipe names, else `reward` if its loss trains rewards, else `text`."""
    return stage.policy or (PolicyRecipe(kind="reward") if _needs_rewards(stage) else TEXT)


def _needs_rewards(stage: StageRecipe) -> bool:
    """Whether any loss of a stage is over rewards."""
    return mixture_of(stage.loss or {}).needs("rewards")


def open_policy(recipe: Recipe, path: str, policy: PolicyRecipe = TEXT) -> Policy:
    """Open any model as a recipe says.

    Args:
        recipe: says how texts are rendered, the dtype, the adapter and the layout.
        path: a model folder or hub id.
        policy: the kind, see `policy_of`.
    """
    kind = policy_kind(policy.kind)
    model = ModelSettings(
        template=recipe.data.template,
        max_tokens=recipe.data.max_tokens,
        min_response_tokens=recipe.data.min_response_tokens,
        dtype=recipe.dtype,
        lora=recipe.lora.model_dump() if recipe.lora else None,
        layout=recipe.layout,
    )
    try:
        return kind.opener(path, model, policy_settings(policy.kind, policy.settings))
    except TropismError as error:
        raise respelled(error, RECIPE_KEYS) from None


def check_policies(recipe: Recipe) -> None:
    """Refuse settings of a stage that its policy cannot serve, before anything is loaded.

    Raises:
        ConfigError: for losses, references, adapters, alarms or a judge that do not fit a stage's policy.
    """
    before: PolicyKind | None = None
    kind = None
    can_watch = False
    for stage in recipe.resolved_stages():
        name = policy_of(stage).kind
        kind = policy_kind(name)
        called = f"policy {name!r} of stage {stage.name!r}"
        _check_losses(stage, kind, called)
        _check_reference(recipe, stage, kind, called)
        if recipe.lora and not kind.takes_adapter:
            raise ConfigError(f"{called} takes no adapter, but `lora` is set.", remedy="Omit `lora`.")
        if before and "rewards" in before.capabilities and "rewards" not in kind.capabilities:
            raise ConfigError(
                f"stage {stage.name!r} starts from the reward model of the stage before it, which generates nothing.",
                remedy="Train the reward model in the last stage or in a run of its own.",
            )
        can_watch = can_watch or (kind.capabilities >= WATCH_NEEDS and not imitates(stage))
        before = kind
    assert kind is not None
    if "alarms" in recipe.model_fields_set and recipe.alarms.on and not can_watch:
        require(kind.capabilities, WATCH_NEEDS, policy=called, what="`alarms`")
        raise ConfigError(
            f"`alarms` has no effect: stage {stage.name!r} imitates (loss nll) and compares no responses.",
            remedy="Omit `alarms`.",
        )
    if recipe.evaluation.judge:
        require(kind.capabilities, {"generate"}, policy=called, what="`evaluation.judge`")


def imitates(stage: StageRecipe) -> bool:
    """Whether a stage is trained on single responses alone, which is not watched."""
    return set(stage.loss or {}) == {"nll"}


def _check_losses(stage: StageRecipe, kind: PolicyKind, called: str) -> None:
    """Refuse losses over log-probabilities for a reward model, and losses over rewards for any other model."""
    gives_rewards = "rewards" in kind.capabilities
    for part in mixture_of(stage.loss or {}).parts:
        if "rewards" in part.loss.needs:
            require(kind.capabilities, {"rewards"}, policy=called, what=f"loss {part.name!r}")
        elif gives_rewards:
            require(kind.capabilities, {"logp"}, policy=called, what=f"loss {part.name!r}")


def _check_reference(recipe: Recipe, stage: StageRecipe, kind: PolicyKind, called: str) -> None:
    """Refuse a reference that a stage names and its policy cannot serve or its losses do not read.

    The default reference is not named. One that the recipe names for all stages must be read by at least one of them.
    """
    assert stage.reference is not None
    own = next((one for one in recipe.stages if one.name == stage.name), None)
    is_own = own is not None and own.reference is not None
    if not is_own and "reference" not in recipe.model_fields_set:
        return
    reference = reference_kind(stage.reference.kind)
    named = f"reference {stage.reference.kind!r}"
    if _reads_reference(stage) or not any(map(_reads_reference, recipe.resolved_stages())):
        require(kind.capabilities, reference.needs, policy=called, what=named)
    readers = [stage] if is_own else recipe.resolved_stages()
    if reference is not NoReference and not any(map(_reads_reference, readers)):
        raise ConfigError(
            f"{named} of stage {stage.name!r} has no effect: {' and '.join(stage.loss or {})} reads no reference.",
            remedy="Omit `reference`.",
        )


def _reads_reference(stage: StageRecipe) -> bool:
    """Whether any loss of a stage compares with a reference."""
    return mixture_of(stage.loss or {}).needs("reference")


def make_reference(
    recipe: Recipe,
    stage: StageRecipe,
    policy: Policy,
    *,
    tokens_per_batch: int | None,
) -> Reference:
    """The reference of a stage; none for a policy that cannot serve the default one.

    Raises:
        ConfigError: for `adapter` without an adapter, or a frozen model with another vocabulary.
    """
    assert stage.reference is not None
    kind = reference_kind(stage.reference.kind)
    if not kind.needs <= policy.capabilities:
        return NoReference()
    plain = recipe.model_copy(update={"lora": None})
    request = ReferenceRequest(policy, tokens_per_batch, lambda path: open_policy(plain, path, policy_of(stage)))
    return kind.make(request, reference_settings(stage.reference.kind, stage.reference.settings))
