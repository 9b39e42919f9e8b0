"""How often the bootstrap's 95 % intervals of Bradley-Terry strengths hold the truth; writes results/bt_coverage.json.

Four players; 150 prompts, each with three games of one random pair. With probability one half a game repeats the
outcome of the prompt's first, so that games of a prompt are not independent while each by itself follows the model.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tropism.signals.statistics.bradley_terry import Games, bootstrap_bradley_terry

TRUTH = np.array([0.8, 0.2, -0.3, -0.7])
PROMPTS, GAMES, REPEATS = 150, 3, 0.5
SIMULATIONS, RESAMPLES = 1000, 1000
RESULT = Path(__file__).parent / "results" / "bt_coverage.json"


def season(rng: np.random.Generator) -> Games:
    """The games of all prompts, clustered by prompt."""
    pairs = np.array([rng.choice(len(TRUTH), 2, replace=False) for _ in range(PROMPTS)])
    chance = 1 / (1 + np.exp(TRUTH[pairs[:, 1]] - TRUTH[pairs[:, 0]]))
    first_wins = rng.random((PROMPTS, GAMES)) < chance[:, None]
    repeats = rng.random((PROMPTS, GAMES)) < REPEATS
    first_wins = np.where(repeats, first_wins[:, :1], first_wins)
    one, other = np.repeat(pairs[:, 0], GAMES), np.repeat(pairs[:, 1], GAMES)
    won = first_wins.reshape(-1)
    winner, loser = np.where(won, one, other), np.where(won, other, one)
    return Games(winner, loser, np.zeros(len(won), dtype=bool), np.repeat(np.arange(PROMPTS), GAMES))


def coverage(held: list[float]) -> dict[str, float | int]:
    """A share of intervals with its own interval: simulations are independent, the players of one are not."""
    value, error = float(np.mean(held)), float(np.std(held, ddof=1)) / len(held) ** 0.5
    return {"value": value, "low": value - 1.96 * error, "high": value + 1.96 * error, "n": len(held)}


def main() -> None:
    """Simulate, and write the result beside this file."""
    held: dict[str, list[float]] = {"by_cluster": [], "by_game": []}
    for simulation in range(SIMULATIONS):
        games = season(np.random.default_rng([7, simulation]))
        single = games._replace(cluster=np.arange(PROMPTS * GAMES))
        for name, drawn in (("by_cluster", games), ("by_game", single)):
            fit = bootstrap_bradley_terry(drawn, names=list("abcd"), num_resamples=RESAMPLES, seed=simulation)
            held[name].append(float(np.mean((fit.low <= TRUTH) & (fit.high >= TRUTH))))
    result = {"simulations": SIMULATIONS, "resamples": RESAMPLES, "prompts": PROMPTS, "games_per_prompt": GAMES}
    result |= {name: coverage(values) for name, values in held.items()}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
