"""The names of the columns that hold a signal, one class for each kind; a column has one role."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tropism.errors import ConfigError


@dataclass(frozen=True)
class VoteColumns:
    """The columns of a table of votes, one answer a row.

    Args:
        prompt: the text that was answered.
        response: the text of the answer.
        score: its votes, up minus down.
        group: the key of the thread; without it, answers to one prompt text belong together.
        time: when the answer was written: ISO 8601 (UTC where it names no zone) or seconds since 1970.
        author: who wrote it.
        accepted: whether the asker accepted the answer (true, false, 1, 0).
        prompt_score: the votes of the prompt itself.

    Raises:
        ConfigError: where one column is given twice.
    """

    prompt: str
    response: str
    score: str
    group: str | None = None
    time: str | None = None
    author: str | None = None
    accepted: str | None = None
    prompt_score: str | None = None

    def __post_init__(self) -> None:
        refuse_shared(self.given())

    def given(self) -> dict[str, str]:
        """The roles that have a column, in the order of the fields."""
        return _given(self)


@dataclass(frozen=True)
class RatingColumns:
    """The columns of a table of ratings, one rating of one answer a row.

    Args:
        prompt, response, group, time, author: as in `VoteColumns`.
        aspects: column of each aspect to its weight, > 0; a missing aspect leaves its weight to the others of its row.
    """

    prompt: str
    response: str
    aspects: Mapping[str, float]
    group: str | None = None
    time: str | None = None
    author: str | None = None

    def __post_init__(self) -> None:
        refuse_shared(self.given())
        if not self.aspects:
            raise ConfigError("ratings need at least one column of numbers.", remedy="Name it with --score.")
        check_weights(self.aspects)

    def given(self) -> dict[str, str]:
        """The roles that have a column; aspects are called `score 0`, `score 1`, ..."""
        return _given(self) | {f"score {place}": name for place, name in enumerate(self.aspects)}


@dataclass(frozen=True)
class RankingColumns:
    """The columns of a table of rankings, one ranked answer a row; the smallest rank is the best, equal ranks are ties.

    Args:
        prompt, response, group, time, author: as in `VoteColumns`.
        rank: the answer's place.
        annotator: who ranked; answers are compared within one annotator's ranking.
    """

    prompt: str
    response: str
    rank: str
    group: str | None = None
    time: str | None = None
    author: str | None = None
    annotator: str | None = None

    def __post_init__(self) -> None:
        refuse_shared(self.given())

    def given(self) -> dict[str, str]:
        """The roles that have a column."""
        return _given(self)


@dataclass(frozen=True)
class LabelColumns:
    """The columns of a table of thumbs, one judgement of one answer a row.

    Args:
        prompt, response, group, time, author: as in `VoteColumns`.
        label: up or down: true, false, 1, 0, -1, up, down, good, bad, yes, no.
    """

    prompt: str
    response: str
    label: str
    group: str | None = None
    time: str | None = None
    author: str | None = None

    def __post_init__(self) -> None:
        refuse_shared(self.given())

    def given(self) -> dict[str, str]:
        """The roles that have a column."""
        return _given(self)


@dataclass(frozen=True)
class ChoiceColumns:
    """The columns of a table of choices, one judgement of one pair a row.

    Args:
        prompt, group: as in `VoteColumns`.
        first, second: the texts of both answers.
        choice: what was said: `a`, `b`, `tie`, `both_bad` or `skip` (and the usual other words for them).
        annotator: who said it.
        first_source, second_source: which model or person wrote each answer, for a table of strengths.
    """

    prompt: str
    first: str
    second: str
    choice: str
    group: str | None = None
    annotator: str | None = None
    first_source: str | None = None
    second_source: str | None = None

    def __post_init__(self) -> None:
        refuse_shared(self.given())
        if (self.first_source is None) != (self.second_source is None):
            raise ConfigError(
                "the sources of both answers are needed, or of none.", remedy="Give --source-a and --source-b."
            )

    def given(self) -> dict[str, str]:
        """The roles that have a column."""
        return _given(self)


Columns: TypeAlias = VoteColumns | RatingColumns | RankingColumns | ChoiceColumns | LabelColumns

OPTIONS = {
    "first": "response-a",
    "second": "response-b",
    "first_source": "source-a",
    "second_source": "source-b",
    "prompt_score": "prompt-score",
}
"""Roles whose option on the command line has another name."""


def check_weights(aspects: Mapping[str, float]) -> None:
    """Refuse a weight that is not above 0.

    Raises:
        ConfigError: naming the aspect.
    """
    for name, weight in aspects.items():
        if not 0 < weight < math.inf:
            raise ConfigError(
                f"the weight of the aspect {name!r} must be a number above 0, not {weight}.",
                remedy="Leave the aspect away to give it no weight.",
            )


def aspects_in_words(aspects: Mapping[str, float]) -> str:
    """Which ratings count, for the card.

    Example:
        >>> aspects_in_words({"helpful": 2.0, "kind": 1.0})
        'rated by the mean of helpful (2), kind (1)'
    """
    return "rated by the mean of " + ", ".join(f"{name} ({weight:g})" for name, weight in aspects.items())


def refuse_shared(given: Mapping[str, str]) -> None:
    """Refuse one column in two roles.

    Raises:
        ConfigError: naming both.
    """
    roles: dict[str, str] = {}
    for role, name in given.items():
        if name in roles:
            first, second = (OPTIONS.get(one, one.split()[0]) for one in (roles[name], role))
            raise ConfigError(
                f"--{first} and --{second} both name the column {name!r}.",
                remedy=f"Give --{second} a column of its own or, where it may, leave it away.",
            )
        roles[name] = role


def _given(columns: object) -> dict[str, str]:
    """The fields of a class of columns that hold a name."""
    fields = {role: getattr(columns, role) for role in columns.__dataclass_fields__}  # type: ignore[attr-defined]
    return {role: name for role, name in fields.items() if isinstance(name, str)}
