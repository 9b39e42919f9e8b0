"""The forum's true preference (taste): the readers' score of an answer, computed exactly from question and answer.

The parser knows every sentence of the forum, so nothing is estimated. Votes are noisy observations of this score.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from tropism.applications.quickstart.language import PLANTS, PROBLEMS, SENTENCES, every_question

REWARDS = {"kind": 1.2, "fix": 1.4, "why": 0.5, "cheer": 0.5, "joke": 0.1, "ask": 0.1}
SECOND_FIX_REWARD = 0.6
PENALTIES = {"rude": 1.8, "offtopic": 1.2, "ramble": 1.0, "vague": 0.6, "wrong": 1.2, "broken": 1.5}
REPEATED_SENTENCE_PENALTY = 1.0
WRONG_PLANT_PENALTY = 1.0
FREE_WORDS = 40
PENALTY_PER_WORD = 0.04

SENTENCE_BREAK = re.compile(r"(?<=[.!?])\s+")


class Topic(NamedTuple):
    """What a question is about."""

    plant: str
    problem: str


class Meaning(NamedTuple):
    """The meaning of a sentence: its move, its problem, and the plant that it names."""

    move: str
    problem: str | None
    plant: str | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The analysis of an answer.

    Args:
        moves: the move of each sentence in order; `wrong` is advice for another problem, `broken` an unknown sentence.
        broken: the unknown sentences; an empty answer is one of them.
        num_repeated: sentences that repeat an earlier one of the same answer.
        num_wrong_plants: sentences that name another plant than the question.
        num_distinct_fixes: different pieces of matching advice.
        num_words: words of the whole answer.
        taste: the readers' score; its maximum is about 4.3.
    """

    moves: tuple[str, ...]
    broken: tuple[str, ...]
    num_repeated: int
    num_wrong_plants: int
    num_distinct_fixes: int
    num_words: int
    taste: float

    @property
    def parses(self) -> bool:
        """Whether every sentence is one that the forum knows."""
        return not self.broken

    @property
    def on_topic(self) -> bool:
        """Whether a cause or a remedy matches the problem, no other plant is named, and every sentence is known."""
        return self.parses and not self.num_wrong_plants and bool({"why", "fix"} & set(self.moves))

    @property
    def is_wrong(self) -> bool:
        """Whether the answer gives advice for another problem or names another plant."""
        return "wrong" in self.moves or self.num_wrong_plants > 0


def score(prompt: str, answer: str) -> float:
    """The taste of an answer to a prompt, with the signature of a rule judge.

    Args:
        prompt: a question exactly as the forum asks it.
        answer: any text.

    Raises:
        ValueError: if the question is not one of the forum's.

    Example:
        >>> score("Help, slugs are eating my peas!", "Sorry to hear about your peas.")
        1.2
    """
    return diagnose(prompt, answer).taste


def taste(question_or_key: str, answer: str) -> float:
    """The taste of an answer to a question, or to the key `plant|problem` of one.

    Example:
        >>> taste("peas|slugs", "Slugs come out at night when the soil is wet.")
        0.5
    """
    return score(question_or_key, answer)


def diagnose(question: str, answer: str) -> Diagnosis:
    """Split an answer into known sentences and score them.

    Args:
        question: a question exactly as the forum asks it, or the key `plant|problem` of one.
        answer: any text; surrounding blanks are ignored.

    Raises:
        ValueError: if the question is not one of the forum's.

    Example:
        >>> found = diagnose("Help, slugs are eating my peas!", "Poor beans, but all is not lost. Do something.")
        >>> found.moves, found.broken, found.num_wrong_plants, found.on_topic
        (('kind', 'broken'), ('Do something.',), 1, False)
    """
    topic = _topic_of(question)
    sentences = SENTENCE_BREAK.split(answer.strip())
    meanings = [known_sentences().get(sentence) for sentence in sentences]
    moves = tuple(_move(meaning, topic) for meaning in meanings)
    num_repeated = len(sentences) - len(set(sentences))
    num_wrong_plants = sum(meaning is not None and meaning.plant not in (None, topic.plant) for meaning in meanings)
    num_distinct_fixes = len({s for s, move in zip(sentences, moves, strict=True) if move == "fix"})
    num_words = len(answer.split())
    return Diagnosis(
        moves=moves,
        broken=tuple(s for s, meaning in zip(sentences, meanings, strict=True) if meaning is None),
        num_repeated=num_repeated,
        num_wrong_plants=num_wrong_plants,
        num_distinct_fixes=num_distinct_fixes,
        num_words=num_words,
        taste=_praise(moves, num_distinct_fixes) - _blame(moves, num_repeated, num_wrong_plants, num_words),
    )


def _topic_of(question_or_key: str) -> Topic:
    """The plant and the problem of a question, or of the key `plant|problem`.

    Raises:
        ValueError: if the question is not one of the forum's.
    """
    topic = known_questions().get(question_or_key.strip())
    if topic is None:
        raise ValueError(
            f"the forum never asks {question_or_key[:120]!r}, so an answer to it has no taste. Take questions from "
            "tropism.applications.quickstart.forum.simulate_posts, or a key such as 'peas|slugs'."
        )
    return topic


@cache
def known_questions() -> dict[str, Topic]:
    """Every question, and every key `plant|problem`, with what it is about."""
    topics = {question.text: Topic(question.plant, question.problem) for question in every_question()}
    topics.update({f"{plant}|{problem}": Topic(plant, problem) for plant in PLANTS for problem in PROBLEMS})
    return topics


@cache
def known_sentences() -> dict[str, Meaning]:
    """Every sentence of the forum, plants filled in, with its meaning."""
    known: dict[str, Meaning] = {}
    for sentence, move, problem in _templates():
        for plant in PLANTS if "{p}" in sentence else (None,):
            known[sentence.format(p=plant)] = Meaning(move, problem, plant)
    return known


def _templates() -> Iterator[tuple[str, str, str | None]]:
    """Every sentence as written in the tables, its move, and its problem if it has one."""
    for move, sentences in SENTENCES.items():
        yield from ((sentence, move, None) for sentence in sentences)
    for problem, words in PROBLEMS.items():
        yield from ((sentence, "why", problem) for sentence in words.why)
        yield from ((sentence, "fix", problem) for sentence in words.fix)


def _move(meaning: Meaning | None, topic: Topic) -> str:
    """The move of a sentence in an answer on this topic."""
    if meaning is None:
        return "broken"
    return meaning.move if meaning.problem in (None, topic.problem) else "wrong"


def _praise(moves: Sequence[str], num_distinct_fixes: int) -> float:
    """The rewards: each move once, and a second remedy."""
    second = SECOND_FIX_REWARD if num_distinct_fixes > 1 else 0.0
    return sum(reward for move, reward in REWARDS.items() if move in moves) + second


def _blame(moves: Sequence[str], num_repeated: int, num_wrong_plants: int, num_words: int) -> float:
    """The penalties, per sentence and per word."""
    counts = Counter(moves)
    return (
        sum(penalty * counts[move] for move, penalty in PENALTIES.items())
        + REPEATED_SENTENCE_PENALTY * num_repeated
        + WRONG_PLANT_PENALTY * num_wrong_plants
        + PENALTY_PER_WORD * max(0, num_words - FREE_WORDS)
    )
