"""What the length-controlled win rate says of models whose truth is known, and how often its interval holds it.

Judges follow the logistic model of arXiv:2404.04475, section 3; the first model's answers are longer by `shift`
standard deviations on average. Writes results/length_control.json; some five minutes on one core.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from tropism.metrics.bootstrap import mean_by_cluster, wilson
from tropism.metrics.length_control import length_controlled

SIMULATIONS, PROMPTS = 1000, 200
RESULT = Path(__file__).parent / "results" / "length_control.json"


class World(NamedTuple):
    """Which model is better, what the judge makes of length, and how much longer the answers are."""

    quality: float
    length: float
    shift: float


WORLDS = {
    "merely longer": World(0.0, 1.5, 0.6),
    "better, equally long": World(1.1, 0.0, 0.0),
    "better and longer": World(0.8, 1.5, 0.6),
}


def measure(world: World) -> dict[str, float | list[float] | int]:
    """Mean raw and length-controlled rates over the simulations, and the share of intervals that hold the truth."""
    raws, rates, held = [], [], 0
    truth = float(expit(world.quality))
    for simulation in range(SIMULATIONS):
        rng = np.random.default_rng([11, simulation])
        gaps = np.round(rng.normal(100 * world.shift, 100, PROMPTS))
        # the scale of tanh is the population's, so that the truth does not depend on the draw
        wins = (rng.random(PROMPTS) < expit(world.quality + world.length * np.tanh(gaps / 100))).astype(float)
        found = length_controlled(wins.tolist(), gaps.tolist(), range(PROMPTS), seed=simulation)
        raw = mean_by_cluster(wins.tolist(), range(PROMPTS))
        assert found is not None
        assert raw is not None
        raws.append(raw.value)
        rates.append(found.rate.value)
        held += found.rate.low <= truth <= found.rate.high
    error = 1.96 * float(np.std(rates, ddof=1)) / SIMULATIONS**0.5
    return {
        "truth": truth,
        "raw_rate": float(np.mean(raws)),
        "length_controlled": float(np.mean(rates)),
        "length_controlled_interval": [float(np.mean(rates)) - error, float(np.mean(rates)) + error],
        "coverage": held / SIMULATIONS,
        "coverage_interval": list(wilson(held / SIMULATIONS, SIMULATIONS)),
        "simulations": SIMULATIONS,
        "prompts": PROMPTS,
    }


def main() -> None:
    """Simulate, and write the result beside this file."""
    result = {name: measure(world) for name, world in WORLDS.items()}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
