"""What was measured of each model, compared with its base: the lines that every part of the page is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from tropism.records import Estimate, Measure, SuiteRun
from tropism.reporting.page_records import PageRecords

MoveVerdict: TypeAlias = Literal["better", "worse", "changed", "unsure", "note"]
"""How a metric moved: `changed` is neither good nor bad by itself, `note` has no base to be compared with."""


class MeasuredChange(NamedTuple):
    """One metric of one model.

    Args:
        eval: which eval measured it.
        metric: its name there.
        model: the model.
        measure: the metric in words.
        before: the base; None if it has no such metric.
        after: the model.
        difference: after less before; paired if both were measured on the same items.
        verdict: what the record allows to be claimed.
        p_adjusted: corrected by Holm's method over the model's tests; None if there is no test.
        is_sign: whether it counts only the signs of log-ratios of a model that hardly moved.
    """

    eval: str
    metric: str
    model: str
    measure: Measure
    before: Estimate | None
    after: Estimate
    difference: Estimate | None
    verdict: MoveVerdict
    p_adjusted: float | None = None
    is_sign: bool = False

    @property
    def key(self) -> str:
        """`eval.metric`."""
        return f"{self.eval}.{self.metric}"

    @property
    def is_judged(self) -> bool:
        """Whether it has a direction and a base to be compared with."""
        return self.measure.better != "neither" and self.verdict != "note"


def changes_of(records: PageRecords) -> list[MeasuredChange]:
    """Every metric of every model that was measured; a base that several suites share is taken from the first."""
    found: dict[tuple[str, str], MeasuredChange] = {}
    for suite in records.suites:
        for change in _suite_changes(suite, records):
            found.setdefault((change.key, change.model), change)
    return list(found.values())


def _suite_changes(suite: SuiteRun, records: PageRecords) -> list[MeasuredChange]:
    """The comparisons of a suite, then what it measured and could not compare."""
    still = {name for name in suite.others if _hardly_moved(suite, name)}
    changes = []
    for one in suite.comparisons:
        measure = records.measure_of(one.eval, one.metric).model_copy(update={"better": one.better})
        is_sign = one.model in still and records.words_of(one.eval).base_is_zero and measure.baseline == 0.5
        verdict: MoveVerdict = "unsure" if is_sign else one.verdict
        changes.append(
            MeasuredChange(
                one.eval, one.metric, one.model, measure, one.before, one.after, one.difference, verdict,
                one.p_adjusted, is_sign,
            )
        )  # fmt: skip
    compared = {(one.eval, one.metric, model) for one in suite.comparisons for model in (one.model, suite.base)}
    return changes + [
        MeasuredChange(
            result.eval, name, result.model, records.measure_of(result.eval, name), None, estimate, None, "note"
        )
        for result in suite.results
        for name, estimate in result.metrics.items()
        if (result.eval, name, result.model) not in compared
    ]


def _hardly_moved(suite: SuiteRun, model: str) -> bool:
    """Whether a model's KL from its base was measured and its interval contains 0."""
    kl = suite.metric("drift.kl", model)
    return kl is not None and kl.low <= 0 <= kl.high


def by_measure(changes: Sequence[MeasuredChange]) -> Mapping[str, list[MeasuredChange]]:
    """Changes of one metric together, by `eval.metric`, in the order of the first."""
    found: dict[str, list[MeasuredChange]] = {}
    for change in changes:
        found.setdefault(change.key, []).append(change)
    return found


def by_eval(changes: Sequence[MeasuredChange]) -> Mapping[str, list[MeasuredChange]]:
    """Changes of one eval together, in the order of the first."""
    found: dict[str, list[MeasuredChange]] = {}
    for change in changes:
        found.setdefault(change.eval, []).append(change)
    return found


class WinTally(NamedTuple):
    """How many answers won, tied and lost against the base's."""

    won: int
    tied: int
    lost: int

    def __str__(self) -> str:
        """The three counts in words."""
        return f"{self.won:,} won, {self.tied:,} tied, {self.lost:,} lost"


def tally_of(changes: Sequence[MeasuredChange], model: str) -> WinTally | None:
    """A model's wins, ties and losses; None if its answers were not judged."""
    shares = {change.key: change.after for change in changes if change.model == model}
    if not {"win_rate.won", "win_rate.ties", "win_rate.lost"} <= shares.keys():
        return None
    return WinTally(*(round(shares[f"win_rate.{name}"].value * shares[f"win_rate.{name}"].n)
                      for name in ("won", "ties", "lost")))  # fmt: skip
