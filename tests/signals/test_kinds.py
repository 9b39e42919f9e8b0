"""Ratings, rankings, choices and thumbs on tables worked by hand."""

import hashlib
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

from tropism.errors import ConfigError, DataError
from tropism.groups import PreferenceGroup
from tropism.signals.build import build_groups
from tropism.signals.kinds.built_groups import BuiltGroups
from tropism.signals.kinds.choices import ChoiceSettings
from tropism.signals.kinds.columns import ChoiceColumns, LabelColumns, RankingColumns, RatingColumns
from tropism.signals.kinds.labels import LabelSettings
from tropism.signals.kinds.rankings import RankingSettings
from tropism.signals.kinds.ratings import RatingSettings
from tropism.signals.kinds.vote_rules import GapRule, LeadRule
from tropism.signals.privacy.safety_gate import SafetyGate

RATINGS = RatingColumns("q", "a", {"help": 2.0, "tone": 1.0}, author="who")
RANKS = RankingColumns("q", "a", "rank", annotator="who")
CHOICES = ChoiceColumns("q", "x", "y", "said", annotator="who")
LABELS = LabelColumns("q", "a", "thumb")


def table(rows: list[dict[str, Any]]) -> ibis.Table:
    return ibis.memtable(pa.Table.from_pylist([{"q": "Q", "who": None} | row for row in rows]))


def edges(made: BuiltGroups) -> dict[str, tuple[float, float]]:
    """Every edge as `winner>loser` (`=` for a tie, in alphabetical order) to its weight and probability."""
    found = {}
    for group in made.groups:
        for edge in group.edges:
            names = [str(group.responses[place].content) for place in (edge.winner, edge.loser)]
            name = "=".join(sorted(names)) if edge.prob == 0.5 else ">".join(names)
            assert name not in found
            found[name] = (round(edge.weight, 9), round(edge.prob, 9))
    return found


def only(made: BuiltGroups) -> PreferenceGroup:
    (group,) = made.groups
    return group


def test_ratings_are_weighted_means_of_aspects_and_means_of_rows() -> None:
    rows = [
        {"a": "one", "help": 3, "tone": 3},
        {"a": "one", "help": 5, "tone": 2},  # (10 + 2) / 3 = 4, with 3 before: 3.5
        {"a": "two", "help": 4, "tone": None},  # a missing aspect leaves its weight to the others: 4
        {"a": "three", "help": None, "tone": None},
        {"a": "four", "help": 4, "tone": 4},
    ]
    made = build_groups(table(rows), RatingSettings(columns=RATINGS, weight="gap", ties=True))
    assert edges(made) == {"two>one": (0.5, 1.0), "four>one": (0.5, 1.0), "four=two": (1.0, 0.5)}
    assert {response.content: response.score for response in only(made).responses} == {
        "one": 3.5,
        "two": 4.0,
        "four": 4,
    }
    account = made.card.account
    assert (account.rows_read, account.rows_used, account.ties) == (5, 4, 1)
    assert account.dropped == {"missing rating": 1}
    assert account.notes == {"ratings merged with others of the same response": 1}
    assert edges(build_groups(table(rows), RatingSettings(columns=RATINGS))) == {
        "two>one": (1.0, 1.0),
        "four>one": (1.0, 1.0),
    }
    assert edges(
        build_groups(
            table([*rows, {"a": "five", "help": 9, "tone": 9}]), RatingSettings(columns=RATINGS, rule=GapRule(5.5))
        )
    ) == {"five>one": (1.0, 1.0)}


