"""How one comparison is ordered by scores: the formula behind every pair accuracy."""

from __future__ import annotations


def order_credit(winner: float, loser: float) -> float:
    """1 if the preferred answer has the higher score, 0 if the other one has, one half if they are equal.

    Pair accuracy is the mean of these credits over comparisons that are not ties.

    Example:
        >>> order_credit(2.0, 1.0), order_credit(1.0, 2.0), order_credit(1.0, 1.0)
        (1.0, 0.0, 0.5)
    """
    return 0.5 if winner == loser else float(winner > loser)
