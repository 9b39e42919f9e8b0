"""From the metrics of several seeds to one number with its interval, and the measures that claims are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, variance

from scipy import stats

from tropism.applications.application import ArmMetrics
from tropism.metrics.bootstrap import Z_95
from tropism.records import Estimate


def over_seeds(estimates: Sequence[Estimate], *, is_share: bool = False) -> Estimate:
    """The mean over seeds, with a 95 % interval for sampled prompts and for seeds.

    A seed's own interval draws whole prompts (clusters), so its half-width over 1.96 is the standard error s_i within
    the seed. With S seeds and the variance v of their values, the variance between seeds is estimated by moments,
    t = max(0, v - mean s_i^2), and the variance of the mean is (mean s_i^2 + t) / S. The interval uses Student's
    distribution with Satterthwaite's degrees of freedom: the part within seeds counts as known, the part between seeds
    has S - 1. With one seed the seed's own interval is returned: the seed was not varied.

    Args:
        estimates: one for each seed.
        is_share: keep the interval within 0 and 1.

    Returns:
        The estimate; `n` counts the samples of all seeds.

    Reference: DerSimonian and Laird 1986, Controlled Clinical Trials 7, eq. 2 with equal weights; Satterthwaite 1946,
    Biometrics Bulletin 2, p. 110.

    Example:
        >>> one, two = Estimate(value=0.4, low=0.4, high=0.4, n=5), Estimate(value=0.6, low=0.6, high=0.6, n=5)
        >>> found = over_seeds([one, two])
        >>> found.value, round(found.high, 3), found.n
        (0.5, 1.771, 10)
    """
    if len(estimates) == 1:
        return estimates[0]
    values = [one.value for one in estimates]
    within = fmean(((one.high - one.low) / (2 * Z_95)) ** 2 for one in estimates)
    between = max(0.0, variance(values) - within)
    error = math.sqrt((within + between) / len(values))
    half = error * Z_95
    if between:
        freedom = (len(values) - 1) * ((within + between) / between) ** 2
        half = error * float(stats.t.ppf(0.975, freedom))
    low, high = fmean(values) - half, fmean(values) + half
    if is_share:
        low, high = max(0.0, low), min(1.0, high)
    return Estimate(value=fmean(values), low=low, high=high, n=sum(one.n for one in estimates))


def value_of(arm: str, metric: str) -> Callable[[ArmMetrics], Estimate | None]:
    """The measure of a claim about one arm's metric, such as `value_of("dpo", "win_rate.rate")`."""

    def measure(found: ArmMetrics) -> Estimate | None:
        kept = [one[metric] for one in found.values.get(arm, ()) if metric in one]
        return over_seeds(kept, is_share=metric in found.shares) if kept else None

    return measure


def change_of(arm: str, metric: str) -> Callable[[ArmMetrics], Estimate | None]:
    """The measure of a claim about the difference between an arm and the base, paired on the same items."""

    def measure(found: ArmMetrics) -> Estimate | None:
        kept = [one[metric] for one in found.changes.get(arm, ()) if metric in one]
        return over_seeds(kept) if kept else None

    return measure
