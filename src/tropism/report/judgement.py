"""The verdict on several models: what each is better at, worse at and unsure of, and the sentence at the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tropism.records import Alarm
from tropism.report.dossier import Dossier, TrainedRun
from tropism.report.entries import RUNS_OWN, Entry
from tropism.report.looks import Look
from tropism.report.metrics import Kind
from tropism.report.numbers import decimals_of, interval_text, plain, value_text
from tropism.report.suite_words import eval_words

MOST_IN_HEADLINE = 4


class Change(NamedTuple):
    """One measure in a verdict: its name and the change, or the value where it stands alone, with its interval."""

    label: str
    value: str
    interval: str


class Part(NamedTuple):
    """Changes of one eval."""

    title: str
    changes: list[Change]


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
        better, worse, changed: what surely moved, by eval.
        unsure: names of measures with a direction of which nothing sure can be said.
        alarms: what tripped while it trained.
    """

    look: Look
    stance: str
    num_measures: int
    better: list[Part]
    worse: list[Part]
    changed: list[Part]
    unsure: list[Part]
    alarms: list[TrippedAlarm]


def cards_of(entries: Sequence[Entry], looks: Mapping[str, Look], dossier: Dossier) -> list[Card]:
    """A verdict for every model that is compared with something or tripped an alarm."""
    found = []
    for look in looks.values():
        own = [entry for entry in entries if entry.model == look.name and entry.row.kind != "note"]
        alarms = alarms_of(dossier.run_named(look.name))
        if own or alarms:
            kinds = {kind: parts_of([one for one in own if one.row.kind == kind]) for kind in _KINDS}
            unsure = parts_of([one for one in own if one.row.kind == "unclear" and one.is_judged])
            judged = [one.row.kind for one in own if one.is_judged]
            better, worse, changed = (kinds[kind] for kind in _KINDS)
            found.append(Card(look, stance(judged), len(judged), better, worse, changed, unsure, alarms))
    return found


def headline(cards: Sequence[Card], dossier: Dossier) -> str:
    """The sentence at the top of the page."""
    judged = [card for card in cards if card.stance]
    if not judged:
        names = len(dossier.runs)
        return f"{names} training runs side by side; nothing was measured on held-out data, so no verdict is possible."
    start = f"against {dossier.suite.base}" if dossier.suite else "against where each run started"
    if len(judged) > MOST_IN_HEADLINE:
        better, worse = (sum(bool(getattr(card, side)) for card in judged) for side in ("better", "worse"))
        return f"Of {len(judged)} models, {better} got better at something and {worse} got worse at something, {start}."
    counts = {card.num_measures for card in judged}
    if len(counts) > 1:
        says = "; ".join(f"{card.look.name} is {card.stance} of {_measures(card.num_measures)}" for card in judged)
        return f"{start.capitalize()}, {says}."
    says = "; ".join(f"{card.look.name} is {card.stance}" for card in judged)
    return f"Of {_measures(counts.pop())} {start}: {says}."


def stance(kinds: Sequence[Kind]) -> str:
    """What the counts come to, to follow "is"; nothing where there is none.

    Example:
        >>> stance(["better", "better", "unclear"])
        'better at 2, worse at none'
    """
    if not kinds:
        return ""
    better, worse = kinds.count("better"), kinds.count("worse")
    if not better and not worse:
        return "surely better or worse at none"
    return f"better at {better or 'none'}, worse at {worse or 'none'}"


def parts_of(entries: Sequence[Entry]) -> list[Part]:
    """Changes by eval, in the order of the entries."""
    parts: dict[str, list[Change]] = {}
    for entry in entries:
        title = "" if entry.eval == RUNS_OWN else eval_words(entry.eval).title
        parts.setdefault(title, []).append(change_of(entry))
    return [Part(title, changes) for title, changes in parts.items()]


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


_KINDS = ("better", "worse", "changed")


def _measures(count: int) -> str:
    """So many measures."""
    return f"{count} measure" + ("" if count == 1 else "s")
