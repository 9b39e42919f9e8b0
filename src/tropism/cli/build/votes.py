"""`tropism build votes`: answers with their votes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tropism.cli.build import build_options as options
from tropism.cli.build.build_output import build_file

EXAMPLE = "tropism build votes votes.csv --rule shp --time written_at --cap 10"


def votes(
    context: typer.Context,
    file: options.File,
    prompt: options.Prompt = "prompt",
    response: options.Response = "response",
    score: Annotated[str, options.column("--score", help="Votes of the answer, up minus down (score).")] = "score",
    group: options.Group = None,
    time: options.Time = None,
    author: options.Author = None,
    accepted: Annotated[str | None, options.column("--accepted", help="Asker's mark, for the rule log2.")] = None,
    prompt_score: Annotated[str | None, options.column("--prompt-score", help="Votes of the prompt, for shp.")] = None,
    rule: Annotated[
        Literal["gap", "lead", "ratio", "shp", "log2", "quantile"],
        options.pairs("--rule", metavar="RULE", help="gap, lead, ratio, shp, log2 or quantile (gap)."),
    ] = "gap",
    min_gap: options.MinGap = None,
    min_ratio: options.MinRatio = None,
    min_score: options.MinScore = None,
    min_prompt_score: Annotated[
        float | None, options.pairs("--min-prompt-score", metavar="X", help="shp: fewest votes of the prompt (10).")
    ] = None,
    high: options.High = None,
    low: options.Low = None,
    later: options.Later = False,
    length_match: options.LengthMatch = None,
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
        Literal["auto", "table", "posts"],
        options.output("--form", metavar="FORM", help="table, or posts of Stack Exchange; else found."),
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
    """Votes on answers, one answer a row, or Stack Exchange posts."""
    from tropism.signals.kinds.columns import VoteColumns
    from tropism.signals.kinds.exclusions import Exclusions
    from tropism.signals.kinds.vote_rules import make_vote_rule
    from tropism.signals.kinds.votes import VoteSettings

    rule_settings = {
        "min_gap": min_gap, "min_ratio": min_ratio, "min_score": min_score, "min_prompt_score": min_prompt_score,
        "high": high, "low": low, "later": later or None, "length_match": length_match,
    }  # fmt: skip
    settings = VoteSettings(
        columns=VoteColumns(prompt, response, score, group, time, author, accepted, prompt_score),
        rule=make_vote_rule(rule, rule_settings),
        cap=cap, weight=weight, margin=margin, keep_bots=keep_bots, skip_bad=skip_bad, form=form,
        holdout=holdout, private=private, salt=salt, gate=gate, engine=engine, seed=seed,
        exclude=Exclusions(
            tuple(marks or ()), asker, parent, known_authors, min_words, max_words, settled_days,
            options.seconds_of(as_of),
        ),
    )  # fmt: skip
    build_file(context, file, target, settings, overwrite=overwrite, for_programs=for_programs)
