"""Whether a linear bag-of-words model separates winners from losers on unseen prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RIDGE = 1e-3
NUM_STEPS = 50


def held_out_margins(
    winners: Sequence[frozenset[str]], losers: Sequence[frozenset[str]], folds: Sequence[int]
) -> NDArray[np.float64]:
    """Fit on one half of the pairs, judge the other, and the other way round.

    The model is a Bradley-Terry model whose strengths are linear in the presence of features, with a ridge penalty.

    Args:
        winners: the features of each winner.
        losers: the features of each loser.
        folds: 0 or 1 for each pair.

    Returns:
        By how much the model of the other half puts each winner before its loser, in nats, [pairs].
    """
    differences = _differences(winners, losers)
    fold = np.asarray(folds)
    margins = np.zeros(len(fold))
    for half in (0, 1):
        if (fold != half).any() and (fold == half).any():
            margins[fold == half] = differences[fold == half] @ _fit(differences[fold != half])
    return margins


def _differences(winners: Sequence[frozenset[str]], losers: Sequence[frozenset[str]]) -> Any:
    """Features of winners minus those of losers, sparse [pairs, features]."""
    from scipy.sparse import csr_matrix

    columns: dict[str, int] = {}
    rows, places, values = [], [], []
    for row, (winner, loser) in enumerate(zip(winners, losers, strict=True)):
        for features, value in ((winner - loser, 1.0), (loser - winner, -1.0)):
            for feature in sorted(features):
                rows.append(row)
                places.append(columns.setdefault(feature, len(columns)))
                values.append(value)
    return csr_matrix((values, (rows, places)), shape=(len(winners), max(1, len(columns))))


def _fit(differences: Any) -> NDArray[np.float64]:
    """The weights that maximise the penalised likelihood of the winners."""
    from scipy.optimize import minimize

    num_pairs = differences.shape[0]

    def objective(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = differences @ weights
        value = np.logaddexp(0.0, -margins).mean() + RIDGE / 2 * weights @ weights
        slopes = -1.0 / (1.0 + np.exp(np.minimum(margins, 500.0)))
        return float(value), differences.T @ slopes / num_pairs + RIDGE * weights

    found = minimize(
        objective, np.zeros(differences.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": NUM_STEPS}
    )
    return np.asarray(found.x)
