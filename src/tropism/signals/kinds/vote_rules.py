"""Which of two answers to one prompt people preferred, judged by their votes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar

from ibis import Table
from ibis.expr.types import BooleanValue, NumericValue

from tropism.errors import ConfigError
from tropism.signals.engines.engine import rows
from tropism.signals.engines.expressions import is_times, leads_by
from tropism.signals.parameter_checks import require_number, require_share


@dataclass(frozen=True, kw_only=True)
class VoteRule(ABC):
    """What every rule can require in addition to its own condition.

    Args:
        later: the winner was written after the loser, because early answers collect votes by being seen.
        min_score: fewest votes of either answer; None for no limit.
        length_match: largest difference of the logarithms of both lengths in characters; None for no limit.
    """

    reads: ClassVar[tuple[str, ...]] = ()
    """Optional columns that this rule reads and others do not."""

    later: bool = False
    min_score: float | None = None
    length_match: float | None = None

    def __post_init__(self) -> None:
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise ConfigError(f"`min_score` must be a finite number, got {self.min_score}.", remedy="Omit it.")
        require_number("length_match", self.length_match, above=0)

    @property
    def needs_time(self) -> bool:
        """Whether answers without a time cannot be used."""
        return self.later

    @property
    def grows(self) -> bool:
        """Whether a pair passes whenever a pair with a smaller lead does."""
        return not self.later and self.min_score is None and self.length_match is None

    def fitted(self, answers: Table) -> VoteRule:
        """The rule with the statistics that it takes from all answers."""
        return self

    def level(self, answers: Table) -> NumericValue:
        """What is compared: more is better. Columns `score`, and `accepted` if it is known."""
        return answers.score

    def passes(self, pairs: Table) -> BooleanValue:
        """True for the pairs to keep.

        Columns, each as `winner_` and `loser_`: `level`, `score`, `time`, `length`. The winner's level is higher.
        """
        passed = self.prefers(pairs)
        if self.later:
            passed &= pairs.winner_time > pairs.loser_time
        if self.min_score is not None:
            passed &= (pairs.winner_score >= self.min_score) & (pairs.loser_score >= self.min_score)
        if self.length_match is not None:
            passed &= (pairs.winner_length / pairs.loser_length).ln().abs() <= self.length_match
        return passed

    @abstractmethod
    def prefers(self, pairs: Table) -> BooleanValue:
        """The rule's own condition."""

    @abstractmethod
    def __str__(self) -> str:
        """The rule in words, for the card."""

    def limits(self) -> str:
        """What is required in addition to the rule's own condition, in words."""
        parts = []
        if self.later:
            parts.append("was written later")
        if self.min_score is not None:
            parts.append(f"both have at least {self.min_score:g}")
        if self.length_match is not None:
            parts.append(f"their lengths differ by a factor of at most {math.exp(self.length_match):.2f}")
        return "".join(f", and {part}" for part in parts)


@dataclass(frozen=True)
class GapRule(VoteRule):
    """The answer with more votes is preferred if it leads by enough.

    Args:
        min_gap: smallest lead, in votes, > 0.

    Example:
        >>> str(GapRule(min_gap=2))
        'gap: the winner leads by at least 2'
    """

    min_gap: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.min_gap) and self.min_gap > 0):
            raise ConfigError(
                f"`min_gap` must be a number above 0, got {self.min_gap}.", remedy="Use 1, one vote, for every lead."
            )

    def __str__(self) -> str:
        return f"gap: the winner leads by at least {self.min_gap:g}{self.limits()}"

    def prefers(self, pairs: Table) -> BooleanValue:
        return leads_by(pairs.winner_level, pairs.loser_level, self.min_gap)


@dataclass(frozen=True)
class LeadRule(VoteRule):
    """Every lead counts: for ratings, whose numbers are people's answers and do not depend on exposure.

    Example:
        >>> str(LeadRule())
        'lead: the better rated is preferred'
    """

    def __str__(self) -> str:
        return f"lead: the better rated is preferred{self.limits()}"

    def prefers(self, pairs: Table) -> BooleanValue:
        return pairs.winner_level > pairs.loser_level