def test_best_against_random_makes_one_pair_of_a_thread_by_its_seed() -> None:
    rows = [
        {"q": f"Q{thread}", "a": f"{thread} {score}", "help": score, "tone": score}
        for thread in range(40)
        for score in (1, 2, 3, 4)
    ]
    made = [
        build_groups(table(rows), RatingSettings(columns=RATINGS, pairing="best-random", seed=seed))
        for seed in (0, 0, 1)
    ]
    found = [sorted(edges(one)) for one in made]
    assert found[0] == found[1] != found[2]
    assert len(found[0]) == 40
    assert all(pair.split(">")[0].endswith(" 4") for pair in found[0])
    losers = [pair[-1] for pair in found[0]]
    assert set(losers) == {"1", "2", "3"}
    with pytest.raises(ConfigError, match="`ties=True` has no effect with `pairing='best-random'`"):
        build_groups(table(rows), RatingSettings(columns=RATINGS, pairing="best-random", ties=True))
    for option, rule in (
        ("`later`", LeadRule(later=True)),
        ("`min_score`", LeadRule(min_score=1)),
        ("`length_match`", LeadRule(length_match=0.5)),
    ):
        columns = RatingColumns("q", "a", {"help": 1.0}, time="tone")
        with pytest.raises(ConfigError, match=f"^{option} has no effect with `pairing='best-random'`"):
            build_groups(table(rows), RatingSettings(columns=columns, rule=rule, pairing="best-random"))


def test_rankings_order_every_two_answers_and_give_places() -> None:
    rows = [{"a": "c", "rank": 3}, {"a": "a", "rank": 1}, {"a": "b", "rank": 1}, {"a": "d", "rank": 7}]
    one = RankingColumns("q", "a", "rank")
    made = build_groups(table(rows), RankingSettings(columns=one))
    assert set(edges(made)) == {"a>c", "b>c", "a>d", "b>d", "c>d"}
    assert {response.content: response.rank for response in only(made).responses} == {"a": 0, "b": 0, "c": 1, "d": 2}
    assert set(edges(build_groups(table(rows), RankingSettings(columns=one, ties=True)))) == {
        "a>c",
        "b>c",
        "a>d",
        "b>d",
        "c>d",
        "a=b",
    }
    assert len(edges(build_groups(table(rows), RankingSettings(columns=one, cap=2)))) == 2


def test_rankings_by_several_people_become_shares() -> None:
    rows = [
        {"a": name, "rank": rank, "who": who}
        for who, order in {"ann": "abc", "bob": "bac", "cem": "abc"}.items()
        for rank, name in enumerate(order)
    ]
    made = build_groups(table(rows), RankingSettings(columns=RANKS))
    share = round(2 / 3, 9)
    assert edges(made) == {"a>b": (1.0, share), "a>c": (1.0, 1.0), "b>c": (1.0, 1.0)}
    # of the nine pairs of people and pairs of answers, two disagree with bob on a and b: 7 / 9
    assert made.card.confounds["annotator_agreement"].value == pytest.approx(7 / 9)
    majority = build_groups(table(rows), RankingSettings(columns=RANKS, truth="majority", weight="agreement"))
    assert edges(majority)["a>b"] == (pytest.approx(1 / 3), 1.0)


def test_choices_of_one_pair_become_one_edge_whichever_side_it_stood_on() -> None:
    rows = [
        {"x": "a", "y": "b", "said": "a", "who": "ann"},
        {"x": "b", "y": "a", "said": "b", "who": "bob"},
        {"x": "a", "y": "b", "said": "tie", "who": "cem"},
        {"x": "b", "y": "a", "said": "left", "who": "dan"},  # b
        {"x": "c", "y": "a", "said": "both", "who": "ann"},
        {"x": "b", "y": "c", "said": "both_bad", "who": "ann"},
        {"x": "b", "y": "c", "said": "skip", "who": "bob"},
        {"x": "b", "y": "b", "said": "a", "who": "bob"},
        {"x": "b", "y": None, "said": "a", "who": "bob"},
    ]
    made = build_groups(table(rows), ChoiceSettings(columns=CHOICES))
    assert edges(made) == {"a>b": (1.0, 0.625), "a=c": (1.0, 0.5)}
    account = made.card.account
    assert (account.rows_read, account.rows_used, account.ties) == (9, 5, 1)
    assert account.dropped == {
        "both responses are equal": 1,
        "both responses were called bad": 1,
        "empty response": 1,
        "skipped by the annotator": 1,
    }
    assert edges(
        build_groups(table(rows), ChoiceSettings(columns=CHOICES, truth="majority", weight="agreement", ties=False))
    ) == {"a>b": (0.25, 1.0)}
    assert edges(build_groups(table(rows), ChoiceSettings(columns=CHOICES, weight="count")))["a>b"] == (4.0, 0.625)
    # of five choices that count, the first side won twice and two were ties
    assert made.card.confounds["chosen_first"].value == pytest.approx((2 + 2 * 0.5) / 5)


