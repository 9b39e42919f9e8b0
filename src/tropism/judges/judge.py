"""Who says which answer is better: the protocol of judges, rules in Python, and how a judge is named."""

from __future__ import annotations

import hashlib
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from tropism.errors import ConfigError, DataError
from tropism.functions import load_function
from tropism.groups import Content, PreferenceGroup, content_key, content_text

TIE = 1e-9
"""Scores closer than this are a tie, which counts one half."""


@dataclass(frozen=True)
class AnswerPair:
    """Two answers to one prompt."""

    prompt: Content
    first: str
    second: str

    def swapped(self) -> AnswerPair:
        """The same two answers in the other order."""
        return AnswerPair(self.prompt, self.second, self.first)


@dataclass(frozen=True)
class Verdict:
    """What became of a pair of answers.

    Args:
        first: preference for the first answer in [0, 1]; one half is a tie.
        scores: what the judge gave the first and the second answer, where it gives each a number.
        by_place: preference for the first answer where it was shown first, and where it was shown second; None where
            the judge sees no order.
        decided_by: `judge`, or `rule` where one of the answers is empty or repeats itself.
    """

    first: float
    scores: tuple[float, float] | None = None
    by_place: tuple[float, float] | None = None
    decided_by: str = "judge"

    def __post_init__(self) -> None:
        assert 0.0 <= self.first <= 1.0, f"a preference of {self.first}"


class Judge(ABC):
    """Compares answers.

    Attributes:
        name: how it was named.
    """

    name: str

    @abstractmethod
    def compare_all(
        self, answer_pairs: Sequence[AnswerPair], *, progress: Callable[[int], None] | None = None
    ) -> list[Verdict | None]:
        """A verdict for every answer_pair, None where the judge has none to give.

        Args:
            answer_pairs: the answers; use `tropism.judges.verdicts.decide`, by which degenerate ones never win.
            progress: called with the number of pairs of answers done since the last call.
        """

    def compare(self, prompt: Content, first: str, second: str) -> Verdict | None:
        """The verdict on a single answer_pair."""
        return self.compare_all([AnswerPair(prompt, first, second)])[0]

    def identity(self) -> str:
        """Equal where verdicts would be: the name, with a digest of the file that it names."""
        return self.name + _digest_of_file(self.name)

    def spent(self) -> str:
        """What judging has cost so far, in words; nothing where it is free."""
        return ""


class ScoringJudge(Judge):
    """A judge that gives every answer a number by itself, higher is better; it sees no order."""

    @abstractmethod
    def scores(self, prompts: Sequence[Content], answers: Sequence[str]) -> list[float | None]:
        """The number of each answer to its prompt; None where the judge has none."""

    def compare_all(
        self, answer_pairs: Sequence[AnswerPair], *, progress: Callable[[int], None] | None = None
    ) -> list[Verdict | None]:
        """Each distinct answer is scored once, however many pairs of answers it is in."""
        distinct = {
            (content_key(answer_pair.prompt), answer): answer_pair.prompt
            for answer_pair in answer_pairs
            for answer in (answer_pair.first, answer_pair.second)
        }
        found = self.scores(list(distinct.values()), [answer for _, answer in distinct])
        known = dict(zip(distinct, found, strict=True))
        verdicts: list[Verdict | None] = []
        for answer_pair in answer_pairs:
            key = content_key(answer_pair.prompt)
            verdicts.append(by_scores(known[key, answer_pair.first], known[key, answer_pair.second]))
        if progress:
            progress(len(answer_pairs))
        return verdicts


@final
@dataclass(frozen=True)
class RuleJudge(ScoringJudge):
    """A Python function from prompt and answer to a number, higher is better.

    Args:
        name: how it was named.
        function: from the prompt's and the answer's text to a finite number.
    """

    name: str
    function: Callable[[str, str], float]

    def scores(self, prompts: Sequence[Content], answers: Sequence[str]) -> list[float | None]:
        return [self.score(content_text(prompt), answer) for prompt, answer in zip(prompts, answers, strict=True)]

    def score(self, prompt: str, answer: str) -> float:
        """The judge's number for one answer.

        Raises:
            DataError: where the rule gives no finite number.
        """
        return _checked(self.name, lambda: self.function(prompt, answer), answer)


@final
@dataclass(frozen=True)
class PairRule(Judge):
    """A Python function from prompt, first and second answer to the preference for the first, asked in both orders.

    Args:
        name: how it was named.
        function: from the three texts to a number in [0, 1]; one half is a tie.
    """

    name: str
    function: Callable[[str, str, str], float]

    def compare_all(
        self, answer_pairs: Sequence[AnswerPair], *, progress: Callable[[int], None] | None = None
    ) -> list[Verdict | None]:
        verdicts = in_both_orders(
            answer_pairs,
            [self._prefer(one) for answer_pair in answer_pairs for one in (answer_pair, answer_pair.swapped())],
        )
        if progress:
            progress(len(answer_pairs))
        return verdicts

    def _prefer(self, answer_pair: AnswerPair) -> float:
        """The preference for the answer that stands first."""
        prompt = content_text(answer_pair.prompt)
        value = _checked(
            self.name, lambda: self.function(prompt, answer_pair.first, answer_pair.second), answer_pair.first
        )
        if not 0.0 <= value <= 1.0:
            raise DataError(
                f"judge {self.name} must return a preference in [0, 1], got {value} for the answer "
                f"{answer_pair.first[:60]!r}.",
                remedy="Return 1 where the first answer is better, 0 where the second is, 0.5 for a tie.",
            )
        return value


