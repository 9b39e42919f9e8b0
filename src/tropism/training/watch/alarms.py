"""Alarms: what can go wrong while a model is trained, from which threshold on, and what to do about it.

An alarm is a function of the probes so far and of nothing else, so a resumed run has those of a run that never stopped.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tropism.errors import ConfigError
from tropism.functions import load_object
from tropism.records import Alarm, Estimate, Probe

PROBED = {
    "pair_accuracy": "share of probe pairs that the implicit reward orders as people did",
    "margin": "log-ratio margin, nats per pair",
    "winners_logp_change": "change of the winners' log-probability against the start, nats per response",
    "losers_logp_change": "the same of the losers",
    "winners_logp_change_per_token": "change of the winners' log-probability, nats per token",
    "kl": "divergence from the start on the model's own answers, nats per answer",
    "words": "words per answer",
    "length_ratio": "words per answer over those of the start",
    "distinct_2": "distinct pairs of words over pairs of words of all answers",
    "distinct_2_ratio": "the same over that of the start, answers cut to one length",
    "own_distinct_2": "distinct pairs of words over pairs of words inside an answer, mean over answers",
    "own_distinct_2_ratio": "the same over that of the start",
    "refusal_rate": "share of the probe prompts that are refused",
    "refusal_rise": "the same minus that of the start",
    "style_tdi": "spread of hidden states between styles of one content over that between contents",
    "style_tdi_ratio": "the same over that of the start",
}
"""What a probe measures, if its groups, prompts and answers allow it."""

FLAT = 0.01
"""An accuracy that rose by less than this share is called flat."""
FEWEST_MARGIN_NATS = 1.0
"""A margin below this is too small for its growth to mean anything."""


class AlarmSettings(BaseModel):
    """Settings of an alarm; a row that has its own settings extends this class.

    Attributes:
        on: whether it is watched.
        threshold: None takes the row's.
        stop: whether it ends the stage.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: bool = True
    threshold: float | None = None
    stop: bool = False


@dataclass(frozen=True)
class AlarmRule:
    """A row of the table of alarms.

    Args:
        watched: the number to compare, from all probes so far and the settings; None if it is unknown.
        reads: the names of `PROBED` that it uses.
        trips: on which side of the threshold the whole interval must lie.
        threshold: the default.
        sentence: what happened, with `{value}`, `{interval}` and `{threshold}` to fill in.
        remedy: what to change.
        settings: the class of its settings.
    """

    watched: Callable[[Sequence[Probe], Any], Estimate | None]
    reads: tuple[str, ...]
    trips: Literal["above", "below"]
    threshold: float
    sentence: str
    remedy: str
    settings: type[AlarmSettings] = AlarmSettings

    def __post_init__(self) -> None:
        unknown = [name for name in self.reads if name not in PROBED]
        if unknown:
            raise ConfigError(
                f"`reads` names {unknown[0]!r}, which no probe measures.", remedy=f"Available: {', '.join(PROBED)}."
            )


def last_metric(name: str) -> Callable[[Sequence[Probe], AlarmSettings], Estimate | None]:
    """The number of a rule that watches one metric of the newest probe."""
    return lambda probes, settings: probes[-1].metrics.get(name)


def _length_change(probes: Sequence[Probe], settings: AlarmSettings) -> Estimate | None:
    """By which factor the answers became longer or shorter; at least 1 in both cases."""
    ratio = probes[-1].metrics.get("length_ratio")
    if ratio is None or ratio.value >= 1 or ratio.low <= 0:
        return ratio
    return Estimate(value=1 / ratio.value, low=1 / ratio.high, high=1 / ratio.low, n=ratio.n)


def _growth_without_accuracy(probes: Sequence[Probe], settings: AlarmSettings) -> Estimate | None:
    """How many times the margin of half the steps ago it is now; None while accuracy rises with it."""
    now = probes[-1]
    earlier = [probe for probe in probes[:-1] if 0 < probe.step <= now.step / 2]
    if not earlier or not {"margin", "pair_accuracy"} <= now.metrics.keys():
        return None
    then = earlier[-1].metrics
    rose = now.metrics["pair_accuracy"].value - then["pair_accuracy"].value
    if rose >= FLAT or then["margin"].value < FEWEST_MARGIN_NATS:
        return None
    margin, base = now.metrics["margin"], then["margin"].value
    return Estimate(value=margin.value / base, low=margin.low / base, high=margin.high / base, n=margin.n)


def _least_variety(probes: Sequence[Probe], settings: AlarmSettings) -> Estimate | None:
    """Distinct word pairs over all answers or inside an answer, against the start: the one that fell further.

    A model that loses variety either gives the same answer to every prompt or repeats itself inside an answer. In the
    second case the variety over all answers may even rise.
    """
    both = [probes[-1].metrics.get(name) for name in ("distinct_2_ratio", "own_distinct_2_ratio")]
    return min((one for one in both if one), key=lambda one: one.high, default=None)


