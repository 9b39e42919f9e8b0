"""Newton's method for the likelihood of games with ties, on a stack of count tables at one time.

With s half the difference of two log-strengths and eta the logarithm of the tie parameter, a game ends with
log-probability s - log Z (win), -s - log Z (loss) or eta - log Z (tie), Z = e^s + e^-s + e^eta. That is an
exponential family, so the log-likelihood is concave; without ties (eta = -infinity) it is Bradley and Terry's.

Reference: Davidson 1970, JASA 65(329), eq. 2.4 and 2.5.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_MAX_STEPS = 200
_TOLERANCE = 1e-10
_FARTHEST = 30.0
"""Bound of eta, in nats: beyond it the probability of a tie is practically 0 or 1."""
_LONGEST, _SMALLEST = 4.0, 1e-14
"""Longest and shortest step of one parameter, in nats."""
_MAX_HALVINGS = 40


class Tally(NamedTuple):
    """Counts of games: `wins[t, i, j]` is how often i beat j in table t, `ties` is symmetric; [tables, k, k]."""

    wins: NDArray[np.float64]
    ties: NDArray[np.float64]


class _Game(NamedTuple):
    """Outcome probabilities of a game between the row's player and the column's, [tables, k, k]."""

    win: NDArray[np.float64]
    tie: NDArray[np.float64]
    log_total: NDArray[np.float64]


def maximise(
    tally: Tally, prior: NDArray[np.float64], *, start: tuple[NDArray[np.float64], float] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Maximum-likelihood parameters of every table.

    Args:
        tally: counts, [tables, k, k]; if no table has a tie, eta is not part of the model.
        prior: precision of the normal prior on log-strengths, [tables].
        start: log-strengths [k] and eta to begin with.

    Returns:
        Log-strengths with mean 0, [tables, k], and eta, [tables] (-infinity if it is not part of the model).
    """
    num_tables, k, _ = tally.wins.shape
    with_ties = bool(tally.ties.any())
    theta = np.tile(start[0], (num_tables, 1)) if start else np.zeros((num_tables, k))
    eta = np.full(num_tables, start[1] if start and np.isfinite(start[1]) else 0.0) if with_ties else _never(num_tables)
    won = (tally.wins + tally.ties / 2).sum(axis=2)
    scale = 1.0 + won.sum(axis=1)
    # relative to each player's own games, so that a player with few is as exact as one with a million
    own = 1.0 + np.concatenate([won, tally.ties.sum(axis=(1, 2))[:, None]], axis=1)
    for _ in range(_MAX_STEPS):
        gradient = _gradient(tally, theta, eta, prior)
        if (np.abs(gradient) <= _TOLERANCE * own).all():
            break
        step = _newton_step(_information(tally, theta, eta, prior), gradient, with_ties=with_ties)
        step = _shortened(step, tally, theta, eta, prior, slack=1e-12 * scale)
        if np.abs(step).max() < _SMALLEST:
            break
        theta = theta + step[:, :-1]
        theta -= theta.mean(axis=1, keepdims=True)
        eta = _bounded(eta, step)
    return theta, eta


