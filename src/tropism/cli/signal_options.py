"""What the options of `tropism build` mean for each kind of signal, and which of them have no meaning for it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tropism.signals.kinds.exclusions import Exclusions
    from tropism.signals.kinds.rules import VoteRule

COLUMNS = ("votes", "ratings", "rankings", "choices", "labels")
"""Signals whose columns are named on the command line; all others are files of another tool."""
BY_VOTES = ("votes", "ratings", "posts")
BY_ANSWER = ("votes", "ratings", "rankings", "labels")
RATED = ("argilla", "label-studio")
"""Files of other tools that may hold answers to several questions, of ratings, choices or rankings."""
BY_PEOPLE = ("choices", "rankings", "oasst", "imagereward", "argilla", "label-studio", "label-page")
APPLIES: dict[str, tuple[str, ...]] = {
    "--prompt": COLUMNS,
    "--response": BY_ANSWER,
    "--score": ("votes", "ratings", *RATED),
    "--rank": ("rankings",),
    "--label": ("labels",),
    "--choice": ("choices",),
    "--response-a": ("choices",),
    "--response-b": ("choices",),
    "--source-a": ("choices",),
    "--source-b": ("choices",),
    "--annotator": ("choices", "rankings"),
    "--group": COLUMNS,
    "--time": BY_ANSWER,
    "--author": BY_ANSWER,
    "--accepted": ("votes",),
    "--prompt-score": ("votes",),
    "--drop-if": (*COLUMNS, "posts"),
    "--asker": BY_ANSWER,
    "--parent": BY_ANSWER,
    "--known-authors": (*BY_ANSWER, "posts"),
    "--min-words": (*COLUMNS, "posts"),
    "--max-words": (*COLUMNS, "posts"),
    "--settled": (*BY_ANSWER, "posts"),
    "--as-of": (*BY_ANSWER, "posts"),
    "--rule": BY_VOTES,
    "--pairing": ("ratings", *RATED),
    "--keep-bots": BY_ANSWER,
    "--ties": ("ratings", *BY_PEOPLE),
    "--cap": (*BY_VOTES, "rankings", "oasst", "imagereward"),
    "--margin": BY_VOTES,
    "--truth": BY_PEOPLE,
}
"""Options that only some kinds of signal have."""
WEIGHTS: dict[str, tuple[str, ...]] = {
    "one": (*COLUMNS, *BY_VOTES, *BY_PEOPLE),
    "gap": BY_VOTES,
    "agreement": ("labels", *BY_PEOPLE),
    "count": ("labels", *BY_PEOPLE),
}
RULE_OPTIONS: dict[str, tuple[str, ...]] = {
    "--min-gap": ("gap", "shp", "log2", "quantile"),
    "--min-ratio": ("ratio", "shp"),
    "--later": ("gap", "lead", "ratio", "log2", "quantile"),
    "--high": ("quantile",),
    "--low": ("quantile",),
    "--min-prompt-score": ("shp",),
    "--prompt-score": ("shp",),
    "--accepted": ("log2",),
}
"""Options that only some rules have."""
NEEDS = {"--min-prompt-score": "--prompt-score", "--keep-bots": "--author"}
"""Options that have no effect without another one, where columns are named."""


def kind_of(file: Path, signal: str, *, posts: bool) -> str:
    """The kind of signal that a file holds.

    Raises:
        ConfigError: where --posts and --signal disagree.
    """
    from tropism.errors import ConfigError

    if posts and signal not in ("auto", "posts"):
        raise ConfigError(f"--posts and --signal {signal} exclude each other.", remedy="Give one of them.")
    if posts:
        return "posts"
    if signal == "auto":
        return "label-page" if file.suffix in (".sqlite", ".sqlite3", ".db") else "votes"
    return signal


def refuse_foreign(given: dict[str, Any], kind: str, weight: str) -> None:
    """Refuse options that have no effect on a kind of signal.

    Raises:
        ConfigError: naming the first.
    """
    from tropism.errors import ConfigError

    for option, value in given.items():
        if value not in (None, []) and option in APPLIES and kind not in APPLIES[option]:
            kinds = ", ".join(dict.fromkeys(APPLIES[option]))
            raise ConfigError(
                f"{option} has no effect with --signal {kind}.", remedy=f"Leave it away; it belongs to {kinds}."
            )
    if kind not in WEIGHTS[weight]:
        raise ConfigError(
            f"--weight {weight} has no meaning for {kind}.",
            remedy=f"Use {' or '.join(name for name, kinds in WEIGHTS.items() if kind in kinds)}.",
        )


def refuse_lonely(given: dict[str, Any], kind: str) -> None:
    """Refuse an option whose column is not named.

    Raises:
        ConfigError: naming the option and the one that it needs.
    """
    from tropism.errors import ConfigError

    for option, needed in NEEDS.items():
        if kind in COLUMNS and given[option] is not None and given[needed] is None:
            raise ConfigError(f"{option} has no effect without {needed}.", remedy=f"Name a column with {needed}.")


def vote_rule(name: str | None, kind: str, asked: dict[str, Any], columns: dict[str, Any]) -> VoteRule | None:
    """The rule that the options describe; None for signals that need none.

    Args:
        name: of the rule; None takes the kind's own.
        kind: of signal.
        asked: options that set the rule; None where not given.
        columns: options that name a column which only some rules read.

    Raises:
        ConfigError: for an option that the rule does not have.
    """
    from tropism.errors import ConfigError
    from tropism.signals.kinds import rules

    given = {option: value for option, value in asked.items() if value is not None}
    if kind not in BY_VOTES:
        if given:
            raise ConfigError(
                f"{next(iter(given))} has no effect with --signal {kind}.",
                remedy=f"Leave it away; it belongs to {', '.join(BY_VOTES)}.",
            )
        return None
    name = name or ("lead" if kind == "ratings" else "gap")
    read = (option for option, column in columns.items() if column is not None)
    for option in (*given, *read):
        if name not in RULE_OPTIONS.get(option, (name,)):
            raise ConfigError(
                f"{option} has no effect with --rule {name}.",
                remedy=f"Leave it away, or use --rule {' or '.join(RULE_OPTIONS[option])}.",
            )
    kinds = {
        "gap": rules.GapRule, "lead": rules.LeadRule, "ratio": rules.RatioRule, "shp": rules.ShpRule,
        "log2": rules.Log2Rule, "quantile": rules.QuantileRule,
    }  # fmt: skip
    return kinds[name](**{option.removeprefix("--").replace("-", "_"): value for option, value in given.items()})


def exclusions_of(left_out: dict[str, Any]) -> Exclusions:
    """Which rows the options leave out.

    Raises:
        ConfigError: for a number out of range, a day that cannot be read, or an option that has no effect.
    """
    from tropism.signals.kinds.exclusions import Exclusions

    return Exclusions(
        marks=tuple(left_out["--drop-if"] or ()),
        asker=left_out["--asker"],
        parent=left_out["--parent"],
        known_authors=bool(left_out["--known-authors"]),
        min_words=left_out["--min-words"],
        max_words=left_out["--max-words"],
        settled_days=left_out["--settled"],
        as_of=seconds_of(left_out["--as-of"]),
    )


def seconds_of(time: str | None) -> float | None:
    """Seconds since 1970 of what --as-of says, which is read as the times of a table are.

    Raises:
        ConfigError: where it is no time.
    """
    import ibis

    from tropism.errors import ConfigError
    from tropism.signals.engines.expressions import seconds

    if time is None:
        return None
    told = seconds(ibis.literal(time)).to_pyarrow().as_py()
    if told is None or not math.isfinite(told):
        raise ConfigError(
            f"--as-of must be a time (ISO 8601, or seconds since 1970), not {time!r}.", remedy="Use 2026-03-01, say."
        )
    return float(told)


def checked_share(holdout: float | None) -> float | None:
    """A share of groups.

    Raises:
        ConfigError: where it is none.
    """
    from tropism.errors import ConfigError

    if holdout is not None and not 0 < holdout < 1:
        raise ConfigError(f"--holdout must lie between 0 and 1, not {holdout}.", remedy="Use 0.1, say.")
    return holdout


def checked_salt(salt: str | None, *, private: bool) -> str | None:
    """A salt that has an effect.

    Raises:
        ConfigError: where it has none, or is empty.
    """
    from tropism.errors import ConfigError

    if salt == "":
        raise ConfigError("--salt must not be empty.", remedy="Leave it away to have one drawn.")

    if salt is not None and not private:
        raise ConfigError("--salt has no effect without --private.", remedy="Add --private.")
    return salt
