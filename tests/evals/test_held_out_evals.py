"""Preference, displacement, drift and forgetting against hand-worked values."""

import contextlib
import math
from collections.abc import Sequence

import pytest

from tropism.evals.core.differences import estimates
from tropism.evals.core.items import Item, Task
from tropism.evals.core.subject import Scored, policy_subject
from tropism.evals.preference import displacement, drift, forgetting
from tropism.evals.preference import implicit_reward as preference
from tropism.evals.preference.scored_pairs import ScoredPair, quarters
from tropism.groups import Edge, PreferenceGroup, Response
from tropism.metrics import text_variety
from tropism.policies.reading import read
from tropism.testing import pairs, tiny_llama, tiny_policy


@contextlib.contextmanager
def silent(title, total):
    yield lambda count: None


def task(settings, *, groups=(), texts: Sequence[str] = (), same=False, base_policy=None):
    base = policy_subject("base", base_policy or tiny_policy(tiny_llama(seed=1)))
    subject = base if same else policy_subject("tuned", tiny_policy(tiny_llama(seed=2)))
    return Task(subject, base, groups, texts, None, settings, 0, silent)


def scored_pair(before, after, *, scores=(None, None)) -> ScoredPair:
    """A pair whose winner has 4 tokens and whose loser has 2."""
    responses = (Response("w", "w", score=scores[0]), Response("l", "l", score=scores[1]))
    group = PreferenceGroup(f"{before}{after}", ("q",), responses, (Edge(0, 1),), source="votes")
    return ScoredPair(group, 0, Scored(before[0], 4), Scored(after[0], 4), Scored(before[1], 2), Scored(after[1], 2))


def test_a_pairs_preference_equals_hand_worked_values():
    item = preference.pair_item(scored_pair((-10.0, -5.0), (-8.0, -6.0)), 0.5, {})
    assert item.values["margin"] == 3.0
    assert item.values["pair_accuracy"] == 1.0
    assert item.values["ranking_accuracy"] == 1.0  # -8 / 4 > -6 / 2
    assert item.values["log_loss"] == pytest.approx(math.log(1 + math.exp(-1.5)))
    assert item.detail["probability"] == pytest.approx(1 / (1 + math.exp(-1.5)))


def test_calibration_error_equals_hand_worked_values():
    def sure(name, probability, right):
        return Item(name, name, {"pair_accuracy": right}, {"probability": probability})

    items = [sure("a", 0.92, 1.0), sure("b", 0.06, 0.0), sure("c", 0.61, 1.0), sure("d", 0.5, 0.5)]
    # 0.92 and 0.94 share a bin: |1 - 0.92 + 0 - 0.94|; then |1 - 0.61|; then 0
    assert preference.calibration_error(items) == pytest.approx((0.86 + 0.39) / 4)
    table = preference.reliability(items)
    assert table.rows[8] == "90 to 95 %"
    assert table.cells[8][0].value == pytest.approx(0.93)
    assert (table.cells[8][1].value, table.cells[8][1].n) == (0.5, 2)
    assert table.cells[5] == [None, None]


def test_the_base_has_no_preference_of_its_own():
    found = preference.preference(
        task(preference.PreferenceSettings(), groups=pairs(["one", "two", "three"]), same=True)
    )
    metrics = estimates(found.items, preference.STATISTICS)
    assert metrics["pair_accuracy"].value == 0.5
    assert metrics["log_loss"].value == pytest.approx(math.log(2))
    assert metrics["calibration_error"].value == 0.0
    assert found.series["margin"] == [0.0, 0.0, 0.0]


def test_preference_counts_ties_and_what_does_not_fit():
    tie = PreferenceGroup("t", ("q",), (Response("a", "yes"), Response("b", "no")), (Edge(0, 1, prob=0.5),))
    long = PreferenceGroup("long", ("q" * 300,), (Response("a", "yes"), Response("b", "no")), (Edge(0, 1),))
    found = preference.preference(task(preference.PreferenceSettings(), groups=[*pairs(["one"]), tie, long]))
    assert found.skipped == {"comparisons that do not fit into max_tokens": 1, "ties": 1}
    assert len(found.items) == 1


