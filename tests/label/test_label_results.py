"""The owner's numbers, against numbers worked by hand."""

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tropism.data.label_choices import Choice, ChoiceItem, Option, Verdict
from tropism.groups import PreferenceGroup, Response
from tropism.label.choice_store import ChoiceStore
from tropism.label.label_items import ComparisonPlan, make_items
from tropism.label.label_service import LabelService, SubmittedChoice
from tropism.label.queue import Queue
from tropism.label.results import (
    CachedResults,
    _pair_verdicts,
    annotator_lines,
    kappa_lines,
    results_of,
    strength_table,
)
from tropism.signals.build import build_groups
from tropism.signals.kinds.choices import ChoiceSettings
from tropism.signals.kinds.rankings import RankingSettings


def item(name: str, *, ids: tuple[str, ...] = ("large", "small")) -> ChoiceItem:
    return ChoiceItem(name, f"group {name}", "?", tuple(Option(one, f"{one} of {name}") for one in ids))


def choice(
    name: str,
    annotator: str,
    winner: str | None,
    *,
    verdict: Verdict = "win",
    shown: tuple[str, ...] = ("large", "small"),
    is_check: bool = False,
    seconds: float | None = 1.0,
) -> Choice:
    return Choice(f"{annotator}-{name}", name, annotator, shown, verdict, winner, (), "", seconds, is_check)


def test_kappa_of_two_annotators_is_the_hand_worked_one() -> None:
    # 50 items: both large 20, Ann large and Bob small 5, Ann small and Bob large 10, both small 15: 0.7 agree, and by
    # chance 1/2, because no side is the first: (0.7 - 0.5) / 0.5
    said = [("large", "large")] * 20 + [("large", "small")] * 5 + [("small", "large")] * 10 + [("small", "small")] * 15
    items = {f"i{place}": item(f"i{place}") for place in range(50)}
    choices = [
        choice(f"i{place}", name, winner)
        for place, winners in enumerate(said)
        for name, winner in zip(("Ann", "Bob"), winners, strict=True)
    ]
    choices.append(choice("i0", "Eve", None, verdict="skip"))
    (line,) = kappa_lines(_pair_verdicts(choices, items))
    assert (line.first, line.second, line.kappa.n) == ("Ann", "Bob", 50)
    assert abs(line.kappa.value - 0.4) < 1e-12


def test_kappa_does_not_ask_which_answer_stands_first_in_the_file() -> None:
    # 20 items, "chosen" always first in the file: both choose it 17 times, one of them the other one 3 times
    items = {f"i{place}": item(f"i{place}", ids=("chosen", "rejected")) for place in range(20)}
    said = [(name, f"i{place}") for name in ("Ann", "Bob") for place in range(20)]
    odd = {("Ann", "i0"), ("Ann", "i1"), ("Bob", "i2")}
    choices = [choice(place, name, "rejected" if (name, place) in odd else "chosen") for name, place in said]
    (line,) = kappa_lines(_pair_verdicts(choices, items))
    assert abs(line.kappa.value - (17 / 20 - 0.5) / 0.5) < 1e-12


def test_a_best_of_three_is_three_pairs_and_both_bad_is_none() -> None:
    ids = ("large", "middle", "small")
    items = {"i0": item("i0", ids=ids), "i1": item("i1")}
    choices = [choice("i0", "Ann", "large", shown=ids), choice("i0", "Bob", "small", shown=ids)]
    choices += [choice("i1", "Ann", "large"), choice("i1", "Bob", None, verdict="both_bad")]
    table = _pair_verdicts(choices, items)
    assert (table.annotators, table.items, table.groups) == (("Ann", "Bob"), ["i0"] * 3, ["group i0"] * 3)
    assert table.values.tolist() == [[1.0, 1.0, 0.5], [0.5, 0.0, 0.0]]  # large-middle, large-small, middle-small


