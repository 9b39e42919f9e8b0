"""A model's own answers as groups, and what a judge makes of them."""

import contextlib
import json
from collections import Counter

import pytest

from tropism.errors import ConfigError, DataError
from tropism.evals.core.answer_store import Answer
from tropism.evals.core.subject import Subject, policy_subject
from tropism.groups import content_key
from tropism.judges.judge import PairRule, RuleJudge, Verdict
from tropism.sampling.judged_edges import Pairing, best_against_worst, edge_of, with_edges
from tropism.sampling.on_policy import Draws, group_of_answers, sample_groups
from tropism.sampling.prompt_files import prompts_of, read_prompts
from tropism.testing import pairs, tiny_policy

LOOP = "so and so and so and so and so and so and so and so and so"
BY_LENGTH = RuleJudge("length", lambda prompt, answer: float(len(answer)))


@contextlib.contextmanager
def silent(title, total):
    yield lambda count: None


class Scripted:
    """Writes what it was told to."""

    def __init__(self, script):
        self.script = script
        self.asked = []

    def write(self, prompts, *, num_answers, temperature, max_new_tokens, seed, finished):
        for index, prompt in enumerate(prompts):
            self.asked.append(prompt)
            finished(index, [Answer(text) for text in self.script[content_key(prompt)][:num_answers]])


def scripted(script, folder):
    writer = Scripted({content_key(prompt): answers for prompt, answers in script})
    return Subject("scripted", "f" * 40, policy=None, writer=writer, folder=folder), writer


def prompts_file(folder, *rows):
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_answers_become_groups_and_every_row_is_accounted_for(tmp_path):
    path = prompts_file(
        tmp_path, {"prompt": "Q"}, {"prompt": "R", "id": 7}, {"prompt": "Q"}, {"prompt": ""}, {"prompt": "S"}
    )
    subject, _ = scripted([("Q", ["a", "b b", "a", ""]), ("R", ["", " "]), ("S", ["same", "same"])], tmp_path)
    found = sample_groups(subject, read_prompts(path), draws=Draws(), progress=silent)
    assert [[r.content for r in group.responses] for group in found.groups] == [["a", "b b"], ["same"]]
    account = found.card.account
    assert (account.rows_read, account.rows_used, account.groups, account.responses) == (5, 3, 2, 3)
    assert account.dropped == {"'prompt' is empty": 1, "every answer is empty": 1}
    assert account.notes == {
        "empty answers, dropped": 3,
        "equal answers, merged": 2,
        "rows that ask a prompt again": 1,
        "prompts with one distinct answer": 1,
    }
    assert found.card.rule == "4 answers of scripted to each prompt, temperature 0.8, at most 256 tokens, seed 0"


def test_a_judge_turns_untied_pairs_into_edges(tmp_path):
    subject, _ = scripted([("Q", ["aaa", "a", "bbb"])], tmp_path)
    asked = read_prompts(prompts_file(tmp_path, {"prompt": "Q"}))
    found = sample_groups(subject, asked, draws=Draws(3), progress=silent, judge=BY_LENGTH)
    (group,) = found.groups
    assert [(edge.winner, edge.loser, edge.weight, edge.margin, edge.prob) for edge in group.edges] == [
        (0, 1, 1.0, 0.0, 1.0),
        (2, 1, 1.0, 0.0, 1.0),
    ]
    assert [response.score for response in group.responses] == [3.0, 1.0, 3.0]
    assert found.card.account.notes == {"pairs that tie": 1}
    assert found.card.confounds["chosen_longer"].value == 1.0
    assert found.card.rule.endswith("judge length: all pairs that are no tie, weight one, margin none")


def test_gaps_become_weights_and_margins(tmp_path):
    subject, _ = scripted([("Q", ["aaaa", "a"])], tmp_path)
    asked = read_prompts(prompts_file(tmp_path, {"prompt": "Q"}))
    pairing = Pairing(weight="gap", margin="gap")
    found = sample_groups(subject, asked, draws=Draws(2), progress=silent, judge=BY_LENGTH, pairing=pairing)
    assert [(edge.weight, edge.margin) for edge in found.groups[0].edges] == [(3.0, 3.0)]


def test_an_answer_that_repeats_itself_never_wins_though_the_judge_likes_it(tmp_path):
    subject, _ = scripted([("Q", [LOOP, "short"])], tmp_path)
    asked = read_prompts(prompts_file(tmp_path, {"prompt": "Q"}))
    found = sample_groups(
        subject, asked, draws=Draws(2), progress=silent, judge=BY_LENGTH, pairing=Pairing(weight="gap")
    )
    assert [(edge.winner, edge.loser, edge.weight) for edge in found.groups[0].edges] == [(1, 0, 1.0)]
    assert found.card.account.notes == {"answers that repeat themselves, which never win": 1}


