"""Bradley-Terry strengths of players from the outcomes of their games, with ties and intervals.

Computed in NumPy from a k x k table of counts, so the cost does not depend on the number of games.

Reference: Bradley and Terry 1952, Biometrika 39(3/4); Davidson 1970, JASA 65(329), eq. 2.4 and 2.5, for ties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tropism.errors import ConfigError, DataError
from tropism.metrics.bootstrap import MIDDLE_95, Z_95
from tropism.signals.statistics.bradley_terry_fit import Tally, errors, maximise, smoothed
from tropism.signals.statistics.connected import falls_apart, ties_unbounded, why_apart

ELO_SCALE = 400 / math.log(10)
"""Elo points per unit of log-strength: 400 points are odds of ten to one."""

FALLBACK_PRIOR = 0.01
"""Prior for a resample whose players are not connected, so that strengths are large but finite."""

_SAME = 1e-6
"""Intervals narrower than this, in nats, count as unmoved by the bootstrap."""
_CELLS = 2_000_000
"""Number of table cells that are fitted at one time."""

TieRule: TypeAlias = Literal["half", "davidson"]


class Games(NamedTuple):
    """Single games, one entry each.

    Args:
        winner: index of the winner (of either player in a tie), [games].
        loser: index of the other player, [games].
        tie: whether the game was a tie, [games].
        cluster: the prompt or annotator of each game; games of one cluster are resampled together, [games].
    """

    winner: ArrayLike
    loser: ArrayLike
    tie: ArrayLike
    cluster: ArrayLike


class Strengths(NamedTuple):
    """Players with their strengths.

    Args:
        names: of the players.
        log_strengths: natural logarithm of each strength; their mean is 0, [players].
        low: lower bounds of the 95 % intervals, [players].
        high: upper bounds, [players].
        wins: games won, ties counted as one half, [players].
        games: games played, [players].
        tie: Davidson's tie parameter; None if ties are half wins.
        disconnected: resamples that needed `FALLBACK_PRIOR`; if there are many, the prior determines the bounds.
    """

    names: tuple[str, ...]
    log_strengths: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    wins: NDArray[np.float64]
    games: NDArray[np.float64]
    tie: float | None = None
    disconnected: int = 0


def fit_bradley_terry(
    wins: ArrayLike,
    ties: ArrayLike | None = None,
    *,
    names: Sequence[str],
    tie_rule: TieRule = "half",
    prior: float = 0.0,
) -> Strengths:
    """Maximum-likelihood strengths with Wald's 95 % intervals, which assume independent games.

    Args:
        wins: `wins[i, j]` is how often i beat j, [players, players].
        ties: `ties[i, j]` is how often i and j tied, symmetric, [players, players].
        names: of the players.
        tie_rule: `half` counts a tie as half a win for each player; `davidson` fits the probability of a tie.
        prior: precision of a normal prior with mean 0 on every log-strength; 0 for none. (It is twice choix's `alpha`.)

    Returns:
        Strengths whose log-strengths have mean 0.

    Raises:
        DataError: if counts are not valid, or a strength has no finite estimate.

    Example:
        >>> fit = fit_bradley_terry([[0, 3], [1, 0]], names=["a", "b"])
        >>> [round(float(one), 4) for one in fit.log_strengths]  # half of log 3 each way
        [0.5493, -0.5493]
    """
    tally = _checked(wins, ties, names, prior=prior)
    shared = _shared(tally, tie_rule)
    _require_connected(shared, names, prior=prior)
    theta, eta = (part[0] for part in maximise(shared, np.array([prior])))
    reach = Z_95 * errors(shared, theta, float(eta), prior)
    return _strengths(tally, shared, names, theta, float(eta), theta - reach, theta + reach)


def bootstrap_bradley_terry(
    games: Games,
    *,
    names: Sequence[str],
    tie_rule: TieRule = "half",
    prior: float = 0.0,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Strengths:
    """Maximum-likelihood strengths with 95 % percentile intervals from a bootstrap over clusters.

    If some players never lost to the others, or all clusters agree, every resample gives the same result. Intervals are
    then widened to contain Wald's interval of the games (one per pairing and cluster) with z^2 / 2 wins added each way.

    Args:
        games: single games; the players are indices into `names`.
        names: of the players.
        tie_rule: as in `fit_bradley_terry`.
        prior: as in `fit_bradley_terry`.
        num_resamples: number of bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        The strengths; with a single cluster nothing can be resampled, and the intervals are Wald's.

    Raises:
        DataError: as `fit_bradley_terry`, and if indices are out of range or lengths differ.

    Reference: Efron and Tibshirani 1993, section 13.3, with clusters as units; Agresti and Coull 1998, The American
    Statistician 52(2), for the added wins.
    """
    coded = _coded(games, len(names))
    tally = _checked(*coded.counts(np.ones(len(coded.code))), names, prior=prior)
    shared = _shared(tally, tie_rule)
    _require_connected(shared, names, prior=prior)
    if coded.num_clusters == 1:
        return fit_bradley_terry(tally.wins[0], tally.ties[0], names=names, tie_rule=tie_rule, prior=prior)
    theta, eta = (part[0] for part in maximise(shared, np.array([prior])))
    rng = np.random.default_rng(seed)
    drawn, num_apart = [], 0
    rows = max(1, _CELLS // len(names) ** 2)
    for first in range(0, num_resamples, rows):
        counts = [coded.draw(rng) for _ in range(min(rows, num_resamples - first))]
        resampled = _shared(Tally(*(np.stack(part) for part in zip(*counts, strict=True))), tie_rule)
        apart = falls_apart(resampled.wins + resampled.ties) if prior == 0 else np.zeros(len(counts), dtype=bool)
        drawn.append(maximise(resampled, np.where(apart, FALLBACK_PRIOR, prior), start=(theta, float(eta)))[0])
        num_apart += int(apart.sum())
    low, high = np.quantile(np.concatenate(drawn), MIDDLE_95, axis=0)
    unmoved = (high - low < _SAME) | falls_apart(shared.wins + shared.ties)
    if unmoved.any():
        independent = smoothed(_shared(coded.one_per_cluster(), tie_rule), Z_95**2 / 2)
        centre, spread = (part[0] for part in maximise(independent, np.array([prior])))
        reach = Z_95 * errors(independent, centre, float(spread), prior)
        wider = np.minimum(low, centre - reach), np.maximum(high, centre + reach)
        low, high = np.where(unmoved, wider, (low, high))
    return _strengths(tally, shared, names, theta, float(eta), low, high)._replace(disconnected=num_apart)


def win_probability(strengths: Strengths) -> NDArray[np.float64]:
    """The expected score of the row's player against the column's: P(win) + P(tie) / 2; one half on the diagonal.

    Example:
        >>> fit = fit_bradley_terry([[0, 3], [1, 0]], names=["a", "b"])
        >>> round(float(win_probability(fit)[0, 1]), 4)
        0.75
    """
    half = (strengths.log_strengths[:, None] - strengths.log_strengths) / 2
    no_tie = 2 * np.cosh(half)
    ties = strengths.tie or 0.0
    return np.asarray((np.exp(half) + ties / 2) / (no_tie + ties))


def to_elo(log_strength: ArrayLike, *, centre: float = 1000.0) -> NDArray[np.float64]:
    """Log-strengths, or their bounds, as Elo points around a centre.

    Example:
        >>> [round(float(points)) for points in to_elo([0.0, math.log(10)])]
        [1000, 1400]
    """
    return centre + ELO_SCALE * np.asarray(log_strength, dtype=np.float64)


class _Coded(NamedTuple):
    """Games, each as one code for winner and loser, with the numbers of their clusters."""

    code: NDArray[np.int64]
    tie: NDArray[np.bool_]
    cluster: NDArray[np.int64]
    num_clusters: int
    num_players: int

    def counts(self, weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Tables of weighted wins and ties; `weight` has one entry for each game, [games]."""
        k = self.num_players
        won, tied = np.where(self.tie, 0.0, weight), np.where(self.tie, weight, 0.0)
        wins, ties = (
            np.bincount(self.code, weights=part, minlength=k * k).astype(np.float64).reshape(k, k)
            for part in (won, tied)
        )
        return wins, ties + ties.T

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The tables of one resample of the clusters."""
        drawn = rng.integers(self.num_clusters, size=self.num_clusters)
        return self.counts(np.bincount(drawn, minlength=self.num_clusters).astype(np.float64)[self.cluster])

    def one_per_cluster(self) -> Tally:
        """Counts in which all games of one pairing in one cluster count as a single game."""
        sides = np.sort(np.divmod(self.code, self.num_players), axis=0)
        _, which, times = np.unique(np.stack([self.cluster, *sides]), axis=1, return_inverse=True, return_counts=True)
        wins, ties = self.counts(1 / times[which.reshape(-1)])
        return Tally(wins[None], ties[None])


def _coded(games: Games, num_players: int) -> _Coded:
    """Check single games and number their clusters."""
    winner, loser = (np.asarray(side, dtype=np.int64) for side in (games.winner, games.loser))
    tie = np.asarray(games.tie, dtype=bool)
    names, cluster = np.unique(np.asarray(games.cluster), return_inverse=True)
    lengths = [len(part) for part in (winner, loser, tie, cluster)]
    if len(set(lengths)) > 1 or not lengths[0]:
        raise DataError(
            f"arrays of `games` must have equal lengths of at least 1, got {lengths}.",
            remedy="Give one entry for each game.",
        )
    if min(winner.min(), loser.min()) < 0 or max(winner.max(), loser.max()) >= num_players:
        raise DataError(f"players must be indices from 0 to {num_players - 1}.", remedy="Give indices into `names`.")
    return _Coded(winner * num_players + loser, tie, cluster.reshape(-1), len(names), num_players)


def _checked(wins: ArrayLike, ties: ArrayLike | None, names: Sequence[str], *, prior: float) -> Tally:
    """Validated tables of counts, as a stack of one."""
    won = np.asarray(wins, dtype=np.float64)
    tied = np.zeros_like(won) if ties is None else np.asarray(ties, dtype=np.float64)
    k = len(names)
    if k < 2 or len(set(names)) < k:
        raise DataError(
            f"`names` must be at least two different names, got {list(names)}.", remedy="Give each player its own name."
        )
    if won.shape != (k, k) or tied.shape != (k, k):
        raise DataError(
            f"`wins` and `ties` must be {k} x {k} for {k} `names`, got {won.shape} and {tied.shape}.",
            remedy="Give one row and one column for each name.",
        )
    for name, table in (("wins", won), ("ties", tied)):
        if not (np.isfinite(table).all() and (table >= 0).all()) or np.diagonal(table).any():
            raise DataError(f"`{name}` must be finite, >= 0, and 0 on the diagonal.", remedy="Correct the counts.")
    if (tied != tied.T).any():
        raise DataError("`ties` must be symmetric.", remedy="Count a tie of i and j in [i, j] and in [j, i].")
    if not (math.isfinite(prior) and prior >= 0):
        raise ConfigError(
            f"`prior` must be finite and >= 0, got {prior}.", remedy="Use 0 for none, or 0.1 for a weak one."
        )
    return Tally(won[None], tied[None])


def _shared(tally: Tally, tie_rule: TieRule) -> Tally:
    """The counts to fit: ties are kept for Davidson's model and are half wins otherwise."""
    if tie_rule not in ("half", "davidson"):
        raise ConfigError(f"`tie_rule` must be 'half' or 'davidson', got {tie_rule!r}.", remedy="Use 'half'.")
    if tie_rule == "davidson" and tally.ties.any():
        return tally
    return Tally(tally.wins + tally.ties / 2, np.zeros_like(tally.ties))


def _require_connected(tally: Tally, names: Sequence[str], *, prior: float) -> None:
    """Refuse tables whose likelihood has no maximum."""
    remedy = "Collect comparisons between them, omit some players, or use a weak prior (`prior=0.1`)."
    if prior == 0 and falls_apart(tally.wins + tally.ties)[0]:
        raise DataError(why_apart(tally.wins[0] + tally.ties[0], names), remedy=remedy)
    if tally.ties.any() and (not tally.wins.any() or (prior == 0 and ties_unbounded(tally.wins[0], tally.ties[0]))):
        raise DataError(
            "there are too few wins to fit the probability of a tie in Davidson's model.",
            remedy="Count ties as half wins (`tie_rule='half'`).",
        )


def _strengths(
    tally: Tally,
    shared: Tally,
    names: Sequence[str],
    theta: NDArray[np.float64],
    eta: float,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> Strengths:
    """The result of a fit."""
    wins, ties = tally.wins[0], tally.ties[0]
    return Strengths(
        tuple(names),
        theta,
        low,
        high,
        (wins + ties / 2).sum(axis=1),
        (wins + wins.T + ties).sum(axis=1),
        math.exp(eta) if shared.ties.any() else None,
    )
