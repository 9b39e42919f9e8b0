"""The credit of one ordered pair, the one place where pair accuracy is computed."""

from __future__ import annotations

from typing import Any, overload


@overload
def order_credit(winner: float, loser: float) -> float: ...
@overload
def order_credit(winner: Any, loser: Any) -> Any: ...
def order_credit(winner: Any, loser: Any) -> Any:
    """1 if the preferred answer has the higher score, 0 if the other one has, one half if they are equal.

    Pair accuracy is the mean of these credits over comparisons that are not ties.

    Args:
        winner: score of the preferred answer: a number, or an array or a tensor of numbers.
        loser: score of the other one, of the same kind.

    Example:
        >>> order_credit(2.0, 1.0), order_credit(1.0, 2.0), order_credit(1.0, 1.0)
        (1.0, 0.0, 0.5)
    """
    return (winner > loser) + 0.5 * (winner == loser)