def test_a_judge_that_prefers_a_place_decides_nothing_and_is_reported(tmp_path):
    subject, _ = scripted([(f"Q{n}", ["one", "two"]) for n in range(20)], tmp_path)
    asked = read_prompts(prompts_file(tmp_path, *({"prompt": f"Q{n}"} for n in range(20))))
    judge = PairRule("first", lambda prompt, first, second: 1.0)
    found = sample_groups(subject, asked, draws=Draws(2), progress=silent, judge=judge)
    assert not any(group.edges for group in found.groups)
    assert found.flips is not None
    assert found.flips.value == 1.0
    assert "prefers whichever answer stands first: 100% [84%, 100%] (n = 20)" in found.notes[0]


def test_best_against_worst_is_one_edge_between_the_ends():
    verdicts = {(0, 1): Verdict(0.0), (0, 2): Verdict(0.75), (1, 2): Verdict(1.0)}
    assert list(best_against_worst(verdicts)) == [(1, 2)]
    assert best_against_worst({}) == {}
    group = group_of_answers("Q", ["x", "y", "z"], source="m")
    (edge,) = with_edges(group, verdicts, Pairing(pairs="best-worst")).edges
    assert (edge.winner, edge.loser) == (1, 2)


def test_a_preference_that_is_not_unanimous_is_a_soft_label():
    edge = edge_of(0, 1, Verdict(0.25), Pairing(weight="gap"))
    assert (edge.winner, edge.loser, edge.prob, edge.weight) == (1, 0, 0.75, 0.5)


def test_what_was_drawn_is_never_drawn_again(tmp_path):
    script = [("Q", ["a", "b"]), ("R", ["c", "d"])]
    first, writer = scripted(script, tmp_path)
    sample_groups(first, read_prompts(prompts_file(tmp_path, {"prompt": "Q"})), draws=Draws(2), progress=silent)
    again, later = scripted(script, tmp_path)
    asked = read_prompts(prompts_file(tmp_path, {"prompt": "Q"}, {"prompt": "R"}))
    sample_groups(again, asked, draws=Draws(2), progress=silent)
    assert (writer.asked, later.asked) == (["Q"], ["R"])


def test_a_policy_samples_its_own_groups_and_the_same_again(tmp_path):
    policy = tiny_policy(template="chat")
    asked = prompts_of(pairs(["one", "two"]), source="pairs")
    draws = Draws(3, temperature=1.0, max_new_tokens=6)
    one = sample_groups(policy_subject("tiny", policy), asked, draws=draws, progress=silent, judge=BY_LENGTH)
    two = sample_groups(policy_subject("tiny", policy, fresh=True), asked, draws=draws, progress=silent)
    assert [[r.content for r in g.responses] for g in one.groups] == [
        [r.content for r in g.responses] for g in two.groups
    ]
    assert policy.prepare(one.groups)[1].dropped == {}


def test_a_plain_template_keeps_the_blank_between_prompt_and_answer(tmp_path):
    policy = tiny_policy(template="plain")
    space = policy.tokenizer.encode(" b", add_special_tokens=False)

    class Spaced(Scripted):
        def write(self, prompts, *, finished, **settings):
            finished(0, [Answer("b", tuple(space))])

    subject = Subject("spaced", "e" * 40, policy=policy, writer=Spaced({}), folder=tmp_path)
    asked = prompts_of(pairs(["one"]), source="pairs")
    found = sample_groups(subject, asked, draws=Draws(1), progress=silent)
    assert found.groups[0].responses[0].content == " b"


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "Q"}, "Q"),
        ({"prompt": [{"role": "user", "content": "Q"}]}, ({"role": "user", "content": "Q"},)),
        ({"messages": [{"role": "user", "content": "Q"}]}, ({"role": "user", "content": "Q"},)),
        (
            {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]},
            ({"role": "user", "content": "Q"},),
        ),
        ({"prompt": "Q", "chosen": "a", "rejected": "b"}, "Q"),
        ({"prompt": "Q", "completion": "a"}, "Q"),
        ({"instruction": "Q", "output": "a"}, ({"role": "user", "content": "Q"},)),
        ({"prompt": "\n\nHuman: Q\n\nAssistant:"}, ({"role": "user", "content": "Q"},)),
    ],
)
def test_prompts_come_from_any_form(tmp_path, row, prompt):
    assert read_prompts(prompts_file(tmp_path, row)).contents == (prompt,)


def test_rows_without_a_prompt_are_counted_and_a_file_of_them_is_an_error(tmp_path):
    rows = [{"prompt": "Q"}, {"prompt": 3}, {"prompt": "Q", "tools": [{"name": "f"}]}]
    found = read_prompts(prompts_file(tmp_path, *rows))
    assert Counter(found.dropped).total() == 2
    assert found.examples["tools or template arguments, which sampling does not write"] == ["3"]
    with pytest.raises(DataError, match="holds no prompt that can be answered"):
        read_prompts(prompts_file(tmp_path, {"prompt": ""}))
    with pytest.raises(DataError, match="fit no form"):
        read_prompts(prompts_file(tmp_path, {"question": "Q"}))


def test_equal_answers_are_refused_before_they_are_drawn():
    with pytest.raises(ConfigError, match="temperature 0 gives 4 equal answers"):
        Draws(temperature=0)
