"""Win rates: paired answers, a judge, and what may not be mistaken for quality."""

import contextlib

import numpy as np
import pytest

from tropism.evals.core.answer_store import Answer
from tropism.evals.core.eval_folder import EvalFolder
from tropism.evals.core.items import Item, Task
from tropism.evals.core.subject import Subject
from tropism.evals.core.suite import load_suite
from tropism.evals.core.suite_run import Material, run_suite
from tropism.evals.preference.strengths import strengths_table
from tropism.evals.preference.win_rate import WinRateSettings, win_rate
from tropism.judges.judge import PairRule, RuleJudge
from tropism.testing import pairs

LOOP = "and then and then and then and then and then and then"
GOOD = RuleJudge("good", lambda prompt, answer: answer.count("good"))
LONG = RuleJudge("long", lambda prompt, answer: len(answer))
PROMPTS = [f"prompt number {n}" for n in range(60)]


@contextlib.contextmanager
def silent(title, total):
    yield lambda count: None


class Written:
    """Answers that a function of the prompt gives."""

    def __init__(self, answer):
        self.answer = answer

    def write(self, prompts, *, num_answers, temperature, max_new_tokens, seed, finished):
        for index, prompt in enumerate(prompts):
            finished(index, [Answer(self.answer(prompt)) for _ in range(num_answers)])


def subject(name, answer, folder):
    return Subject(name, name.ljust(40, "0"), policy=None, writer=Written(answer), folder=folder)


def measured(folder, answer, base_answer, judge, **settings):
    model, base = subject("model", answer, folder), subject("base", base_answer, folder)
    chosen = WinRateSettings(**settings)
    return [win_rate(Task(one, base, pairs(PROMPTS), (), judge, chosen, 0, silent)) for one in (base, model)]


def number(prompt):
    return int(prompt.split()[-1])


def mean(found, metric):
    return np.mean([item.values[metric] for item in found.items])


def test_the_rate_equals_hand_worked_values(tmp_path):
    def ours(prompt):
        return "good" if number(prompt) % 3 else "bad words"  # better on 40 of 60

    base, model = measured(tmp_path, ours, lambda p: "bad words" if number(p) % 2 else "good", GOOD)
    wins = [(n % 3 != 0) - (n % 2 == 0) for n in range(60)]
    assert mean(model, "rate") == np.mean([(w + 1) / 2 for w in wins])
    assert mean(model, "ties") == wins.count(0) / 60
    assert mean(model, "judge_score") == 40 / 60
    assert mean(base, "rate") == 0.5
    assert mean(base, "judge_score") == 0.5
    assert {item.id for item in base.items} == {item.id for item in model.items}
    assert base.metrics["length_controlled"].value == 0.5


def test_a_judge_of_length_is_exposed_on_a_merely_longer_model(tmp_path):
    def padded(prompt):
        return base_text(prompt) + " and so on, and so forth, as was said before" * (1 + number(prompt) % 3)

    def base_text(prompt):
        return " ".join(f"word{k * 7 % 10}" for k in range(10 + number(prompt) % 20))

    _, model = measured(tmp_path, padded, base_text, LONG)
    assert mean(model, "rate") == 1.0
    assert model.metrics["length_controlled"].value == 0.5
    assert any("preferred the longer answer every time" in note for note in model.notes)


def test_a_better_model_of_equal_length_keeps_its_rate(tmp_path):
    rng = np.random.default_rng(0)
    extra = rng.integers(-30, 30, 60)

    def ours(prompt):
        return ("good" if number(prompt) % 4 else "poor") + "!" * (40 + extra[number(prompt)])

    _, model = measured(tmp_path, ours, lambda prompt: ("fair" if number(prompt) % 4 else "good") + "!" * 40, GOOD)
    assert mean(model, "rate") == 0.75
    assert model.metrics["length_controlled"].value == pytest.approx(0.75, abs=0.02)
    assert not any("length" in note for note in model.notes)


def test_an_empty_or_repeated_answer_never_wins_in_a_suite(tmp_path):
    base, model = measured(
        tmp_path, lambda prompt: LOOP * 3 if number(prompt) % 2 else "", lambda prompt: "Short.", LONG
    )
    assert mean(model, "rate") == 0.0
    assert mean(model, "degenerate") == 1.0
    assert mean(base, "degenerate") == 0.0
    assert "60 of 60 comparisons have an empty or looping answer and were decided by rule." in model.notes


