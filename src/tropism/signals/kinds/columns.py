"""The names of the columns that hold a signal, one class for each kind; a column has one role."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from tropism.errors import ConfigError


@dataclass(frozen=True)
class SignalColumns:
    """The columns of a table of feedback: each field is a role, and its value the name of a column.

    Raises:
        ConfigError: if one column has two roles.
    """

    def __post_init__(self) -> None:
        refuse_shared(self.given())

    def given(self) -> dict[str, str]:
        """The roles that have a column, in the order of the fields."""
        roles = {field.name: getattr(self, field.name) for field in fields(self)}
        return {role: name for role, name in roles.items() if isinstance(name, str)}

    def renamed(self) -> list[str]:
        """The roles whose column has another name than usual."""
        return [field.name for field in fields(self) if getattr(self, field.name) != field.default]


@dataclass(frozen=True)
class VoteColumns(SignalColumns):
    """The columns of a table of votes, one answer a row.

    Args:
        prompt: the text that was answered.
        response: the text of the answer.
        score: its votes, up minus down.
        group: the key of the thread; None puts answers to equal prompts together.
        time: when the answer was written: ISO 8601 (UTC if it names no zone) or seconds since 1970.
        author: who wrote it.
        accepted: whether the asker accepted the answer (true, false, 1, 0).
        prompt_score: the votes of the prompt itself.

    Raises:
        ConfigError: if one column is given twice.
    """

    prompt: str = "prompt"
    response: str = "response"
    score: str = "score"
    group: str | None = None
    time: str | None = None
    author: str | None = None
    accepted: str | None = None
    prompt_score: str | None = None


@dataclass(frozen=True)
class RatingColumns(SignalColumns):
    """The columns of a table of ratings, one rating of one answer a row.

    Args:
        prompt, response, group, time, author: as in `VoteColumns`.
        score: a column of numbers, or each rated aspect with its weight, > 0. If a row lacks an aspect, the others of
            the row share its weight. None is the column `score`.
    """

    prompt: str = "prompt"
    response: str = "response"
    score: str | Mapping[str, float] | None = None
    group: str | None = None
    time: str | None = None
    author: str | None = None

    def __post_init__(self) -> None:
        roles = super().given()
        refuse_shared({role: name for role, name in roles.items() if role != "score"})
        if not self.aspects:
            raise ConfigError("`score` must name at least one column.", remedy="Name a column of numbers.")
        check_weights(self.aspects)

    @property
    def aspects(self) -> Mapping[str, float]:
        """Every rated aspect with its weight."""
        if self.score is None or isinstance(self.score, str):
            return {self.score or "score": 1.0}
        return self.score

    def given(self) -> dict[str, str]:
        """The roles that have a column; aspects are called `score 0`, `score 1`, ..."""
        roles = {role: name for role, name in super().given().items() if role != "score"}
        return roles | {f"score {place}": name for place, name in enumerate(self.aspects)}

    def renamed(self) -> list[str]:
        """The roles whose column has another name than usual; aspects are no columns in a file of another tool."""
        return [role for role in super().renamed() if role != "score"]


@dataclass(frozen=True)
class RankingColumns(SignalColumns):
    """The columns of a table of rankings, one ranked answer a row; the smallest rank is the best, equal ranks are ties.

    Args:
        prompt, response, group, time, author: as in `VoteColumns`.
        rank: the answer's rank.
        annotator: who ranked; answers are compared within one annotator's ranking.
    """

    prompt: str = "prompt"
    response: str = "response"
    rank: str = "rank"
    group: str | None = None
    time: str | None = None
    author: str | None = None
    annotator: str | None = None


@dataclass(frozen=True)
class LabelColumns(SignalColumns):
    """The columns of a table of thumbs, one judgement of one answer a row.

    Args:
        prompt, response, group, time, author: as in `VoteColumns`.
        label: up or down: true, false, 1, 0, -1, up, down, good, bad, yes, no.
    """

    prompt: str = "prompt"
    response: str = "response"
    label: str = "label"
    group: str | None = None
    time: str | None = None
    author: str | None = None


@dataclass(frozen=True)
class ChoiceColumns(SignalColumns):
    """The columns of a table of choices, one judgement of one pair a row.

    Args:
        prompt, group: as in `VoteColumns`.
        response_a, response_b: the texts of both answers.
        choice: `a`, `b`, `tie`, `both_bad` or `skip` (and the usual other words for them).
        annotator: who chose.
        source_a, source_b: which model or person wrote each answer, for a table of strengths.
    """

    prompt: str = "prompt"
    response_a: str = "response_a"
    response_b: str = "response_b"
    choice: str = "choice"
    group: str | None = None
    annotator: str | None = None
    source_a: str | None = None
    source_b: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.source_a is None) != (self.source_b is None):
            given, missing = ("source_a", "source_b") if self.source_b is None else ("source_b", "source_a")
            raise ConfigError(
                f"`{given}` has no effect without `{missing}`: the sources of both answers are needed.",
                remedy=f"Name the column of the other source with `{missing}`, or omit both.",
            )


def check_weights(aspects: Mapping[str, float]) -> None:
    """Refuse a weight that is not above 0.

    Raises:
        ConfigError: naming the aspect.
    """
    for name, weight in aspects.items():
        if not 0 < weight < math.inf:
            raise ConfigError(
                f"the weight of {name!r} in `score` must be a number above 0, got {weight}.",
                remedy="Omit the aspect to give it no weight.",
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
            first, second = (one.split()[0] for one in (roles[name], role))
            raise ConfigError(
                f"`{first}` and `{second}` both name the column {name!r}.",
                remedy=f"Give `{second}` another column or, if it is optional, omit it.",
            )
        roles[name] = role
