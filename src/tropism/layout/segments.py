"""How attention over a forest is cut into a few plain attention calls: one per stretch of tokens, none over padding.

A *run* is a longest stretch of nodes without a branch. Its queries see the runs above it and, causally, itself. So
every run could be one call; if runs are short, one call with a mask over a whole subtree (or over neighbouring
subtrees) costs less than many calls. The plan compares areas (queries times keys) and takes the cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CALL_AREA = 4096
"""What one more call costs, in pairs of query and key: about a square of 64 tokens, measured on two CPU cores."""
CAUSAL_SHARE = 0.7
"""What a causal call over n tokens costs beside n * n pairs: kernels skip most blocks above the diagonal (measured)."""


class Call(NamedTuple):
    """One attention call: the queries are the nodes `start` to `end`.

    Attributes:
        above: indices of the earlier calls whose nodes are all ancestors of these, in order.
        is_run: whether the nodes are one unbranched stretch, so that plain causal attention holds among them.
    """

    start: int
    end: int
    above: tuple[int, ...]
    is_run: bool


class Runs(NamedTuple):
    """The runs of a forest, in depth-first order."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    subtree_end: NDArray[np.int64]
    parent: NDArray[np.int64]
    depth: NDArray[np.int64]


@dataclass(frozen=True)
class SegmentChoice:
    """What is done with a run's subtree: one call for all of it, or the run alone and then its children."""

    cost: float
    in_one: bool
    children: tuple[tuple[int, ...], ...] = ()
    """Children in neighbourhoods that share a call; one of one child follows that child's own choice."""


def _find_runs(parent: NDArray[np.int64], subtree_end: NDArray[np.int64], depth: NDArray[np.int64]) -> Runs:
    """Cut a forest into its longest unbranched stretches."""
    num_children = np.bincount(parent[parent >= 0], minlength=len(parent))
    begins = (parent < 0) | (num_children[parent] > 1)
    start = np.flatnonzero(begins)
    run_of = np.cumsum(begins) - 1
    end = np.append(start[1:], len(parent))
    above = parent[start]
    return Runs(start, end, subtree_end[start], np.where(above < 0, -1, run_of[above]), depth[start])


def plan_calls(
    parent: NDArray[np.int64],
    subtree_end: NDArray[np.int64],
    depth: NDArray[np.int64],
    *,
    call_area: int = CALL_AREA,
) -> tuple[Call, ...]:
    """The cheapest calls that cover a forest, in the order of its nodes.

    Args:
        parent, subtree_end, depth: see `tropism.layout.tries.Forest`.
        call_area: what a call costs beside its area; 0 makes every run a separate call.

    Example:
        >>> import numpy as np
        >>> fork = np.array([-1, 0, 1, 1]), np.array([4, 4, 3, 4]), np.array([0, 1, 2, 2])
        >>> [(call.start, call.end, call.above) for call in plan_calls(*fork, call_area=0)]
        [(0, 2, ()), (2, 3, (0,)), (3, 4, (0,))]
        >>> [(call.start, call.end, call.above) for call in plan_calls(*fork)]
        [(0, 4, ())]
    """
    runs = _find_runs(parent, subtree_end, depth)
    children: list[list[int]] = [[] for _ in range(len(runs.start) + 1)]  # the last one: the roots
    for run, above in enumerate(runs.parent.tolist()):
        children[above].append(run)
    choices: list[SegmentChoice] = [SegmentChoice(0.0, in_one=True)] * len(runs.start)
    for run in reversed(range(len(runs.start))):
        choices[run] = choose(run, runs, children[run], choices, call_area)
    return _emit(runs, _neighbourhoods(children[-1], 0, runs, choices, call_area)[1], choices)


def choose(run: int, runs: Runs, children: list[int], choices: list[SegmentChoice], call_area: int) -> SegmentChoice:
    """One call for a whole subtree, or one for its first run and what its children choose."""
    above, length = int(runs.depth[run]), int(runs.end[run] - runs.start[run])
    size = int(runs.subtree_end[run] - runs.start[run])
    own = length * (above + length) * (1.0 if above else CAUSAL_SHARE) + call_area
    if not children:
        return SegmentChoice(float(own), in_one=True)
    in_one = float(size * (above + size) + call_area)
    below, together = _neighbourhoods(children, above + length, runs, choices, call_area)
    return SegmentChoice(in_one, in_one=True) if in_one <= own + below else SegmentChoice(own + below, False, together)


def _neighbourhoods(
    siblings: list[int], above: int, runs: Runs, choices: list[SegmentChoice], call_area: int
) -> tuple[float, tuple[tuple[int, ...], ...]]:
    """Siblings from left to right, each joined to the call of those before it if that is cheaper than its own."""
    found: list[list[int]] = []
    costs: list[float] = []
    for run in siblings:
        if found:
            size = int(runs.subtree_end[run] - runs.start[found[-1][0]])
            joint = float(size * (above + size) + call_area)
            if joint < costs[-1] + choices[run].cost:
                found[-1].append(run)
                costs[-1] = joint
                continue
        found.append([run])
        costs.append(choices[run].cost)
    return sum(costs, 0.0), tuple(map(tuple, found))


def _emit(runs: Runs, roots: tuple[tuple[int, ...], ...], choices: list[SegmentChoice]) -> tuple[Call, ...]:
    """The chosen calls in the order of their nodes."""
    calls: list[Call] = []
    waiting: list[tuple[tuple[int, ...], tuple[int, ...]]] = [(group, ()) for group in reversed(roots)]
    while waiting:
        group, above = waiting.pop()
        first, choice = group[0], choices[group[0]]
        start = int(runs.start[first])
        if len(group) > 1 or choice.in_one:
            end = int(runs.subtree_end[group[-1]])
            calls.append(Call(start, end, above, is_run=len(group) == 1 and end == int(runs.end[first])))
            continue
        calls.append(Call(start, int(runs.end[first]), above, is_run=True))
        here = (*above, len(calls) - 1)
        waiting += [(below, here) for below in reversed(choice.children)]
    return tuple(calls)
