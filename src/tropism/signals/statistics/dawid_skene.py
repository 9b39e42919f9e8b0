"""Dawid-Skene: what is true of each item, and how each annotator errs, told apart by expectation-maximization.

Runs on counts, in NumPy, from a start without chance (every item's majority), so that one table gives one answer. The
sides of a pair have no names, so that `fit_pairs` ties what annotators do to both: swapped pairs give swapped answers.

Reference: Dawid and Skene 1979, Applied Statistics 28(1), eq. 2.3 to 2.5.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tropism.errors import ConfigError, DataError
from tropism.records import Estimate
from tropism.signals.statistics.agreement import wilson

FIRST_WINS, SECOND_WINS, TIE = 0, 1, 2
"""Labels of a pair."""

_SWAPPED = np.array([SECOND_WINS, FIRST_WINS, TIE])
"""The label of a pair when its sides are swapped."""


class DawidSkene(NamedTuple):
    """What a fit found.

    Args:
        items: the distinct items, sorted, [items].
        annotators: the distinct annotators, sorted, [annotators].
        prior: how common each label is, [labels].
        confusion: `confusion[a, t, g]` is the chance that annotator a gives g where t is true,
            [annotators, labels, labels].
        posterior: `posterior[i, t]` is the chance that t is true of item i, [items, labels].
        reliability: per annotator, the share of labels that are right, each right to the degree of its posterior,
            with Wilson's 95 % interval, which takes the posteriors as known; `n` is the number of labels given.
        log_likelihood: of all labels under the fit, in nats.
        num_iterations: rounds of expectation and maximization.
        converged: whether a round improved the fit by less than the tolerance.
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
    """Fit truths and annotators to labels; an annotator may label an item more than once.

    Args:
        item: what was labelled, [rows].
        annotator: by whom, [rows].
        label: with which label, from 0, [rows].
        num_labels: how many labels there are.
        smoothing: pseudo-counts of every kind of answer of every annotator, and of every label. The paper has none
            (0); a little keeps an answer that was never seen from being impossible.
        tolerance: the fit has converged where a round adds less than this to the mean log-likelihood of a row, in
            nats.
        max_iterations: rounds at most.

    Raises:
        DataError: where lengths differ, nothing is given, or a label is out of range.

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
    """Fit which of two answers is better to judgements of pairs, the same whichever answer is called the first.

    Departs from the paper: what an annotator does where the first is better is tied to what the annotator does, sides
    swapped, where the second is, and both are equally common. Half as many numbers are fitted to the same labels, and
    none of them hangs on how the sides are called. And every annotator starts with a right answer of each kind: where
    one person judged every pair, nothing else says whether ties are true or that person's way to answer.

    Args:
        pair: what was judged, [rows].
        annotator: by whom, [rows].
        label: `FIRST_WINS`, `SECOND_WINS` or `TIE`, [rows].
        smoothing, tolerance, max_iterations: as in `fit_dawid_skene`.
        right: pseudo-counts of every annotator's right answers, for each label.

    Raises:
        DataError: as `fit_dawid_skene`.
        ConfigError: where a pseudo-count is below 0 or not finite.

    Reference: Kim and Ghahramani 2012, Bayesian Classifier Combination, for priors on what annotators do.

    Example:
        >>> fit = fit_pairs([1, 2], ["ann", "ann"], [FIRST_WINS, TIE])
        >>> [round(float(share), 3) for share in first_is_better(fit)]
        [0.981, 0.5]
    """
    if not (math.isfinite(right) and right >= 0):
        raise ConfigError(f"right must be finite and >= 0, not {right}.", remedy="Use 1.")
    model = _Model(_SWAPPED, smoothing + right * np.eye(3), smoothing)
    return _fit(_rows(pair, annotator, label, 3), model, tolerance, max_iterations)


def first_is_better(fit: DawidSkene) -> NDArray[np.float64]:
    """Soft labels of pairs: the chance that the first is better, a tie counting one half; [items].

    Args:
        fit: of pairs, whose labels are `FIRST_WINS`, `SECOND_WINS` and, where there are three, `TIE`.

    Raises:
        DataError: where the fit has other than two or three labels.
    """
    num_labels = fit.posterior.shape[1]
    if num_labels not in (2, 3):
        raise DataError(f"pairs have two or three labels, not {num_labels}.", remedy="Fit first, second and tie.")
    ties = fit.posterior[:, TIE] if num_labels == 3 else 0.0
    return np.asarray(fit.posterior[:, FIRST_WINS] + ties / 2)


class _Rows(NamedTuple):
    """Distinct answers as numbers, each with how often it was given."""

    items: NDArray[Any]
    annotators: NDArray[Any]
    item: NDArray[np.int64]
    annotator: NDArray[np.int64]
    label: NDArray[np.int64]
    times: NDArray[np.int64]
    num_labels: int


def _rows(item: ArrayLike, annotator: ArrayLike, label: ArrayLike, num_labels: int) -> _Rows:
    """Check the answers, number them, and count equal ones."""
    columns = [np.asarray(column).reshape(-1) for column in (item, annotator, label)]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1 or not lengths[0]:
        raise DataError(f"answers need equally long columns with a row, not {lengths}.", remedy="Give one value each.")
    given = columns[2].astype(np.int64)
    if num_labels < 2 or (given != columns[2]).any() or given.min() < 0 or given.max() >= num_labels:
        raise DataError(
            f"labels must be whole numbers from 0 to {num_labels - 1}, at least two of them.",
            remedy="Number the labels from 0 and give num_labels.",
        )
    items, item_code = np.unique(columns[0], return_inverse=True)
    annotators, annotator_code = np.unique(columns[1], return_inverse=True)
    distinct, times = np.unique(np.stack([item_code, annotator_code, given]), axis=1, return_counts=True)
    return _Rows(items, annotators, distinct[0], distinct[1], distinct[2], times, num_labels)


class _Model(NamedTuple):
    """What is tied, and what is thought before any answer.

    Args:
        mirror: the label that each label is tied to, itself where to none, [labels].
        answers: pseudo-counts of an annotator's answers, [true labels, labels].
        truths: pseudo-counts of each label.
    """

    mirror: NDArray[np.int64]
    answers: NDArray[np.float64]
    truths: float


def _fit(rows: _Rows, model: _Model, tolerance: float, max_iterations: int) -> DawidSkene:
    """Rounds until they add nothing."""
    if not (np.isfinite(model.answers).all() and math.isfinite(model.truths) and (model.answers >= 0).all()):
        raise ConfigError(f"smoothing must be finite and >= 0, not {model.truths}.", remedy="Use 0.01.")
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
    """A round's result; `objective` is the log-likelihood with the pseudo-counts' part, which never falls."""

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
    """The share of answers that each item got for each label, [items, labels]."""
    cells = np.bincount(
        rows.item * rows.num_labels + rows.label, weights=rows.times, minlength=len(rows.items) * rows.num_labels
    ).reshape(len(rows.items), rows.num_labels)
    return np.asarray(cells / cells.sum(axis=1, keepdims=True))


def _maximise(
    rows: _Rows, model: _Model, posterior: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Label frequencies and confusion matrices that fit the posteriors best: eq. 2.3 and 2.4, means where tied."""
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
    # a label that is true of nothing the annotator saw says nothing of them: every answer is as likely
    confusion = np.divide(counts, totals, out=np.full_like(counts, 1 / k), where=totals > 0)
    prior = posterior.sum(axis=0)
    prior = (prior + prior[mirror]) / 2 + model.truths
    return prior / prior.sum(), confusion


def _expect(
    rows: _Rows, prior: NDArray[np.float64], confusion: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Posteriors of all items, and the log-likelihood of all answers; eq. 2.5."""
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
    """How often each annotator is right."""
    right = np.bincount(rows.annotator, weights=rows.times * posterior[rows.item, rows.label])
    given = np.bincount(rows.annotator, weights=rows.times)
    shares = np.clip(right / given, 0.0, 1.0)
    bounds = [wilson(float(share), int(count)) for share, count in zip(shares, given, strict=True)]
    return tuple(
        Estimate(value=float(share), low=low, high=high, n=int(count))
        for share, count, (low, high) in zip(shares, given, bounds, strict=True)
    )


def _log(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm, with the least float for what is impossible, so that items without any possible truth stay finite."""
    return np.asarray(np.log(np.maximum(probability, np.finfo(np.float64).tiny)))