def test_a_judge_that_prefers_a_place_is_reported_with_interval_and_n(tmp_path):
    judge = PairRule("first", lambda prompt, first, second: 1.0)
    _, model = measured(tmp_path, lambda prompt: "one", lambda prompt: "two", judge)
    assert mean(model, "rate") == 0.5
    assert model.metrics["flips"].value == 1.0
    assert model.metrics["flips"].n == 60
    assert any(note.startswith("The judge prefers whichever answer stands first: 100%") for note in model.notes)


def test_a_suite_compares_win_rates_by_mcnemars_test_and_orders_three_models(tmp_path):
    (tmp_path / "suite.yaml").write_text("evals: [win_rate: {num_answers: 2}]\n")
    base = subject("base", lambda prompt: "good" if number(prompt) % 2 else "bad", tmp_path)
    best = subject("best", lambda prompt: "good good" if number(prompt) % 5 else "bad", tmp_path)
    worst = subject("worst", lambda prompt: "bad" if number(prompt) % 5 else "good", tmp_path)
    outcome = run_suite(
        load_suite(str(tmp_path / "suite.yaml")),
        [best, worst],
        base=base,
        material=Material(pairs(PROMPTS), judge=GOOD),
        folder=EvalFolder(tmp_path / "out"),
        progress=silent,
    )
    found = {(one.model, one.metric): one for one in outcome.comparisons}
    rate = found["best", "rate"]
    assert rate.before.value == 0.5
    assert rate.difference.value == pytest.approx(rate.after.value - 0.5)
    assert rate.p_adjusted < 0.01
    assert rate.after.n == 120
    assert found["worst", "rate"].difference.high < 0
    assert found["best", "length_controlled"].before.value == 0.5
    (table,) = outcome.results[0].matrices
    strength = {name: cells[0] for name, cells in zip(table.rows, table.cells, strict=True)}
    assert strength["best"].low > strength["base"].high
    assert strength["base"].value > strength["worst"].value
    assert strength["best"].n == 240
    assert outcome.left_out == {}


def item(name, *, rate=0.5, score=None, degenerate=0.0):
    values = {"rate": rate, "degenerate": degenerate} | ({} if score is None else {"judge_score": score})
    return Item(id=name, cluster=name, values=values)


def test_strengths_equal_hand_worked_values():
    rates = [1.0] * 3 + [0.0]  # three of four against the base, and so is the other model
    by_model = {
        "base": [item(str(n)) for n in range(4)],
        "a": [item(str(n), rate=rate) for n, rate in enumerate(rates)],
        "b": [item(str(n), rate=rate) for n, rate in enumerate(rates)],
    }
    (table,) = strengths_table(by_model, "base")
    values = [cells[0].value for cells in table.cells]
    assert values == pytest.approx([-2 / 3 * np.log(3), np.log(3) / 3, np.log(3) / 3], abs=1e-6)
    assert table.cells[0][1].value == pytest.approx(1000 - 400 / np.log(10) * 2 / 3 * np.log(3))
    assert strengths_table({"base": by_model["base"], "a": by_model["a"]}, "base") == []


def test_models_meet_each_other_where_the_judge_gives_scores_and_loops_never_win():
    by_model = {
        "base": [item("0", score=1.0), item("1", score=1.0)],
        "a": [item("0", score=2.0, rate=1.0), item("1", score=9.0, rate=0.0, degenerate=1.0)],
        "b": [item("0", score=3.0, rate=1.0), item("1", score=0.0, rate=0.0)],
    }
    (table,) = strengths_table(by_model, "base")
    value = {name: cells[0].value for name, cells in zip(table.rows, table.cells, strict=True)}
    assert value["b"] > value["base"] > value["a"]  # 3 wins of 4, 2 of 4, 1 of 4
    assert {cells[0].n for cells in table.cells} == {4}


def test_a_loop_counts_as_lost_although_its_score_is_higher(tmp_path):
    _, model = measured(tmp_path, lambda prompt: LOOP, lambda prompt: "Short.", LONG)
    assert LONG.score("p", LOOP) > LONG.score("p", "Short.")
    assert mean(model, "rate") == 0.0
    assert mean(model, "lost") == 1.0