def _information(
    tally: Tally, theta: NDArray[np.float64], eta: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Minus the second derivatives of the log-posterior, eta last; [tables, k + 1, k + 1]."""
    played, game = _played(tally), _game(theta, eta)
    lead = game.win - game.win.swapaxes(1, 2)
    decided = game.win + game.win.swapaxes(1, 2)
    spread = played * (decided - lead**2) / 4
    k = theta.shape[1]
    full = np.zeros((len(theta), k + 1, k + 1))
    full[:, :k, :k] = -spread
    places = np.arange(k)
    full[:, places, places] += spread.sum(axis=2) + prior[:, None]
    cross = -(played * lead * game.tie / 2).sum(axis=2)
    full[:, :k, k] = full[:, k, :k] = cross
    full[:, k, k] = (played * game.tie * (1 - game.tie)).sum(axis=(1, 2)) / 2
    return full


def errors(tally: Tally, theta: NDArray[np.float64], eta: float, prior: float) -> NDArray[np.float64]:
    """Standard errors of log-strengths around their mean, in nats, with the tie parameter profiled out, [k]."""
    full = _information(tally, theta[None], np.array([eta]), np.array([prior]))[0]
    strengths, cross, of_ties = full[:-1, :-1], full[:-1, -1], full[-1, -1]
    if tally.ties.any():
        strengths = strengths - np.outer(cross, cross) / of_ties
    centre = np.eye(len(theta)) - 1 / len(theta)
    return np.asarray(np.sqrt(np.diagonal(np.linalg.pinv(centre @ strengths @ centre, hermitian=True))))


def smoothed(tally: Tally, wins: float) -> Tally:
    """Counts with `wins` added each way for every pair of players that met."""
    return Tally(tally.wins + wins * (_played(tally) > 0), tally.ties)


def _newton_step(full: NDArray[np.float64], gradient: NDArray[np.float64], *, with_ties: bool) -> NDArray[np.float64]:
    """Solve for the step; log-strengths are determined up to a constant, so one direction is regularised."""
    k = full.shape[1] - 1
    scale = np.maximum(np.trace(full[:, :k, :k], axis1=1, axis2=2) / k, 1e-8)
    full[:, :k, :k] += scale[:, None, None] / k
    places = np.arange(k)
    full[:, places, places] += 1e-12 * scale[:, None]
    full[:, k, k] = np.maximum(full[:, k, k], 1e-6) if with_ties else 1.0
    return np.clip(np.linalg.solve(full, gradient[:, :, None])[:, :, 0], -_LONGEST, _LONGEST)


def _shortened(
    step: NDArray[np.float64],
    tally: Tally,
    theta: NDArray[np.float64],
    eta: NDArray[np.float64],
    prior: NDArray[np.float64],
    *,
    slack: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The step, halved for each table until it does not decrease the objective."""
    before = _objective(tally, theta, eta, prior)
    for _ in range(_MAX_HALVINGS):
        worse = _objective(tally, theta + step[:, :-1], _bounded(eta, step), prior) < before - slack
        if not worse.any():
            return step
        step = np.where(worse[:, None], step / 2, step)
    return np.where(worse[:, None], 0.0, step)


def _bounded(eta: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eta after a step; infinite if it is not part of the model."""
    return np.where(np.isfinite(eta), np.clip(eta + step[:, -1], -_FARTHEST, _FARTHEST), eta)


def _gradient(
    tally: Tally, theta: NDArray[np.float64], eta: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """First derivatives of the log-posterior, eta last; [tables, k + 1]."""
    played, game = _played(tally), _game(theta, eta)
    surplus = tally.wins - tally.wins.swapaxes(1, 2) - played * (game.win - game.win.swapaxes(1, 2))
    of_strengths = surplus.sum(axis=2) / 2 - prior[:, None] * theta
    of_ties = (tally.ties - played * game.tie).sum(axis=(1, 2)) / 2
    return np.concatenate([of_strengths, of_ties[:, None]], axis=1)


def _objective(
    tally: Tally, theta: NDArray[np.float64], eta: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The log-posterior of each table, up to a constant; [tables]."""
    half = (theta[:, :, None] - theta[:, None, :]) / 2
    tie_part = tally.ties.sum(axis=(1, 2)) / 2 * np.where(np.isfinite(eta), eta, 0.0)
    total = (tally.wins * half).sum(axis=(1, 2)) + tie_part
    total -= (_played(tally) * _game(theta, eta).log_total).sum(axis=(1, 2)) / 2
    return np.asarray(total - prior / 2 * (theta**2).sum(axis=1))


def _game(theta: NDArray[np.float64], eta: NDArray[np.float64]) -> _Game:
    """Outcome probabilities of every pairing."""
    half = (theta[:, :, None] - theta[:, None, :]) / 2
    log_total = np.logaddexp(np.logaddexp(half, -half), eta[:, None, None])
    return _Game(np.exp(half - log_total), np.exp(eta[:, None, None] - log_total), log_total)


def _played(tally: Tally) -> NDArray[np.float64]:
    """The number of games of every pairing, symmetric."""
    return tally.wins + tally.wins.swapaxes(1, 2) + tally.ties


def _never(num_tables: int) -> NDArray[np.float64]:
    """The eta of a model without ties."""
    return np.full(num_tables, -np.inf)
