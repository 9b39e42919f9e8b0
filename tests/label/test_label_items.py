"""Groups become items."""

import pytest

from tropism.data.label_choices import Option
from tropism.errors import ConfigError, DataError
from tropism.groups import Edge, PreferenceGroup, Response
from tropism.label.label_items import ComparisonPlan, item_from, make_items


def group(name: str, *answers: str, edges: tuple[Edge, ...] = ()) -> PreferenceGroup:
    responses = tuple(Response(f"r{place}", answer) for place, answer in enumerate(answers))
    return PreferenceGroup(name, (f"{name}?",), responses, edges)


def test_all_pairs_of_four_answers_are_six() -> None:
    prepared = make_items([group("a", "1", "2", "3", "4"), group("b", "5", "6")], ComparisonPlan())
    assert (len(prepared.items), prepared.num_groups, prepared.left_out) == (7, 2, {})
    assert [option.id for option in prepared.items[0].options] == ["r0", "r1"]


def test_edges_are_shown_once_whatever_their_direction() -> None:
    edges = (Edge(0, 2), Edge(2, 0, weight=2.0), Edge(1, 2))
    items = make_items([group("a", "1", "2", "3", edges=edges)], ComparisonPlan("edges")).items
    assert [tuple(option.id for option in item.options) for item in items] == [("r0", "r2"), ("r1", "r2")]


def test_an_item_has_one_id_whatever_the_order_of_its_options() -> None:
    first, second = Option("x", "yes"), Option("y", "no")
    assert item_from("g", "q", (first, second)).item_id == item_from("g", "q", (second, first)).item_id
    assert item_from("g", "q", (first, second)).item_id != item_from("h", "q", (first, second)).item_id


def test_every_comparison_that_is_left_out_has_a_reason() -> None:
    two_prompts = PreferenceGroup("p", ("a?", "b?"), (Response("x", "1"), Response("y", "2", prompt=1)))
    groups = [
        group("a", "same", "same"),
        group("b", "text", " "),
        PreferenceGroup("c", ("c?",), (Response("x", 1), Response("y", None))),
        two_prompts,
        group("d", "1", "2"),
        group("d", "1", "2"),
    ]
    prepared = make_items(groups, ComparisonPlan())
    assert len(prepared.items) == 1
    assert prepared.left_out == {
        "equal answers": 1,
        "an answer without text or image": 2,
        "answers to different prompts": 1,
        "a repeated comparison": 1,
    }


def test_a_sample_is_the_same_from_shuffled_groups_and_counts_the_rest() -> None:
    groups = [group(f"g{place}", "yes", "no") for place in range(50)]
    sampled, shuffled = (make_items(given, ComparisonPlan(10, seed=3)) for given in (groups, groups[::-1]))
    assert {item.item_id for item in sampled.items} == {item.item_id for item in shuffled.items}
    assert (len(sampled.items), sampled.left_out) == (10, {"not drawn": 40})
    other = make_items(groups, ComparisonPlan(10, seed=4))
    assert {item.item_id for item in sampled.items} != {item.item_id for item in other.items}


def test_the_best_of_several_keeps_the_groups_order_and_draws_from_larger_groups() -> None:
    prepared = make_items([group("a", *"123456"), group("b", *"12"), group("c", "1")], ComparisonPlan(best_of=4))
    assert [len(item.options) for item in prepared.items] == [4, 2]
    shown = [option.id for option in prepared.items[0].options]
    assert shown == sorted(shown)
    assert prepared.left_out == {"fewer than two answers to a prompt": 1}


def test_nothing_to_compare_is_an_error_with_its_reasons() -> None:
    with pytest.raises(DataError, match=r"nothing to compare in 1 groups \(equal answers: 1\)"):
        make_items([group("a", "x", "x")], ComparisonPlan())
    with pytest.raises(ConfigError, match=r"`best_of` must be in \[2, 9\], got 10"):
        ComparisonPlan(best_of=10)
    with pytest.raises(ConfigError, match="`pairs` must be at least 1, got 0"):
        ComparisonPlan(0)
