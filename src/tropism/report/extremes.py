"""Which prompts to look at: where a model gained or lost most, by the judge's score and by log-probability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tropism.records import SuitePair, SuiteRun, SuiteSample
from tropism.report.looks import Look
from tropism.report.numbers import compact, plain

MOST_OF_A_KIND = 3
FEWER_WITH_MANY = 2
"""Where a page has three models or more, it shows so many gains and losses of each."""
MOST_UNSCORED = 6
"""Prompts that are shown where no score says which to choose."""


class ModelAnswer(NamedTuple):
    """One model's answer to a prompt, and its score as text."""

    look: Look
    text: str
    score: str


class ExtremeSample(NamedTuple):
    """A prompt with the answers worth comparing, and why it is shown."""

    prompt: str
    reason: str
    is_gain: bool | None
    answers: list[ModelAnswer]


class ExtremePair(NamedTuple):
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

    look: Look
    pairs: list[ExtremePair]


class SampleGroup(NamedTuple):
    """Samples of one model; of none where nothing but their order chose them."""

    look: Look | None
    note: str
    samples: list[ExtremeSample]


def sample_groups(suite: SuiteRun, looks: Mapping[str, Look]) -> list[SampleGroup]:
    """The samples of a suite: by gain and loss where there are scores or log-ratios, else the first few."""
    models = [look for look in looks.values() if look.number and look.name in {one.name for one in suite.models}]
    most = MOST_OF_A_KIND if len(models) < 3 else FEWER_WITH_MANY
    groups = [group for look in models if (group := extremes_of(suite, looks, look, most=most))]
    if groups or not suite.samples:
        return groups
    shown = suite.samples[:MOST_UNSCORED]
    note = f"The first {len(shown)} of {len(suite.samples):,} prompts in the record, whatever came out: nobody judged."
    return [SampleGroup(None, note, [_sample(one, [looks[name] for name in one.answers], looks, "") for one in shown])]


def extremes_of(suite: SuiteRun, looks: Mapping[str, Look], look: Look, *, most: int) -> SampleGroup | None:
    """One model's greatest gains and losses; None where no prompt has a score on both sides."""
    known = [
        (one.scores[look.name] - one.scores[suite.base], one)
        for one in suite.samples
        if {look.name, suite.base} <= one.scores.keys() and {look.name, suite.base} <= one.answers.keys()
    ]
    changes = sorted((pair for pair in known if math.isfinite(pair[0])), key=lambda pair: pair[0])
    if not changes:
        return None
    lost = [pair for pair in changes[:most] if pair[0] < 0]
    gained = [pair for pair in reversed(changes[-most:]) if pair[0] > 0]
    pair_of = [looks[suite.base], look]
    samples = [
        _sample(one, pair_of, looks, f"{'gained' if change > 0 else 'lost'} {compact(abs(change))}", change)
        for change, one in (*gained, *lost)
    ]
    note = (
        f"The greatest gains and losses by the judge\u2019s score among the {len(changes):,} prompts in the record, "
        "chosen because they are extreme; how all of them came out stands among the measures."
    )
    return SampleGroup(look, note, samples)


def pair_groups(suite: SuiteRun, looks: Mapping[str, Look]) -> list[PairGroup]:
    """For each model, the held-out comparisons whose preferred answer gained and lost most probability."""
    models = [look for look in looks.values() if look.number]
    most = MOST_OF_A_KIND if len(models) < 3 else FEWER_WITH_MANY
    groups = []
    for look in models:
        known = [pair for pair in suite.pairs if math.isfinite(pair.winner_change.get(look.name, math.nan))]
        ordered = sorted(known, key=lambda pair: pair.winner_change[look.name])
        lost = [pair for pair in ordered[:most] if pair.winner_change[look.name] < 0]
        gained = [pair for pair in reversed(ordered[-most:]) if pair.winner_change[look.name] > 0]
        if lost or gained:
            groups.append(PairGroup(look, [_pair(pair, look.name) for pair in (*gained, *lost)]))
    return groups


def _pair(pair: SuitePair, model: str) -> ExtremePair:
    """A comparison as one model sees it."""
    winner, loser = pair.winner_change[model], pair.loser_change.get(model, math.nan)
    return ExtremePair(
        pair.prompt,
        pair.winner,
        pair.loser,
        plain(winner, 1, signed=True),
        plain(loser, 1, signed=True),
        plain(abs(winner), 1),
        winner > 0,
    )


def _sample(
    sample: SuiteSample, shown: Sequence[Look], looks: Mapping[str, Look], reason: str, change: float = 0.0
) -> ExtremeSample:
    """A sample with some models' answers."""
    scores = {name: compact(score) for name, score in sample.scores.items()}
    answers = [
        ModelAnswer(look, sample.answers[look.name], scores.get(look.name, "")) for look in shown if look.name in looks
    ]
    return ExtremeSample(sample.prompt, reason, None if not reason else change > 0, answers)
