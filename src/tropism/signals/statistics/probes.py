"""Possible confounders that need texts: words, near-duplicates and large threads, measured on a sample of edges.

The caller draws the sample, at most 5,000 edges by a hash of their prompts. The order of the edges has no effect, and
intervals treat threads, not edges, as independent (`share`). 20,000 edges of 200 words take 13 CPU seconds on one core
of a shared x86 machine.
"""

from __future__ import annotations

import hashlib
import math
import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse, special

from tropism.metrics.near_duplicates import Runs, is_near, near_elsewhere, runs_of
from tropism.metrics.pair_order import order_credit
from tropism.records import Estimate
from tropism.signals.statistics.edge_confounders import share

SAMPLE_EDGES = 5_000

_NUM_FOLDS = 5
_HELD_OUT = 0.1
_NUM_FEATURES = 2**18
_PENALTY = 1.0
_MAX_STEPS = 100  # real text takes about 40
_WORD = re.compile(r"\w+")


class ProbeEdge(NamedTuple):
    """One edge of the sample."""

    thread: str
    prompt: str
    winner: str
    loser: str


class NearDuplicates(NamedTuple):
    """The shares of near-duplicates in a sample."""

    responses: Estimate
    """Share of responses that have a near-duplicate in another thread."""
    edges: Estimate
    """Share of edges whose two sides are near-duplicates of each other."""


class PairsPerThread(NamedTuple):
    """How edges are spread over threads; from all of them, so without an interval."""

    threads: int
    edges: int
    mean: float
    median: float
    max: int
    top_share: float
    """Share of edges in the 1 % of threads (at least one) with the most edges."""


def bag_of_words_accuracy(sample: Sequence[ProbeEdge], *, seed: int) -> Estimate:
    """Accuracy of a model that only counts words in predicting the winner, in threads that it has not seen.

    Five folds by a hash of the thread; on the other four a Bradley-Terry model of hashed word counts is fitted by
    L-BFGS: P(winner) = sigmoid(w . (counts of the winner - counts of the loser)), penalty |w|^2 / 2. An edge whose
    sides score equally counts one half. The interval is 1.5 times as wide as that of the five fitted models, because
    another sample of threads would give other models.

    Args:
        sample: edges.
        seed: which threads share a fold.

    Reference: Bradley and Terry 1952, Biometrika 39, eq. 1, with strengths linear in the words; Nadeau and Bengio
    2003, Machine Learning 52, for the factor: variance times 1 + folds * held out / trained on = 2.25.
    """
    edges = sorted(sample)
    halves = (2 * order_credit(bag_of_words_margins(edges, seed=seed), 0.0)).astype(np.int64)
    return _widened(_by_thread([edge.thread for edge in edges], halves))


def bag_of_words_margins(edges: Sequence[ProbeEdge], *, seed: int) -> NDArray[np.float64]:
    """The lead of each edge's winner by the model of `bag_of_words_accuracy` that has not seen its thread, [edges].

    0 if the model scores both sides equally.
    """
    differences = _word_differences(edges)
    folds = np.array([_hash(edge.thread, f"fold {seed}") % _NUM_FOLDS for edge in edges])
    margins = np.zeros(len(edges))
    for fold in np.unique(folds):
        weights = _fit(differences[folds != fold])
        margins[folds == fold] = np.round(differences[folds == fold] @ weights, 9)
    return margins


def topic_leak(sample: Sequence[ProbeEdge]) -> Estimate:
    """Share of held-out prompts with a near-duplicate among the others; a tenth is held out by a hash of the text.

    A training split has the same leak: it may put prompts that differ in one word on different sides.
    """
    prompts = sorted({edge.prompt for edge in sample})
    held = [_hash(prompt, "held out") / 2**64 < _HELD_OUT for prompt in prompts]
    sides = ["held" if one else "train" for one in held]
    near = near_elsewhere([_runs(prompt) for prompt in prompts], sides)[np.array(held, bool)]
    return share(2 * near.astype(np.int64), np.ones(len(near), np.int64))


def near_duplicates(sample: Sequence[ProbeEdge]) -> NearDuplicates:
    """The shares of responses with a near-duplicate in another thread, and of edges between near-duplicates."""
    edges = sorted(sample)
    texts = sorted({text for edge in edges for text in (edge.winner, edge.loser)})
    found = {text: _runs(text) for text in texts}
    responses = sorted({(edge.thread, text) for edge in edges for text in (edge.winner, edge.loser)})
    threads = [thread for thread, _ in responses]
    elsewhere = near_elsewhere([found[text] for _, text in responses], threads)
    return NearDuplicates(
        responses=_share_of(threads, elsewhere),
        edges=_share_of(
            [edge.thread for edge in edges], [is_near(found[edge.winner], found[edge.loser]) for edge in edges]
        ),
    )


