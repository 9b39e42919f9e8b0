"""`tropism build labels`: thumbs up or down on answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tropism.cli.build import build_options as options
from tropism.cli.build.build_output import build_file

EXAMPLE = "tropism build labels thumbs.csv --label liked -o labels.jsonl"


def labels(
    context: typer.Context,
    file: options.File,
    prompt: options.Prompt = "prompt",
    response: options.Response = "response",
    label: Annotated[str, options.column("--label", help="up, down, true, false, 1, 0, -1 ... (label).")] = "label",
    group: options.Group = None,
    time: options.Time = None,
    author: options.Author = None,
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
    holdout: options.Holdout = None,
    private: options.Private = False,
    salt: options.Salt = None,
    gate: options.SafetyGateName = None,
    engine: options.EngineName = "duckdb",
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    for_programs: options.ForPrograms = False,
) -> None:
    """Thumbs up or down on answers, one a row, for KTO and similar losses."""
    from tropism.signals.kinds.columns import LabelColumns
    from tropism.signals.kinds.exclusions import Exclusions
    from tropism.signals.kinds.labels import LabelSettings

    settings = LabelSettings(
        columns=LabelColumns(prompt, response, label, group, time, author),
        weight=weight, keep_bots=keep_bots, skip_bad=skip_bad, holdout=holdout, private=private, salt=salt, gate=gate,
        engine=engine, seed=seed,
        exclude=Exclusions(
            tuple(marks or ()), asker, parent, known_authors, min_words, max_words, settled_days,
            options.seconds_of(as_of),
        ),
    )  # fmt: skip
    build_file(context, file, target, settings, overwrite=overwrite, for_programs=for_programs)