def test_strengths_of_two_are_the_closed_form() -> None:
    # large wins 3 of 4 games, one of them as two ties: log-odds log 3, which are 190.8 Elo points
    items = {f"i{place}": item(f"i{place}") for place in range(4)}
    choices = [choice("i0", "Ann", "large"), choice("i1", "Ann", "large")]
    choices += [choice("i2", "Ann", None, verdict="tie"), choice("i3", "Ann", None, verdict="both_bad")]
    table = strength_table(choices, items)
    assert [(line.name, line.wins, line.games) for line in table.lines] == [("large", 3.0, 4), ("small", 1.0, 4)]
    distance = table.lines[0].elo.value - table.lines[1].elo.value
    assert abs(distance - 400 * math.log10(3)) < 1e-6
    assert table.lines[0].elo.low <= table.lines[0].elo.value <= table.lines[0].elo.high


def test_the_best_of_three_beats_both_others_and_a_winner_of_all_needs_a_prior() -> None:
    ids = ("large", "middle", "small")
    items = {f"i{place}": item(f"i{place}", ids=ids) for place in range(3)}
    table = strength_table([choice(f"i{place}", "Ann", "large", shown=ids) for place in range(3)], items)
    best = table.lines[0]
    assert (best.name, best.wins, best.games) == ("large", 6.0, 6)
    assert table.note.startswith("Estimated with a weak prior, because without one")


def test_ids_that_name_places_are_nobodys() -> None:
    for ids in (("0", "1"), ("a", "b"), ("r0", "r1"), ("chosen", "rejected"), ("response_1", "response_2")):
        items = {f"i{place}": item(f"i{place}", ids=ids) for place in range(3)}
        table = strength_table([choice("i0", "Ann", ids[0], shown=ids)], items)
        assert (table.lines, table.note) == ((), "The responses' ids do not name the models.")
    assert strength_table([], {"i0": item("i0"), "i1": item("i1")}).note == "No comparisons yet."


def test_ids_that_always_go_with_one_text_are_nobodys() -> None:
    options = (Option("9f86d081884c", "Yes."), Option("60303ae22b99", "No."))  # ids of `tropism build` are such hashes
    items = {f"i{place}": item(f"i{place}")._replace(options=options) for place in range(3)}
    table = strength_table([choice("i0", "Ann", "9f86d081884c", shown=("9f86d081884c", "60303ae22b99"))], items)
    assert (table.lines, table.note) == ((), "The responses' ids do not name the models.")


def test_a_winner_of_every_game_has_an_interval() -> None:
    items = {f"i{place}": item(f"i{place}") for place in range(8)}
    best, worst = strength_table([choice(name, "Ann", "large") for name in items], items).lines
    assert best.elo.high - best.elo.low > 100
    assert best.elo.low <= best.elo.value <= best.elo.high
    assert worst.elo.high < best.elo.value


def test_an_annotators_line_counts_what_they_did() -> None:
    choices = [
        choice("i0", "Ann", "large", seconds=1.0),
        choice("i1", "Ann", "small", seconds=3.0),
        choice("i2", "Ann", "large", seconds=None),
        choice("i3", "Ann", None, verdict="skip", seconds=8.0),
        choice("c1", "Ann", "large", is_check=True, seconds=4.0),
        choice("c2", "Ann", "small", is_check=True, seconds=5.0),
    ]
    (line,) = annotator_lines(choices, {"c1": "large", "c2": "large"})
    assert (line.name, line.judged, line.skipped, line.checks, line.seconds) == ("Ann", 3, 1, (2, 1), 4.0)
    assert line.first_chosen is not None
    assert (round(line.first_chosen.value, 3), line.first_chosen.n) == (0.667, 3)


