"""The plan of attention calls: it covers the row once, and every call sees exactly the ancestors of its queries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropism.layout.segments import plan_calls
from tropism.layout.tries import plant

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9).map(tuple), min_size=1, max_size=8)


@given(SEQUENCES, st.sampled_from([0, 5, 40, 4096]))
def test_calls_cover_the_row_once_and_reach_every_ancestor(sequences, call_area):
    forest = plant(sequences)
    calls = plan_calls(forest.parent, forest.subtree_end, forest.depth, call_area=call_area)
    assert [call.start for call in calls] == [0, *(call.end for call in calls[:-1])]
    assert calls[-1].end == forest.num_nodes
    for index, call in enumerate(calls):
        seen = np.concatenate([np.arange(calls[i].start, calls[i].end) for i in (*call.above, index)])
        for node in range(call.start, call.end):
            lineage, above = [], node
            while above >= 0:
                lineage.append(above)
                above = int(forest.parent[above])
            assert set(lineage) <= set(seen.tolist())
        own = forest.parent[call.start + 1 : call.end]
        assert call.is_run == bool((own == np.arange(call.start, call.end - 1)).all())


def test_a_long_prompt_is_not_seen_through_a_mask():
    # 600 shared tokens, two answers of 90: the prompt is one causal call, each answer one of its own
    prompt = tuple(range(600))
    forest = plant([(*prompt, *range(1000, 1090)), (*prompt, *range(2000, 2090))])
    calls = plan_calls(forest.parent, forest.subtree_end, forest.depth)
    assert [(call.start, call.end, call.above, call.is_run) for call in calls] == [
        (0, 600, (), True), (600, 690, (0,), True), (690, 780, (0,), True),
    ]  # fmt: skip


def test_many_tiny_trees_share_calls():
    forest = plant([(i, i + 1, i + 2) for i in range(0, 300, 3)])
    calls = plan_calls(forest.parent, forest.subtree_end, forest.depth)
    assert len(calls) < 10


@pytest.mark.parametrize("call_area", [0, 10**9])
def test_the_price_of_a_call_decides_between_many_and_one(call_area):
    forest = plant([(1, 2, 3, 4), (1, 2, 5, 6), (1, 2, 5, 7)])
    calls = plan_calls(forest.parent, forest.subtree_end, forest.depth, call_area=call_area)
    assert len(calls) == (5 if call_area == 0 else 1)
