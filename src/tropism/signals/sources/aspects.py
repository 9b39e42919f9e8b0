"""Which answers count if a file asks several questions; ratings of several aspects become one number, their mean.

An annotator who rates one answer helpful and another harmless rates two things, and some aspects are better when they
are low. So nothing is averaged or pooled that is not named.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from tropism.errors import ConfigError
from tropism.signals.kinds.columns import check_weights
from tropism.signals.sources.feedback_rows import Aside, Feedback, RatingRow, Refused
from tropism.signals.sources.names import Questions

UNASKED = "rating of another aspect"
MERGED = "ratings of further aspects in the mean of the same annotator and response"


def weighed(
    rows: Iterable[Feedback | Aside | Refused],
    aspects: Mapping[str, float] | None,
    *,
    source: str,
    questions: Questions | None = None,
    notes: Counter[str] | None = None,
) -> Iterator[Feedback | Aside | Refused]:
    """The rows of a reader with one rating for each annotator and response of a record; what is no rating passes.

    Args:
        rows: in the order of their records.
        aspects: each that counts, with its weight, > 0; the weight of an aspect that an annotator did not rate goes to
            the others. None takes ratings as they are, and allows one aspect only.
        source: the file's name, for errors.
        questions: of choices and rankings, which the reader of the rows fills; None if it has no questions.
        notes: counts, at the end, the ratings that went into another's mean; None counts nothing.

    Yields:
        The rows; an aside for every rating of another aspect. Of annotators without a name the first ratings of all
        aspects go together, then the second, and so on.

    Raises:
        ConfigError: for a weight that is none, an aspect that the file does not have, or several aspects or questions
            if none is named.

    Example:
        >>> both = [RatingRow(1, "Q", "a", "g", "helpful", 5.0, "ann"), RatingRow(1, "Q", "a", "g", "kind", 2.0, "ann")]
        >>> [row.score for row in weighed(both, {"helpful": 2, "kind": 1}, source="r.json")]
        [4.0]
    """
    check_weights(aspects or {})
    seen: dict[str, None] = {}
    for _, of_record in groupby(rows, key=lambda row: row.number):
        ratings: dict[tuple[str, str | None, int], list[RatingRow]] = {}
        unnamed: Counter[tuple[str, str]] = Counter()
        for row in of_record:
            if not isinstance(row, RatingRow):
                yield row
                continue
            seen[row.aspect] = None
            if aspects is None:
                yield row
            elif row.aspect in aspects:
                place = unnamed[row.response, row.aspect] if row.annotator is None else 0
                unnamed[row.response, row.aspect] += row.annotator is None
                ratings.setdefault((row.response, row.annotator, place), []).append(row)
            else:
                yield Aside(row.number, UNASKED)
        if aspects is not None:
            yield from (_mean(given, aspects) for given in ratings.values())
            if notes is not None:
                notes[MERGED] += sum(len(given) - 1 for given in ratings.values())
    found = questions.found if questions else {}
    _check_questions(found, aspects, source)
    _check(seen, found, aspects, source)


def _mean(given: list[RatingRow], aspects: Mapping[str, float]) -> RatingRow:
    """The mean of one annotator's ratings of one response, by the weights of their aspects."""
    total = math.fsum(aspects[row.aspect] for row in given)
    return given[0]._replace(
        aspect=", ".join(dict.fromkeys(row.aspect for row in given)),
        score=math.fsum(aspects[row.aspect] * row.score for row in given) / total,
    )


def _check_questions(found: Mapping[str, str], aspects: Mapping[str, float] | None, source: str) -> None:
    """Refuse to pool what was chosen or ranked by several questions, and to weigh one."""
    asked = [name for name in found if aspects is None or name in aspects]
    names = ", ".join(map(repr, found))
    if len(asked) > 1:
        raise ConfigError(
            f"{source} holds {' and '.join(dict.fromkeys(found.values()))} of {len(found)} questions, which mean "
            f"different things: {names}.",
            remedy=f"Name the one that counts: `question={asked[0]!r}`. A comment that reads like a label may be "
            "one of them.",
        )
    for name in asked:
        others = [other for other in aspects or () if other != name]
        if others or (aspects or {}).get(name, 1.0) != 1.0:
            raise ConfigError(
                f"weights belong to ratings, and {source} holds {found[name]} of {name!r}.",
                remedy=f"Use `question={name!r}`.",
            )


def _check(
    seen: Mapping[str, None], found: Mapping[str, str], aspects: Mapping[str, float] | None, source: str
) -> None:
    """Refuse a choice of aspects that does not fit those of the file."""
    names = ", ".join(map(repr, [*seen, *found]))
    if aspects is None and len(seen) > 1:
        first, second, *_ = seen
        raise ConfigError(
            f"{source} holds ratings of {len(seen)} aspects, which mean different things: "
            f"{', '.join(map(repr, seen))}.",
            remedy=f"Name those that count with `score`: {first!r} alone, or weights for several, such as {first}=2 "
            f"and {second}=1.",
        )
    for name in aspects or ():
        if name not in seen and name not in found:
            raise ConfigError(
                f"{source} holds no answer to {name!r}, which `score` or `question` names.",
                remedy=f"Use {names}." if names else "Omit it: the file holds no ratings.",
            )
