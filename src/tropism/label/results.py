"""The owner's results: progress, agreement between annotators, and which models' answers win."""

from __future__ import annotations

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np

from tropism.data.label_choices import Choice, ChoiceItem
from tropism.errors import DataError
from tropism.groups import content_key
from tropism.label.known_items import CheckRecord, record_of
from tropism.label.label_service import LabelService
from tropism.metrics.bootstrap import wilson
from tropism.records import Estimate
from tropism.signals.sources.choices_file import who_answered
from tropism.signals.statistics.bradley_terry import Games, Strengths, bootstrap_bradley_terry, to_elo
from tropism.signals.statistics.pair_agreement import FIRST, SECOND, TIE, pair_agreement, pair_kappa

FRESH_SECONDS = 3.0
"""Results are recomputed at most this often."""

FEWEST_SHARED = 2
WEAK_PRIOR = 0.1


class AnnotatorLine(NamedTuple):
    """One annotator.

    Args:
        name: as given.
        judged: items with a verdict, without attention checks.
        skipped: items skipped.
        checks: attention checks answered and passed.
        first_chosen: share of pairs in which the answer shown first won; about one half without position bias.
        seconds: median time for a choice; None if no page measured it.
    """

    name: str
    judged: int
    skipped: int
    checks: CheckRecord
    first_chosen: Estimate | None
    seconds: float | None


class KappaLine(NamedTuple):
    """Cohen's kappa of two annotators."""

    first: str
    second: str
    kappa: Estimate


class StrengthLine(NamedTuple):
    """A model's strength in Elo points around 1000; a win counts 1 and a tie 1/2."""

    name: str
    elo: Estimate
    wins: float
    games: int


class StrengthTable(NamedTuple):
    """Strengths in descending order, with a note on how to read them."""

    lines: tuple[StrengthLine, ...] = ()
    note: str = ""


class Results(NamedTuple):
    """The content of the owner's page.

    Args:
        num_items: items to answer, without attention checks.
        num_complete: items that have all their annotators.
        overlap: annotators per item.
        num_choices: choices that were not undone, without attention checks.
        num_rows: rows in the file, including undone choices and undo rows.
        checks: attention checks answered and passed, over all annotators.
        annotators: by name.
        alpha: Krippendorff's alpha of all annotators on pairs, computed as in `tropism build`; None if no pair has two
            verdicts, or all are ties.
        raw: the probability that two annotators of a pair agree.
        kappas: every two annotators with items in common.
        strengths: which models' answers win.
    """

    num_items: int
    num_complete: int
    overlap: int
    num_choices: int
    num_rows: int
    checks: CheckRecord
    annotators: tuple[AnnotatorLine, ...]
    alpha: Estimate | None
    raw: Estimate | None
    kappas: tuple[KappaLine, ...]
    strengths: StrengthTable


