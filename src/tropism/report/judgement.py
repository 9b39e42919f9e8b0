"""The verdict on several models: what each is better at, worse at and unsure of, and the sentence at the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tropism.records import Alarm
from tropism.report.dossier import Dossier, TrainedRun
from tropism.report.entries import RUNS_OWN, Entry, evals_in
from tropism.report.looks import Look
from tropism.report.metrics import Kind
from tropism.report.numbers import SPACE, decimals_of, inside, interval_text, plain, value_text
from tropism.report.suite_words import eval_words

MOST_IN_HEADLINE = 4
WANTED_MOST = (
    ("win_rate", "rate"),
    (RUNS_OWN, "win_rate"),
    ("preference", "pair_accuracy"),
    (RUNS_OWN, "pair_accuracy"),
)
"""Shares that training is for; the first that was measured."""


class Change(NamedTuple):
    """One measure in a verdict: its name and the change, or the value where it stands alone, with its interval."""

    label: str
    value: str
    interval: str


class Part(NamedTuple):
    """Changes of one eval."""

    title: str
    changes: list[Change]


class Doubt(NamedTuple):
    """Measures of one eval of which nothing sure can be said, and whether these are all that have a direction."""

    title: str
    labels: list[str]
    is_all: bool


class TrippedAlarm(NamedTuple):
    """An alarm and the stage that it belongs to."""

    stage: str
    alarm: Alarm


class Card(NamedTuple):
    """The verdict on one model.

    Args:
        look: the model.
        stance: the counts in words; nothing where no measure has a direction.
        num_measures: how many have one.
        better, worse: what surely moved, by eval.
        num_changed: how many measures without a direction surely moved.
        unsure: measures with a direction of which nothing sure can be said, by eval.
        alarms: what tripped while it trained.
    """

    look: Look
    stance: str
    num_measures: int
    better: list[Part]
    worse: list[Part]
    num_changed: int
    unsure: list[Doubt]
    alarms: list[TrippedAlarm]


def cards_of(entries: Sequence[Entry], looks: Mapping[str, Look], dossier: Dossier) -> list[Card]:
    """A verdict for every model that is compared with something or tripped an alarm."""
    found = []
    for look in looks.values():
        own = [entry for entry in entries if entry.model == look.name and entry.row.kind != "note"]
        alarms = alarms_of(dossier.run_named(look.name))
        if own or alarms:
            better, worse = (parts_of([one for one in own if one.row.kind == kind]) for kind in ("better", "worse"))
            num_changed = sum(one.row.kind == "changed" for one in own)
            judged = [one.row.kind for one in own if one.is_judged]
            found.append(Card(look, stance(judged), len(judged), better, worse, num_changed, doubts_of(own), alarms))
    return found


def headline(cards: Sequence[Card], entries: Sequence[Entry], dossier: Dossier) -> str:
    """The sentence at the top of the page."""
    judged = [card for card in cards if card.stance]
    if not judged:
        names = len(dossier.runs)
        return f"{names} training runs side by side; nothing was measured on held-out data, so no verdict is possible."
    start = f"against {dossier.suite.base}" if dossier.suite else "against where each run started"
    if len(judged) > MOST_IN_HEADLINE:
        better, worse = (sum(bool(getattr(card, side)) for card in judged) for side in ("better", "worse"))
        kinds = "models" if dossier.suite else "runs"
        counts_in_words = f"Of {len(judged)} {kinds}, {better} got better at something and {worse} worse, {start}"
        return f"{counts_in_words}{highest(entries)}."
    counts = {card.num_measures for card in judged}
    if len(counts) > 1:
        says = "; ".join(f"{card.look.name} is {card.stance} of {_measures(card.num_measures)}" for card in judged)
        return f"{start.capitalize()}, {says}."
    says = "; ".join(f"{card.look.name} is {card.stance}" for card in judged)
    return f"Of {_measures(counts.pop())} {start}: {says}."


def highest(entries: Sequence[Entry]) -> str:
    """Who has the highest value of what was wanted most; nothing where nobody measured it."""
    for key in WANTED_MOST:
        known = [entry for entry in entries if (entry.eval, entry.row.name) == key and entry.row.kind != "note"]
        if known:
            best = max(known, key=lambda entry: entry.row.after.value)
            value = f"{value_text(best.row.after, 'share')} {interval_text(best.row.after, 'share')}"
            return f"; the highest {inside(best.row.metric.label)} measured is {best.model}\u2019s, {value}"
    return ""


def stance(kinds: Sequence[Kind]) -> str:
    """What the counts come to, to follow "is"; nothing where there is none.

    Example:
        >>> stance(["better", "better", "unclear"]).replace(SPACE, " ")
        'better at 2, worse at none'
    """
    if not kinds:
        return ""
    better, worse = kinds.count("better"), kinds.count("worse")
    if not better and not worse:
        return "surely better or worse at none"
    return f"better at{SPACE}{better or 'none'}, worse at{SPACE}{worse or 'none'}"


def parts_of(entries: Sequence[Entry]) -> list[Part]:
    """Changes by eval, in the order of the entries."""
    parts: dict[str, list[Change]] = {}
    for entry in entries:
        title = "" if entry.eval == RUNS_OWN else eval_words(entry.eval).title
        parts.setdefault(title, []).append(change_of(entry))
    return [Part(title, changes) for title, changes in parts.items()]


def doubts_of(entries: Sequence[Entry]) -> list[Doubt]:
    """What is not sure of measures with a direction, by eval."""
    doubts = []
    for name in evals_in(entries):
        judged = [entry for entry in entries if entry.eval == name and entry.is_judged]
        labels = [entry.row.metric.label for entry in judged if entry.row.kind == "unclear"]
        if labels:
            title = "" if name == RUNS_OWN else eval_words(name).title
            doubts.append(Doubt(title, labels, len(labels) == len(judged)))
    return doubts


def change_of(entry: Entry) -> Change:
    """How far a measure moved, in points where it is a share; its value where there is nothing before it."""
    row, unit = entry.row, entry.row.metric.unit
    if row.change is None:
        return Change(row.metric.label, value_text(row.after, unit), interval_text(row.after, unit))
    digits = 1 if unit == "share" else decimals_of(row.change)
    value = plain((100 if unit == "share" else 1) * row.change.value, digits, signed=True)
    return Change(row.metric.label, value, interval_text(row.change, unit, decimals=digits, signed=True))


def alarms_of(run: TrainedRun | None) -> list[TrippedAlarm]:
    """What tripped in any stage of a run."""
    if run is None:
        return []
    return [TrippedAlarm(stage.name, alarm) for stage in run.run.stages for alarm in stage.alarms]


def _measures(count: int) -> str:
    """So many measures."""
    return f"{count} measure" + ("" if count == 1 else "s")
