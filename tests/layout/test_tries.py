"""Token tries: nodes are distinct beginnings, and the one rule says who descends from whom."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tropism.layout.tries import count_distinct, plant

SEQUENCES = st.lists(st.lists(st.integers(0, 2), max_size=7).map(tuple), min_size=1, max_size=8)


def test_a_fork_has_the_numbers_worked_by_hand():
    # 5 6 7 / 5 6 8 / 9: nodes in order 5 6 7 8 9
    forest = plant([(5, 6, 8), (9,), (5, 6, 7)])
    assert forest.parent.tolist() == [-1, 0, 1, 1, -1]
    assert forest.depth.tolist() == [0, 1, 2, 2, 0]
    assert forest.subtree_end.tolist() == [4, 4, 3, 4, 5]
    assert [path.tolist() for path in forest.paths] == [[0, 1, 3], [4], [0, 1, 2]]


@given(SEQUENCES)
def test_nodes_are_the_distinct_beginnings(sequences):
    beginnings = {sequence[:length] for sequence in sequences for length in range(1, len(sequence) + 1)}
    assert plant(sequences).num_nodes == count_distinct(sequences) == len(beginnings)


@given(SEQUENCES)
def test_paths_spell_their_sequences(sequences):
    forest = plant(sequences)
    spelled = [sequences[owner][place] for owner, place in forest.source]
    for sequence, path in zip(sequences, forest.paths, strict=True):
        assert tuple(spelled[node] for node in path) == sequence
        assert forest.depth[path].tolist() == list(range(len(sequence)))


@given(SEQUENCES)
def test_the_rule_finds_exactly_the_ancestors(sequences):
    forest = plant(sequences)
    size = forest.num_nodes
    q, k = np.arange(size)[:, None], np.arange(size)[None, :]
    by_rule = (k <= q) & (q < forest.subtree_end[k])
    for node in range(size):
        above, lineage = node, set()
        while above >= 0:
            lineage.add(above)
            above = int(forest.parent[above])
        assert set(np.flatnonzero(by_rule[node]).tolist()) == lineage


@given(SEQUENCES, st.randoms(use_true_random=False))
def test_the_order_of_sequences_changes_nothing(sequences, random):
    shuffled = list(sequences)
    random.shuffle(shuffled)
    assert plant(shuffled).parent.tolist() == plant(sequences).parent.tolist()


def test_equal_ids_with_other_inputs_are_other_tokens():
    same_ids = [((1, 0), (2, 0)), ((1, 0), (2, 1))]
    assert count_distinct(same_ids) == 3
    assert plant(same_ids).parent.tolist() == [-1, 0, 0]
