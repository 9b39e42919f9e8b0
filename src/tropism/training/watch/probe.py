"""A probe: metrics of the model at one step on a small, fixed set of pairs and prompts, compared with its start.

A probe leaves no trace: weights, modes and random states are as they were, so training goes on to the same bits.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from tropism.evals.preference.drift import own_log_ratios
from tropism.evals.security.refusal_detector import is_refusal
from tropism.evals.style.restyle import STYLES
from tropism.evals.style.style_contents import StyledStates, content_states, own_contents
from tropism.evals.style.style_geometry import SPREADS, ratio, ratio_of_ratios
from tropism.metrics.bootstrap import bounded, jackknife, mean_by_cluster, ratio_by_cluster
from tropism.metrics.pair_order import order_credit
from tropism.metrics.text_variety import distinct_2_ratio, distinct_n, own_distinct_2
from tropism.policies.base import Capability
from tropism.policies.generating import GeneratingPolicy
from tropism.records import Estimate, Probe
from tropism.references.cached import CachedReference
from tropism.references.weight_swap import KeptWeights
from tropism.text.prepared import Prepared
from tropism.training.recipe.sections import ProbeRecipe

WATCH_NEEDS: frozenset[Capability] = frozenset({"logp", "generate", "states"})
"""What a policy must be able to do to be probed while it trains."""
TEMPERATURE = 1.0
"""Of the answers: the divergence is a mean over the model's own samples, as they are."""

PROBE_STYLES = tuple(STYLES)[:4]
"""Of the restyled contents: fewer than in the eval, one wording each, so that a probe costs about a training step."""
FEWEST_CONTENTS = 4
ABSOLUTE = ("words", "distinct_2", "own_distinct_2", "refusal_rate", "style_tdi")
"""Metrics that stand alone; all others compare with the start."""

Metrics = dict[str, Estimate | None]


class Seen(NamedTuple):
    """What a model does on the probe's set.

    Attributes:
        logp: log-probability of every response by its key, nats.
        rows, texts: its answers, as ids and as text.
        styled: its states on contents in several styles.
    """

    logp: Mapping[bytes, float]
    rows: list[tuple[int, ...]]
    texts: list[str]
    styled: StyledStates


