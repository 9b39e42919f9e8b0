"""The flat rows that every reader of foreign files yields: feedback, what is none, and what cannot be used.

A content is plain text, or the JSON text of the turns of a dialogue; `prompt_is_json` and `response_is_json` say which.
`number` is the record's place in its file, from 1: several rows of one record share it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Verdict: TypeAlias = Literal["a", "b", "tie", "both_bad", "skip"]


class AnswerRow(NamedTuple):
    """An answer to a question, with its votes.

    Args:
        number: of the record.
        prompt: title and body of the question, Markdown.
        response: Markdown.
        group: the question's key.
        score: votes, up minus down.
        time: when it was written, in seconds since 1970 (UTC unless the file names a zone); None if unknown.
        author: key of who wrote it; None if unknown.
        accepted: whether the person who asked accepted it.
        by_asker: whether the person who asked wrote it.
    """

    number: int
    prompt: str
    response: str
    group: str
    score: float
    time: float | None
    author: str | None
    accepted: bool
    by_asker: bool


class RankRow(NamedTuple):
    """A response with its place in one ranking.

    Args:
        number: of the record.
        prompt: what was answered.
        response: the answer.
        group: key of the ranking's group; every annotator of a group ranks its responses anew.
        rank: 0 or more, the best is least; equal ranks are ties.
        annotator: who ranked; None if the file does not say.
        prompt_is_json: whether `prompt` is the JSON text of a dialogue.
        response_is_json: whether `response` is.
    """

    number: int
    prompt: str
    response: str
    group: str
    rank: int
    annotator: str | None = None
    prompt_is_json: bool = False
    response_is_json: bool = False


class RatingRow(NamedTuple):
    """A response with the number that one annotator gave it; both contents are plain text.

    Args:
        number: of the record.
        prompt: what was answered.
        response: the answer.
        group: key of the prompt.
        aspect: what was rated, by the name of its question.
        score: the number that was given.
        annotator: who gave it; None if the file does not say.
    """

    number: int
    prompt: str
    response: str
    group: str
    aspect: str
    score: float
    annotator: str | None = None


class ChoiceRow(NamedTuple):
    """What one annotator said of two responses.

    Args:
        number: of the record.
        prompt: what was answered.
        response_a: one answer; which is a and which is b does not depend on the annotator or on the sides of a page.
        response_b: the other.
        choice: the better one, or `tie`, `both_bad`, `skip`.
        annotator: who chose; None if the file does not say.
        group: key of the prompt.
        seconds: how long it took; None if unknown.
        source_a: key of what wrote a, such as a model; None if unknown.
        source_b: of what wrote b.
        time: when it was chosen, in seconds since 1970; None if unknown.
        shown_first: which of the two stood first; None if unknown.
        prompt_is_json: whether `prompt` is the JSON text of a dialogue.
        response_is_json: whether both responses are.
    """

    number: int
    prompt: str
    response_a: str
    response_b: str
    choice: Verdict
    annotator: str | None
    group: str
    seconds: float | None = None
    source_a: str | None = None
    source_b: str | None = None
    time: float | None = None
    shown_first: Literal["a", "b"] | None = None
    prompt_is_json: bool = False
    response_is_json: bool = False


class Aside(NamedTuple):
    """A record that was read but is not itself feedback, such as a question that others answer."""

    number: int
    kind: str


class Refused(NamedTuple):
    """A record that cannot be used, with one of a small number of reasons, so that records can be counted by it."""

    number: int
    reason: str


Feedback: TypeAlias = AnswerRow | RankRow | RatingRow | ChoiceRow
