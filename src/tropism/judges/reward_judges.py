"""Judges with scores of a reward model, or of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from tropism.data import dialogues
from tropism.errors import DataError
from tropism.groups import Content, content_key, content_text
from tropism.ingest import Unusable, read_rows
from tropism.ingest.row_values import number
from tropism.judges.judge import ScoringJudge
from tropism.policies.base import Policy
from tropism.policies.reward import open_reward_model
from tropism.policies.rewards import answer_rewards

ANSWERS_AT_ONCE = 256


@final
@dataclass(frozen=True)
class RewardModel(ScoringJudge):
    """A reward model: the score of an answer is its reward.

    Args:
        name: how it was named.
        policy: the model.
    """

    name: str
    policy: Policy

    def scores(self, prompts: Sequence[Content], answers: Sequence[str]) -> list[float | None]:
        found: list[float | None] = []
        for start in range(0, len(prompts), ANSWERS_AT_ONCE):
            part = slice(start, start + ANSWERS_AT_ONCE)
            found += answer_rewards(self.policy, prompts[part], answers[part])
        return found

    def identity(self) -> str:
        """The name, with the identity of the weights."""
        return f"{self.name} {self.policy.fingerprint()}"


@final
@dataclass(frozen=True)
class RewardFile(ScoringJudge):
    """Scores from a file; an answer that is not in it has none.

    Args:
        name: how it was named.
        known: score by prompt (the key of its content, and of its text) and answer.
    """

    name: str
    known: Mapping[tuple[str, str], float]

    def scores(self, prompts: Sequence[Content], answers: Sequence[str]) -> list[float | None]:
        return [self._score(prompt, answer.strip()) for prompt, answer in zip(prompts, answers, strict=True)]

    def _score(self, prompt: Content, answer: str) -> float | None:
        """The score under the whole prompt, else under the text of its last turn."""
        whole = self.known.get((content_key(prompt), answer))
        return self.known.get((content_key(content_text(prompt)), answer)) if whole is None else whole


def load_reward_model(name: str) -> RewardModel:
    """Open `reward-model:FOLDER`.

    Raises:
        ModelError: if the folder holds none.
    """
    return RewardModel(name, open_reward_model(name.removeprefix("reward-model:")))


def load_reward_file(name: str) -> RewardFile:
    """Read `reward-file:FILE`: rows with `prompt` (text or messages), `answer` and `score`, higher is better.

    Raises:
        DataError: if the file is missing, a row lacks one of them, or an answer has two scores.
    """
    path = name.removeprefix("reward-file:")
    known: dict[tuple[str, str], float] = {}
    for row in read_rows(path):
        try:
            if row.problem:
                raise Unusable(row.problem)
            prompt = dialogues.content(row.values.get("prompt"), "prompt")
            answer = row.values.get("answer")
            if not isinstance(answer, str):
                raise Unusable("'answer' is not text")
            score = number(row.values.get("score"), "score")
        except Unusable as reason:
            raise DataError(
                f"row {row.number} of {path} is no score: {reason}.",
                remedy='Write {"prompt": ..., "answer": ..., "score": ...} per line.',
            ) from None
        key = (content_key(prompt), answer.strip())
        if known.setdefault(key, score) != score:
            raise DataError(
                f"row {row.number} of {path} gives {score} to an answer that has {known[key]} already.",
                remedy="Keep one score for each answer.",
            )
    if not known:
        raise DataError(f"{path} holds no scores.", remedy="Name a file that holds rows.")
    return RewardFile(name, known)
