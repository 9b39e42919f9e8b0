"""The Dawid-Skene model: true labels and annotators' error rates, estimated by expectation-maximization.

Computed in NumPy on counts from a deterministic start (shares of each item's labels), so equal tables give equal
results. `fit_pairs` treats both sides of a pair alike: swapping the sides swaps the result.

Reference: Dawid and Skene 1979, Applied Statistics 28(1), eq. 2.3 to 2.5.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tropism.errors import ConfigError, DataError
from tropism.metrics.bootstrap import wilson
from tropism.records import Estimate

FIRST_WINS, SECOND_WINS, TIE = 0, 1, 2
"""Labels of a pair."""

_SWAPPED = np.array([SECOND_WINS, FIRST_WINS, TIE])
"""The label of a pair when its sides are swapped."""


class DawidSkene(NamedTuple):
    """The result of a fit.

    Args:
        items: the distinct items, sorted, [items].
        annotators: the distinct annotators, sorted, [annotators].
        prior: frequency of each true label, [labels].
        confusion: `confusion[a, t, g]` is the probability that annotator a gives g if t is true,
            [annotators, labels, labels].
        posterior: `posterior[i, t]` is the probability that t is item i's true label, [items, labels].
        reliability: per annotator, the expected share of correct labels under the posterior, with Wilson's
            95 % interval, which takes the posterior as known; `n` is the number of labels given.
        log_likelihood: of all labels under the fit, in nats.
        num_iterations: iterations of expectation and maximization.
        converged: whether the last iteration improved the fit by less than the tolerance.
    """

    items: NDArray[Any]
    annotators: NDArray[Any]
    prior: NDArray[np.float64]
    confusion: NDArray[np.float64]
    posterior: NDArray[np.float64]
    reliability: tuple[Estimate, ...]
    log_likelihood: float
    num_iterations: int
    converged: bool


def fit_dawid_skene(
    item: ArrayLike,
    annotator: ArrayLike,
    label: ArrayLike,
    *,
    num_labels: int,
    smoothing: float = 0.01,
    tolerance: float = 1e-8,
    max_iterations: int = 500,
) -> DawidSkene:
    """Fit true labels and annotators' confusion matrices; an annotator may label an item more than once.

    Args:
        item: the labelled item, [rows].
        annotator: the annotator, [rows].
        label: the label, from 0, [rows].
        num_labels: number of labels.
        smoothing: pseudo-count of every cell of the confusion matrices and of every label. The paper has none (0); a
            small one keeps unseen labels from having probability 0.
        tolerance: the fit has converged if an iteration adds less to the mean log-likelihood per row, in nats.
        max_iterations: most iterations.

    Raises:
        DataError: if lengths differ or are 0, or a label is out of range.

    Example:
        >>> fit = fit_dawid_skene([1, 1, 1, 2, 2, 2], list("abcabc"), [0, 0, 1, 1, 1, 1], num_labels=2)
        >>> [int(place) for place in fit.posterior.argmax(axis=1)]
        [0, 1]
    """
    rows = _rows(item, annotator, label, num_labels)
    model = _Model(np.arange(num_labels), np.full((num_labels, num_labels), smoothing), smoothing)
    return _fit(rows, model, tolerance, max_iterations)


def fit_pairs(
    pair: ArrayLike,
    annotator: ArrayLike,
    label: ArrayLike,
    *,
    smoothing: float = 0.01,
    right: float = 1.0,
    tolerance: float = 1e-8,
    max_iterations: int = 500,
) -> DawidSkene:
    """Fit which of two answers is better to judgements of pairs; the result does not depend on the order of a pair.

    Departures from the paper: an annotator's confusion matrix is symmetric under swapping the sides, and both sides are
    equally likely to be better. This halves the number of parameters and makes them independent of the order. Every
    annotator also starts with pseudo-counts of correct labels: if a single person judged every pair, nothing else
    separates true ties from that person's habit.

    Args:
        pair: the judged pair, [rows].
        annotator: the annotator, [rows].
        label: `FIRST_WINS`, `SECOND_WINS` or `TIE`, [rows].
        smoothing, tolerance, max_iterations: as in `fit_dawid_skene`.
        right: pseudo-count of correct labels of every annotator, for each label.

    Raises:
        DataError: as `fit_dawid_skene`.
        ConfigError: if a pseudo-count is below 0 or not finite.

    Reference: Kim and Ghahramani 2012, Bayesian Classifier Combination, for priors on confusion matrices.

    Example:
        >>> fit = fit_pairs([1, 2], ["ann", "ann"], [FIRST_WINS, TIE])
        >>> [round(float(share), 3) for share in first_is_better(fit)]
        [0.981, 0.5]
    """
    if not (math.isfinite(right) and right >= 0):
        raise ConfigError(f"`right` must be finite and >= 0, got {right}.", remedy="Use 1.")
    model = _Model(_SWAPPED, smoothing + right * np.eye(3), smoothing)
    return _fit(_rows(pair, annotator, label, 3), model, tolerance, max_iterations)


def first_is_better(fit: DawidSkene) -> NDArray[np.float64]:
    """Soft labels of pairs: the probability that the first is better, with ties counted as one half, [items].

    Args:
        fit: of pairs, with the labels `FIRST_WINS`, `SECOND_WINS` and, if there is a third, `TIE`.

    Raises:
        DataError: if the fit does not have two or three labels.
    """
    num_labels = fit.posterior.shape[1]
    if num_labels not in (2, 3):
        raise DataError(f"`fit` must have two or three labels, got {num_labels}.", remedy="Fit first, second and tie.")
    ties = fit.posterior[:, TIE] if num_labels == 3 else 0.0
    return np.asarray(fit.posterior[:, FIRST_WINS] + ties / 2)


class _Rows(NamedTuple):
    """Distinct labels of annotators as numbers, each with its count."""

    items: NDArray[Any]
    annotators: NDArray[Any]
    item: NDArray[np.int64]
    annotator: NDArray[np.int64]
    label: NDArray[np.int64]
    times: NDArray[np.int64]
    num_labels: int


def _rows(item: ArrayLike, annotator: ArrayLike, label: ArrayLike, num_labels: int) -> _Rows:
    """Validate, number and count the labels."""
    columns = [np.asarray(column).reshape(-1) for column in (item, annotator, label)]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1 or not lengths[0]:
        raise DataError(
            f"`item`, `annotator` and `label` must have equal lengths of at least 1, got {lengths}.",
            remedy="Give one value of each for every row.",
        )
    given = columns[2].astype(np.int64)
    if num_labels < 2 or (given != columns[2]).any() or given.min() < 0 or given.max() >= num_labels:
        raise DataError(
            f"`label` must hold whole numbers from 0 to {num_labels - 1}, with `num_labels` at least 2.",
            remedy="Number the labels from 0 and set `num_labels`.",
        )
    items, item_code = np.unique(columns[0], return_inverse=True)
    annotators, annotator_code = np.unique(columns[1], return_inverse=True)
    distinct, times = np.unique(np.stack([item_code, annotator_code, given]), axis=1, return_counts=True)
    return _Rows(items, annotators, distinct[0], distinct[1], distinct[2], times, num_labels)


class _Model(NamedTuple):
    """Symmetry and priors of a fit.

    Args:
        mirror: the label that each label becomes when sides are swapped, itself without symmetry, [labels].
        answers: pseudo-counts of an annotator's confusion matrix, [true labels, labels].
        truths: pseudo-counts of each label.
    """

    mirror: NDArray[np.int64]
    answers: NDArray[np.float64]
    truths: float


def _fit(rows: _Rows, model: _Model, tolerance: float, max_iterations: int) -> DawidSkene:
    """Iterate until convergence."""
    if not (np.isfinite(model.answers).all() and math.isfinite(model.truths) and (model.answers >= 0).all()):
        raise ConfigError(f"`smoothing` must be finite and >= 0, got {model.truths}.", remedy="Use 0.01.")
    state, num_iterations, converged = _round(rows, model, _majority(rows)), 1, False
    while not converged and num_iterations < max_iterations:
        before, state = state, _round(rows, model, state.posterior)
        num_iterations += 1
        converged = bool(state.objective - before.objective < tolerance * rows.times.sum())
    return DawidSkene(
        rows.items,
        rows.annotators,
        state.prior,
        state.confusion,
        state.posterior,
        _reliability(rows, state.posterior),
        state.log_likelihood,
        num_iterations,
        converged,
    )


class _State(NamedTuple):
    """The result of an iteration; `objective` is the log-likelihood plus the pseudo-counts' part and never falls."""

    prior: NDArray[np.float64]
    confusion: NDArray[np.float64]
    posterior: NDArray[np.float64]
    log_likelihood: float
    objective: float


