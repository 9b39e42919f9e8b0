"""`tropism build ratings`: answers with numbers that people gave them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tropism.cli.build import build_options as options
from tropism.cli.build.build_output import build_file

EXAMPLE = "tropism build ratings rated.jsonl --score helpful=2 --score honest"


def ratings(
    context: typer.Context,
    file: options.File,
    prompt: options.Prompt = "prompt",
    response: options.Response = "response",
    score: Annotated[
        list[str] | None,
        typer.Option(
            "--score",
            metavar="COL",
            help="Rated aspect (score), or NAME=WEIGHT; repeatable.",
            rich_help_panel=options.COLUMNS,
        ),
    ] = None,
    group: options.Group = None,
    time: options.Time = None,
    author: options.Author = None,
    rule: Annotated[
        Literal["lead", "gap", "ratio", "shp", "log2", "quantile"],
        options.pairs("--rule", metavar="RULE", help="lead: any; or a rule of votes: gap, ratio, ..."),
    ] = "lead",
    min_gap: options.MinGap = None,
    min_ratio: options.MinRatio = None,
    min_score: Annotated[float | None, options.pairs("--min-score", metavar="X", help="Least rating of both.")] = None,
    high: options.High = None,
    low: options.Low = None,
    later: options.Later = False,
    length_match: options.LengthMatch = None,
    pairing: Annotated[
        Literal["all", "best-random"],
        options.pairs("--pairing", metavar="P", help="all pairs, or best-random: best and a worse one."),
    ] = "all",
    ties: options.Ties = False,
    cap: options.Cap = None,
    weight: options.WeightByGap = "one",
    margin: options.MarginByGap = "none",
    marks: options.Marks = None,
    asker: options.Asker = None,
    parent: options.Parent = None,
    known_authors: options.KnownAuthors = False,
    keep_bots: options.KeepBots = False,
    min_words: options.MinWords = None,
    max_words: options.MaxWords = None,
    settled_days: options.SettledDays = None,
    as_of: options.AsOf = None,
    skip_bad: options.SkipBad = False,
    target: options.Target = Path("groups.parquet"),
    form: Annotated[
        Literal["auto", "table", "argilla", "label-studio"],
        options.output("--form", metavar="FORM", help="table, argilla or label-studio; else found."),
    ] = "auto",
    holdout: options.Holdout = None,
    private: options.Private = False,
    salt: options.Salt = None,
    gate: options.SafetyGateName = None,
    engine: options.EngineName = "duckdb",
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    for_programs: options.ForPrograms = False,
) -> None:
    """Ratings of answers, one a row, or an export of a labelling tool."""
    from tropism.signals.kinds.columns import RatingColumns
    from tropism.signals.kinds.exclusions import Exclusions
    from tropism.signals.kinds.ratings import RatingSettings
    from tropism.signals.kinds.vote_rules import make_vote_rule

    rule_settings = {
        "min_gap": min_gap, "min_ratio": min_ratio, "min_score": min_score, "high": high, "low": low,
        "later": later or None, "length_match": length_match,
    }  # fmt: skip
    settings = RatingSettings(
        columns=RatingColumns(prompt, response, _aspects_of(score) if score else None, group, time, author),
        rule=make_vote_rule(rule, rule_settings),
        pairing=pairing, ties=ties, cap=cap, weight=weight, margin=margin, keep_bots=keep_bots, skip_bad=skip_bad,
        form=form, holdout=holdout, private=private, salt=salt, gate=gate, engine=engine, seed=seed,
        exclude=Exclusions(
            tuple(marks or ()), asker, parent, known_authors, min_words, max_words, settled_days,
            options.seconds_of(as_of),
        ),
    )  # fmt: skip
    build_file(context, file, target, settings, overwrite=overwrite, for_programs=for_programs)


def _aspects_of(scores: list[str]) -> dict[str, float]:
    """Columns of aspects with their weights, from `NAME` or `NAME=WEIGHT`.

    Raises:
        ConfigError: for a weight that is not a number, or a column named twice.

    Example:
        >>> _aspects_of(["helpful=2", "honest"])
        {'helpful': 2.0, 'honest': 1.0}
    """
    from tropism.errors import ConfigError

    aspects: dict[str, float] = {}
    for one in scores:
        name, equals, weight = one.rpartition("=")
        try:
            column, number = (name, float(weight)) if equals else (one, 1.0)
        except ValueError:
            raise ConfigError(
                f"`score` must be NAME or NAME=WEIGHT, got {one!r}.", remedy="Give the weight as a number."
            ) from None
        if column in aspects:
            raise ConfigError(f"`score` names the column {column!r} twice.", remedy="Name it once.")
        aspects[column] = number
    return aspects
