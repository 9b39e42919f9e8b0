"""Which prompts and pairs to show: those on which a model gained or lost most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tropism.records import SuitePair, SuiteRun, SuiteSample
from tropism.reporting.model_styles import ModelStyle
from tropism.reporting.numbers import compact, plain
from tropism.reporting.page_records import PageRecords

MOST_OF_A_KIND = 3
FEWER_WITH_MANY = 2
"""If a page has three models or more, it shows so many gains and losses of each."""
MOST_UNSCORED = 8
"""Prompts that are shown if no score says which to choose."""


class ShownAnswer(NamedTuple):
    """One answer, with its model and its score as text."""

    model: ModelStyle
    text: str
    score: str


class NotablePrompt(NamedTuple):
    """A prompt with the answers worth comparing, and why it is shown."""

    prompt: str
    reason: str
    is_gain: bool | None
    answers: list[ShownAnswer]


class NotablePair(NamedTuple):
    """A held-out comparison, and by how many nats either answer became likelier."""

    prompt: str
    winner: str
    loser: str
    winner_change: str
    loser_change: str
    size: str
    is_gain: bool


class PairGroup(NamedTuple):
    """Comparisons of one model."""

    model: ModelStyle
    pairs: list[NotablePair]


class PromptGroup(NamedTuple):
    """Prompts of one model; `model` is None if they were not chosen by what a model gained or lost."""

    model: ModelStyle | None
    note: str
    prompts: list[NotablePrompt]


def prompt_groups(records: PageRecords, models: Mapping[str, ModelStyle]) -> list[PromptGroup]:
    """Samples of every suite: by gain and loss if there are scores, else the first few."""
    most = _most_shown(records)
    groups: list[PromptGroup] = []
    for suite in records.suites:
        own = [group for name in suite.others if (group := _by_score(suite, models, models[name], most=most))]
        groups += own or ([_first_prompts(suite, models)] if suite.samples else [])
    return groups


def _most_shown(records: PageRecords) -> int:
    """How many gains, and how many losses, of each model are shown."""
    return MOST_OF_A_KIND if len(records.models) < 3 else FEWER_WITH_MANY


def _by_score(suite: SuiteRun, models: Mapping[str, ModelStyle], model: ModelStyle, *, most: int) -> PromptGroup | None:
    """One model's greatest gains and losses; None if no prompt has scores on both sides."""
    both = {model.name, suite.base}
    known = [
        (one.scores[model.name] - one.scores[suite.base], one)
        for one in suite.samples
        if both <= one.scores.keys() and both <= one.answers.keys()
    ]
    changes = sorted((pair for pair in known if math.isfinite(pair[0])), key=lambda pair: pair[0])
    if not changes:
        return None
    lost = [pair for pair in changes[:most] if pair[0] < 0]
    gained = [pair for pair in reversed(changes[-most:]) if pair[0] > 0]
    shown = [models[suite.base], model]
    prompts = [
        _prompt(one, shown, f"{'gained' if change > 0 else 'lost'} {compact(abs(change))}", change > 0)
        for change, one in (*gained, *lost)
    ]
    note = (
        f"The greatest gains and losses by the judge\u2019s score among the {len(changes):,} prompts in the record, "
        "chosen because they are extreme; the measures count all of them."
    )
    return PromptGroup(model, note, prompts)


def _first_prompts(suite: SuiteRun, models: Mapping[str, ModelStyle]) -> PromptGroup:
    """The first samples of a suite without scores."""
    shown = suite.samples[:MOST_UNSCORED]
    note = f"The first {len(shown)} of the {len(suite.samples):,} prompts in the record, not chosen by their answers."
    only = models[suite.others[0]] if len(suite.others) == 1 else None
    return PromptGroup(only, note, [_prompt(one, [models[name] for name in one.answers], "", None) for one in shown])


def pair_groups(records: PageRecords, models: Mapping[str, ModelStyle]) -> list[PairGroup]:
    """For each model, the held-out comparisons whose preferred answer gained and lost most probability."""
    most = _most_shown(records)
    groups = []
    for suite in records.suites:
        for name in suite.others:
            known = [pair for pair in suite.pairs if math.isfinite(pair.winner_change.get(name, math.nan))]
            ordered = sorted(known, key=lambda pair: pair.winner_change[name])
            lost = [pair for pair in ordered[:most] if pair.winner_change[name] < 0]
            gained = [pair for pair in reversed(ordered[-most:]) if pair.winner_change[name] > 0]
            if lost or gained:
                groups.append(PairGroup(models[name], [_pair(pair, name) for pair in (*gained, *lost)]))
    return groups


def _pair(pair: SuitePair, model: str) -> NotablePair:
    """A comparison with the changes under one model."""
    winner, loser = pair.winner_change[model], pair.loser_change.get(model, math.nan)
    return NotablePair(
        pair.prompt,
        pair.winner,
        pair.loser,
        plain(winner, 1, signed=True),
        plain(loser, 1, signed=True),
        plain(abs(winner), 1),
        winner > 0,
    )


def _prompt(sample: SuiteSample, shown: Sequence[ModelStyle], reason: str, is_gain: bool | None) -> NotablePrompt:
    """A sample with some models' answers."""
    scores = {name: compact(score) for name, score in sample.scores.items()}
    answers = [ShownAnswer(model, sample.answers[model.name], scores.get(model.name, "")) for model in shown]
    return NotablePrompt(sample.prompt, reason, is_gain, answers)