def by_scores(first: float | None, second: float | None) -> Verdict | None:
    """The verdict that two numbers stand for."""
    if first is None or second is None:
        return None
    preference = 0.5 if abs(first - second) < TIE else float(first > second)
    return Verdict(preference, scores=(first, second))


def in_both_orders(answer_pairs: Sequence[AnswerPair], preferences: Sequence[float | None]) -> list[Verdict | None]:
    """Verdicts from asking twice: the mean of both, so that a preference for a place cancels to a tie.

    Args:
        answer_pairs: as they were given.
        preferences: two for each pair of answers: for the answer shown first, in the given order and in the other.

    Example:
        >>> (verdict,) = in_both_orders([AnswerPair("p", "a", "b")], [1.0, 1.0])  # whichever stands first
        >>> verdict.first, verdict.by_place
        (0.5, (1.0, 0.0))
    """
    verdicts: list[Verdict | None] = []
    for place in range(len(answer_pairs)):
        there, back = preferences[2 * place : 2 * place + 2]
        if there is None or back is None:
            verdicts.append(None)
        else:
            verdicts.append(Verdict((there + 1 - back) / 2, by_place=(there, 1 - back)))
    return verdicts


def _checked(name: str, ask: Callable[[], float], answer: str) -> float:
    """A rule's number, or a plain error that names the answer it failed on."""
    remedy = "Make the rule return a finite number for every answer."
    try:
        value = float(ask())
    except Exception as error:
        raise DataError(
            f"judge {name} failed with {type(error).__name__}: {error} on the answer {answer[:60]!r}.", remedy=remedy
        ) from error
    if not math.isfinite(value):
        raise DataError(f"judge {name} gave {value} to the answer {answer[:60]!r}.", remedy=remedy)
    return value


def load_judge(name: str) -> Judge:
    """Load a judge by its name: a prefix of `JUDGES` and a path, or a rule, which is run as code.

    A rule is `file.py:function` or `module:function`. With two arguments (prompt, answer) it gives a number, higher is
    better; with three (prompt, first, second) the preference for the first, in [0, 1].

    Raises:
        ConfigError: where the file, module or function is not there.
    """
    for prefix, opener in JUDGES.items():
        if name.startswith(prefix):
            judge = _judge_function(opener)(name)
            assert isinstance(judge, Judge)
            return judge
    rule = _judge_function(name)
    if _num_arguments(rule) not in (2, 3):
        raise ConfigError(
            f"judge {name!r} must take (prompt, answer) or (prompt, first, second), got {_num_arguments(rule)} "
            "required arguments.",
            remedy="Correct its signature.",
        )
    return PairRule(name, rule) if _num_arguments(rule) == 3 else RuleJudge(name, rule)


def try_judge(judge: Judge, groups: Sequence[PreferenceGroup]) -> None:
    """Call a rule of the user's once, so that a wrong signature or result is found before anything is trained.

    Args:
        judge: any other judge than a rule is not called, since that may cost time or money.
        groups: held out; the first one with a prompt and a response is shown to the rule.

    Raises:
        DataError: if the rule fails.
    """
    if isinstance(judge, RuleJudge | PairRule):
        shown = (group for group in groups if group.responses and content_text(group.prompts[0]))
        group = next(shown, None)
        if group is not None:
            texts = [content_text(response.content) for response in (group.responses[0], group.responses[-1])]
            judge.compare_all([AnswerPair(group.prompts[0], *texts)])


def _judge_function(name: str) -> Callable[..., Any]:
    """The function that a judge's name names."""
    if ":" not in name:
        raise ConfigError(
            f"a judge is named `file.py:function`, `module:function` or {', '.join(f'`{p}...`' for p in JUDGES)}, "
            f"not {name!r}.",
            remedy="Add the function's name.",
        )
    return load_function(name, role="judge", remedy="Check the judge's name.")


def _digest_of_file(name: str) -> str:
    """A digest of the file in `PREFIX:FILE` or `FILE:FUNCTION`; nothing where there is none."""
    for path in (name.partition(":")[2], name.rpartition(":")[0]):
        if path and Path(path).is_file():
            return " " + hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return ""


def _num_arguments(rule: Callable[..., Any]) -> int:
    """How many arguments a function must be given by place."""
    try:
        parameters = inspect.signature(rule).parameters.values()
    except (TypeError, ValueError):  # some functions in C do not say
        return 2
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in by_place and one.default is inspect.Parameter.empty for one in parameters)


JUDGES = {
    "reward-model:": "tropism.judges.reward_judges:load_reward_model",
    "reward-file:": "tropism.judges.reward_judges:load_reward_file",
    "choices:": "tropism.judges.human_judge:load_choices",
    "endpoint:": "tropism.judges.endpoint_judge:load_endpoint_judge",
}
"""Prefix of a judge's name to the function that opens it, given the whole name; loaded only where it is asked for."""
