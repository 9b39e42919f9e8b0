"""Who sees what next, and on which side."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from tropism.data.label_choices import Choice, ChoiceItem, Option, Verdict
from tropism.label.queue import BLOCK, LEASE_SECONDS, Queue, shown_order


def item(name: str, *, expected: str | None = None) -> ChoiceItem:
    return ChoiceItem(name, f"group {name}", "?", (Option("x", "1"), Option("y", "2")), expected)


def choice(name: str, annotator: str, verdict: Verdict = "tie", *, is_check: bool = False) -> Choice:
    return Choice(f"{annotator}-{name}", name, annotator, ("x", "y"), verdict, None, (), "", None, is_check)


def answered_by(queue: Queue, annotator: str, *, now: float = 0.0) -> list[str]:
    """All that an annotator gets, in order."""
    shown = []
    while (found := queue.next_item(annotator, now=now)) is not None:
        shown.append(found.item_id)
        queue.add(choice(found.item_id, annotator, is_check=found.item_id in queue.checks))
    return shown


def test_each_side_comes_first_about_half_the_time_independently_for_each_annotator() -> None:
    items = [item(f"i{place}") for place in range(2000)]
    firsts = {name: [shown_order(one, name, seed=0)[0].id == "x" for one in items] for name in ("ann", "bob", "ann b")}
    for shown in firsts.values():
        assert 913 <= sum(shown) <= 1087  # 1000 +- 3.9 standard deviations of 22.4
    same = sum(first == second for first, second in zip(firsts["ann"], firsts["bob"], strict=True))
    assert 913 <= same <= 1087
    assert shown_order(items[0], "ann", seed=0) == shown_order(items[0], "ann", seed=0)


def test_the_six_orders_of_three_answers_are_equally_likely() -> None:
    options = (Option("x", "1"), Option("y", "2"), Option("z", "3"))
    counted = Counter(
        "".join(option.id for option in shown_order(ChoiceItem(f"i{place}", "g", "?", options), "ann", seed=1))
        for place in range(6000)
    )
    assert len(counted) == 6
    assert all(abs(count - 1000) < 115 for count in counted.values())  # 4 standard deviations of 28.9


def test_one_annotator_gets_every_item_once_and_another_then_nothing() -> None:
    queue = Queue([item(name) for name in "abcde"])
    assert sorted(answered_by(queue, "ann")) == list("abcde")
    assert answered_by(queue, "bob") == []
    assert queue.num_complete() == 5


def test_with_overlap_two_each_item_is_judged_by_two_who_see_the_same_block_first() -> None:
    queue = Queue([item(f"i{place}") for place in range(60)], overlap=2)
    ann, bob, eve = (answered_by(queue, name) for name in ("ann", "bob", "eve"))
    assert (len(ann), len(bob), eve) == (60, 60, [])
    for start in range(0, 60, BLOCK):
        assert set(ann[start : start + BLOCK]) == set(bob[start : start + BLOCK])
    assert ann[:BLOCK] != bob[:BLOCK]
    assert queue.num_complete() == 60


def test_counts_kept_on_the_way_equal_counts_made_anew() -> None:
    draw = random.Random(5)
    items = [item(f"i{place}") for place in range(50)]
    queue, standing = Queue(items, overlap=2), dict[tuple[str, str], Choice]()
    for _ in range(2000):
        name, one = draw.choice("abcde"), draw.choice(items).item_id
        if (name, one) in standing:
            queue.take_back(standing.pop((name, one)))
        else:
            standing[name, one] = choice(one, name, draw.choice(("tie", "skip")))
            queue.add(standing[name, one])
    judged = Counter(made.item_id for made in standing.values() if made.verdict != "skip")
    assert queue.num_complete() == sum(count >= 2 for count in judged.values())
    for name in "abcde":
        done = {one for who, one in standing if who == name}
        waiting = {one.item_id for one in items if one.item_id not in done and judged[one.item_id] < 2}
        assert queue.progress(name) == (len(done), len(waiting))
        assert set(queue._waiting(name)) == waiting


def test_an_item_that_is_skipped_waits_for_another_annotator() -> None:
    queue = Queue([item("a")])
    queue.add(choice("a", "ann", "skip"))
    assert queue.next_item("ann", now=0) is None
    assert (queue.progress("ann"), queue.num_complete()) == ((1, 0), 0)
    assert queue.next_item("bob", now=0) is not None


def test_two_people_get_different_items_until_nothing_else_is_left() -> None:
    queue = Queue([item("a"), item("b")])
    first, second = queue.next_item("ann", now=0), queue.next_item("bob", now=1)
    assert {first, second} == {item("a"), item("b")}
    assert queue.next_item("ann", now=2) == first  # a reload shows the same
    assert queue.next_item("eve", now=3) is not None  # rather twice than never
    assert queue.next_item("eve", now=LEASE_SECONDS + 4) is not None


def test_an_item_taken_back_comes_next() -> None:
    queue = Queue([item(name) for name in "abcdefgh"])
    first = queue.next_item("ann", now=0)
    assert first is not None
    queue.add(choice(first.item_id, "ann"))
    assert queue.next_item("ann", now=1) != first
    queue.take_back(choice(first.item_id, "ann"))
    assert queue.next_item("ann", now=2) == first
    assert queue.progress("ann") == (0, 8)
    queue.add(choice(first.item_id, "ann"))
    assert queue.next_item("ann", now=3) != first


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_attention_checks_are_mixed_in_evenly_at_their_share(share: float) -> None:
    checks = [item(f"check {place}", expected="x") for place in range(40)]
    queue = Queue([item(f"i{place}") for place in range(100)], checks, check_share=share)
    shown = answered_by(queue, "ann")
    places = [place for place, name in enumerate(shown) if name.startswith("check")]
    assert abs(len(places) - 100 * share) <= 1
    between = [later - earlier for earlier, later in pairwise(places)]
    assert set(between) == {round(1 / share) + 1}
    assert queue.progress("ann") == (100, 0)