def test_dawid_and_skene_count_a_contrary_annotator_for_little() -> None:
    rows = []
    for pair in range(60):
        for who, said in {"ann": "a", "bob": "a", "spam": "b" if pair % 2 else "a"}.items():
            rows.append({"q": f"Q{pair}", "x": f"good {pair}", "y": f"bad {pair}", "said": said, "who": who})
    shares = edges(build_groups(table(rows), ChoiceSettings(columns=CHOICES)))
    fitted = edges(build_groups(table(rows), ChoiceSettings(columns=CHOICES, truth="dawid-skene")))
    assert min(prob for _, prob in shares.values()) == round(2 / 3, 9)
    assert min(prob for _, prob in fitted.values()) > 0.99


def test_strengths_come_from_the_sources_of_both_answers() -> None:
    rows = [
        {"q": f"Q{at}", "x": f"x{at}", "y": f"y{at}", "said": "a" if at % 4 else "b", "m": "big", "n": "small"}
        for at in range(40)
    ]
    columns = ChoiceColumns("q", "x", "y", "said", source_a="m", source_b="n")
    (strengths,) = build_groups(table(rows), ChoiceSettings(columns=columns)).card.tables
    assert strengths.rows == ["big", "small"]
    big, small = (row[0] for row in strengths.cells)
    assert big is not None
    assert small is not None
    # 30 wins of 40: odds of 3 to 1, but for a whiff of a prior
    assert big.value - small.value == pytest.approx(1.0986, abs=0.01)
    assert big.low < big.value < big.high
    won = strengths.cells[0][1]
    assert won is not None
    assert (won.value, won.n) == (0.75, 40)
    with pytest.raises(ConfigError, match="sources of both answers"):
        ChoiceColumns("q", "x", "y", "said", source_a="m")


def test_a_source_that_won_every_game_is_not_certain_and_copies_of_a_game_make_it_no_surer() -> None:
    columns = ChoiceColumns("q", "x", "y", "said", source_a="m", source_b="n")
    for copies in (1, 5):  # of every judgement, in eight threads
        rows = [
            {"q": f"Q{at % 8}", "x": f"x{at % 8}", "y": f"y{at % 8}", "said": "a", "m": "big", "n": "small"}
            for at in range(8 * copies)
        ]
        (found,) = build_groups(table(rows), ChoiceSettings(columns=columns)).card.tables
        strength, won = found.cells[0]
        assert strength is not None
        assert won is not None
        assert strength.low < 0.1 < 3 < strength.value
        assert (won.value, won.n) == (1.0, 8 * copies)
        assert won.low == pytest.approx(8 / (8 + 1.959964**2), abs=1e-6)  # Wilson's of 8 of 8, however often copied


def test_thumbs_become_labels_by_majority() -> None:
    thumbs = {"a": ["up", "down", "👍"], "b": ["1", "-1"], "c": ["bad"], "d": [None]}
    rows = [{"a": name, "thumb": thumb} for name, told in thumbs.items() for thumb in told]
    made = build_groups(table(rows), LabelSettings(columns=LABELS, weight="agreement"))
    group = only(made)
    assert {
        group.responses[label.response].content: (label.desirable, round(label.weight, 9)) for label in group.labels
    } == {
        "a": (True, round(1 / 3, 9)),
        "c": (False, 1.0),
    }
    account = made.card.account
    assert (account.labels, account.rows_used, account.dropped) == (2, 6, {"missing label": 1})
    assert account.notes["responses with as many thumbs up as down, without a label"] == 1
    count = only(build_groups(table(rows), LabelSettings(columns=LABELS, weight="count")))
    assert sorted(label.weight for label in count.labels) == [1.0, 1.0]
    with pytest.raises(DataError, match=r"row 1: column 'thumb' must hold a thumb .*, got 'meh'"):
        build_groups(table([{"a": "a", "thumb": "meh"}]), LabelSettings(columns=LABELS))