@dataclass(frozen=True)
class RatioRule(VoteRule):
    """The answer with a multiple of the other's votes is preferred.

    Args:
        min_ratio: smallest quotient of the votes, >= 1.
        min_score: fewest votes of either answer; 1, because a quotient of no votes has no meaning.

    Example:
        >>> str(RatioRule(min_ratio=3))
        'ratio: the winner has at least 3 times the votes, and both have at least 1'
    """

    min_ratio: float = 2.0
    min_score: float | None = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("min_ratio", self.min_ratio, least=1)
        require_number("min_score", self.min_score, above=0)

    def __str__(self) -> str:
        return f"ratio: the winner has at least {self.min_ratio:g} times the votes{self.limits()}"

    def prefers(self, pairs: Table) -> BooleanValue:
        return is_times(pairs.winner_score, pairs.loser_score, self.min_ratio)


@dataclass(frozen=True)
class ShpRule(VoteRule):
    """The rule of Stanford Human Preferences: more votes in less time.

    The winner was written later than the loser or at the same time, and has `min_ratio` times its votes; both were
    voted on at all.

    Args:
        min_ratio: smallest quotient of the votes, >= 1; 2 is what the data set's authors train on.
        min_score: fewest votes of either answer, >= 0.
        min_gap: smallest lead, in votes; equal votes never make a pair.
        min_prompt_score: fewest votes of the prompt itself, if a column holds them; None is 10.

    Reference: Ethayarajh et al. 2022, arXiv:2110.08420; data card of stanfordnlp/SHP.

    Example:
        >>> str(ShpRule())
        'shp: the winner came later or at the same time with at least 2 times the votes, both have at least 2'
    """

    min_ratio: float = 2.0
    min_score: float | None = field(default=2.0, kw_only=True)
    min_gap: float = 0.0
    min_prompt_score: float | None = None

    reads = ("prompt_score",)

    def __post_init__(self) -> None:
        if self.later:
            raise ConfigError("`later` has no effect on the rule shp: its winner is never earlier.", remedy="Omit it.")
        require_number("min_ratio", self.min_ratio, least=1)
        require_number("min_score", self.min_score, least=0)
        require_number("min_gap", self.min_gap, least=0)
        super().__post_init__()

    def __str__(self) -> str:
        gap = f", and it leads by at least {self.min_gap:g}" if self.min_gap else ""
        match = replace(self, min_score=None).limits()
        return (
            f"shp: the winner came later or at the same time with at least {self.min_ratio:g} times the votes, "
            f"both have at least {self.min_score:g}{gap}{match}"
        )

    @property
    def least_prompt_score(self) -> float:
        """Fewest votes of the prompt itself."""
        return 10.0 if self.min_prompt_score is None else self.min_prompt_score

    @property
    def needs_time(self) -> bool:
        return True

    @property
    def grows(self) -> bool:
        return False

    def prefers(self, pairs: Table) -> BooleanValue:
        return (
            (pairs.winner_time >= pairs.loser_time)
            & is_times(pairs.winner_score, pairs.loser_score, self.min_ratio)
            & leads_by(pairs.winner_score, pairs.loser_score, self.min_gap)
        )


