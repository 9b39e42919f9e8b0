"""Ratings of several aspects become one number for each annotator and response: the mean of those that count.

Who rates one answer helpful and another harmless rates two things, and some aspects are better when they are low. So
nothing is averaged that `--score` does not name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from tropism.errors import ConfigError
from tropism.signals.columns import RatingColumns
from tropism.signals.sources.rows import Aside, Feedback, RatingRow, Refused

UNASKED = "rating of an aspect that --score does not name"


def weighed(
    rows: Iterable[Feedback | Aside | Refused], aspects: Mapping[str, float] | None, *, source: str
) -> Iterator[Feedback | Aside | Refused]:
    """The rows of a reader with one rating for each annotator and response of a record; what is no rating passes.

    Args:
        rows: in the order of their records.
        aspects: each that counts, with its weight, > 0; an aspect that somebody did not rate leaves its weight to the
            others. None takes ratings as they are, and allows one aspect only.
        source: the file's name, for errors.

    Yields:
        The rows; an aside for every rating of another aspect.

    Raises:
        ConfigError: for a weight that is none, an aspect that the file does not have, or several of them where none is
            named.

    Example:
        >>> both = [RatingRow(1, "Q", "a", "g", "helpful", 5.0, "ann"), RatingRow(1, "Q", "a", "g", "kind", 2.0, "ann")]
        >>> [row.score for row in weighed(both, {"helpful": 2, "kind": 1}, source="r.json")]
        [4.0]
    """
    if aspects is not None:
        RatingColumns("prompt", "response", aspects)  # its check of the weights
    seen: dict[str, None] = {}
    for _, of_record in groupby(rows, key=lambda row: row.number):
        ratings: dict[tuple[str, str | None], list[RatingRow]] = {}
        for row in of_record:
            if not isinstance(row, RatingRow):
                yield row
                continue
            seen[row.aspect] = None
            if aspects is None:
                yield row
            elif row.aspect in aspects:
                ratings.setdefault((row.response, row.annotator), []).append(row)
            else:
                yield Aside(row.number, UNASKED)
        if aspects is not None:
            yield from (_mean(given, aspects) for given in ratings.values())
    _check(seen, aspects, source)


def words_of(aspects: Mapping[str, float]) -> str:
    """Which ratings count, for the card.

    Example:
        >>> words_of({"helpful": 2.0, "kind": 1.0})
        'rated by the mean of helpful (2), kind (1)'
    """
    return "rated by the mean of " + ", ".join(f"{name} ({weight:g})" for name, weight in aspects.items())


def _mean(given: list[RatingRow], aspects: Mapping[str, float]) -> RatingRow:
    """The mean of one annotator's ratings of one response, by the weights of their aspects."""
    total = math.fsum(aspects[row.aspect] for row in given)
    return given[0]._replace(
        aspect=", ".join(dict.fromkeys(row.aspect for row in given)),
        score=math.fsum(aspects[row.aspect] * row.score for row in given) / total,
    )


def _check(seen: Mapping[str, None], aspects: Mapping[str, float] | None, source: str) -> None:
    """Refuse a choice of aspects that does not fit those of the file."""
    names = ", ".join(map(repr, seen))
    if aspects is None and len(seen) > 1:
        first, second, *_ = seen
        raise ConfigError(
            f"{source} holds ratings of {len(seen)} aspects, which mean different things: {names}.",
            remedy=f"Name those that count: --score {first!r}, or several with weights: --score {f'{first}=2'!r} "
            f"--score {second!r}.",
        )
    for name in aspects or ():
        if name not in seen:
            raise ConfigError(
                f"--score names {name!r}, which {source} holds no rating of.",
                remedy=f"Use {names}." if seen else "Leave it away: the file holds no ratings.",
            )
