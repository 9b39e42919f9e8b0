"""Whether games connect all players, which every finite estimate of strengths requires, and which players are apart.

Reference: Ford 1957, American Mathematical Monthly 64(8): every split of the players needs a win each way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_NAMED = 5


def falls_apart(beats: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True for each table in which some players never lost to the others, or never met them.

    Args:
        beats: positive where the row's player beat (or tied) the column's, [tables, k, k].

    Example:
        >>> falls_apart(np.array([[[0, 1], [0, 0]], [[0, 1], [1, 0]]])).tolist()
        [True, False]
    """
    return np.asarray(~_reaches(beats).all(axis=(1, 2)))


def why_apart(beats: NDArray[np.float64], names: Sequence[str]) -> str:
    """A sentence that names the players without a finite strength, and the reason.

    Args:
        beats: as in `falls_apart`, for one table, [k, k].
        names: of the players.
    """
    reach = _reaches(beats[None])[0]
    together = reach & reach.T
    met = _reaches((beats + beats.T)[None])[0]
    for place in range(len(names)):
        if not met[place].all():
            return f"{_list(names, met[place])} never met {_list(names, ~met[place])}, so nothing compares them."
    unbeaten = next(place for place in range(len(names)) if (reach[:, place] <= together[:, place]).all())
    group = together[unbeaten]
    return f"{_list(names, group)} never lost to {_list(names, ~group)}, so their distance is not finite."


def ties_unbounded(wins: NDArray[np.float64], ties: NDArray[np.float64]) -> bool:
    """Whether the likelihood has no maximum in the tie parameter, because no cycle of wins bounds it.

    This is so if numbers x exist with x[i] - x[j] >= 2 for each win of i over j and |x[i] - x[j]| <= 2 for each tie.
    These difference constraints have a solution exactly if their graph has no cycle of negative length.

    Args:
        wins: [k, k].
        ties: symmetric, [k, k].
    """
    k = len(wins)
    length = np.where(ties > 0, 2.0, np.inf)
    length = np.minimum(length, np.where(wins > 0, -2.0, np.inf))
    distance = np.zeros(k)
    for _ in range(k + 1):
        shorter = np.minimum(distance, (distance[:, None] + length).min(axis=0))
        if (shorter == distance).all():
            return True
        distance = shorter
    return False


def _reaches(beats: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Reachability by wins, directly or through others; every player reaches itself."""
    reach = (beats > 0) | np.eye(beats.shape[1], dtype=bool)
    while True:
        one = reach.astype(np.float32)
        farther = one @ one > 0
        if (farther == reach).all():
            return reach
        reach = farther


def _list(names: Sequence[str], chosen: NDArray[np.bool_]) -> str:
    """The chosen names, abbreviated after the first few."""
    found = [name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen]
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more
