"""Attention checks."""

import pytest

from tropism.data.label_choices import Choice, ChoiceItem, Option, Verdict
from tropism.errors import DataError
from tropism.groups import Edge, PreferenceGroup, Response
from tropism.label.known_items import checks_from, disordered, generated_checks, record_of

ITEMS = [
    ChoiceItem(f"i{place}", f"g{place}", "Why?", (Option("x", "no"), Option("y", f"Because of the weather {place}.")))
    for place in range(9)
]


def test_disorder_keeps_letters_length_and_spaces_and_little_else() -> None:
    text = "Because of the weather,\nwe stayed at home."
    broken = disordered(text, seed=1)
    assert sorted(broken) == sorted(text)
    assert [place for place, letter in enumerate(broken) if letter.isspace()] == [7, 10, 14, 23, 26, 33, 36]
    assert not set(broken.split()) & set(text.split())
    assert broken == disordered(text, seed=1) != disordered(text, seed=2)


def test_generated_checks_set_an_answer_long_enough_against_nonsense() -> None:
    checks = generated_checks(ITEMS, 4)
    assert len({check.item_id for check in checks}) == 4
    for check in checks:
        good, bad = check.options
        assert (good.id, check.expected) == ("y", "y")
        assert sorted(str(good.content)) == sorted(str(bad.content))
    assert checks == generated_checks(ITEMS[::-1], 4)
    with pytest.raises(DataError, match="no attention check can be made"):
        generated_checks([ChoiceItem("i", "g", "?", (Option("x", "no"), Option("y", "yes")))], 4)


def test_checks_from_groups_expect_the_winner_and_pass_over_ties() -> None:
    responses = (Response("a", "right"), Response("b", "wrong"), Response("c", "as good"))
    group = PreferenceGroup("g", ("?",), responses, (Edge(0, 1), Edge(0, 2, prob=0.5)))
    (check,) = checks_from([group])
    assert (check.expected, [option.id for option in check.options]) == ("a", ["a", "b"])
    with pytest.raises(DataError, match="no edge between two different answers"):
        checks_from([PreferenceGroup("g", ("?",), responses)])


def test_ties_fail_a_check_and_skips_do_not_count() -> None:
    def made(item_id: str, verdict: Verdict, winner: str | None) -> Choice:
        return Choice(item_id, item_id, "ann", ("x", "y"), verdict, winner, (), "", 1.0, is_check=True)

    choices = [made("1", "win", "x"), made("2", "win", "y"), made("3", "tie", None), made("4", "skip", None)]
    assert record_of(choices, dict.fromkeys("1234", "x")) == (3, 1)
