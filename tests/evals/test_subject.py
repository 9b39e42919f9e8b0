"""Subjects: answers stay on disk as they come, and log-probabilities are those of the policy."""

import pytest

from tropism.errors import ConfigError
from tropism.evals.core.answer_store import Answer
from tropism.evals.core.subject import Subject, policy_subject
from tropism.groups import Edge, PreferenceGroup, Response
from tropism.testing import pairs, tiny_llama, tiny_policy

SETTINGS = {"num_answers": 2, "temperature": 1.0, "max_new_tokens": 8, "seed": 3}


class CountingWriter:
    """Writes the prompt and a number, and may break down on one prompt."""

    def __init__(self, breaks_on=None):
        self.asked = []
        self.breaks_on = breaks_on

    def write(self, prompts, *, num_answers, temperature, max_new_tokens, seed, finished):
        for index, prompt in enumerate(prompts):
            if prompt == self.breaks_on:
                raise KeyboardInterrupt
            self.asked.append(prompt)
            finished(index, [Answer(f"{prompt}{k}") for k in range(num_answers)])


def subject(writer, **settings):
    return Subject("fake", "f" * 40, policy=None, writer=writer, **settings)


def test_answers_on_disk_are_not_written_again():
    writer = CountingWriter()
    seen = []
    assert subject(writer).answers(["a", "b", "a"], **SETTINGS) == [["a0", "a1"], ["b0", "b1"], ["a0", "a1"]]
    assert subject(writer).answers(["b", "c"], **SETTINGS, progress=seen.append) == [["b0", "b1"], ["c0", "c1"]]
    assert writer.asked == ["a", "b", "c"]
    assert sum(seen) == 2


def test_other_settings_and_fresh_subjects_write_anew():
    writer = CountingWriter()
    subject(writer).answers(["a"], **SETTINGS)
    subject(writer).answers(["a"], **SETTINGS | {"seed": 4})
    fresh = subject(writer, fresh=True)
    fresh.answers(["a"], **SETTINGS)
    fresh.answers(["a"], **SETTINGS)
    assert writer.asked == ["a", "a", "a"]


def test_what_was_finished_before_an_interruption_is_found_again():
    broken = CountingWriter(breaks_on="c")
    with pytest.raises(KeyboardInterrupt):
        subject(broken).answers(["a", "b", "c", "d"], **SETTINGS)
    writer = CountingWriter()
    assert len(subject(writer).answers(["a", "b", "c", "d"], **SETTINGS)) == 4
    assert writer.asked == ["c", "d"]


def test_a_policys_answers_are_its_own_and_come_back_with_their_tokens():
    policy = tiny_policy()
    found = policy_subject("tiny", policy).drawn(["a", "b"], **SETTINGS)
    rows = policy.sample([policy.renderer.prompt_ids(prompt) for prompt in "ab"], **SETTINGS)
    assert [[answer.ids for answer in row] for row in found] == rows
    assert policy_subject("tiny", policy).drawn(["a", "b"], **SETTINGS) == found


def test_a_fingerprint_tells_weights_and_templates_apart():
    one, same = (policy_subject(name, tiny_policy()).fingerprint for name in ("a", "b"))
    assert one == same
    assert policy_subject("a", tiny_policy(tiny_llama(seed=1))).fingerprint != one
    assert policy_subject("a", tiny_policy(template="dialogue")).fingerprint != one


def test_log_probabilities_come_for_every_response_that_feedback_speaks_of():
    policy = tiny_policy()
    extra = PreferenceGroup(
        "x", ("q",), (Response("a", "one"), Response("b", "two"), Response("c", "three")), (Edge(0, 2),)
    )
    too_long = PreferenceGroup("y", ("q" * 200,), (Response("a", "1"), Response("b", "2")), (Edge(0, 1),))
    found = policy_subject("tiny", policy).logp([*pairs(["a"]), extra, too_long])
    assert [one is None for one in found[1]] == [False, True, False]
    assert found[2] == [None, None]
    (rendered,), _ = policy.prepare(pairs(["a"]))
    (batch,) = policy.collate([rendered], tokens_per_batch=10_000)
    expected = policy.score(policy.model, batch).policy.tolist()
    assert [one.nats for one in found[0]] == pytest.approx(expected, abs=1e-4)
    assert [one.tokens for one in found[0]] == [response.num_scored for response in rendered.responses]


def test_no_log_probabilities_come_from_behind_an_endpoint():
    with pytest.raises(ConfigError, match="fake gives no log-probabilities of given texts"):
        subject(CountingWriter()).logp(pairs(["a"]))


def test_a_prompt_without_room_for_an_answer_is_cut_at_a_turn_from_its_left():
    policy = tiny_policy()
    turns = tuple(
        {"role": role, "content": f"{number} {'x' * 80}"}
        for number in range(3)
        for role in ("user", "assistant")
    )[:-1]  # fmt: skip
    start = policy.tokenizer.decode(policy.start_of(turns, max_new_tokens=100))
    assert start.startswith("<|user|>2 x")
    assert policy.start_of(turns[:1], max_new_tokens=100) == policy.renderer.prompt_ids(turns[:1])
    assert len(policy.start_of("x" * 1000, max_new_tokens=100)) == policy.context - 100
