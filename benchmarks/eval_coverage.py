"""Do 95 % intervals hold the truth 95 times of 100: every kind of interval on 1,000 simulated data sets.

    python benchmarks/eval_coverage.py

writes `benchmarks/results/eval_coverage.json`: for each kind the share of intervals that held the truth, with its own
interval. Percentile intervals of few clusters are known to be too narrow; the row of 15 clusters says by how much.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tropism.metrics.bootstrap import mean_by_cluster, quantile_by_cluster, ratio_by_cluster, wilson
from tropism.metrics.paired_tests import jackknife_estimate, paired_difference
from tropism.records import Estimate

NUM_SIMULATIONS = 1000
RESULTS = Path(__file__).parent / "results" / "eval_coverage.json"


def clustered(rng: np.random.Generator, clusters: int, mean: float) -> tuple[list[float], list[int]]:
    """Three values in each cluster, which share most of their noise."""
    centres = rng.normal(mean, 1.0, clusters)
    values = np.repeat(centres, 3) + rng.normal(0.0, 0.5, 3 * clusters)
    return values.tolist(), np.repeat(np.arange(clusters), 3).tolist()


def mean_of_60_clusters(rng: np.random.Generator) -> tuple[Estimate | None, float]:
    """A mean of 180 values in 60 clusters."""
    return mean_by_cluster(*clustered(rng, 60, 0.0)), 0.0


def mean_of_15_clusters(rng: np.random.Generator) -> tuple[Estimate | None, float]:
    """A mean of 45 values in 15 clusters."""
    return mean_by_cluster(*clustered(rng, 15, 0.0)), 0.0


def difference_of_60_clusters(rng: np.random.Generator) -> tuple[Estimate | None, float]:
    """A paired difference of 180 items in 60 clusters."""
    found = paired_difference(*clustered(rng, 60, 0.3))
    return found.estimate if found else None, 0.3


def share_of_100(rng: np.random.Generator) -> tuple[Estimate | None, float]:
    """A share of 100 that is 0.8 in truth."""
    return mean_by_cluster((rng.random(100) < 0.8).astype(float).tolist(), range(100)), 0.8


def ratio_of_80_clusters(rng: np.random.Generator) -> tuple[Estimate | None, float]:
    """A ratio of sums, as perplexity's logarithm is."""
    below = rng.gamma(4.0, 1.0, 80)
    return ratio_by_cluster((2.0 * below + rng.normal(0.0, 1.0, 80)).tolist(), below.tolist(), range(80)), 2.0


def median_of_200(rng: np.random.Generator) -> tuple[Estimate | None, float]:
    """A median of 200 values."""
    return quantile_by_cluster(rng.normal(0.0, 1.0, 200).tolist(), range(200), quantile=0.5), 0.0


def jackknife_of_a_ratio(rng: np.random.Generator) -> tuple[Estimate | None, float]:
    """A ratio of sums by the jackknife over blocks of 50 clusters."""
    below = rng.gamma(4.0, 1.0, 100)
    items = list(zip(below, 2.0 * below + rng.normal(0.0, 1.0, 100), np.arange(100) // 2, strict=True))
    return jackknife_estimate(
        items,
        statistic=lambda part: float(sum(top for _, top, _ in part) / sum(bottom for bottom, _, _ in part)),
        cluster=lambda item: str(item[2]),
    ), 2.0


KINDS: tuple[Callable[[np.random.Generator], tuple[Estimate | None, float]], ...] = (
    mean_of_60_clusters,
    mean_of_15_clusters,
    difference_of_60_clusters,
    share_of_100,
    ratio_of_80_clusters,
    median_of_200,
    jackknife_of_a_ratio,
)


def main() -> None:
    """Simulate every kind and write the shares."""
    rows = {}
    for kind in KINDS:
        held = 0
        for seed in range(NUM_SIMULATIONS):
            estimate, truth = kind(np.random.default_rng(seed))
            assert estimate is not None
            held += estimate.low <= truth <= estimate.high
        share = held / NUM_SIMULATIONS
        low, high = wilson(share, NUM_SIMULATIONS)
        rows[kind.__name__] = {"value": share, "low": round(low, 4), "high": round(high, 4), "n": NUM_SIMULATIONS}
        print(f"{kind.__name__:28} {share:.3f} [{low:.3f}, {high:.3f}]")
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
