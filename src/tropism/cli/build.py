"""`tropism build`: whatever people left behind to groups, or to pairs that other toolkits read."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from tropism.cli.output import JSON, Output
from tropism.cli.signal_columns import columns_of, foreign_aspects
from tropism.cli.signal_options import (
    COLUMNS,
    checked_salt,
    checked_share,
    exclusions_of,
    kind_of,
    refuse_foreign,
    refuse_lonely,
    vote_rule,
)

if TYPE_CHECKING:
    from tropism.records import DataCard
    from tropism.signals.build import Settings
    from tropism.signals.kinds.made import Built

Signal = Literal[
    "auto", "votes", "ratings", "rankings", "choices", "labels", "posts", "oasst", "imagereward", "argilla",
    "label-studio", "label-page",
]  # fmt: skip


def build(
    file: Path = typer.Argument(help="The feedback: JSONL, JSON, CSV, TSV or Parquet, or a file of another tool."),
    target: Path = typer.Option(
        Path("groups.parquet"),
        "--output",
        "-o",
        help="Groups (.parquet); or pairs, or labels, in TRL's columns (.jsonl).",
    ),
    signal: Signal = typer.Option(
        "auto",
        help="What a row is. votes, ratings, rankings, labels: one answer. choices: a judgement of two answers. Files "
        "of other tools: posts (Stack Exchange), oasst, imagereward, argilla, label-studio, label-page (`tropism "
        "label`). auto: label-page for .sqlite, else votes.",
    ),
    posts: bool = typer.Option(False, "--posts", help="The same as --signal posts."),
    prompt: str = typer.Option(None, help="Column of the text that was answered; `prompt` unless given."),
    response: str = typer.Option(None, help="Column of the answer's text; `response` unless given."),
    score: list[str] = typer.Option(
        None,
        help="Column of the answer's votes or rating (`score`); for ratings once for each aspect, as NAME=WEIGHT. With "
        "argilla, label-studio: a rated aspect, or the one question of choices or rankings that counts.",
    ),
    rank: str = typer.Option(None, help="Column of the answer's rank, 1 or 0 is best; `rank`."),
    label: str = typer.Option(None, help="Column of the thumb: up, down, true, false, 1, 0, -1; `label`."),
    choice: str = typer.Option(None, help="Column of the choice: a, b, tie, both_bad, skip; `choice`."),
    response_a: str = typer.Option(None, help="Column of the first answer; `response_a`."),
    response_b: str = typer.Option(None, help="Column of the second answer; `response_b`."),
    source_a: str = typer.Option(None, help="Column of what wrote the first answer: makes a table of strengths."),
    source_b: str = typer.Option(None, help="Column of what wrote the second answer."),
    annotator: str = typer.Option(None, help="Column of who judged: makes soft labels and measures agreement."),
    group: str = typer.Option(None, help="Column of the thread's key; without it, equal prompts are a thread."),
    time: str = typer.Option(None, help="Column of the time of writing: ISO 8601, or seconds since 1970."),
    author: str = typer.Option(None, help="Column of the author; tells how far popularity explains the votes."),
    accepted: str = typer.Option(None, help="Column of whether the asker accepted the answer (rule log2)."),
    prompt_score: str = typer.Option(None, help="Column of the prompt's own votes (rule shp)."),
    rule: Literal["gap", "lead", "ratio", "shp", "log2", "quantile"] = typer.Option(
        None,
        help="gap: more votes by a lead (default for votes). lead: any lead (for ratings). ratio: a multiple. shp: a "
        "multiple in less time (needs --time). log2: doublings, accepted answers one more. quantile: the community's "
        "best against its worst, as LLUMI.",
    ),
    min_gap: float = typer.Option(None, help="Smallest lead; 1 with gap and log2, 15 with quantile."),
    min_ratio: float = typer.Option(None, help="With ratio, shp: smallest quotient of the votes; 2."),
    min_score: float = typer.Option(None, help="Fewest votes of either answer; 2 with shp, 1 with ratio."),
    min_prompt_score: float = typer.Option(None, help="With shp and --prompt-score: fewest votes of the prompt; 10."),
    high: float = typer.Option(None, help="With quantile: share of all answers that may win; 0.02."),
    low: float = typer.Option(None, help="With quantile: share of all answers that may lose; 0.15."),
    later: bool = typer.Option(False, "--later", help="The winner was written after the loser."),
    length_match: float = typer.Option(None, help="Largest |log| of the quotient of both lengths, such as 0.5."),
    pairing: Literal["all", "best-random"] = typer.Option(
        None, help="Of ratings: all pairs, or the best against a random worse answer."
    ),
    truth: Literal["soft", "majority", "dawid-skene"] = typer.Option(
        None, help="Where people disagree: their share as a soft label, the majority, or shares by who is reliable."
    ),
    ties: bool = typer.Option(None, "--ties/--no-ties", help="Keep even pairs as ties (default for choices only)."),
    cap: int = typer.Option(None, help="Most pairs of a thread, the largest leads first."),
    weight: Literal["one", "gap", "agreement", "count"] = typer.Option(
        "one", help="Weight of an edge: 1, the lead, how far people agree, or how many judged."
    ),
    margin: Literal["none", "gap"] = typer.Option(None, help="Margin of an edge: none, or the lead (offset DPO)."),
    private: bool = typer.Option(
        False, "--private", help="Placeholders for names, addresses, numbers and links; hashed keys."
    ),
    salt: str = typer.Option(None, help="With --private: salt of the hashes; drawn anew for each build unless given."),
    keep_bots: bool = typer.Option(False, "--keep-bots", help="Keep answers whose author is a bot."),
    drop_if: list[str] = typer.Option(
        None,
        help="Column of a mark (moderator, edited, NSFW, ...): rows where it is true, yes, moderator or not 0 are left "
        "out. Several times for several marks.",
    ),
    asker: str = typer.Option(None, help="Column of who asked: leaves out answers by the asker (needs --author)."),
    parent: str = typer.Option(
        None, help="Column of what an answer replies to: leaves out replies to other answers (needs --group)."
    ),
    known_authors: bool = typer.Option(
        False, "--known-authors", help="Leave out answers whose author is missing or deleted (needs --author)."
    ),
    min_words: int = typer.Option(None, help="Fewest words of an answer, such as 5."),
    max_words: int = typer.Option(None, help="Most words of an answer, such as 300."),
    settled: float = typer.Option(
        None, help="Days after which votes are settled, such as 7: leaves out younger answers (needs --time)."
    ),
    as_of: str = typer.Option(None, help="With --settled: when votes were counted; the newest time of the file."),
    gate: str = typer.Option(
        None, help="Texts that no edge may prefer: a file of words, or file.py:function (which is run)."
    ),
    holdout: float = typer.Option(None, help="Share of groups to mark as held out, by a hash of the prompt."),
    engine: str = typer.Option("duckdb", help="duckdb, spark (this machine), or spark://host:port."),
    seed: int = typer.Option(0, help="Of random choices: --pairing best-random, samples of the data card."),
    skip_bad: bool = typer.Option(False, "--skip-bad", help="Drop and count values that cannot be read."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the output file."),
    for_programs: bool = JSON,
) -> None:
    """Make preference groups of votes, ratings, rankings, choices or thumbs."""
    output = Output(for_programs)
    check_target(file, target, overwrite=overwrite)
    kind = kind_of(file, signal, posts=posts)
    names = {
        "--prompt": prompt, "--response": response, "--score": score, "--rank": rank, "--label": label,
        "--choice": choice, "--response-a": response_a, "--response-b": response_b, "--source-a": source_a,
        "--source-b": source_b, "--annotator": annotator, "--group": group, "--time": time, "--author": author,
        "--accepted": accepted, "--prompt-score": prompt_score,
    }  # fmt: skip
    asked = {
        "--min-gap": min_gap, "--min-ratio": min_ratio, "--min-score": min_score, "--later": later or None,
        "--min-prompt-score": min_prompt_score, "--high": high, "--low": low, "--length-match": length_match,
    }  # fmt: skip
    other = {"--rule": rule, "--pairing": pairing, "--ties": ties, "--cap": cap, "--margin": margin, "--truth": truth}
    left_out = {
        "--drop-if": drop_if, "--asker": asker, "--parent": parent, "--known-authors": known_authors or None,
        "--min-words": min_words, "--max-words": max_words, "--settled": settled, "--as-of": as_of,
    }  # fmt: skip
    given = {**names, **other, **left_out, "--keep-bots": keep_bots or None}
    refuse_foreign(given, kind, weight)
    refuse_lonely({**given, **asked}, kind)
    check_lines(target, holdout=holdout)
    from tropism.signals.build import Settings

    settings = Settings(
        rule=vote_rule(rule, kind, asked, {name: names[name] for name in ("--accepted", "--prompt-score")}),
        aspects=foreign_aspects(kind, score),
        pairing=pairing or "all",
        truth=truth or "soft",
        weight=weight,
        margin=margin or "none",
        ties=ties,
        cap=cap,
        holdout=checked_share(holdout),
        skip_bad=skip_bad,
        private=private,
        salt=checked_salt(salt, private=private),
        keep_bots=keep_bots,
        exclude=exclusions_of(left_out),
        gate=gate,
        engine=engine,
        seed=seed,
    )
    with (
        output.console.status(f"Reading {file} and making groups") as status,
        built_groups(file, kind, names, settings) as made,
    ):
        status.update(f"Writing {made.card.account.groups:,} groups to {target}")
        write(made, target)
    output.card(made.card)
    output.table("Done", {"rule": made.card.rule, "output": str(target)})
    output.finish(
        payload(made.card, target),
        next_command=f"tropism train RECIPE.yaml {shlex.quote(f'data.train={target}')}",
    )


def built_groups(file: Path, kind: str, names: dict[str, Any], settings: Settings) -> AbstractContextManager[Built]:
    """The groups of a file, to be read inside the block."""
    from tropism.signals.build import build_file, build_foreign

    if kind not in COLUMNS:
        return build_foreign(file, kind, settings)
    return build_file(file, columns_of(kind, names), settings)


def check_target(file: Path, target: Path, *, overwrite: bool) -> None:
    """Refuse a target that is of another kind, that is the input, or that is there already.

    Raises:
        ConfigError: for the first two.
        OutputError: for the last.
    """
    from tropism.errors import ConfigError, OutputError

    if target.suffix not in (".parquet", ".jsonl"):
        raise ConfigError(
            f"--output must end in .parquet (groups) or .jsonl (pairs or labels), not {target.name!r}.",
            remedy="Use groups.parquet for `tropism train`.",
        )
    if target.resolve() == file.resolve():
        raise ConfigError(f"--output would replace its own input {file}.", remedy="Name another file.")
    if target.is_dir():
        raise OutputError(f"{target} is a folder.", remedy="Name a file with --output.")
    if target.exists() and not overwrite:
        raise OutputError(
            f"{target} exists.", remedy="Name another file with --output, or replace it with --overwrite."
        )


def check_lines(target: Path, *, holdout: float | None) -> None:
    """Refuse to write as lines what TRL's columns cannot hold.

    Raises:
        ConfigError: for groups that are held out.
    """
    from tropism.errors import ConfigError

    if target.suffix == ".jsonl" and holdout is not None:
        raise ConfigError(
            f"--holdout has no effect with {target.name}: TRL's columns do not say what is held out.",
            remedy="Use -o groups.parquet, or leave --holdout away.",
        )


def write(made: Built, target: Path) -> None:
    """Write groups, or TRL's columns where the name ends in `.jsonl`; whole or not at all, through a symbolic link."""
    from tropism.data.group_store import write_labels, write_pairs, write_tables

    target = target.resolve()
    if target.suffix == ".jsonl":
        (write_labels if made.card.account.labels else write_pairs)(made.groups, target)
    else:
        write_tables(made.groups.tables(), target, card=made.card)


def payload(card: DataCard, target: Path) -> dict[str, Any]:
    """The JSON object of `build`."""
    from tropism.signals.kinds.made import SPLIT_KEYS

    account = card.account
    return {
        "rows_read": account.rows_read,
        "rows_used": account.rows_used,
        "dropped": account.dropped,
        "groups": account.groups,
        "responses": account.responses,
        "edges": account.edges,
        "labels": account.labels,
        "ties": account.ties,
        "notes": account.notes,
        "split_keys": account.notes.get(SPLIT_KEYS, 0),
        "confounds": {name: value.model_dump() for name, value in card.confounds.items()},
        "pairs_per_thread": card.pairs_per_thread,
        "tables": [table.model_dump() for table in card.tables],
        "rule": card.rule,
        "output": str(target),
    }
