"""`tropism build choices`: judgements of two answers, by one annotator or several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tropism.cli.build import build_options as options
from tropism.cli.build.build_output import build_file

EXAMPLE = "tropism build choices chosen.csv --annotator who --truth dawid-skene"
_ANSWERS = "Both answers (response_a, response_b)."
_SOURCES = "Who wrote each: a table of strengths."


def choices(
    context: typer.Context,
    file: options.File,
    prompt: options.PromptOnly = "prompt",
    response_a: Annotated[str, options.column("--response-a", help=_ANSWERS)] = "response_a",
    response_b: Annotated[str, options.column("--response-b", help=_ANSWERS)] = "response_b",
    choice: Annotated[str, options.column("--choice", help="a, b, tie, both_bad or skip (choice).")] = "choice",
    group: options.Group = None,
    annotator: options.Annotator = None,
    source_a: Annotated[str | None, options.column("--source-a", help=_SOURCES)] = None,
    source_b: Annotated[str | None, options.column("--source-b", help=_SOURCES)] = None,
    question: options.Question = None,
    truth: options.Truth = "soft",
    ties: options.Ties = True,
    weight: options.WeightByVotes = "one",
    marks: options.Marks = None,
    min_words: options.MinWords = None,
    max_words: options.MaxWords = None,
    skip_bad: options.SkipBad = False,
    target: options.Target = Path("groups.parquet"),
    form: Annotated[
        Literal["auto", "table", "argilla", "label-studio", "label-page"],
        options.output("--form", metavar="FORM", help="table, argilla, label-studio or label-page; else found."),
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
    """Choices between two answers, one a row, or a labelling tool's file."""
    from tropism.signals.kinds.choices import ChoiceSettings
    from tropism.signals.kinds.columns import ChoiceColumns
    from tropism.signals.kinds.exclusions import Exclusions

    settings = ChoiceSettings(
        columns=ChoiceColumns(prompt, response_a, response_b, choice, group, annotator, source_a, source_b),
        question=question, truth=truth, ties=ties, weight=weight, skip_bad=skip_bad, form=form, holdout=holdout,
        private=private, salt=salt, gate=gate, engine=engine, seed=seed,
        exclude=Exclusions(tuple(marks or ()), min_words=min_words, max_words=max_words),
    )  # fmt: skip
    build_file(context, file, target, settings, overwrite=overwrite, for_programs=for_programs)
