"""Where a run's groups come from, and which are trained on, held out, probed with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tropism.data.formats import Loaded, Source, load
from tropism.data.group_keys import group_key, unit_hash
from tropism.data.group_store import is_groups_file, read_card
from tropism.data.split import split_groups
from tropism.errors import ConfigError, DataError
from tropism.groups import PreferenceGroup
from tropism.records import DataCard
from tropism.training.recipe.sections import AlarmsRecipe, Recipe, SourceRecipe


@dataclass(frozen=True)
class Split:
    """The groups of a run: those of each stage in the order of the stages, those held out, and the account.

    `probe` is what the model is probed with while it trains: some of those held out, or of the last stage's if
    nothing is. Where probes decide which model comes out, they are held out of the evaluation too.
    """

    train: tuple[tuple[PreferenceGroup, ...], ...]
    held_out: tuple[PreferenceGroup, ...]
    probe: tuple[PreferenceGroup, ...]
    num_left_out: dict[str, int]
    cards: tuple[DataCard, ...]


def load_data(recipe: Recipe) -> Split:
    """Read the sources of every stage and split them by prompt; no held-out prompt is trained on in any stage."""
    loaded = {stage.data: read(stage.data) for stage in recipe.resolved_stages()}
    cards = [card for data, one in loaded.items() for card in _with_build_cards(data, one.cards)]
    if recipe.data.eval:
        held_out = read(recipe.data.eval)
        cards += _with_build_cards(recipe.data.eval, held_out.cards)
        sides = {
            data: (tuple(group for group in one.groups if group.split != "eval"), held_out.groups)
            for data, one in loaded.items()
        }
    else:
        sides = {data: split_groups(one.groups, holdout=recipe.data.holdout) for data, one in loaded.items()}
    last = sides[recipe.resolved_stages()[-1].data]
    kept = {data: at_most(side[0], recipe.data.max_groups) for data, side in sides.items()}
    _refuse_leaks(kept.values(), last[1])
    probe = probed(last[1] or last[0], recipe.alarms)
    evaluated = without(last[1], probe) if recipe.alarms.decides else tuple(last[1])
    return Split(
        train=tuple(kept[stage.data] for stage in recipe.resolved_stages()),
        held_out=evaluated,
        probe=probe,
        num_left_out={
            "groups held out for the probes that decide": len(last[1]) - len(evaluated),
            "groups left out by data.max_groups": sum(len(side[0]) - len(kept[data]) for data, side in sides.items()),
            "groups left out because they are marked eval": sum(
                len(one.groups) - len(sides[data][0]) for data, one in loaded.items() if recipe.data.eval
            ),
        },
        cards=tuple(cards),
    )


def read(sources: Sequence[SourceRecipe]) -> Loaded:
    """Groups of a recipe's sources."""
    return load([Source(source.path, source.fraction) for source in sources])


def _with_build_cards(sources: Sequence[SourceRecipe], cards: Sequence[DataCard]) -> list[DataCard]:
    """The cards of sources; before that of a groups file, the one of the build that made it."""
    found: list[DataCard] = []
    for source, card in zip(sources, cards, strict=True):
        path = Path(source.path)
        built = read_card(path) if path.suffix == ".parquet" and path.is_file() and is_groups_file(path) else None
        found += [built, card.model_copy(update={"rule": "", "confounds": {}})] if built else [card]
    return found


def at_most(groups: Sequence[PreferenceGroup], count: int | None) -> tuple[PreferenceGroup, ...]:
    """So many groups, chosen by a hash of their prompts and not by their order."""
    if count is None or count >= len(groups):
        return tuple(groups)
    return tuple(sorted(groups, key=lambda group: unit_hash(group_key(group), purpose="max_groups"))[:count])


def _refuse_leaks(trained: Iterable[Sequence[PreferenceGroup]], held_out: Sequence[PreferenceGroup]) -> None:
    """Refuse to evaluate on a prompt that is trained on."""
    ours = {group_key(group) for group in held_out}
    shared = sorted(group.id for groups in trained for group in groups if group_key(group) in ours)
    if shared:
        raise DataError(
            f"{len(shared)} prompts are both trained on and held out (group {shared[0]}, say).",
            remedy="Take them out of one side, or leave data.eval empty and set data.holdout.",
        )


def probed(groups: Sequence[PreferenceGroup], settings: AlarmsRecipe) -> tuple[PreferenceGroup, ...]:
    """The groups to probe with, chosen by a hash of their prompts; none if alarms are off."""
    count = max(settings.probe.groups, settings.probe.prompts) if settings.on else 0
    return tuple(sorted(groups, key=lambda group: unit_hash(group_key(group), purpose="probe"))[:count])


def without(held_out: Sequence[PreferenceGroup], probe: Sequence[PreferenceGroup]) -> tuple[PreferenceGroup, ...]:
    """The groups to evaluate on if the probes have decided: none of their prompts.

    Raises:
        ConfigError: if none is left.
    """
    seen = {group_key(group) for group in probe}
    left = tuple(group for group in held_out if group_key(group) not in seen)
    if held_out and not left:
        raise ConfigError(
            f"alarms that choose or stop look at {len(seen)} held-out prompts, which leaves none to evaluate on.",
            remedy="Hold more out (data.holdout), or lower alarms.probe.groups.",
        )
    return left