@dataclass(frozen=True)
class Log2Rule(VoteRule):
    """Votes on a scale of doublings, with a bonus for the answer that the asker accepted.

    An answer's level is round(log2(1 + votes)), plus 1 if it was accepted, and -1 for negative votes; equal levels
    make no pair.

    Args:
        min_gap: smallest lead, in levels.

    Reference: Askell et al. 2021, arXiv:2112.00861, appendix C.1; data card of stack-exchange-preferences.

    Example:
        >>> str(Log2Rule())
        'log2: the winner leads by at least 1 doubling of the votes, an accepted answer counts one more'
    """

    min_gap: float = 1.0

    reads = ("accepted",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("min_gap", self.min_gap, above=0)

    def __str__(self) -> str:
        doublings = f"{self.min_gap:g} doubling{'s' if self.min_gap > 1 else ''}"
        return (
            f"log2: the winner leads by at least {doublings} of the votes, an accepted answer counts one more"
            f"{self.limits()}"
        )

    def level(self, answers: Table) -> NumericValue:
        doublings = (answers.score.clip(lower=0) + 1).log2().round().cast("float64")
        if "accepted" in answers.columns:
            doublings += answers.accepted.fill_null(0).cast("float64")
        return (answers.score < 0).ifelse(-1.0, doublings)

    def prefers(self, pairs: Table) -> BooleanValue:
        return leads_by(pairs.winner_level, pairs.loser_level, self.min_gap)


@dataclass(frozen=True)
class QuantileRule(VoteRule):
    """The rule of LLUMI: the best of a whole community against its worst, under one prompt.

    The winner's votes lie in the top share of all answers, the loser's in the bottom share. The bounds are the
    smallest votes that so large a share of all answers does not exceed; answers on a bound are in.

    Args:
        high: share of all answers that may win, in (0, 1).
        low: share of all answers that may lose, in (0, 1).
        min_gap: smallest lead, in votes.
        high_at, low_at: the bounds in votes; found in the data.

    Reference: LLUMI, arXiv:2605.30273 (shares and gap second-hand). It does not say which answers the shares are taken
    over; here they are taken over all usable answers.

    Example:
        >>> str(QuantileRule())
        'quantile: the winner is in the top 2 %, the loser in the bottom 15 %, and it leads by at least 15'
    """

    high: float = 0.02
    low: float = 0.15
    min_gap: float = 15.0
    high_at: float | None = None
    low_at: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share("high", self.high, example=0.02)
        require_share("low", self.low, example=0.15)
        require_number("min_gap", self.min_gap, above=0)

    def __str__(self) -> str:
        top = f" (from {self.high_at:g} votes)" if self.high_at is not None else ""
        bottom = f" (to {self.low_at:g} votes)" if self.low_at is not None else ""
        return (
            f"quantile: the winner is in the top {100 * self.high:g} %{top}, the loser in the bottom "
            f"{100 * self.low:g} %{bottom}, and it leads by at least {self.min_gap:g}{self.limits()}"
        )

    @property
    def grows(self) -> bool:
        return False

    def fitted(self, answers: Table) -> QuantileRule:
        # counted in the engine and cut here, because engines interpolate quantiles differently
        counts = sorted((row["score"], row["n"]) for row in rows(answers.group_by("score").agg(n=answers.count())))
        total = sum(n for _, n in counts)
        return replace(self, high_at=_bound(counts, (1 - self.high) * total), low_at=_bound(counts, self.low * total))

    def prefers(self, pairs: Table) -> BooleanValue:
        assert self.high_at is not None, "the rule was not fitted"
        return (
            (pairs.winner_score >= self.high_at)
            & (pairs.loser_score <= self.low_at)
            & leads_by(pairs.winner_score, pairs.loser_score, self.min_gap)
        )


VOTE_RULES: Mapping[str, type[VoteRule]] = {
    "gap": GapRule,
    "lead": LeadRule,
    "ratio": RatioRule,
    "shp": ShpRule,
    "log2": Log2Rule,
    "quantile": QuantileRule,
}
"""Every rule by its name."""


def make_vote_rule(name: str, settings: Mapping[str, float | bool | None]) -> VoteRule:
    """A rule by its name.

    Args:
        name: a key of `VOTE_RULES`.
        settings: of the rule; None for those that were not given.

    Raises:
        ConfigError: for an unknown rule, or a setting that the rule does not have.

    Example:
        >>> str(make_vote_rule("gap", {"min_gap": 2, "min_ratio": None}))
        'gap: the winner leads by at least 2'
    """
    if name not in VOTE_RULES:
        raise ConfigError(f"unknown rule {name!r}; available: {', '.join(VOTE_RULES)}.", remedy="Choose one of them.")
    given = {setting: value for setting, value in settings.items() if value is not None}
    for setting in given:
        having = [rule for rule, kind in VOTE_RULES.items() if setting in {field.name for field in fields(kind)}]
        if name not in having:
            raise ConfigError(
                f"`{setting}` has no effect with `rule={name!r}`.",
                remedy=f"Omit it, or use rule {' or '.join(having)}.",
            )
    return VOTE_RULES[name](**given)  # type: ignore[arg-type]


def check_time(rule: VoteRule, time: str | None) -> None:
    """Refuse a rule over times without a column of times.

    Raises:
        ConfigError: naming the column's parameter.
    """
    if rule.needs_time and time is None:
        raise ConfigError(
            f'the rule "{rule}" compares when answers were written, but no column holds that.',
            remedy="Name the column with `time`.",
        )


def rule_name(rule: VoteRule) -> str:
    """The name of a rule, such as `gap`."""
    return next((name for name, kind in VOTE_RULES.items() if type(rule) is kind), type(rule).__name__)


def _bound(counts: list[tuple[float, int]], rank: float) -> float:
    """The smallest score at or below which `rank` answers lie (the inverted distribution function)."""
    seen = 0
    for score, n in counts:
        seen += n
        if seen >= rank - 1e-9:
            return score
    return counts[-1][0] if counts else 0.0
