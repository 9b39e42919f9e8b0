"""An estimate whose value is that of a statistic to the last bit: so the frame knows that items tell it."""

from __future__ import annotations

from tropism.records import Estimate


def exactly(estimate: Estimate, value: float) -> Estimate:
    """An interval around the very number that a statistic of the items gives.

    Two ways to one mean differ in their last bit, and a metric that is not quite its statistic is not compared item
    by item.

    Args:
        estimate: the number with its interval.
        value: the same number as the statistic computes it.

    Example:
        >>> exactly(Estimate(value=1e-17, low=1e-17, high=0.5, n=3), 0.0).low
        0.0
    """
    return Estimate(value=value, low=min(estimate.low, value), high=max(estimate.high, value), n=estimate.n)