def test_results_follow_the_choices_and_are_cached_for_a_moment(make_service: Callable[..., LabelService]) -> None:
    service = make_service(overlap=2)
    now = 0.0
    owner = CachedResults(service, clock=lambda: now)
    assert owner.results().num_choices == 0
    for name in ("Ann", "Bob"):
        for place in range(5):
            served = service.serve(name)
            assert served is not None
            answer = "1" if served.options[0].id == "model-x" else "2"
            service.choose(
                name, SubmittedChoice(f"{name}-{place}-0000", served.item.item_id, "tie" if place == 4 else answer)
            )
    assert owner.results().num_choices == 0  # a moment ago
    now = 10.0
    results = owner.results()
    assert (results.num_choices, results.num_complete, results.num_items) == (10, 5, 5)
    assert results is owner.results()
    assert results.raw is not None
    assert results.raw.n == 5
    assert [line.judged for line in results.annotators] == [5, 5]
    service.undo("Bob", "undo-0000")
    assert results_of(service)[2:5] == (2, 9, 11)
    assert results_of(service).num_complete == 4


def test_build_says_the_same_of_the_same_choices(make_service: Callable[..., LabelService], tmp_path: Path) -> None:
    service = make_service(overlap=2)
    drawn = random.Random(2)
    for name in ("Ann", "Bob"):
        for place in range(5):
            served = service.serve(name)
            assert served is not None
            better = "1" if served.options[0].id == "model-x" else "2"
            answer = drawn.choice([better, better, better, "3" if better == "1" else "1", "tie"]).replace("3", "2")
            service.choose(name, SubmittedChoice(f"{name}-{place}-0000", served.item.item_id, answer))
    page = results_of(service)
    assert [line.name for line in page.strengths.lines] == ["model-x", "model-y"]
    firsts = [line.first_chosen for line in page.annotators if line.first_chosen]
    with build_groups(tmp_path / "choices.sqlite", ChoiceSettings()) as made:
        card = made.card
    assert page.alpha is not None
    assert page.raw is not None
    for told, one in ((page.alpha, "krippendorff_alpha"), (page.raw, "annotator_agreement")):
        built = card.confounds[one]
        assert [told.value, told.low, told.high, told.n] == pytest.approx([built.value, built.low, built.high, built.n])
    assert page.raw.value < 1
    first = card.confounds["chosen_first"]
    won, ties = sum(one.value * one.n for one in firsts), first.n - sum(one.n for one in firsts)
    assert first.value == pytest.approx((won + ties / 2) / first.n)


def test_build_says_the_same_of_a_file_with_pairs_and_bests_of_three(tmp_path: Path) -> None:
    groups = [
        PreferenceGroup(
            f"g{place}",
            (f"Question {place}?",),
            tuple(Response(f"model-{name}", f"Answer {name} to {place}.") for name in "xyz"[: 2 + place % 2]),
        )
        for place in range(12)
    ]
    items = make_items(groups, ComparisonPlan(best_of=3)).items
    assert {len(one.options) for one in items} == {2, 3}
    store = ChoiceStore(tmp_path / "choices.sqlite", items, {"seed": "0"})
    service = LabelService(Queue(items, (), overlap=2), store, reasons=())
    drawn = random.Random(4)
    for name in ("Ann", "Bob"):
        for place in range(12):
            served = service.serve(name)
            assert served is not None
            best = next(at for at, option in enumerate(served.options, start=1) if option.id == "model-x")
            answer = drawn.choice([str(best), str(best), str(best), "1", "2", "tie", "both_bad"])
            service.choose(name, SubmittedChoice(f"{name}-{place}-0000", served.item.item_id, answer))
    page = results_of(service)
    with build_groups(tmp_path / "choices.sqlite", RankingSettings()) as made:
        found = made.card.confounds
    store.close()
    assert page.alpha is not None
    assert page.raw is not None
    for told, one in ((page.alpha, "krippendorff_alpha"), (page.raw, "annotator_agreement")):
        built = found[one]
        assert [told.value, told.low, told.high, told.n] == pytest.approx([built.value, built.low, built.high, built.n])
    assert page.raw.value < 1