class Prober:
    """Measures a policy compared with its state when this was made.

    Args:
        policy: in its start state.
        groups: prepared groups, their pairs to order.
        asked: prepared groups, their prompts to answer.
        settings: lengths and seed.
        tokens_per_batch: most tokens that are scored at a time; None takes the policy's `fast_budget`.
    """

    def __init__(
        self,
        policy: GeneratingPolicy[Any],
        *,
        groups: Sequence[Prepared],
        asked: Sequence[Prepared],
        settings: ProbeRecipe,
        tokens_per_batch: int | None,
    ) -> None:
        self.policy = policy
        self.groups = list(groups)
        self.asked = {start: group.group.id for group in asked if (start := policy.start_of_group(group))}
        self.contents = own_contents(policy, num=settings.contents, draws=1, styles=PROBE_STYLES, seed=settings.seed)
        self.settings = settings
        self.tokens_per_batch = tokens_per_batch
        self.start = KeptWeights(policy.model, on_cpu=True)
        self._before: Seen | None = None

    def measure(self, step: int) -> Probe:
        """The model as it is now, compared with its start."""
        with _untouched_random_state(self.policy.device):
            if self._before is None:
                with self.start.in_place():
                    self._before = self._look()
            now = self._look() if step else self._before
            metrics = self._pairs(now) | self._answers(now) | self._style(now)
        known = {name: value for name, value in metrics.items() if value and is_finite(value)}
        return Probe(step=step, metrics=known if step else {name: _at_start(name, one) for name, one in known.items()})

    def _look(self) -> Seen:
        """Score the pairs and answer the prompts, with the weights that are in place."""
        starts = list(self.asked)
        room = self.policy.context - max(map(len, starts), default=0)
        drawn = self.policy.sample(
            starts,
            num_answers=1,
            temperature=TEMPERATURE,
            max_new_tokens=min(self.settings.max_new_tokens, room),
            seed=self.settings.seed,
        )
        rows = [row for (row,) in drawn]
        styled = content_states(self.policy, self.contents)
        return Seen(self._logp(self.groups), rows, self.policy.texts(rows), styled)

    def _logp(self, groups: Sequence[Prepared]) -> dict[bytes, float]:
        scores = CachedReference(self.policy, tokens_per_batch=self.tokens_per_batch, keep=False)
        scores.prepare(groups)
        return scores.known

    def _start_logp(self, groups: Sequence[Prepared]) -> dict[bytes, float]:
        """Log-probabilities with the start weights."""
        with self.start.in_place():
            return self._logp(groups)

    def _pairs(self, now: Seen) -> Metrics:
        """How the pairs are ordered, and changes in the probability of winners and losers."""
        assert self._before is not None
        winners, losers, lengths, owners, credits, decided = [], [], [], [], [], []
        for group in self.groups:
            keys = [group.response_key(response) for response in group.responses]
            changes = [now.logp[key] - self._before.logp[key] for key in keys]
            for edge in group.edges:
                winners.append(changes[edge.winner])
                losers.append(changes[edge.loser])
                lengths.append(float(group.num_scored(edge.winner)))
                owners.append(group.group.id)
                if edge.prob != 0.5:
                    credits.append(order_credit(changes[edge.winner], changes[edge.loser]))
                    decided.append(group.group.id)
        margins = [winner - loser for winner, loser in zip(winners, losers, strict=True)]
        return {
            "pair_accuracy": mean_by_cluster(credits, decided),
            "winners_logp_change": mean_by_cluster(winners, owners),
            "losers_logp_change": mean_by_cluster(losers, owners),
            "margin": mean_by_cluster(margins, owners),
            "winners_logp_change_per_token": ratio_by_cluster(winners, lengths, owners),
        }

    def _answers(self, now: Seen) -> Metrics:
        """How far the answers are from those of the start."""
        if not self.asked:
            return {}
        assert self._before is not None
        prompts = range(len(self.asked))
        words, words_before = ([float(len(text.split())) for text in seen.texts] for seen in (now, self._before))
        refused, refused_before = ([float(is_refusal(text)) for text in seen.texts] for seen in (now, self._before))
        own, own_before = ([own_distinct_2(text) for text in seen.texts] for seen in (now, self._before))
        both = list(zip(now.texts, self._before.texts, strict=True))
        return {
            "kl": mean_by_cluster(ratios, prompts) if (ratios := self._log_ratios(now)) else None,
            "words": mean_by_cluster(words, prompts),
            "length_ratio": ratio_by_cluster(words, words_before, prompts) if sum(words_before) else None,
            "distinct_2": share(jackknife(lambda texts: distinct_n(texts, 2), now.texts)),
            "distinct_2_ratio": jackknife(distinct_2_ratio, both) if distinct_2_ratio(both) < float("inf") else None,
            "own_distinct_2": mean_by_cluster(own, prompts),
            "own_distinct_2_ratio": ratio_by_cluster(own, own_before, prompts),
            "refusal_rate": mean_by_cluster(refused, prompts),
            "refusal_rise": mean_by_cluster(
                [after - before for after, before in zip(refused, refused_before, strict=True)], prompts
            ),
        }

    def _style(self, now: Seen) -> Metrics:
        """How far style moves the states compared with content; empty if too few contents fit into the model."""
        assert self._before is not None
        if len(now.styled.ids) < FEWEST_CONTENTS:
            return {}
        after, before = (SPREADS["tdi"](seen.styled.states) for seen in (now, self._before))
        return {"style_tdi": ratio(after).value, "style_tdi_ratio": ratio_of_ratios(after, before)}

    def _log_ratios(self, now: Seen) -> list[float]:
        """Log-probability of each answer under the model minus that under its start, nats."""
        rows = [*zip(self.asked, now.rows, strict=True)]
        ratios = own_log_ratios(rows, self.policy, model=self._logp, base=self._start_logp)
        return [ratio for ratio in ratios if ratio is not None]


def _at_start(name: str, estimate: Estimate) -> Estimate:
    """A metric of the start: compared with itself it is exact and has no interval."""
    if name in ABSOLUTE:
        return estimate
    return estimate.model_copy(update={"low": estimate.value, "high": estimate.value})


def share(estimate: Estimate | None) -> Estimate | None:
    """An estimate of a share, whose interval ends at 0 and 1."""
    return bounded(estimate, 0.0, 1.0) if estimate else None


def is_finite(estimate: Estimate) -> bool:
    """Whether a number and its interval can be written down."""
    return all(math.isfinite(number) for number in (estimate.value, estimate.low, estimate.high))


@contextlib.contextmanager
def _untouched_random_state(device: torch.device) -> Iterator[None]:
    """Every random state of this process that a model on a device may draw from comes back when the block ends."""
    own, numbers = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(own)
            np.random.set_state(numbers)
