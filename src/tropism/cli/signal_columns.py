"""Which columns, or aspects, the options of `tropism build` name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tropism.cli.signal_options import RATED

if TYPE_CHECKING:
    from tropism.signals.kinds.columns import Columns


def columns_of(kind: str, names: dict[str, Any]) -> Columns:
    """The columns that the options name, with their usual names where they name none.

    Raises:
        ConfigError: for a column in two roles, or a weight that is no number.
    """
    from tropism.signals.kinds import columns

    def name(option: str, default: str | None = None) -> Any:
        return names[option] or default

    prompt, group, times = name("--prompt", "prompt"), name("--group"), (name("--time"), name("--author"))
    response, scores = name("--response", "response"), name("--score", "score")
    if kind == "ratings":
        return columns.RatingColumns(prompt, response, aspects_of(names["--score"] or ["score"]), group, *times)
    if kind == "rankings":
        return columns.RankingColumns(
            prompt, response, name("--rank", "rank"), group, *times, annotator=name("--annotator")
        )
    if kind == "labels":
        return columns.LabelColumns(prompt, response, name("--label", "label"), group, *times)
    if kind == "choices":
        return columns.ChoiceColumns(
            prompt,
            name("--response-a", "response_a"),
            name("--response-b", "response_b"),
            name("--choice", "choice"),
            group,
            name("--annotator"),
            name("--source-a"),
            name("--source-b"),
        )
    score = scores if isinstance(scores, str) else one_score(scores)
    return columns.VoteColumns(
        prompt, response, score, group, *times, accepted=name("--accepted"), prompt_score=name("--prompt-score")
    )


def one_score(scores: list[str]) -> str:
    """The one column of votes.

    Raises:
        ConfigError: where several are named.
    """
    from tropism.errors import ConfigError

    if len(scores) > 1:
        raise ConfigError("votes have one --score, not several.", remedy="Use --signal ratings for several aspects.")
    return scores[0]


def foreign_aspects(kind: str, scores: list[str] | None) -> dict[str, float] | None:
    """The aspects that --score names in another tool's file, with their weights; None where it names none."""
    return aspects_of(scores) if scores and kind in RATED else None


def aspects_of(scores: list[str]) -> dict[str, float]:
    """Columns of aspects with their weights, of `NAME` or `NAME=WEIGHT`.

    Raises:
        ConfigError: for a weight that is no number, or a column named twice.
    """
    from tropism.errors import ConfigError

    aspects: dict[str, float] = {}
    for one in scores:
        name, equals, weight = one.rpartition("=")
        try:
            column, number = (name, float(weight)) if equals else (one, 1.0)
        except ValueError:
            raise ConfigError(
                f"--score must be NAME or NAME=WEIGHT, not {one!r}.", remedy="Give the weight as a number."
            ) from None
        if column in aspects:
            raise ConfigError(f"--score names the column {column!r} twice.", remedy="Name it once.")
        aspects[column] = number
    return aspects