def test_accuracy_is_told_by_length_and_by_peoples_margin():
    scores = [(9.0, 1.0), (3.0, 2.0), (5.0, 1.0), (2.0, 1.0)]
    made = [scored_pair((-9.0, -5.0), (-8.0 + k, -6.0), scores=gap) for k, gap in enumerate(scores)]
    tables = {
        table.name: table for table in preference.tables(made, [preference.pair_item(one, 0.1, {}) for one in made])
    }
    assert "accuracy by source" not in tables
    assert [row[0] and row[0].n for row in tables["accuracy by length"].cells] == [None, None, 4]
    assert [row[0] and row[0].n for row in tables["accuracy by people's margin"].cells] == [2, None, 1, 1]


def test_quarters_share_equal_values():
    assert quarters([5.0, 5.0, 5.0, 5.0]) == ["lowest quarter"] * 4
    assert quarters([2.0, 1.0]) == ["third quarter", "lowest quarter"]


def test_displacement_equals_hand_worked_values():
    both_fell = displacement.displacement_item(
        scored_pair((math.log(0.2), math.log(0.3)), (math.log(0.1), math.log(0.1)))
    )
    assert both_fell.values["winner_change"] == pytest.approx(-math.log(2))
    assert both_fell.values["loser_change_per_token"] == pytest.approx(-math.log(3) / 2)
    assert (both_fell.values["winners_lost"], both_fell.values["both_fell"], both_fell.values["mass_to_loser"]) == (
        1,
        1,
        0,
    )
    assert both_fell.values["pair_mass_change"] == pytest.approx(math.log(0.2 / 0.5))
    rates = 0.1 ** (1 / 4) + 0.1 ** (1 / 2)
    assert both_fell.values["pair_mass_change_per_token"] == pytest.approx(
        math.log(rates / (0.2 ** (1 / 4) + 0.3 ** (1 / 2)))
    )
    to_loser = displacement.displacement_item(scored_pair((-1.0, -2.0), (-2.0, -1.5)))
    assert (to_loser.values["winners_lost"], to_loser.values["both_fell"], to_loser.values["mass_to_loser"]) == (
        1,
        0,
        1,
    )


def test_displacement_of_a_model_from_itself_is_nil():
    found = displacement.displacement(
        task(displacement.DisplacementSettings(), groups=pairs(list("abcdefgh")), same=True)
    )
    assert all(value == 0.0 for item in found.items for value in item.values.values())
    assert found.series["winner_change"] == [0.0] * 8
    quantiles = found.matrices[0]
    assert quantiles.columns == ["5 %", "25 %", "50 %", "75 %", "95 %"]
    assert all(cell.value == 0.0 and cell.n == 8 for row in quantiles.cells for cell in row)


def test_groups_are_chosen_by_hash_and_series_belong_together():
    groups = pairs([f"q{i}" for i in range(12)])
    settings = displacement.DisplacementSettings(max_groups=5)
    found = displacement.displacement(task(settings, groups=groups))
    again = displacement.displacement(task(settings, groups=groups[::-1]))
    assert {item.id for item in found.items} == {item.id for item in again.items}
    assert len(found.series["winner_change"]) == len(found.series["loser_change"]) == 5


def test_repetition_and_variety_equal_hand_worked_values():
    assert text_variety.longest_repeat(["a", "b", "c", "a", "b", "d"]) == 2
    assert text_variety.longest_repeat(["a", "b", "c", "d"]) == 0
    assert text_variety.longest_repeat([]) == 0
    same = [Item(str(i), str(i), {}, {"answer": "the same words"}) for i in range(4)]
    assert drift.similarity(same) == pytest.approx(1.0)
    apart = [Item(str(i), str(i), {}, {"answer": text}) for i, text in enumerate(["a b", "c d", "e"])]
    assert drift.similarity(apart) == 0.0
    half = [Item("1", "1", {}, {"answer": "x"}), Item("2", "2", {}, {"answer": "x y"})]
    assert drift.similarity(half) == pytest.approx(1 / math.sqrt(3))  # words x, y and the pair
    one_prompt = [Item(str(i), "p", {}, {"answer": "x"}) for i in range(2)]
    assert math.isnan(drift.similarity(one_prompt))


