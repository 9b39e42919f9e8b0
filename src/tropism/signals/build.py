"""One file of feedback of any kind becomes preference groups: what `tropism build` does."""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ibis import Table

from tropism.errors import ConfigError
from tropism.signals.engines.engine import count, data_errors, engine_of, open_source, rows, scalar
from tropism.signals.engines.expressions import is_missing
from tropism.signals.kinds.answers import Cleaning
from tropism.signals.kinds.choices import choices_to_groups
from tropism.signals.kinds.columns import (
    ChoiceColumns,
    Columns,
    LabelColumns,
    RankingColumns,
    RatingColumns,
    VoteColumns,
    aspects_in_words,
)
from tropism.signals.kinds.exclusions import Exclusions
from tropism.signals.kinds.games import Truth
from tropism.signals.kinds.labels import labels_to_groups
from tropism.signals.kinds.made import Built, noted, with_left_out
from tropism.signals.kinds.rankings import rankings_to_groups
from tropism.signals.kinds.ratings import Pairing, ratings_to_groups
from tropism.signals.kinds.rules import GapRule, VoteRule
from tropism.signals.kinds.votes import votes_to_groups
from tropism.signals.privacy import redaction as privacy
from tropism.signals.privacy.personal import count_hits, scrub_text
from tropism.signals.privacy.safety_gate import load_gate
from tropism.signals.sources import READERS
from tropism.signals.sources.argilla import read_argilla
from tropism.signals.sources.aspects import weighed
from tropism.signals.sources.feedback_rows import AnswerRow, Aside, ChoiceRow, Feedback, RankRow, RatingRow, Refused
from tropism.signals.sources.flat_table import flattened
from tropism.signals.sources.label_studio import read_label_studio
from tropism.signals.sources.names import Questions, few_reasons
from tropism.signals.statistics.card import probed

HASHED = "hashed: names of sources that hold personal data"
_ASKING = {"argilla": read_argilla, "label-studio": read_label_studio}
"""Readers of files that may hold answers to several questions."""
_NAMES = {
    VoteColumns: "votes",
    RatingColumns: "ratings",
    RankingColumns: "rankings",
    ChoiceColumns: "choices",
    LabelColumns: "labels",
}
_WEIGHTS = {
    "gap": (VoteColumns, RatingColumns),
    "agreement": (RankingColumns, ChoiceColumns, LabelColumns),
    "count": (RankingColumns, ChoiceColumns, LabelColumns),
}
"""Which kinds know a weight; all know `one`."""


@dataclass(frozen=True)
class Settings:
    """What to make of feedback.

    A truth, weight or pairing that the kind of signal does not know is an error; of the rest, what it does not know has
    no effect on it, and the command line refuses it.

    Args:
        rule: of votes and ratings; None is every lead for ratings, and the gap rule for votes of foreign files.
        pairing: of ratings: all pairs, or the best against a random worse one.
        aspects: which ratings of another tool's file count, with their weights; None takes the one that it has.
        truth: of choices and rankings by several annotators.
        weight: of an edge or label: `one`, `gap`, `agreement` or `count`.
        margin: of an edge: `none` or `gap`.
        ties: whether even pairs become tied edges; None is as is usual for the kind of signal (choices keep them).
        cap: most edges of a thread.
        holdout: share of groups to mark as held out.
        skip_bad: drop and count rows that cannot be read.
        private: put placeholders in the place of personal data, and hash keys with `salt`.
        salt: of the hashes of keys; None draws a new one, so that two builds have nothing in common.
        keep_bots: keep answers whose author is a bot.
        exclude: which further rows are left out.
        gate: name of the safety gate; None lets all pass.
        engine: `duckdb`, `spark` or the address of a cluster.
        seed: of random choices.
    """

    rule: VoteRule | None = None
    pairing: Pairing = "all"
    aspects: Mapping[str, float] | None = None
    truth: Truth = "soft"
    weight: Literal["one", "gap", "agreement", "count"] = "one"
    margin: Literal["none", "gap"] = "none"
    ties: bool | None = None
    cap: int | None = None
    holdout: float | None = None
    skip_bad: bool = False
    private: bool = False
    salt: str | None = None
    keep_bots: bool = False
    exclude: Exclusions = field(default_factory=Exclusions)
    gate: str | None = None
    engine: str = "duckdb"
    seed: int = 0


