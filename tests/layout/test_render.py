"""Token ids of prompts and responses: exact boundary, EOS, cutting, and what is dropped is counted."""

import pytest

from tropism.errors import ConfigError, DataError, ModelError
from tropism.groups import Edge, Label, PreferenceGroup, Response
from tropism.layout.forest import num_distinct_tokens
from tropism.testing import byte_tokenizer, pair, tiny_policy
from tropism.text.prepared import require_groups
from tropism.text.render import Renderer, RenderRules


def renderer(**rules) -> Renderer:
    return Renderer(byte_tokenizer(), RenderRules(**{"max_tokens": 64, "min_response_tokens": 4, **rules}))


def decoded(renderer: Renderer, ids) -> str:
    return renderer.tokenizer.decode(ids)


def turns(*texts: str):
    return tuple({"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts))


def test_text_is_rendered_as_it_is_with_eos():
    (group,), account = renderer().render([pair("a", "Q: 1+1?", " 2", " 3")])
    one = renderer()
    assert decoded(one, group.prompts[0]) == "Q: 1+1?"
    assert [decoded(one, response.ids) for response in group.responses] == [" 2<|end|>", " 3<|end|>"]
    assert all(response.complete and all(response.scored) for response in group.responses)
    assert (account.rows_read, account.rows_used, account.edges) == (1, 1, 1)


def test_messages_go_through_the_chat_template_whose_end_is_not_doubled():
    group = PreferenceGroup(
        "a", (turns("Hi"),), (Response("w", turns("x", "Yo")[1:]), Response("l", "No")), (Edge(0, 1),)
    )
    one = renderer()
    (rendered,), _ = one.render([group])
    assert decoded(one, rendered.prompts[0]) == "<|user|>Hi<|end|><|assistant|>"
    assert [decoded(one, response.ids) for response in rendered.responses] == ["Yo<|end|>", "No<|end|>"]


def test_a_text_prompt_becomes_a_user_turn_where_the_recipe_asks_for_chat():
    one = renderer(template="chat")
    assert decoded(one, one.prompt_ids("Hi")) == "<|user|>Hi<|end|><|assistant|>"


def test_a_plain_dialogue_marks_turns():
    one = renderer(template="dialogue")
    assert (
        decoded(one, one.prompt_ids(turns("Hi", "Yo", "And?")))
        == "\n\nHuman: Hi\n\nAssistant: Yo\n\nHuman: And?\n\nAssistant:"
    )
    (group,), _ = one.render([pair("a", "Hi", "Yo", "No")])
    assert decoded(one, group.responses[0].ids) == " Yo<|end|>"


@pytest.mark.parametrize("template", ["auto", "dialogue"])
def test_only_assistant_turns_are_scored_in_a_dialogue(template):
    response = turns("", "one", "two", "three")[1:]
    one = renderer(template=template)
    (group,), _ = one.render([PreferenceGroup("a", (turns("Hi"),), (Response("r", response),))])
    (rendered,) = group.responses
    scored = decoded(one, [i for i, flag in zip(rendered.ids, rendered.scored, strict=True) if flag])
    unscored = decoded(one, [i for i, flag in zip(rendered.ids, rendered.scored, strict=True) if not flag])
    assert "one" in scored
    assert "three" in scored
    assert "two" not in scored
    assert "two" in unscored
    assert "one" not in unscored
    assert rendered.scored[-1]


def test_a_long_prompt_is_cut_from_the_left_at_a_turn_and_keeps_the_system_turn():
    prompt = ({"role": "system", "content": "S"}, *turns("a" * 30, "b" * 30, "last"))
    group = PreferenceGroup("a", (prompt,), (Response("w", "yes"), Response("l", "no")), (Edge(0, 1),))
    one = renderer()
    (rendered,), account = one.render([group])
    assert decoded(one, rendered.prompts[0]) == "<|system|>S<|end|><|user|>last<|end|><|assistant|>"
    assert account.notes["prompts cut from the left at a turn"] == 1


def test_a_long_response_is_cut_and_carries_no_eos():
    (group,), account = renderer(max_tokens=20).render([pair("a", "0123456789", "w" * 30, "l")])
    assert [len(response.ids) for response in group.responses] == [10, 2]
    assert [response.complete for response in group.responses] == [False, True]
    assert 1 not in group.responses[0].ids
    assert account.notes["responses cut on the right, without EOS"] == 1


def test_a_group_whose_responses_would_fall_below_the_minimum_is_dropped_and_counted():
    rendered, account = renderer(max_tokens=12).render([pair("a", "0123456789", "long enough", "x")])
    assert rendered == []
    reason = "prompt leaves less than 4 of 12 tokens"
    assert account.dropped == {reason: 1}
    assert account.examples[reason] == ["a"]


def test_a_pair_that_cutting_made_equal_is_dropped_and_counted():
    rendered, account = renderer(max_tokens=20).render([pair("a", "0123456789", "w" * 30 + "1", "w" * 30 + "2")])
    assert rendered == []
    assert account.dropped == {"every pair became the same tokens": 1}


def test_responses_without_feedback_are_not_rendered():
    group = PreferenceGroup("a", ("Q",), (Response("0", "a"), Response("1", "b"), Response("2", "c")), (Edge(2, 1),))
    (rendered,), account = renderer().render([group])
    assert (rendered.edges[0].winner, rendered.edges[0].loser) == (1, 0)
    assert account.notes["responses without feedback, not rendered"] == 1


def test_keep_renumbers_edges_and_labels():
    group = PreferenceGroup(
        "a", ("Q",), tuple(Response(str(i), "abc"[i]) for i in range(3)), (Edge(0, 2), Edge(1, 2)), (Label(2, True),)
    )
    (rendered,), _ = renderer().render([group])
    kept = rendered.keep([False, True, True])
    assert [(edge.winner, edge.loser) for edge in kept.edges] == [(0, 1)]
    assert [label.response for label in kept.labels] == [1]


def test_prompts_are_the_same_tokens_for_every_response_and_for_generation():
    one = renderer()
    (group,), _ = one.render([pair("a", "ends in a space ", "x", " y")])
    assert group.prompts[0] == one.prompt_ids("ends in a space ")


def test_distinct_tokens_are_the_nodes_of_the_tries():
    # prompt 1 byte; "ab" + end and "ac" + end share one token: 1 + 3 + 3 - 1
    (group,), _ = renderer().render([pair("a", "Q", "ab", "ac")])
    assert num_distinct_tokens([group]) == 6


def test_response_keys_tell_prompts_and_responses_apart():
    one = renderer()
    (first, second), _ = one.render([pair("a", "Qx", "ab", "c"), pair("b", "Q", "xab", "c")])
    keys = {group.response_key(response) for group in (first, second) for response in group.responses}
    assert len(keys) == 4


def test_rows_may_pass_arguments_to_the_template():
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = (
        "{{ mood }}|{{ tools | length if tools else 0 }}|{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    one = Renderer(tokenizer, RenderRules(max_tokens=64, min_response_tokens=4))
    extra = {"tools": [{"type": "function"}], "chat_template_kwargs": {"mood": "calm"}}
    group = PreferenceGroup("a", (turns("Hi"),), (Response("r", "Yo"),), extra=extra)
    (rendered,), _ = one.render([group])
    assert decoded(one, rendered.prompts[0]) == "calm|1|Hi"


def test_a_template_that_rewrites_the_prompt_is_refused():
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}"
    one = Renderer(tokenizer, RenderRules(max_tokens=64, min_response_tokens=4))
    with pytest.raises(ModelError, match="rewrites what comes before a response"):
        one.render([PreferenceGroup("a", (turns("Hi"),), (Response("r", "Yo"),))])


def test_a_tokenizer_without_an_end_is_refused():
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="names no end-of-sequence token"):
        Renderer(tokenizer, RenderRules())


def test_plain_refuses_messages_and_unknown_names_are_errors():
    with pytest.raises(DataError, match="'plain' writes text, not messages"):
        renderer(template="plain").prompt_ids(turns("Hi"))
    with pytest.raises(ConfigError, match="must be one of auto, chat, dialogue, plain"):
        renderer(template="fancy").prompt_ids("Hi")


def test_texts_that_meet_without_a_blank_are_counted():
    _, account = renderer().render([pair("a", "Q?", "A", "B"), pair("b", "Q ", "A", "B"), pair("c", "Q", " A", " B")])
    assert account.notes["prompts with nothing between them and the response"] == 1


def test_nothing_left_is_an_error_with_reasons():
    rules = RenderRules(max_tokens=12, min_response_tokens=4)
    rendered, account = Renderer(byte_tokenizer(), rules).render([pair("a", "0123456789", "long enough", "x")])
    with pytest.raises(DataError) as error:
        require_groups(rendered, account, what="training")
    assert "1 x prompt leaves less than 4 of 12 tokens." in str(error.value)


def test_a_tokenizer_that_marks_the_start_of_a_text_is_continued_without_the_mark(real_data):
    from tropism.policies.loading import load_tokenizer

    tokenizer = load_tokenizer(str(real_data / "models" / "stories260K"))
    one = Renderer(tokenizer, RenderRules(max_tokens=128, min_response_tokens=4))
    (group,), _ = one.render([pair("a", "Once upon", " a time", "\n\nNo")])
    assert group.prompts[0][0] == tokenizer.bos_token_id
    whole = tokenizer("Once upon a time").input_ids
    assert [*group.prompts[0], *group.responses[0].ids] == [*whole, tokenizer.eos_token_id]
    assert tokenizer.decode(group.prompts[0] + group.responses[1].ids, skip_special_tokens=True) == "Once upon\n\nNo"


def test_policy_answers_do_not_depend_on_the_order_of_prompts_when_greedy():
    policy = tiny_policy()
    settings = {"temperature": 0.0, "max_new_tokens": 8, "seed": 0}
    there = policy.generate(["a", "bcd", "ef"], **settings)
    back = policy.generate(["ef", "bcd", "a"], **settings)
    assert there == back[::-1]


def test_a_response_ends_with_the_stop_that_its_template_writes():
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|turn|>\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    one = Renderer(tokenizer, RenderRules(max_tokens=64, min_response_tokens=4))
    turn = tokenizer.convert_tokens_to_ids("<|turn|>")
    assert one.stops == {1, turn}
    (group,), _ = one.render([PreferenceGroup("a", (turns("Hi"),), (Response("r", "yes"),))])
    assert decoded(one, group.responses[0].ids) == "yes<|turn|>"
    assert all(group.responses[0].scored)
    dialogue = turns("", "one", "two", "three")[1:]
    (long,), _ = one.render([PreferenceGroup("b", (turns("Hi"),), (Response("r", dialogue),))])
    (response,) = long.responses
    scored = decoded(one, [i for i, flag in zip(response.ids, response.scored, strict=True) if flag])
    assert scored == "one<|turn|>three<|turn|>"


def test_a_special_token_in_the_data_is_dropped_and_counted():
    rendered, account = renderer().render([pair("a", "Hi", "good<|end|>!!", "bad"), pair("b", "Hi", "good", "bad")])
    assert [group.group.id for group in rendered] == ["b"]
    assert account.dropped == {"a text holds the special token '<|end|>'": 1}


def test_a_row_has_no_say_in_the_template():
    for name in ("chat_template", "tokenize", "add_generation_prompt"):
        group = PreferenceGroup("a", (turns("Hi"),), (Response("r", "x"),), extra={"chat_template_kwargs": {name: "x"}})
        rendered, account = renderer().render([group])
        assert rendered == []
        assert account.dropped == {f"chat_template_kwargs must not set {name!r}": 1}