def _round(rows: _Rows, model: _Model, posterior: NDArray[np.float64]) -> _State:
    """One maximization and one expectation."""
    prior, confusion = _maximise(rows, model, posterior)
    posterior, log_likelihood = _expect(rows, prior, confusion)
    pseudo = model.truths * float(_log(prior).sum()) + float((model.answers * _log(confusion)).sum())
    return _State(prior, confusion, posterior, log_likelihood, log_likelihood + pseudo)


def _majority(rows: _Rows) -> NDArray[np.float64]:
    """The share of each label among an item's labels, [items, labels]."""
    cells = np.bincount(
        rows.item * rows.num_labels + rows.label, weights=rows.times, minlength=len(rows.items) * rows.num_labels
    ).reshape(len(rows.items), rows.num_labels)
    return np.asarray(cells / cells.sum(axis=1, keepdims=True))


def _maximise(
    rows: _Rows, model: _Model, posterior: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Label frequencies and confusion matrices given the posteriors: eq. 2.3 and 2.4, averaged over swapped sides."""
    num_annotators, k, mirror = len(rows.annotators), rows.num_labels, model.mirror
    cell = rows.annotator * k + rows.label
    given = np.stack(
        [
            np.bincount(cell, weights=rows.times * posterior[rows.item, true], minlength=num_annotators * k)
            for true in range(k)
        ],
        axis=1,
    )
    given = given.reshape(num_annotators, k, k).swapaxes(1, 2)
    counts = (given + given[:, mirror][:, :, mirror]) / 2 + model.answers
    totals = counts.sum(axis=2, keepdims=True)
    # a true label that the annotator never saw gives no information: every answer is equally likely
    confusion = np.divide(counts, totals, out=np.full_like(counts, 1 / k), where=totals > 0)
    prior = posterior.sum(axis=0)
    prior = (prior + prior[mirror]) / 2 + model.truths
    return prior / prior.sum(), confusion


def _expect(
    rows: _Rows, prior: NDArray[np.float64], confusion: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Posteriors of all items, and the log-likelihood of all labels; eq. 2.5."""
    log_confusion = _log(confusion)
    joint = np.tile(_log(prior), (len(rows.items), 1))
    for true in range(rows.num_labels):
        answers = rows.times * log_confusion[rows.annotator, true, rows.label]
        joint[:, true] += np.bincount(rows.item, weights=answers, minlength=len(rows.items))
    highest = joint.max(axis=1, keepdims=True)
    odds = np.exp(joint - highest)
    total = odds.sum(axis=1, keepdims=True)
    return odds / total, float((highest + np.log(total)).sum())


def _reliability(rows: _Rows, posterior: NDArray[np.float64]) -> tuple[Estimate, ...]:
    """Each annotator's expected share of correct labels."""
    right = np.bincount(rows.annotator, weights=rows.times * posterior[rows.item, rows.label])
    given = np.bincount(rows.annotator, weights=rows.times)
    shares = np.clip(right / given, 0.0, 1.0)
    bounds = [wilson(float(share), int(count)) for share, count in zip(shares, given, strict=True)]
    return tuple(
        Estimate(value=float(share), low=low, high=high, n=int(count))
        for share, count, (low, high) in zip(shares, given, bounds, strict=True)
    )


def _log(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm, with the smallest float in place of 0, so that an item without a possible label stays finite."""
    return np.asarray(np.log(np.maximum(probability, np.finfo(np.float64).tiny)))