ALARMS: dict[str, AlarmRule] = {
    "displacement": AlarmRule(
        last_metric("winners_logp_change_per_token"),
        ("winners_logp_change_per_token",),
        "below",
        -0.15,
        "the preferred answers became less likely: their log-probability changed by {value} nats per token {interval} "
        "against the start (threshold {threshold}), so probability moves to answers outside of the comparisons",
        "Anchor the winners (loss.nll.weight=0.5, or loss dpop), raise beta, or lower train.learning_rate.",
    ),
    "margin": AlarmRule(
        _growth_without_accuracy,
        ("margin", "pair_accuracy"),
        "above",
        2.5,
        "the margin is {value} times {interval} that of half the steps ago (threshold {threshold}) and pair accuracy "
        "has not risen: the model becomes more confident, not more accurate",
        "Train for fewer steps, raise beta, or use ipo, whose margin has a target.",
    ),
    "length": AlarmRule(
        _length_change,
        ("length_ratio",),
        "above",
        1.6,
        "the length of answers moved by a factor of {value} {interval} from that at the start (threshold {threshold})",
        "Balance lengths in the data, or use a loss that discounts length: ld_dpo, simpo.",
    ),
    "kl": AlarmRule(
        last_metric("kl"),
        ("kl",),
        "above",
        15.0,
        "the model is {value} nats per answer {interval} away from its start (budget {threshold})",
        "Raise beta, lower train.learning_rate, or train for fewer steps.",
    ),
    "diversity": AlarmRule(
        _least_variety,
        ("distinct_2_ratio", "own_distinct_2_ratio"),
        "below",
        0.85,
        "answers repeat themselves or one another: distinct pairs of words are {value} {interval} of those "
        "at the start (threshold {threshold})",
        "Anchor the winners (loss.nll.weight=0.5), raise beta, or stop earlier (alarms.diversity.stop=true).",
    ),
    "refusal": AlarmRule(
        last_metric("refusal_rise"),
        ("refusal_rise",),
        "above",
        0.2,
        "the share of refused prompts rose by {value} {interval} (threshold {threshold})",
        "Look for refusals among the winners, and add harmless prompts whose winner answers.",
    ),
    "style": AlarmRule(
        last_metric("style_tdi_ratio"),
        ("style_tdi_ratio",),
        "above",
        1.25,
        "Style TDI is {value} times {interval} that of the start (threshold {threshold}): style moves the model's "
        "states more than content does",
        "Balance styles between winners and losers, or lower the learning rate.",
    ),
}
"""Every alarm. Where the defaults come from: docs/alarms.md."""


@functools.cache
def alarm_rule(name: str) -> AlarmRule:
    """A row of the table, or an alarm of one's own.

    Args:
        name: in the table, or `file.py:name` or `module:name` of an `AlarmRule`; the file is run as code.

    Raises:
        ConfigError: for an unknown name, or a name of something else.
    """
    if name in ALARMS:
        return ALARMS[name]
    if ":" not in name:
        close = difflib.get_close_matches(name, ALARMS, n=1)
        did_you_mean = f"Did you mean {close[0]!r}? " if close else ""
        raise ConfigError(
            f"unknown alarm {name!r}.", remedy=f"{did_you_mean}Known: {', '.join(ALARMS)}; or file.py:name."
        )
    found = load_object(name, role="alarm", remedy="Check the file and the name.")
    if not isinstance(found, AlarmRule):
        raise ConfigError(
            f"{name!r} must be an AlarmRule, got {type(found).__name__}.",
            remedy="Make it with AlarmRule of tropism.training.watch.",
        )
    return found


def alarms_of(probes: Sequence[Probe], settings: Mapping[str, AlarmSettings]) -> list[Alarm]:
    """Every alarm that tripped, each once, at the first probe that tripped it.

    Args:
        probes: in the order of their steps; the first is the start.
        settings: of the alarms that are on, by name.

    An alarm trips if the whole 95 % interval lies beyond the threshold, so that the noise of a small probe trips none.
    """
    found: dict[str, Alarm] = {}
    for end in range(1, len(probes) + 1):
        for alarm in _tripped(probes[:end], settings):
            found.setdefault(alarm.name, alarm)
    return list(found.values())


def _tripped(probes: Sequence[Probe], settings: Mapping[str, AlarmSettings]) -> Iterator[Alarm]:
    """The alarms that the newest probe trips."""
    for name, setting in settings.items():
        rule = alarm_rule(name)
        threshold = rule.threshold if setting.threshold is None else setting.threshold
        seen = rule.watched(probes, setting)
        if seen is None or not (seen.low > threshold if rule.trips == "above" else seen.high < threshold):
            continue
        filled = {
            "value": f"{seen.value:.3g}",
            "interval": f"[{seen.low:.3g}, {seen.high:.3g}; n = {seen.n}]",
            "threshold": f"{threshold:g}",
        }
        yield Alarm(
            name=name,
            step=probes[-1].step,
            value=seen.value,
            threshold=threshold,
            sentence=rule.sentence.format(**filled),
            remedy=rule.remedy,
        )