def test_gate_turns_edges_and_labels_and_counts_every_hit() -> None:
    gate = SafetyGate("words", lambda text: "names a method" if "bad" in text else None)
    rows = [
        {"x": "bad one", "y": "kind", "said": "a"},
        {"q": "R", "x": "bad two", "y": "bad three", "said": "a"},
        {"q": "S", "x": "fine", "y": "bad four", "said": "tie"},
        {"q": "T", "x": "fine", "y": "good", "said": "a"},
    ]
    columns = ChoiceColumns("q", "x", "y", "said")
    made = build_groups(table(rows), ChoiceSettings(columns=columns, gate=gate))
    assert set(edges(made)) == {"kind>bad one", "fine>bad four", "fine>good"}
    assert made.card.account.notes == {
        "edges turned round: the safety gate stops the winner": 1,
        "edges made certain: the safety gate stops one side of a tie, or the loser of a soft label": 1,
        "edges dropped: the safety gate stops both sides": 1,
        "responses that the safety gate stops: names a method": 4,
    }
    assert made.card.account.rows_used == 3
    thumbs = [{"a": "bad idea", "thumb": "up"}, {"a": "nice", "thumb": "up"}]
    labelled = build_groups(table(thumbs), LabelSettings(columns=LABELS, gate=gate))
    group = only(labelled)
    assert {group.responses[one.response].content: one.desirable for one in group.labels} == {
        "bad idea": False,
        "nice": True,
    }
    assert labelled.card.account.notes["labels turned to undesirable by the safety gate"] == 1


def test_edges_that_the_gate_decides_weigh_one_and_each_change_is_counted() -> None:
    gate = SafetyGate("words", lambda text: "bad" in text)
    said = {
        "turned": ("bad t", "kind", "aaab"),  # a won 3 of 4, is stopped: the lead was for the other side
        "tied": ("fine", "bad u", "ab"),
        "soft": ("fine", "bad v", "aaab"),  # goes on to weigh what people said of it
        "plain": ("fine", "bad w", "aaaa"),  # was certain before
        "apart": ("fine", "kind", "aaab"),
    }
    rows = [
        {"q": q, "x": x, "y": y, "said": one, "who": str(who)}
        for q, (x, y, told) in said.items()
        for who, one in enumerate(told)
    ]
    made = build_groups(table(rows), ChoiceSettings(columns=CHOICES, weight="agreement", gate=gate))
    assert edges(made) == {
        "kind>bad t": (1.0, 1.0),
        "fine>bad u": (1.0, 1.0),
        "fine>bad v": (0.5, 1.0),
        "fine>bad w": (1.0, 1.0),
        "fine>kind": (0.5, 0.75),
    }
    notes = made.card.account.notes
    assert notes["edges turned round: the safety gate stops the winner"] == 1
    assert notes["edges made certain: the safety gate stops one side of a tie, or the loser of a soft label"] == 2


def test_chosen_first_is_what_stood_first_on_the_page_where_that_is_known() -> None:
    rows = [
        {"q": f"Q{at}", "x": f"x{at}", "y": f"y{at}", "said": said, "shown_first": shown}
        for at, (said, shown) in enumerate([("a", "b"), ("a", "b"), ("a", "a"), ("b", "b"), ("tie", "b"), ("a", None)])
    ]
    # the first column won four times, the side shown first twice; where nobody knows, the column counts
    shown = build_groups(table(rows), ChoiceSettings(columns=CHOICES)).card.confounds["chosen_first"]
    assert (shown.value, shown.n) == (pytest.approx((2 + 0.5 + 1) / 6), 6)
    for row in rows:
        del row["shown_first"]
    columns = build_groups(table(rows), ChoiceSettings(columns=CHOICES)).card.confounds["chosen_first"]
    assert columns.value == pytest.approx((4 + 0.5) / 6)


def test_choices_on_deleted_prompts_are_dropped_and_counted() -> None:
    rows = [{"x": "a", "y": "b", "said": "a"}, {"q": "[deleted]", "x": "a", "y": "b", "said": "a"}]
    account = build_groups(table(rows), ChoiceSettings(columns=CHOICES)).card.account
    assert (account.rows_used, account.dropped) == (1, {"deleted prompt": 1})


def renamed(rows: list[dict[str, Any]], suffix: str) -> list[dict[str, Any]]:
    return [row | {"x": row["x"] + suffix, "y": row["y"] + suffix} for row in rows]


