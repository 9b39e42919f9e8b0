"""Alarms: what goes wrong while a model is tuned, from which number on, in plain words, and what to do about it.

An alarm is a function of the probes so far and of nothing else, so a resumed run has those of a run that never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tropism.records import Alarm, Estimate, Probe
from tropism.training.recipe.sections import AlarmRecipe

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
"""What a probe measures, where its groups, prompts and answers allow it."""

FLAT = 0.01
"""An accuracy that rose by less than this share is called flat."""
FEWEST_MARGIN_NATS = 1.0
"""A margin below this has hardly begun to grow, so that its growth says nothing."""


@dataclass(frozen=True)
class Rule:
    """A row of the table of alarms.

    Args:
        watched: the number to compare, from all probes so far; None where there is none.
        trips: on which side of the threshold the whole interval must lie.
        threshold: the default.
        sentence: what happened, with `{value}`, `{interval}` and `{threshold}` to fill in.
        remedy: what to change.
    """

    watched: Callable[[Sequence[Probe]], Estimate | None]
    trips: Literal["above", "below"]
    threshold: float
    sentence: str
    remedy: str


def last(name: str) -> Callable[[Sequence[Probe]], Estimate | None]:
    """A rule's number: a metric of the newest probe."""
    return lambda probes: probes[-1].metrics.get(name)


def either_way(probes: Sequence[Probe]) -> Estimate | None:
    """How many times longer or shorter the answers became: at least 1 whichever way they went."""
    ratio = probes[-1].metrics.get("length_ratio")
    if ratio is None or ratio.value >= 1 or ratio.low <= 0:
        return ratio
    return Estimate(value=1 / ratio.value, low=1 / ratio.high, high=1 / ratio.low, n=ratio.n)


def growth_without_accuracy(probes: Sequence[Probe]) -> Estimate | None:
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


def least_variety(probes: Sequence[Probe]) -> Estimate | None:
    """Variety over all answers or inside an answer, beside the start: the one that fell further.

    A model that loses it either says one thing to everybody or stammers; the latter's nonsense is new to every answer,
    so that variety over all of them may even rise.
    """
    both = [probes[-1].metrics.get(name) for name in ("distinct_2_ratio", "own_distinct_2_ratio")]
    return min((one for one in both if one), key=lambda one: one.high, default=None)


ALARMS: dict[str, Rule] = {
    "displacement": Rule(
        last("winners_logp_change_per_token"),
        "below",
        -0.15,
        "the preferred answers became less likely: their log-probability changed by {value} nats per token {interval} "
        "against the start (threshold {threshold}), so probability goes to answers that nobody compared",
        "Anchor the winners (loss.nll.weight=0.5, or loss dpop), raise beta, or lower train.learning_rate.",
    ),
    "margin": Rule(
        growth_without_accuracy,
        "above",
        2.5,
        "the margin is {value} times {interval} that of half the steps ago (threshold {threshold}) and pair accuracy "
        "has not risen: the model grows surer, not better",
        "Train for fewer steps, raise beta, or use ipo, whose margin has a goal.",
    ),
    "length": Rule(
        either_way,
        "above",
        1.6,
        "the length of answers moved by a factor of {value} {interval} from that at the start (threshold {threshold})",
        "Balance lengths in the data, or use a loss that discounts length: ld_dpo, simpo.",
    ),
    "kl": Rule(
        last("kl"),
        "above",
        15.0,
        "the model is {value} nats per answer {interval} away from its start (budget {threshold})",
        "Raise beta, lower train.learning_rate, or train for fewer steps.",
    ),
    "diversity": Rule(
        least_variety,
        "below",
        0.85,
        "answers repeat themselves or one another: distinct pairs of words are {value} {interval} of what they were "
        "at the start (threshold {threshold})",
        "Anchor the winners (loss.nll.weight=0.5), raise beta, or stop earlier (alarms.diversity.stop=true).",
    ),
    "refusal": Rule(
        last("refusal_rise"),
        "above",
        0.2,
        "the share of refused prompts rose by {value} {interval} (threshold {threshold})",
        "Look for refusals among the winners, and add harmless prompts whose winner answers.",
    ),
    "style": Rule(
        last("style_tdi_ratio"),
        "above",
        1.25,
        "Style TDI is {value} times {interval} that of the start (threshold {threshold}): style moves the model's "
        "states more than content does",
        "Balance styles between winners and losers, or lower the learning rate.",
    ),
}
"""Every alarm. Where the defaults come from: docs/alarms.md."""


def alarms_of(probes: Sequence[Probe], settings: Mapping[str, AlarmRecipe]) -> list[Alarm]:
    """Every alarm that tripped, each once, at the first probe that tripped it.

    Args:
        probes: in the order of their steps; the first is the start.
        settings: of the alarms that are on, by name.

    An alarm trips where the whole 95 % interval lies beyond the threshold, so that a small probe does not cry wolf.
    """
    found: dict[str, Alarm] = {}
    for end in range(1, len(probes) + 1):
        for alarm in tripped(probes[:end], settings):
            found.setdefault(alarm.name, alarm)
    return list(found.values())


def tripped(probes: Sequence[Probe], settings: Mapping[str, AlarmRecipe]) -> Iterator[Alarm]:
    """The alarms that the newest probe trips."""
    for name, setting in settings.items():
        rule = ALARMS[name]
        threshold = rule.threshold if setting.threshold is None else setting.threshold
        seen = rule.watched(probes)
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
