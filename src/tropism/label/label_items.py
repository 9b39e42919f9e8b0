"""Groups become items to label: a prompt with two answers, or with up to K answers to choose the best from."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal, NamedTuple

from tropism.data.group_keys import short_hash, unit_hash
from tropism.data.label_choices import ChoiceItem, Option
from tropism.errors import ConfigError, DataError
from tropism.groups import Content, PreferenceGroup, Response, content_key

MOST_ITEMS = 100_000
MOST_OPTIONS = 9
"""The keys 1 to 9."""

NOTHING_TO_SHOW = "an answer without text or image"
EQUAL = "equal answers"
ALONE = "fewer than two answers to a prompt"
TWO_PROMPTS = "answers to different prompts"
REPEATED = "a repeated comparison"
UNSAMPLED = "not drawn"


@dataclass(frozen=True, slots=True)
class ComparisonPlan:
    """Which answers of a group are compared.

    Args:
        pairs: `all` pairs of answers to one prompt; the groups' existing `edges`; or the number of pairs to draw from
            all groups, by a hash of their contents.
        best_of: None for pairs; otherwise the best of up to this many answers is chosen, and `pairs` has no effect.
        seed: of the draws.
    """

    pairs: Literal["all", "edges"] | int = "all"
    best_of: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.best_of is not None and not 2 <= self.best_of <= MOST_OPTIONS:
            raise ConfigError(
                f"`best_of` must be in [2, {MOST_OPTIONS}], got {self.best_of}.", remedy="Use `best_of=4`."
            )
        if isinstance(self.pairs, int) and self.pairs < 1:
            raise ConfigError(f"`pairs` must be at least 1, got {self.pairs}.", remedy="Use `pairs=200`.")

    @property
    def sample(self) -> int | None:
        """The number of items to draw; None for all."""
        return self.pairs if isinstance(self.pairs, int) else None


class LabelItems(NamedTuple):
    """The items of a file, and what was omitted.

    Args:
        items: without attention checks.
        num_groups: number of groups read.
        left_out: comparisons that are not shown: reason to number.
    """

    items: tuple[ChoiceItem, ...]
    num_groups: int
    left_out: Mapping[str, int]


def make_items(groups: Iterable[PreferenceGroup], plan: ComparisonPlan) -> LabelItems:
    """Make the items of a plan.

    Args:
        groups: may be a generator; with a number of pairs, only those are kept in memory.
        plan: which answers are compared.

    Raises:
        DataError: if there is nothing to compare, or more than `MOST_ITEMS`.
    """
    tally = _ItemCounts()
    items = _sampled(_items(groups, plan, tally), plan, tally)
    if not items:
        reasons = "; ".join(f"{reason}: {count:,}" for reason, count in tally.left_out.items())
        raise DataError(
            f"nothing to compare in {tally.num_groups:,} groups ({reasons or 'no comparison'}).",
            remedy="Use groups with two different answers to a prompt, or `pairs='all'`.",
        )
    return LabelItems(items, tally.num_groups, dict(tally.left_out))


def item_from(group_id: str, prompt: Content, options: Iterable[Option], *, expected: str | None = None) -> ChoiceItem:
    """An item whose id is a hash of its contents, independent of the order of its options."""
    shown = tuple(options)
    key = json.dumps(sorted([option.id, content_key(option.content)] for option in shown))
    return ChoiceItem(short_hash("\x1f".join((group_id, content_key(prompt), key))), group_id, prompt, shown, expected)


def can_be_shown(content: Content) -> bool:
    """Whether a page can show a content; catalogue ids and empty answers cannot be shown.

    Example:
        >>> can_be_shown(" "), can_be_shown(7), can_be_shown(({"role": "assistant", "content": "Hello"},))
        (False, False, True)
    """
    if isinstance(content, str):
        return bool(content.strip())
    if isinstance(content, tuple):
        return any(bool(turn.get("content")) for turn in content)
    return False


@dataclass(slots=True)
class _ItemCounts:
    """Counts made while groups are read."""

    num_groups: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def _items(groups: Iterable[PreferenceGroup], plan: ComparisonPlan, tally: _ItemCounts) -> Iterator[ChoiceItem]:
    """The items of all groups, with counts of what was omitted."""
    seen: set[str] = set()
    for group in groups:
        tally.num_groups += 1
        compared = _pairs(group, plan) if plan.best_of is None else _sets(group, plan.best_of, plan.seed)
        for responses in compared:
            reason = _reason_against(responses)
            if reason is None:
                prompt = group.prompts[responses[0].prompt]
                item = item_from(group.id, prompt, (Option(one.id, one.content) for one in responses))
                reason = REPEATED if item.item_id in seen else None
            if reason is not None:
                tally.left_out[reason] += 1
                continue
            seen.add(item.item_id)
            yield item


def _pairs(group: PreferenceGroup, plan: ComparisonPlan) -> Iterator[tuple[Response, ...]]:
    """The pairs of a group, each in the group's order."""
    if plan.pairs == "edges":
        places = sorted({(min(edge.winner, edge.loser), max(edge.winner, edge.loser)) for edge in group.edges})
        yield from ((group.responses[first], group.responses[second]) for first, second in places)
    else:
        yield from combinations(group.responses, 2)


def _sets(group: PreferenceGroup, best_of: int, seed: int) -> Iterator[tuple[Response, ...]]:
    """The answers to each prompt of a group; of more than `best_of`, those with the smallest hashes."""
    for place in range(len(group.prompts)):
        answers = [response for response in group.responses if response.prompt == place]
        if len(answers) > best_of:
            drawn = sorted(answers, key=lambda one: unit_hash(f"{group.id}\x1f{one.id}", purpose=f"label-{seed}"))
            kept = {response.id for response in drawn[:best_of]}
            answers = [response for response in answers if response.id in kept]
        yield tuple(answers)


def _reason_against(responses: tuple[Response, ...]) -> str | None:
    """Why these answers cannot be compared; None if they can."""
    if len(responses) < 2:
        return ALONE
    if len({response.prompt for response in responses}) > 1:
        return TWO_PROMPTS
    if not all(can_be_shown(response.content) for response in responses):
        return NOTHING_TO_SHOW
    if len({content_key(response.content) for response in responses}) < len(responses):
        return EQUAL
    return None


def _sampled(items: Iterator[ChoiceItem], plan: ComparisonPlan, tally: _ItemCounts) -> tuple[ChoiceItem, ...]:
    """All items, or those with the smallest hashes, so that added groups leave most of a sample unchanged."""
    if plan.sample is None:
        found = []
        for item in items:
            found.append(item)
            if len(found) > MOST_ITEMS:
                raise DataError(
                    f"there are more than {MOST_ITEMS:,} comparisons.",
                    remedy="Draw a sample of them, for example `pairs=500`.",
                )
        return tuple(found)
    largest_first: list[tuple[float, str, ChoiceItem]] = []
    for item in items:
        entry = (-unit_hash(item.item_id, purpose=f"label-{plan.seed}"), item.item_id, item)
        if len(largest_first) < plan.sample:
            heapq.heappush(largest_first, entry)
        else:
            heapq.heappushpop(largest_first, entry)
            tally.left_out[UNSAMPLED] += 1
    return tuple(entry[2] for entry in sorted(largest_first, reverse=True))
