"""The options that several `tropism build` commands share, declared once.

Parameters of the commands have the names of the library's parameters, so that errors can be spelled as options. Options
with the same help text share a line of the help page.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

COLUMNS, PAIRS, ROWS, OUTPUT = "Columns", "Comparisons", "Rows to exclude (all counted)", "Output"


def column(*names: str, help: str) -> Any:
    """An option that names a column."""
    return typer.Option(*names, metavar="COL", help=help, rich_help_panel=COLUMNS)


def pairs(*names: str, help: str, metavar: str | None = None) -> Any:
    """An option that says which comparisons are made."""
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=PAIRS)


def rows(*names: str, help: str, metavar: str | None = None) -> Any:
    """An option that excludes rows."""
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=ROWS)


def output(*names: str, help: str, metavar: str | None = None) -> Any:
    """An option that says what is written, and how."""
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=OUTPUT)


File = Annotated[Path, typer.Argument(metavar="FILE", help="JSONL, JSON, CSV, TSV or Parquet, or another tool's file.")]

_TEXTS = "Text answered, and answer (prompt, response)."
Prompt = Annotated[str, column("--prompt", help=_TEXTS)]
Response = Annotated[str, column("--response", help=_TEXTS)]
PromptOnly = Annotated[str, column("--prompt", help="Text that was answered (prompt).")]
Group = Annotated[str | None, column("--group", help="Key of the thread; none: equal prompts.")]
_WRITTEN = "When, and who wrote it (bots are dropped)."
Time = Annotated[str | None, column("--time", help=_WRITTEN)]
Author = Annotated[str | None, column("--author", help=_WRITTEN)]
Annotator = Annotated[str | None, column("--annotator", help="Who judged: soft labels and agreement.")]

Cap = Annotated[int | None, pairs("--cap", metavar="N", help="Most pairs of a thread, largest leads first.")]
_GAP = "one, or gap: the lead; none, or gap."
WeightByGap = Annotated[Literal["one", "gap"], pairs("--weight", metavar="W", help=_GAP)]
MarginByGap = Annotated[Literal["none", "gap"], pairs("--margin", metavar="W", help=_GAP)]
WeightByVotes = Annotated[
    Literal["one", "agreement", "count"], pairs("--weight", metavar="W", help="one, agreement, or count of judges.")
]
Truth = Annotated[
    Literal["soft", "majority", "dawid-skene"],
    pairs("--truth", metavar="T", help="If judges disagree: soft, majority, dawid-skene."),
]
Ties = Annotated[bool, pairs("--ties/--no-ties", help="Keep even pairs as tied edges.")]
Question = Annotated[str | None, pairs("--question", metavar="NAME", help="Of an export: the question that counts.")]
_LEADS = "Least lead (1; quantile 15), multiple (2)."
MinGap = Annotated[float | None, pairs("--min-gap", metavar="X", help=_LEADS)]
MinRatio = Annotated[float | None, pairs("--min-ratio", metavar="X", help=_LEADS)]
MinScore = Annotated[float | None, pairs("--min-score", metavar="X", help="Fewest votes of both (shp 2, ratio 1).")]
_SHARES = "quantile: shares that win, lose (.02, .15)."
High = Annotated[float | None, pairs("--high", metavar="X", help=_SHARES)]
Low = Annotated[float | None, pairs("--low", metavar="X", help=_SHARES)]
Later = Annotated[bool, pairs("--later", help="The winner was written after the loser.")]
LengthMatch = Annotated[
    float | None, pairs("--length-match", metavar="X", help="Largest |log| of the ratio of lengths.")
]

_MARKS = "Rows marked in this column; repeatable."
Marks = Annotated[list[str] | None, rows("--drop-if", metavar="COL", help=_MARKS)]
_REPLIES = "Answers by the asker; replies to answers."
Asker = Annotated[str | None, rows("--asker", metavar="COL", help=_REPLIES)]
Parent = Annotated[str | None, rows("--parent", metavar="COL", help=_REPLIES)]
KnownAuthors = Annotated[bool, rows("--known-authors", help="Answers of deleted authors.")]
KeepBots = Annotated[bool, rows("--keep-bots", help="(Keep answers by bots.)")]
_WORDS = "Shorter, and longer answers."
MinWords = Annotated[int | None, rows("--min-words", metavar="N", help=_WORDS)]
MaxWords = Annotated[int | None, rows("--max-words", metavar="N", help=_WORDS)]
_AGE = "Answers younger than DAYS, on TIME (newest)."
SettledDays = Annotated[float | None, rows("--settled", metavar="DAYS", help=_AGE)]
AsOf = Annotated[str | None, rows("--as-of", metavar="TIME", help=_AGE)]
SkipBad = Annotated[bool, rows("--skip-bad", help="Rows that cannot be read (else an error).")]

Target = Annotated[Path, output("-o", "--output", metavar="FILE", help=".parquet (groups.parquet), or .jsonl for TRL.")]
Holdout = Annotated[float | None, output("--holdout", metavar="X", help="Share of groups to hold out.")]
_PRIVATE = "Replace personal data, hash keys; salt (new)."
Private = Annotated[bool, output("--private", help=_PRIVATE)]
Salt = Annotated[str | None, output("--salt", metavar="TEXT", help=_PRIVATE)]
SafetyGateName = Annotated[
    str | None, output("--gate", metavar="NAME", help="Texts never preferred: words, file.py:function.")
]
_ENGINE = "duckdb, spark, spark://...; random seed (0)."
EngineName = Annotated[str, output("--engine", metavar="NAME", help=_ENGINE)]
Seed = Annotated[int, output("--seed", metavar="N", help=_ENGINE)]
_END = "Replace FILE; end with a line of JSON."
Overwrite = Annotated[bool, output("--overwrite", help=_END)]
ForPrograms = Annotated[bool, output("--json", help=_END)]


def seconds_of(time: str | None) -> float | None:
    """Seconds since 1970 of a time on the command line, which is read like the times of a table.

    Raises:
        ConfigError: if it is not a time.
    """
    import ibis

    from tropism.errors import ConfigError
    from tropism.signals.engines.expressions import seconds

    if time is None:
        return None
    value = seconds(ibis.literal(time)).to_pyarrow().as_py()
    if value is None or not math.isfinite(value):
        raise ConfigError(
            f"`as_of` must be a time (ISO 8601, or seconds since 1970), got {time!r}.",
            remedy="Use 2026-03-01, for example.",
        )
    return float(value)