def shares(made: BuiltGroups) -> dict[str, float]:
    """The probability that the good answer is better, by prompt."""
    found = {}
    for group in made.groups:
        (edge,) = group.edges
        good = str(group.responses[edge.winner].content).startswith("good")
        found[str(group.prompts[0])] = edge.prob if good else 1 - edge.prob
    return found


@pytest.mark.parametrize("suffix", ["", "x", "y", "?"])
def test_what_is_said_of_choices_does_not_hang_on_how_answers_are_spelled(suffix: str) -> None:
    rng = np.random.default_rng(5)
    rows = [
        {
            "q": f"Q{at}",
            "x": f"good {at}",
            "y": f"bad {at}",
            "who": who,
            "said": str(rng.choice(list("ab"), p=[p, 1 - p])),
        }
        for at in range(40)
        for who, p in {"ann": 0.9, "bob": 0.7, "cem": 0.6}.items()
    ]
    made = build_groups(table(rows), ChoiceSettings(columns=CHOICES, truth="dawid-skene"))
    other = build_groups(table(renamed(rows, suffix)), ChoiceSettings(columns=CHOICES, truth="dawid-skene"))
    for name in ("annotator_agreement", "krippendorff_alpha", "chosen_first"):
        one, two = made.card.confounds[name], other.card.confounds[name]
        assert [one.value, one.low, one.high] == pytest.approx([two.value, two.low, two.high], abs=1e-9)
    assert shares(other) == pytest.approx(shares(made), abs=1e-6)


@pytest.mark.parametrize("suffix", ["", "x", "y", "?"])
def test_a_pair_that_was_only_called_a_tie_stays_a_tie(suffix: str) -> None:
    rows = [
        {"q": "p", "x": "good 1", "y": "bad 1", "said": "tie", "who": "x"},
        {"q": "q", "x": "good 2", "y": "bad 2", "said": "a", "who": "x"},
    ]
    found = shares(build_groups(table(renamed(rows, suffix)), ChoiceSettings(columns=CHOICES, truth="dawid-skene")))
    assert found["p"] == 0.5
    assert found["q"] > 0.95


def test_someone_who_judged_a_pair_several_times_counts_once_in_agreement() -> None:
    said = {"ann": "aab", "bob": "a", "cem": "ab"}  # the first, the first, even
    rows = [{"x": "good", "y": "bad", "said": one, "who": who} for who, told in said.items() for one in told]
    for suffix in ("", "x", "y"):
        found = build_groups(table(renamed(rows, suffix)), ChoiceSettings(columns=CHOICES)).card.confounds[
            "annotator_agreement"
        ]
        assert (found.value, found.n) == (pytest.approx(1 / 3), 1)


def test_pairs_that_one_person_judged_are_not_part_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tropism.signals.kinds.judged_pairs.MOST_ITEMS", 30)
    rows = [
        {"q": f"Q{at}", "x": f"good {at}", "y": f"bad {at}", "said": "a", "who": who}
        for at in range(300)
        for who in (("ann", "bob") if at < 30 else ("ann",))
    ]
    assert build_groups(table(rows), ChoiceSettings(columns=CHOICES)).card.confounds["annotator_agreement"].n == 30


def test_judgements_without_an_annotator_are_nobodys() -> None:
    said = {"ann": "a", "bob": "a", None: "b", "": "a", " ": "b"}
    rows = [{"q": "p", "x": "good", "y": "bad", "said": one, "who": who} for who, one in said.items()]
    made = build_groups(table(rows), ChoiceSettings(columns=CHOICES))
    assert shares(made)["p"] == pytest.approx(3 / 5)  # they count in the share
    found = made.card.confounds["annotator_agreement"]
    assert (found.value, found.n) == (1.0, 1)  # and not in agreement: ann and bob agree
    alone = [{"x": "good", "y": "bad", "said": one} for one in "aab"]
    assert "annotator_agreement" not in build_groups(table(alone), ChoiceSettings(columns=CHOICES)).card.confounds


