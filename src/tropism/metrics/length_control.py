"""The win rate that would be left if both models wrote equally long answers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.special import expit

from tropism.metrics.bootstrap import Z_95, cluster_draws, numbered, percentile_interval
from tropism.records import Estimate

NUM_RESAMPLES = 1000
RESAMPLES_AT_ONCE = 250
QUALITY_PRECISION = 0.1
LENGTH_PRECISION = 1e-3
"""Of normal priors with mean 0 on the two coefficients: they keep finite what has no finite maximum, and move little
else. The one on length is the weaker, so that what length can explain is not taken for quality."""
MOST_STEPS = 200
LONGEST_STEP = 4.0


class LengthControl(NamedTuple):
    """A win rate at equal length.

    Attributes:
        rate: of the first model at equal length.
        length_effect: log-odds that a longer answer gains, at most, in the judge's eyes (the coefficient of tanh);
            infinite if length explains every verdict.
    """

    rate: Estimate
    length_effect: float

    def sentence(self, raw: Estimate) -> str:
        """What a reader must know in addition to the raw rate; empty if there is nothing."""
        if np.isinf(self.length_effect):
            longer = "longer" if self.length_effect > 0 else "shorter"
            return f"The judge preferred the {longer} answer every time: its verdicts say nothing about anything else."
        decided = raw.low > 0.5 or raw.high < 0.5
        if decided and self.rate.low <= 0.5 <= self.rate.high:
            return (
                f"The win rate follows length: {raw.value:.1%} as judged, {self.rate.value:.1%} "
                f"[{self.rate.low:.1%}, {self.rate.high:.1%}] at equal length, which may be no difference."
            )
        return ""


def length_controlled(
    preferences: Sequence[float], gaps: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0
) -> LengthControl | None:
    """The win rate at equal length: sigmoid(theta) of P(first wins) = sigmoid(theta + phi * tanh(gap / sd(gap))).

    Two departures from the paper. There is no term for the difficulty of a prompt, which needs many models' answers to
    it; and if the longer (or the shorter) answer won every time, the likelihood is greatest for length alone, and
    the rate is one half with the whole range as its interval.

    Args:
        preferences: for the first model's answer, in [0, 1]; a tie is one half.
        gaps: characters of the first answer less those of the second.
        clusters: what each pair of answers belongs to (its prompt).
        seed: of the resampling.

    Returns:
        The rate with a 95 % interval, the wider of a percentile bootstrap over clusters and of what the curvature of
        the likelihood says: if length explains nearly everything, resamples agree although nothing is known. None
        without answer_pairs.

    Reference: Dubois et al. 2024, arXiv:2404.04475, section 3.

    Example:
        >>> found = length_controlled([1.0, 1.0, 0.0, 1.0] * 50, [9.0, -9.0, 9.0, -9.0] * 50, range(200))
        >>> found.rate.low < 0.75 < found.rate.high
        True
    """
    if not len(preferences):
        return None
    wins, gap = np.asarray(preferences, dtype=float), np.asarray(gaps, dtype=float)
    owner = numbered(clusters)
    length = length_terms(gap)
    fit = fit_logistic(length, wins, np.ones((1, len(wins))))
    sign = _follows_sign(wins, gap)
    if sign:
        return LengthControl(Estimate(value=0.5, low=0.0, high=1.0, n=len(wins)), sign * float("inf"))
    theta, phi, error = (float(part[0]) for part in fit)
    low, high = interval(length, wins, owner, (theta, phi), seed=seed)
    low, high = min(low, theta - Z_95 * error), max(high, theta + Z_95 * error)
    estimate = Estimate(value=float(expit(theta)), low=float(expit(low)), high=float(expit(high)), n=len(wins))
    return LengthControl(estimate, phi)


class LogisticFit(NamedTuple):
    """Coefficients of each resample: the log-odds at equal length, the effect of length, and the former's error."""

    theta: NDArray[np.float64]
    phi: NDArray[np.float64]
    error: NDArray[np.float64]


def interval(
    length: Float[np.ndarray, " answer_pairs"],
    wins: Float[np.ndarray, " answer_pairs"],
    owner: Int[np.ndarray, " answer_pairs"],
    start: tuple[float, float],
    *,
    seed: int,
) -> tuple[float, float]:
    """Percentile bounds of theta over resamples of whole clusters; `owner` is each pair's cluster by number."""
    count = int(owner.max()) + 1
    draws = cluster_draws(count, num_resamples=NUM_RESAMPLES, seed=seed)
    thetas = [
        fit_logistic(length, wins, draws[first : first + RESAMPLES_AT_ONCE, owner].astype(float), start=start).theta
        for first in range(0, NUM_RESAMPLES, RESAMPLES_AT_ONCE)
    ]
    return percentile_interval(np.concatenate(thetas))


def length_terms(gap: Float[np.ndarray, " answer_pairs"]) -> Float[np.ndarray, " answer_pairs"]:
    """tanh of the gap in units of its standard deviation, not centred: equal lengths stay at 0."""
    spread = float(gap.std())
    return np.tanh(gap / spread) if spread > 0 else np.sign(gap)


def _follows_sign(wins: Float[np.ndarray, " answer_pairs"], gap: Float[np.ndarray, " answer_pairs"]) -> int:
    """1 if the longer answer won every time (and equally long ones tied), -1 if the shorter one did, else 0."""
    for sign in (1, -1):
        if np.any(gap != 0) and np.all(wins == (np.sign(sign * gap) + 1) / 2):
            return sign
    return 0


def fit_logistic(
    length: Float[np.ndarray, " answer_pairs"],
    wins: Float[np.ndarray, " answer_pairs"],
    weights: Float[np.ndarray, "resamples answer_pairs"],
    *,
    precision: tuple[float, float] = (QUALITY_PRECISION, LENGTH_PRECISION),
    start: tuple[float, float] = (0.0, 0.0),
) -> LogisticFit:
    """Maximum of the penalised likelihood of sigmoid(theta + phi * length) on many resamples, by Newton's method.

    Args:
        length: the term that phi multiplies.
        wins: outcomes in [0, 1].
        weights: how often each pair of answers counts.
        precision: of the normal priors on theta and phi.
        start: first values of theta and phi.
    """
    theta, phi = np.full(len(weights), start[0]), np.full(len(weights), start[1])
    powers = np.stack([np.ones_like(length), length, length**2], 1)
    for _ in range(MOST_STEPS):
        chance = expit(theta[:, None] + phi[:, None] * length)
        up, across = ((weights * (wins - chance)) @ powers[:, :2]).T - np.array(precision)[:, None] * (theta, phi)
        a, b, c = ((weights * chance * (1 - chance)) @ powers).T
        a, c = a + precision[0], c + precision[1]
        determinant = a * c - b * b
        steps = np.stack([(c * up - b * across) / determinant, (a * across - b * up) / determinant])
        largest = np.abs(steps).max(0)
        steps *= np.minimum(1.0, LONGEST_STEP / np.maximum(largest, 1e-300))
        theta, phi = theta + steps[0], phi + steps[1]
        if largest.max() < 1e-9:
            break
    return LogisticFit(theta, phi, np.sqrt(c / determinant))