def test_a_looping_answer_keeps_no_win_and_keeps_the_judges_score(tmp_path):
    def ours(prompt):
        return LOOP if number(prompt) % 2 else "yy"

    base, model = measured(tmp_path, ours, lambda prompt: "Short." if number(prompt) % 2 else "x", LONG)
    scores = {item.detail["answer"]: item.values["judge_score"] for item in model.items}
    assert scores == {LOOP: len(LOOP), "yy": 2}
    assert {item.detail["answer"]: item.values["judge_score"] for item in base.items} == {"Short.": 6, "x": 1}
    assert {item.detail["answer"]: item.values["rate"] for item in model.items} == {LOOP: 0.0, "yy": 1.0}
    assert mean(model, "rate") == 0.5


def test_a_judge_without_scores_is_not_asked_about_a_looping_answer(tmp_path):
    asked = []
    judge = PairRule("first", lambda p, a, b: asked.append((a, b)) or 1.0)
    _, model = measured(tmp_path, lambda prompt: LOOP, lambda prompt: "Short.", judge)
    assert mean(model, "lost") == 1.0
    assert not asked


@pytest.mark.parametrize("seed", range(5))
def test_swapping_the_models_mirrors_the_win_rate(tmp_path, seed):
    rng = np.random.default_rng(seed)
    sides = [dict(zip(PROMPTS, rng.choice(["good", "bad", "good good", LOOP, ""], 60), strict=True)) for _ in range(2)]
    first, second = (lambda prompt, side=side: str(side[prompt]) for side in sides)
    (_, there), (_, back) = (
        measured(tmp_path / name, one, two, GOOD)
        for name, one, two in (("there", first, second), ("back", second, first))
    )
    mirrored = {item.id: 1.0 - item.values["rate"] for item in back.items}
    assert {item.id: item.values["rate"] for item in there.items} == mirrored
    assert mean(there, "rate") + mean(back, "rate") == pytest.approx(1.0, abs=1e-12)
    assert (mean(there, "won"), mean(there, "ties")) == (mean(back, "lost"), mean(back, "ties"))
    assert 0.0 < mean(there, "ties") < 1.0


def test_the_win_rate_of_four_prompts_equals_the_hand_worked_value(tmp_path):
    after = {0: "good", 1: "bad", 2: "good", 3: "good good"}  # scores 1, 0, 1, 2 against 0, 1, 1, 0

    def ours(prompt):
        return after[number(prompt) % 4]

    def theirs(prompt):
        return "good" if number(prompt) % 4 in (1, 2) else "bad"

    _, model = measured(tmp_path, ours, theirs, GOOD)
    assert mean(model, "rate") == (1 + 0 + 0.5 + 1) / 4
    assert mean(model, "ties") == 0.25
    assert mean(model, "judge_score") == 1.0


def test_every_model_keeps_its_own_score(tmp_path):
    base, model = measured(tmp_path, lambda prompt: "yy", lambda prompt: "x", LONG)
    assert (mean(base, "judge_score"), mean(model, "judge_score")) == (1, 2)


def test_a_preference_without_scores_counts_as_won(tmp_path):
    judge = PairRule("long", lambda p, a, b: float(len(a) > len(b)))
    _, model = measured(tmp_path, lambda prompt: "bb", lambda prompt: "a", judge)
    assert mean(model, "won") == mean(model, "rate") == 1.0
    assert all("judge_score" not in item.values for item in model.items)


def test_comparisons_without_a_verdict_are_skipped_and_counted(tmp_path):
    (tmp_path / "s.jsonl").write_text(
        "".join(f'{{"prompt": "{PROMPTS[0]}", "answer": "{one}", "score": 1}}\n' for one in ("a", "b"))
    )
    from tropism.judges.reward_judges import load_reward_file

    judge = load_reward_file(f"reward-file:{tmp_path}/s.jsonl")
    _, model = measured(tmp_path, lambda prompt: "a", lambda prompt: "b", judge)
    assert len(model.items) == 1
    assert list(model.skipped.values()) == [59]


def test_won_tied_and_lost_add_up_and_a_tie_counts_as_half_in_the_rate(tmp_path):
    _, model = measured(
        tmp_path, lambda p: "good" if number(p) % 3 else "bad", lambda p: "good" if number(p) % 2 else "bad", GOOD
    )
    won, ties, lost = (mean(model, name) for name in ("won", "ties", "lost"))
    assert won + ties + lost == pytest.approx(1.0)
    assert mean(model, "rate") == pytest.approx(won + ties / 2)