def test_dawid_and_skene_do_not_take_those_without_a_name_for_one_person() -> None:
    # ann and bob agree on twenty pairs; somebody says the contrary of ten of them, and of another pair one thing alone
    rows = [
        {"q": f"Q{at}", "x": f"good {at}", "y": f"bad {at}", "said": "a", "who": who}
        for at in range(20)
        for who in ("ann", "bob")
    ]
    rows += [{"q": f"Q{at}", "x": f"good {at}", "y": f"bad {at}", "said": "b"} for at in range(10)]
    rows.append({"q": "P", "x": "good", "y": "bad", "said": "a"})
    rows += [{"q": "O", "x": "good 0", "y": "bad 0", "said": one} for one in "ab"]
    found = shares(build_groups(table(rows), ChoiceSettings(columns=CHOICES, truth="dawid-skene")))
    assert found["P"] > 0.9  # as one contrary person, it would be the other way round
    assert found["O"] == pytest.approx(0.5, abs=1e-6)


def test_rankings_that_nobody_signed_are_left_out_where_nothing_tells_them_apart() -> None:
    one = [{"q": "P", "a": "good", "rank": 1}, {"q": "P", "a": "bad", "rank": 2}]
    other = [{"q": "P", "a": "bad", "rank": 1}, {"q": "P", "a": "good", "rank": 3}]
    signed = [{"q": "P", "a": name, "rank": rank, "who": "ann"} for rank, name in enumerate(("good", "bad"))]
    known = [{"q": "Q", "a": name, "rank": rank} for rank, name in enumerate(("good", "bad"))]
    made = build_groups(table(one + other + known), RankingSettings(columns=RANKS))
    assert [str(group.prompts[0]) for group in made.groups] == ["Q"]
    assert made.card.account.dropped == {"several rankings of a thread without an annotator": 4}
    made = build_groups(table(one + other + signed), RankingSettings(columns=RANKS))
    assert edges(made) == {"good>bad": (1.0, 1.0)}
    assert "annotator_agreement" not in made.card.confounds
    twice = build_groups(table(one + one + signed), RankingSettings(columns=RANKS))
    assert edges(twice) == {"good>bad": (1.0, 1.0)}
    assert "annotator_agreement" not in twice.card.confounds


def test_sources_that_are_personal_are_hashed_where_keys_are() -> None:
    rows = [
        {"q": f"Q{at}", "x": f"x{at}", "y": f"y{at}", "said": "a" if at % 4 else "b", "m": "ana@x.org", "n": "gpt"}
        for at in range(8)
    ]
    columns = ChoiceColumns("q", "x", "y", "said", source_a="m", source_b="n")
    (told,) = build_groups(table(rows), ChoiceSettings(columns=columns, private=True, salt="s")).card.tables
    assert told.rows == [hashlib.sha256(b"s\x1fana@x.org").hexdigest()[:16], "gpt"]


def test_sources_that_nobody_knows_make_no_strengths() -> None:
    rows = [{"x": "a", "y": "b", "said": "a", "m": None, "n": "gpt"}]
    columns = ChoiceColumns("q", "x", "y", "said", source_a="m", source_b="n")
    assert build_groups(table(rows), ChoiceSettings(columns=columns)).card.tables == []


def test_nothing_to_learn_is_one_clear_error() -> None:
    with pytest.raises(
        DataError, match=r"no choice of the table makes an edge \(1 rows: 1 x skipped by the annotator\)"
    ):
        build_groups(table([{"x": "a", "y": "b", "said": "skip"}]), ChoiceSettings(columns=CHOICES))
    with pytest.raises(DataError, match=r"no choice of the table makes an edge \(1 rows: 1 x skipped"):
        build_groups(
            table([{"x": "a", "y": "b", "said": "skip"}]), ChoiceSettings(columns=CHOICES, truth="dawid-skene")
        )
    with pytest.raises(DataError, match="no ranking of the table prefers anything"):
        build_groups(
            table([{"a": "a", "rank": 1}, {"a": "b", "rank": 1}]),
            RankingSettings(columns=RankingColumns("q", "a", "rank")),
        )
    with pytest.raises(DataError, match="no pair passes the rule"):
        build_groups(table([{"a": x, "help": 1, "tone": 1} for x in "ab"]), RatingSettings(columns=RATINGS))
    with pytest.raises(ConfigError, match="must be a number above 0"):
        RatingColumns("q", "a", {"help": -1.0})
