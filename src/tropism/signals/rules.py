"""Which of two answers to one prompt people preferred, judged by their votes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from ibis import Table
from ibis.expr.types import BooleanValue

from tropism.errors import ConfigError


@dataclass(frozen=True, slots=True)
class GapRule:
    """The answer with more votes is preferred where it leads by enough.

    Args:
        min_gap: smallest lead, in votes, > 0.
        later: True asks that the winner was written after the loser, because early answers collect votes by being seen.

    Example:
        >>> str(GapRule(min_gap=2))
        'gap: the winner leads by at least 2'
    """

    min_gap: float = 1.0
    later: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min_gap) and self.min_gap > 0):
            raise ConfigError(
                f"--min-gap must be a number above 0, not {self.min_gap}.", remedy="Use 1, one vote, for every lead."
            )

    def __str__(self) -> str:
        later = ", and was written later" if self.later else ""
        return f"gap: the winner leads by at least {self.min_gap:g}{later}"

    @property
    def needs_time(self) -> bool:
        return self.later

    def passes(self, pairs: Table) -> BooleanValue:
        """True for the pairs to keep; columns `winner_score`, `loser_score`, `winner_time`, `loser_time`."""
        enough = pairs.winner_score - pairs.loser_score >= self.min_gap
        return enough & (pairs.winner_time > pairs.loser_time) if self.later else enough


@dataclass(frozen=True, slots=True)
class ShpRule:
    """The rule of Stanford Human Preferences: more votes in less time.

    The winner was written later than the loser or at the same time, and has `min_ratio` times its votes; both were
    voted on at all.

    Args:
        min_ratio: smallest quotient of the votes, >= 1; 2 is what the data set's authors train on.
        min_score: fewest votes of either answer, >= 0.
        min_gap: smallest lead, in votes; equal votes never make a pair.

    Reference: Ethayarajh et al. 2022, arXiv:2110.08420; data card of stanfordnlp/SHP.

    Example:
        >>> str(ShpRule())
        'shp: the winner came later or at the same time with at least 2 times the votes, both have at least 2'
    """

    min_ratio: float = 2.0
    min_score: float = 2.0
    min_gap: float = 0.0

    def __post_init__(self) -> None:
        for name, value, least in (
            ("--min-ratio", self.min_ratio, 1),
            ("--min-score", self.min_score, 0),
            ("--min-gap", self.min_gap, 0),
        ):
            if not (math.isfinite(value) and value >= least):
                raise ConfigError(f"{name} must be a number of at least {least}, not {value}.", remedy=f"Raise {name}.")

    def __str__(self) -> str:
        gap = f", and it leads by at least {self.min_gap:g}" if self.min_gap else ""
        return (
            f"shp: the winner came later or at the same time with at least {self.min_ratio:g} times the votes, "
            f"both have at least {self.min_score:g}{gap}"
        )

    @property
    def needs_time(self) -> bool:
        return True

    def passes(self, pairs: Table) -> BooleanValue:
        """True for the pairs to keep; columns `winner_score`, `loser_score`, `winner_time`, `loser_time`."""
        return (
            (pairs.winner_time >= pairs.loser_time)
            & (pairs.winner_score >= self.min_ratio * pairs.loser_score)
            & (pairs.winner_score > pairs.loser_score)
            & (pairs.winner_score - pairs.loser_score >= self.min_gap)
            & (pairs.loser_score >= self.min_score)
        )


VoteRule: TypeAlias = GapRule | ShpRule
