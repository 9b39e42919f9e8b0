"""`tropism build rankings`: answers with their ranks, by one annotator or several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tropism.cli.build import build_options as options
from tropism.cli.build.build_output import build_file

EXAMPLE = "tropism build rankings ranked.jsonl --rank place --annotator who"


def rankings(
    context: typer.Context,
    file: options.File,
    prompt: options.Prompt = "prompt",
    response: options.Response = "response",
    rank: Annotated[str, options.column("--rank", help="Rank of the answer, the smallest is best (rank).")] = "rank",
    group: options.Group = None,
    time: options.Time = None,
    author: options.Author = None,
    annotator: options.Annotator = None,
    question: options.Question = None,
    truth: options.Truth = "soft",
    ties: options.Ties = False,
    cap: options.Cap = None,
    weight: options.WeightByVotes = "one",
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
        Literal["auto", "table", "oasst", "imagereward", "argilla", "label-studio", "label-page"],
        options.output(
            "--form",
            metavar="FORM",
            help="table, oasst, imagereward, argilla, ...; else found.",
        ),
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
    """Rankings: one ranked answer a row, or Open Assistant, ImageReward ..."""
    from tropism.signals.kinds.columns import RankingColumns
    from tropism.signals.kinds.exclusions import Exclusions
    from tropism.signals.kinds.rankings import RankingSettings

    settings = RankingSettings(
        columns=RankingColumns(prompt, response, rank, group, time, author, annotator),
        question=question, truth=truth, ties=ties, cap=cap, weight=weight, keep_bots=keep_bots, skip_bad=skip_bad,
        form=form, holdout=holdout, private=private, salt=salt, gate=gate, engine=engine, seed=seed,
        exclude=Exclusions(
            tuple(marks or ()), asker, parent, known_authors, min_words, max_words, settled_days,
            options.seconds_of(as_of),
        ),
    )  # fmt: skip
    build_file(context, file, target, settings, overwrite=overwrite, for_programs=for_programs)
