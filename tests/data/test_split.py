"""Held-out groups are chosen by a hash of their prompt, and by nothing else."""

import random
from dataclasses import replace

import pytest

from tropism.data.group_keys import unit_hash
from tropism.data.split import split_groups
from tropism.errors import ConfigError, DataError
from tropism.groups import PreferenceGroup, Response

GROUPS = [PreferenceGroup(str(n), (f"question {n}",), (Response("a", "yes"),)) for n in range(1_000)]


def ids(groups: tuple[PreferenceGroup, ...]) -> set[str]:
    return {group.id for group in groups}


def test_the_share_is_about_the_holdout_and_nothing_is_lost() -> None:
    train, held_out = split_groups(GROUPS, holdout=0.1)
    assert 70 < len(held_out) < 130
    assert ids(train) | ids(held_out) == ids(tuple(GROUPS))
    assert {group.split for group in train} == {"train"}
    assert {group.split for group in held_out} == {"eval"}


def test_order_and_added_groups_move_nothing() -> None:
    held_out = ids(split_groups(GROUPS, holdout=0.2)[1])
    shuffled = random.Random(0).sample(GROUPS[:500], 500)
    assert ids(split_groups(shuffled, holdout=0.2)[1]) == {name for name in held_out if int(name) < 500}


def test_a_larger_holdout_only_adds() -> None:
    assert ids(split_groups(GROUPS, holdout=0.1)[1]) < ids(split_groups(GROUPS, holdout=0.3)[1])


def test_only_the_prompt_decides() -> None:
    changed = [replace(group, id=f"new {group.id}", responses=(Response("b", "no"),)) for group in GROUPS]
    before = {group.prompts for group in split_groups(GROUPS, holdout=0.2)[1]}
    assert {group.prompts for group in split_groups(changed, holdout=0.2)[1]} == before


def test_texts_without_a_prompt_are_split_too() -> None:
    texts = [PreferenceGroup(str(n), ("",), (Response("a", f"text {n}"),)) for n in range(200)]
    train, held_out = split_groups(texts, holdout=0.5)
    assert 70 < len(train) < 130 > len(held_out) > 70


def test_a_group_that_carries_its_split_keeps_it() -> None:
    decided = [replace(GROUPS[n], split="eval" if n < 3 else "train") for n in range(10)]
    train, held_out = split_groups(decided, holdout=0.5)
    assert (ids(held_out), len(train)) == ({"0", "1", "2"}, 7)
    assert ids(split_groups([*decided[:3], *GROUPS[3:10]], holdout=0.0)[1]) == {"0", "1", "2"}


def test_an_empty_side_is_an_error_only_where_a_holdout_is_wanted() -> None:
    assert split_groups(GROUPS[:1], holdout=0.0)[1] == ()
    with pytest.raises(DataError) as error:
        split_groups(GROUPS[:1], holdout=0.0001)
    assert str(error.value) == (
        "a holdout of 0.0001 leaves no group to evaluate on (1 groups in all). "
        "Change data.holdout, name a file under data.eval, or add data."
    )


@pytest.mark.parametrize("holdout", [-0.1, 1.0, float("nan")])
def test_a_holdout_that_is_no_share_is_refused(holdout: float) -> None:
    with pytest.raises(ConfigError, match=r"'holdout' must lie in \[0, 1\)"):
        split_groups(GROUPS, holdout=holdout)


def test_draws_for_different_purposes_are_independent() -> None:
    both = sum(
        unit_hash(str(n), purpose="split") < 0.5 and unit_hash(str(n), purpose="fraction 0") < 0.5 for n in range(4_000)
    )
    assert 900 < both < 1_100
