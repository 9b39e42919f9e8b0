"""Token tries: sequences that begin alike share their beginning, written down in depth-first order.

Three numbers per token say how a forest of tries hangs together: where its parent is, how deep it stands, and where its
subtree ends. Token q descends from token k if and only if k <= q < subtree_end[k].
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tokens = Sequence[int] | Sequence[tuple[int, int]]
"""A sequence's token identities: ids, or ids with the value of an input that goes with each token."""


@dataclass(frozen=True)
class Forest:
    """The tries of some sequences, a node per distinct token.

    Attributes:
        source: for every node a sequence and a place in it where the token stands, shape (nodes, 2).
        parent: the node before, -1 for the first token of a sequence.
        depth: number of nodes above.
        subtree_end: one past the last node of the subtree; a subtree is a stretch of nodes that begins at its root.
        paths: for every sequence, in the order given, the nodes of its tokens.
    """

    source: NDArray[np.int64]
    parent: NDArray[np.int64]
    depth: NDArray[np.int64]
    subtree_end: NDArray[np.int64]
    paths: tuple[NDArray[np.int64], ...]

    @property
    def num_nodes(self) -> int:
        """Number of distinct tokens."""
        return len(self.parent)


def plant(sequences: Sequence[Tokens]) -> Forest:
    """The tries of the given sequences; the order of siblings is that of their tokens, so it is the same every time.

    Example:
        >>> forest = plant([(5, 6, 7), (5, 6, 8), (9,)])
        >>> forest.parent.tolist(), forest.subtree_end.tolist()
        ([-1, 0, 1, 1, -1], [4, 4, 3, 4, 5])
    """
    arrays = [_as_array(tokens) for tokens in sequences]
    sources: list[NDArray[np.int64]] = []
    parents: list[NDArray[np.int64]] = []
    depths: list[NDArray[np.int64]] = []
    ends = np.zeros(sum(len(one) for one in arrays), dtype=np.int64)
    paths: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)] * len(arrays)
    path, before, count = np.zeros(0, dtype=np.int64), arrays[0][:0] if arrays else None, 0
    for index in sorted(range(len(arrays)), key=lambda i: tuple(sequences[i])):
        tokens = arrays[index]
        shared = _num_shared(before, tokens) if before is not None else 0
        ends[path[shared:]] = count
        new = np.arange(count, count + len(tokens) - shared)
        parents.append(new - 1)
        if len(new):
            parents[-1][0] = path[shared - 1] if shared else -1
        places = np.arange(shared, len(tokens))
        depths.append(places)
        sources.append(np.stack([np.full(len(places), index), places], axis=1))
        path, before, count = np.concatenate([path[:shared], new]), tokens, count + len(new)
        paths[index] = path
    ends[path] = count
    empty = np.zeros(0, dtype=np.int64)
    return Forest(
        source=np.concatenate([empty.reshape(0, 2), *sources]),
        parent=np.concatenate([empty, *parents]),
        depth=np.concatenate([empty, *depths]),
        subtree_end=ends[:count],
        paths=tuple(paths),
    )


def _as_array(tokens: Tokens) -> NDArray[np.int64]:
    """Token identities as an array whose rows compare as tokens do."""
    return np.array(tokens, dtype=np.int64) if len(tokens) else np.zeros(0, dtype=np.int64)


def _num_shared(first: NDArray[np.int64], second: NDArray[np.int64]) -> int:
    """How many tokens two sequences share at their beginning."""
    length = min(len(first), len(second))
    if not length:
        return 0
    differs = first[:length] != second[:length]
    places = np.flatnonzero(differs if differs.ndim == 1 else differs.any(axis=1))
    return int(places[0]) if len(places) else length


def count_distinct(sequences: Sequence[Tokens]) -> int:
    """Number of nodes of the tries of some sequences.

    Example:
        >>> count_distinct([(1, 2, 3), (1, 2, 4), (1, 2)])
        4
    """
    ordered = [_as_array(tokens) for tokens in sorted(sequences, key=tuple)]
    shared = sum(_num_shared(a, b) for a, b in itertools.pairwise(ordered))
    return sum(map(len, ordered)) - shared