class CachedResults:
    """Results that are recomputed only if there are new choices.

    Args:
        service: the service that stores the choices.
        clock: monotonic seconds.
    """

    def __init__(self, service: LabelService, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        self._lock = threading.Lock()
        self._made: tuple[int, float, Results] | None = None

    def results(self) -> Results:
        """The results now, or up to `FRESH_SECONDS` ago."""
        with self._lock:
            num_rows, now = self._service.store.num_rows(), self._clock()
            if self._made is not None and (self._made[0] == num_rows or now - self._made[1] < FRESH_SECONDS):
                return self._made[2]
            results = results_of(self._service)
            self._made = (results.num_rows, now, results)
            return results


def results_of(service: LabelService) -> Results:
    """The results of all choices stored so far."""
    queue = service.queue
    num_rows, standing = service.store.num_rows(), service.store.standing()
    choices = [choice for choice in standing if choice.item_id in queue.items]
    expected = {key: check.expected for key, check in queue.checks.items() if check.expected is not None}
    table = _pair_verdicts(choices, queue.items)
    agreed = pair_agreement(table.values, table.groups)
    return Results(
        num_items=len(queue.items),
        num_complete=queue.num_complete(),
        overlap=queue.overlap,
        num_choices=len(choices),
        num_rows=num_rows,
        checks=record_of(standing, expected),
        annotators=annotator_lines(standing, expected),
        alpha=agreed.alpha,
        raw=agreed.raw,
        kappas=kappa_lines(table),
        strengths=strength_table(choices, queue.items),
    )


def annotator_lines(choices: Sequence[Choice], expected: Mapping[str, str]) -> tuple[AnnotatorLine, ...]:
    """A line for each annotator, by name.

    Args:
        choices: choices that were not undone, including attention checks.
        expected: item id of each attention check to the id of the correct response.
    """
    by_name: dict[str, list[Choice]] = defaultdict(list)
    for choice in choices:
        by_name[choice.annotator].append(choice)
    lines = []
    for name, made in sorted(by_name.items()):
        judged = [choice for choice in made if choice.verdict != "skip" and not choice.is_check]
        firsts = [choice.winner == choice.shown[0] for choice in judged if choice.winner and len(choice.shown) == 2]
        times = [choice.seconds for choice in made if choice.seconds is not None]
        lines.append(
            AnnotatorLine(
                name,
                judged=len(judged),
                skipped=sum(choice.verdict == "skip" for choice in made),
                checks=record_of(made, expected),
                first_chosen=_share(firsts),
                seconds=statistics.median(times) if times else None,
            )
        )
    return tuple(lines)


class _PairVerdicts(NamedTuple):
    """Verdicts on pairs, of items with two or more verdicts.

    Args:
        annotators: by name.
        values: `FIRST`, `SECOND` or `TIE`, NaN if there is none, [annotators, pairs].
        groups: the group of each pair, [pairs].
        items: the item of each pair; an item with three options has three pairs, [pairs].
    """

    annotators: tuple[str, ...]
    values: np.ndarray
    groups: list[str]
    items: list[str]


def kappa_lines(table: _PairVerdicts) -> tuple[KappaLine, ...]:
    """Cohen's kappa of every two annotators with items in common."""
    lines = []
    for (place, first), (other, second) in combinations(enumerate(table.annotators), 2):
        kappa = pair_kappa(table.values[place], table.values[other], table.items)
        if kappa is not None and kappa.n >= FEWEST_SHARED:
            lines.append(KappaLine(first, second, kappa))
    return tuple(lines)


def strength_table(choices: Sequence[Choice], items: Mapping[str, ChoiceItem]) -> StrengthTable:
    """Bradley-Terry strengths of the models, if the responses' ids name them.

    A best of several beats each of the others; ties and both-bad are half wins. Games of a group are drawn together.

    Args:
        choices: those not undone, without attention checks.
        items: what they were made on.
    """
    shared = who_answered(
        (item.group_id, [(option.id, content_key(option.content)) for option in item.options])
        for item in items.values()
    )
    games = [
        (first, second, choice.verdict != "win", items[choice.item_id].group_id)
        for choice in choices
        for first, second in _beaten(choice)
        if first in shared and second in shared
    ]
    if not games:
        note = "No comparisons yet." if len(shared) > 1 else "The responses' ids do not name the models."
        return StrengthTable(note=note)
    names = sorted({name for game in games for name in game[:2]})
    places = {name: place for place, name in enumerate(names)}
    coded = Games(
        [places[game[0]] for game in games],
        [places[game[1]] for game in games],
        *zip(*(g[2:] for g in games), strict=True),
    )
    note = ""
    try:
        fit = bootstrap_bradley_terry(coded, names=names)
    except DataError as error:
        note = f"Estimated with a weak prior, because without one {error.problem}"
        fit = bootstrap_bradley_terry(coded, names=names, prior=WEAK_PRIOR)
    return StrengthTable(_strength_lines(fit), note)


def _strength_lines(fit: Strengths) -> tuple[StrengthLine, ...]:
    """Strengths in Elo points, the strongest first."""
    elo, low, high = (to_elo(part) for part in (fit.log_strengths, fit.low, fit.high))
    lines = [
        StrengthLine(
            name,
            Estimate(value=float(elo[place]), low=float(low[place]), high=float(high[place]), n=int(fit.games[place])),
            wins=float(fit.wins[place]),
            games=int(fit.games[place]),
        )
        for place, name in enumerate(fit.names)
    ]
    return tuple(sorted(lines, key=lambda line: (-line.elo.value, line.name)))


def _beaten(choice: Choice) -> list[tuple[str, str]]:
    """The games of a choice: winner and loser, or two that tie."""
    if choice.verdict == "skip":
        return []
    if choice.winner is None:
        return list(combinations(choice.shown, 2))
    return [pair for pair in permutations(choice.shown, 2) if pair[0] == choice.winner]


def _pair_verdicts(choices: Sequence[Choice], items: Mapping[str, ChoiceItem]) -> _PairVerdicts:
    """Verdicts of items that two or more annotators judged, as pairs; skips and "both bad" are omitted."""
    by_item: dict[str, dict[str, Choice]] = defaultdict(dict)
    for choice in choices:
        if choice.verdict in ("win", "tie"):
            by_item[choice.item_id][choice.annotator] = choice
    shared = {item_id: judged for item_id, judged in by_item.items() if len(judged) > 1}
    annotators = tuple(sorted({name for judged in shared.values() for name in judged}))
    pairs = [
        (item_id, *pair)
        for item_id in shared
        for pair in combinations([option.id for option in items[item_id].options], 2)
    ]
    values = np.full((len(annotators), len(pairs)), np.nan)
    rows = {name: row for row, name in enumerate(annotators)}
    for column, (item_id, first, second) in enumerate(pairs):
        for name, choice in shared[item_id].items():
            values[rows[name], column] = {first: FIRST, second: SECOND}.get(choice.winner or "", TIE)
    return _PairVerdicts(annotators, values, [items[pair[0]].group_id for pair in pairs], [pair[0] for pair in pairs])


def _share(hits: Sequence[bool]) -> Estimate | None:
    """A share with Wilson's interval; None if there are no values."""
    if not hits:
        return None
    value = sum(hits) / len(hits)
    low, high = wilson(value, len(hits))
    return Estimate(value=value, low=low, high=high, n=len(hits))