def pairs_per_thread(counts: NDArray[np.int64]) -> PairsPerThread:
    """How the edges are spread over the threads.

    Args:
        counts: edges of each thread, [threads].

    Example:
        >>> pairs_per_thread(np.array([1, 1, 2, 6]))
        PairsPerThread(threads=4, edges=10, mean=2.5, median=1.5, max=6, top_share=0.6)
    """
    if not len(counts):
        return PairsPerThread(0, 0, 0.0, 0.0, 0, 0.0)
    largest = np.sort(counts)[::-1]
    num_edges = int(largest.sum())
    top = int(largest[: math.ceil(len(counts) / 100)].sum())
    return PairsPerThread(
        threads=len(counts),
        edges=num_edges,
        mean=num_edges / len(counts),
        median=float(np.median(counts)),
        max=int(largest[0]),
        top_share=top / num_edges if num_edges else 0.0,
    )


def _runs(text: str) -> Runs:
    """The runs of five words of a text; words are lower case and letters, digits and underscores only."""
    return runs_of(_WORD.findall(text.lower()))


def _hash(key: str, purpose: str) -> int:
    """A 64-bit hash of a key; hashes for different purposes are independent."""
    return int.from_bytes(hashlib.sha256(f"{purpose}\x1f{key}".encode("utf-8", "surrogatepass")).digest()[:8], "big")


class _Features(dict[str, int]):
    """The feature of each word, computed once."""

    def __missing__(self, word: str) -> int:
        self[word] = zlib.crc32(word.encode()) % _NUM_FEATURES
        return self[word]


def _word_differences(edges: Sequence[ProbeEdge]) -> sparse.csr_array:
    """Hashed word counts of the winner less those of the loser, [edges, features that occur]."""
    texts = {text: row for row, text in enumerate(sorted({side for edge in edges for side in edge[2:]}))}
    features = _Features()
    words = [_WORD.findall(text.lower()) for text in texts]
    columns = np.array([features[word] for text_words in words for word in text_words], np.int64)
    ends = np.cumsum([0, *map(len, words)])
    occurs = np.zeros(_NUM_FEATURES, np.int64)
    occurs[columns] = 1
    used = (np.cumsum(occurs) - 1)[columns]
    counts = sparse.csr_array((np.ones(len(used)), used, ends), shape=(len(texts), int(occurs.sum())))
    counts.sum_duplicates()
    winners, losers = ([texts[edge[side]] for edge in edges] for side in (2, 3))
    return sparse.csr_array(counts[winners] - counts[losers])


def _fit(differences: sparse.csr_array) -> NDArray[np.float64]:
    """Weights of the words: the minimum of the sum of log(1 + exp(-margin)) and the penalty, [features]."""
    transposed = sparse.csr_array(differences.T)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = differences @ weights
        value = float(np.logaddexp(0, -margins).sum() + _PENALTY / 2 * weights @ weights)
        return value, -(transposed @ special.expit(-margins)) + _PENALTY * weights

    start = np.zeros(differences.shape[1])
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _MAX_STEPS, "ftol": 1e-5})
    return np.asarray(found.x)


def _widened(estimate: Estimate) -> Estimate:
    """The interval of folds that share most of their training data."""
    factor = math.sqrt(1 + _NUM_FOLDS / (_NUM_FOLDS - 1))
    low = estimate.value - factor * (estimate.value - estimate.low)
    high = estimate.value + factor * (estimate.high - estimate.value)
    return estimate.model_copy(update={"low": max(0.0, low), "high": min(1.0, high)})


def _share_of(threads: Sequence[str], holds: Sequence[bool] | NDArray[np.bool_]) -> Estimate:
    """A share of values, with an interval that treats threads as independent."""
    return _by_thread(threads, 2 * np.asarray(holds, np.int64))


def _by_thread(threads: Sequence[str], halves: NDArray[np.int64]) -> Estimate:
    """`share` of values that are given in halves."""
    _, thread = np.unique(np.array(threads, object), return_inverse=True)
    num_threads = int(thread.max(initial=-1)) + 1
    sums = np.bincount(thread, weights=halves, minlength=num_threads).astype(np.int64)
    return share(sums, np.bincount(thread, minlength=num_threads))