@contextmanager
def build_file(path: Path, columns: Columns, settings: Settings) -> Iterator[Built]:
    """Groups of a file with a column for everything; they can be read inside the block.

    Only the columns that are named are read: of choices, the order of the columns says which answer was shown first.

    Raises:
        ConfigError, DataError: as the functions for the kinds of signals do.
    """
    settings.exclude.check(columns.given())
    names = dict.fromkeys([*columns.given().values(), *settings.exclude.roles().values()])
    opened = open_source(path, list(names), engine=settings.engine, skip_bad=settings.skip_bad)
    table = opened.table
    cleaning = _cleaning(settings)
    made = _build(table, columns, settings, cleaning, source=path.name, is_json=False)
    if settings.private:
        made = noted(made, _replaced(table, columns) | _hashed(table, columns))
    made = noted(with_left_out(made, opened.not_read.counts, opened.not_read.examples), opened.notes)
    yield probed(made, seed=settings.seed)


@contextmanager
def build_foreign(path: Path, source: str, settings: Settings) -> Iterator[Built]:
    """Groups of a file in the shape of another tool; they can be read inside the block.

    Args:
        path: the file.
        source: a name in `READERS`.
        settings: what to make of it.

    Raises:
        ConfigError: for a source that is not known, a setting that has no effect on what the file holds, or where it
            does not say which of several questions count.
        DataError: where nothing can be used.
    """
    if source not in READERS:
        raise ConfigError(f"--signal {source!r} is not known.", remedy=f"Use one of {', '.join(READERS)}.")
    replaced: Counter[str] = Counter()
    merged: Counter[str] = Counter()
    clean = _counting(replaced) if settings.private else None
    with ExitStack() as stack:
        told = _read(path, source, settings, merged)
        flat = stack.enter_context(flattened(told, source=path.name, engine=settings.engine, clean=clean))
        _refuse_unknown(settings.exclude, flat.table, source)
        cleaning = replace(_cleaning(settings), scrub=None)
        columns = _foreign_columns(flat.kind)
        made = _build(flat.table, columns, settings, cleaning, source=path.name, is_json=flat.is_json)
        made = with_left_out(made, flat.not_read.counts, flat.not_read.examples, flat.numbers)
        if settings.aspects is not None:
            words = (
                aspects_in_words(settings.aspects)
                if flat.kind is RatingRow
                else f"asked by {', '.join(settings.aspects)}"
            )
            made = replace(made, card=made.card.model_copy(update={"rule": f"{made.card.rule}; {words}"}))
        made = noted(made, {**merged, **{f"replaced: {name}": number for name, number in sorted(replaced.items())}})
        if settings.private:
            made = noted(made, _hashed(flat.table, columns))
        yield probed(made, seed=settings.seed)


def _read(path: Path, source: str, settings: Settings, merged: Counter[str]) -> Iterator[Feedback | Aside | Refused]:
    """The rows of a foreign file that count, with one rating for each annotator and response."""
    asked = Questions(settings.aspects)
    found = _ASKING[source](path, questions=asked) if source in _ASKING else READERS[source](path)
    rows_read = weighed(found, settings.aspects, source=path.name, questions=asked, notes=merged)
    return few_reasons(rows_read, private=settings.private)


def _build(
    table: Table, columns: Columns, settings: Settings, cleaning: Cleaning, *, source: str, is_json: bool
) -> Built:
    """Groups of a table by its kind of signal."""
    _refuse_without_effect(table, columns, settings, source=source)
    weight: Any = settings.weight  # each kind knows some of the weights; the others are refused by now
    shared: Any = {
        "skip_bad": settings.skip_bad,
        "cleaning": cleaning,
        "holdout": settings.holdout,
        "source": source,
    }
    if isinstance(columns, VoteColumns):
        rule, cap, margin = settings.rule or GapRule(), settings.cap, settings.margin
        return votes_to_groups(table, columns, rule, cap=cap, weight=weight, margin=margin, **shared)
    if isinstance(columns, RatingColumns):
        shared |= {"cap": settings.cap, "weight": weight, "margin": settings.margin, "seed": settings.seed}
        ties, pairing = bool(settings.ties), settings.pairing
        return ratings_to_groups(table, columns, rule=settings.rule, pairing=pairing, ties=ties, **shared)
    if isinstance(columns, LabelColumns):
        return labels_to_groups(table, columns, weight=weight, **shared)
    shared |= {"truth": settings.truth, "weight": weight, "is_json": is_json}
    if isinstance(columns, RankingColumns):
        return rankings_to_groups(table, columns, ties=bool(settings.ties), cap=settings.cap, **shared)
    return choices_to_groups(table, columns, ties=settings.ties is not False, **shared)