def test_self_similarity_is_the_mean_over_pairs_of_different_prompts():
    texts = [("p", "a b a"), ("p", "a c"), ("q", "b c c"), ("r", "a a a d")]
    items = [Item(str(i), prompt, {}, {"answer": text}) for i, (prompt, text) in enumerate(texts)]
    vectors = [text_variety._unit_counts(text) for _, text in texts]
    slow = [
        sum(one[word] * other[word] for word in one)
        for i, one in enumerate(vectors)
        for j, other in enumerate(vectors)
        if texts[i][0] != texts[j][0]
    ]
    assert drift.similarity(items) == pytest.approx(sum(slow) / len(slow))


def test_drift_measures_kl_of_the_very_samples_and_none_of_itself():
    groups = pairs([f"question {i}" for i in range(30)])
    settings = drift.DriftSettings(prompts=30, max_new_tokens=12)
    found = estimates(drift.drift(task(settings, groups=groups)).items, drift.STATISTICS)
    assert found["kl"].low > 0
    assert found["kl"].n == 30
    assert found["kl_per_token"].value < found["kl"].value
    itself = estimates(drift.drift(task(settings, groups=groups, same=True)).items, drift.STATISTICS)
    assert itself["kl"].value == 0.0
    assert set(itself) >= {"words", "ended", "longest_repeat", "distinct_1", "distinct_2", "self_similarity"}


def test_another_tokenizer_has_no_kl_and_says_so():
    other = tiny_policy(tiny_llama(seed=1, vocab_size=300))
    other.tokenizer.add_tokens(["<new>"])
    found = drift.drift(
        task(drift.DriftSettings(prompts=2, max_new_tokens=4), groups=pairs(["a", "b"]), base_policy=other)
    )
    assert found.skipped == {"answers whose log-ratio is unknown": 2}
    assert all("kl" not in item.values for item in found.items)


def test_reading_a_text_gives_the_log_probability_of_every_token():
    policy = tiny_policy()
    rows = [tuple(range(5, 15)), (7,), tuple(range(40, 90))]
    whole = read(policy, rows)
    assert whole[1] == ([], [])
    for row, reading in zip(rows, whole, strict=True):
        alone = read(policy, [row])[0]
        assert reading.logp == pytest.approx(alone.logp, abs=1e-5)
        assert reading.top == alone.top
        assert len(reading.logp) == len(row) - 1


def test_forgetting_equals_hand_worked_values():
    items = [
        Item("a", "a", {}, {"nats": 3.0, "tokens": 2, "bytes": 4, "agreed": 1}),
        Item("b", "b", {}, {"nats": 5.0, "tokens": 2, "bytes": 6, "agreed": 2}),
    ]
    assert forgetting.perplexity(items) == pytest.approx(math.exp(2.0))
    assert forgetting.bits_per_byte(items) == pytest.approx(0.8 / math.log(2))
    assert forgetting.top_1_agreement(items) == 0.75
    assert math.isnan(forgetting.top_1_agreement([Item("a", "a", {}, {"nats": 1.0, "tokens": 1, "bytes": 1})]))


def test_a_model_agrees_with_itself_and_one_byte_is_one_token_here():
    found = forgetting.forgetting(
        task(forgetting.ForgettingSettings(), texts=["some text", "more of it", "x"], same=True)
    )
    assert found.skipped == {"texts of one token": 1}
    assert all(item.detail["agreed"] == item.detail["tokens"] == item.detail["bytes"] for item in found.items)
    assert [item.detail["tokens"] for item in found.items if item.detail["text"] == "some text"] == [8]
    assert estimates(found.items, forgetting.STATISTICS)["top_1_agreement"].value == 1.0
