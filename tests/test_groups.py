"""The nouns refuse what has no meaning, and say where."""

import dataclasses
import math

import pytest

from tropism import Edge, Label, PreferenceGroup, Response
from tropism.errors import DataError, TropismError
from tropism.groups import content_key, content_text


def group(**changes) -> PreferenceGroup:
    fields = {
        "id": "g",
        "prompts": ("Q",),
        "responses": (Response("a", "x"), Response("b", "y")),
        "edges": (Edge(0, 1),),
    }
    return PreferenceGroup(**(fields | changes))


def test_a_group_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        group().id = "other"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Edge(1, 1), "an edge must have two different responses, got 1 twice."),
        (lambda: Edge(0, 1, weight=-1.0), "an edge's weight must be finite and >= 0, got -1.0."),
        (lambda: Edge(0, 1, weight=math.inf), "an edge's weight must be finite and >= 0, got inf."),
        (lambda: Edge(0, 1, margin=math.nan), "an edge's margin must be finite, got nan."),
        (lambda: Edge(0, 1, prob=0.4), "an edge's prob must be in [0.5, 1], got 0.4."),
        (lambda: Label(0, True, weight=math.nan), "a label's weight must be finite and >= 0, got nan."),
        (lambda: Response("a", "x", score=math.inf), "the score of response 'a' must be finite, got inf."),
        (lambda: group(prompts=()), "group 'g' must have a prompt and a response, got 0 and 2."),
        (
            lambda: group(responses=(), edges=()),
            "group 'g' must have a prompt and a response, got 1 and 0.",
        ),
        (lambda: group(edges=(Edge(0, 2),)), "an edge of group 'g' points at response 2 of 2."),
        (lambda: group(labels=(Label(5, True),)), "a label of group 'g' points at response 5 of 2."),
        (lambda: group(split="test"), "the split of group 'g' must be 'train', 'eval' or None, got 'test'."),
        (lambda: group(responses=(Response("a", "x"), Response("a", "y"))), "two responses with one id."),
        (lambda: group(responses=(Response("a", "x", prompt=1), Response("b", "y"))), "points at prompt 1 of 1."),
    ],
)
def test_what_has_no_meaning_is_refused(make, message):
    with pytest.raises(DataError) as error:
        make()
    assert message in str(error.value)


def test_every_error_is_a_value_error_with_a_remedy():
    error = TropismError("It is so.", remedy="Do this.")
    assert isinstance(error, ValueError)
    assert (error.problem, error.remedy, str(error)) == ("It is so.", "Do this.", "It is so. Do this.")


def test_contents_have_keys_and_words():
    turns = ({"role": "user", "content": "Hi"}, {"content": "Yo", "role": "assistant"})
    assert content_key(turns) == content_key(({"content": "Hi", "role": "user"}, turns[1]))
    assert content_key("7") != content_key(7)
    assert [content_text(content) for content in (turns, "a", 7, None, ())] == ["Yo", "a", "7", "", ""]