def _refuse_without_effect(table: Table, columns: Columns, settings: Settings, *, source: str) -> None:
    """Refuse what has no effect on the kind of signal, which a foreign file tells only when it has been read.

    Raises:
        ConfigError: naming the option.
    """
    kind, told = type(columns), _NAMES[type(columns)]
    judged = (RankingColumns, ChoiceColumns)
    given = {
        f"--pairing {settings.pairing}": settings.pairing != "all" and kind is not RatingColumns,
        f"--truth {settings.truth}": settings.truth != "soft" and kind not in judged,
        f"--weight {settings.weight}": kind not in _WEIGHTS.get(settings.weight, (kind,)),
    }
    for option, has_no_effect in given.items():
        if has_no_effect:
            raise ConfigError(f"{option} has no effect on {told}, which {source} holds.", remedy="Leave it away.")
    if not isinstance(columns, RankingColumns) or (settings.truth, settings.weight) == ("soft", "one"):
        return
    name = columns.annotator
    with data_errors(source, engine_of(table)):
        is_known = name is not None and count(table.filter(~is_missing(table[name]))) > 0
    if not is_known:
        option = f"--truth {settings.truth}" if settings.truth != "soft" else f"--weight {settings.weight}"
        remedy = "Name a column with --annotator, or leave it away." if name is None else "Leave it away."
        raise ConfigError(
            f"{option} has no effect on rankings whose annotators are not known: {source} is read as one ranking.",
            remedy=remedy,
        )


def _refuse_unknown(exclude: Exclusions, table: Table, source: str) -> None:
    """Refuse marks that the rows of a foreign file do not have."""
    known = [name for name, kind in table.schema().items() if kind.is_boolean()]
    for name in exclude.marks:
        if name not in known:
            raise ConfigError(
                f"--drop-if names {name!r}, which files of {source} do not have.",
                remedy=f"Use {' or '.join(known)}." if known else "Leave it away.",
            )


def _foreign_columns(kind: type) -> Columns:
    """The columns of a foreign file's rows."""
    if kind is AnswerRow:
        return VoteColumns("prompt", "response", "score", "group", "time", "author", accepted="accepted")
    if kind is RankRow:
        return RankingColumns("prompt", "response", "rank", "group", annotator="annotator")
    if kind is ChoiceRow:
        return ChoiceColumns(
            "prompt", "response_a", "response_b", "choice", "group", "annotator", "source_a", "source_b"
        )
    assert kind is RatingRow
    return RatingColumns("prompt", "response", {"score": 1.0}, "group")


def _cleaning(settings: Settings) -> Cleaning:
    """What the settings ask of texts, keys, authors and winners."""
    salt = settings.salt or privacy.new_salt()
    return Cleaning(
        scrub=privacy.scrub if settings.private else None,
        hash_key=(lambda key: privacy.salted(key, salt)) if settings.private else None,
        is_bot=None if settings.keep_bots else privacy.is_bot,
        gate=load_gate(settings.gate) if settings.gate else None,
        exclude=settings.exclude,
    )


def _replaced(table: Table, columns: Columns) -> dict[str, int]:
    """How many spots of each kind of personal data the texts of a table hold."""
    texts = [
        table[name].cast("string")
        for role, name in columns.given().items()
        if role in ("prompt", "response", "first", "second")
    ]
    hits = [privacy.hits(text) for text in texts]
    sums = {kind: functools.reduce(operator.add, (one[kind] for one in hits)).sum() for kind in hits[0]}
    (told,) = rows(table.aggregate(**sums))
    return {f"replaced: {kind}": int(number or 0) for kind, number in told.items()}


def _hashed(table: Table, columns: Columns) -> dict[str, int]:
    """How many names of sources hold personal data, and are hashed."""
    if not isinstance(columns, ChoiceColumns) or columns.first_source is None or columns.second_source is None:
        return {}
    names = [table[name].cast("string") for name in (columns.first_source, columns.second_source)]
    changed = [(privacy.scrub(name) != name).fill_null(False).cast("int64") for name in names]
    return {HASHED: int(scalar((changed[0] + changed[1]).sum()) or 0)}


def _counting(replaced: Counter[str]) -> Callable[[str], str]:
    """Scrubbing that counts what it replaces."""

    def clean(text: str) -> str:
        scrubbed = scrub_text(text)
        if scrubbed != text:
            replaced.update({kind: number for kind, number in count_hits(text).items() if number})
        return scrubbed

    return clean
