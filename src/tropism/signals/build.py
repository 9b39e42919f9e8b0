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

import pyarrow as pa
from ibis import Table

from tropism.errors import ConfigError
from tropism.records import Account
from tropism.signals import privacy
from tropism.signals.answers import UNREAD, Cleaning
from tropism.signals.card import probed
from tropism.signals.choices import choices_to_groups
from tropism.signals.columns import ChoiceColumns, Columns, LabelColumns, RankingColumns, RatingColumns, VoteColumns
from tropism.signals.engines import engine_of, open_file, rows
from tropism.signals.exclusions import Exclusions
from tropism.signals.games import Truth
from tropism.signals.gate import load_gate
from tropism.signals.labels import labels_to_groups
from tropism.signals.made import Built
from tropism.signals.personal import count_hits, scrub_text
from tropism.signals.rankings import rankings_to_groups
from tropism.signals.ratings import Pairing, ratings_to_groups
from tropism.signals.rules import GapRule, VoteRule
from tropism.signals.sources import READERS
from tropism.signals.sources.aspects import weighed, words_of
from tropism.signals.sources.rows import AnswerRow, ChoiceRow, RankRow, RatingRow
from tropism.signals.sources.table import flattened
from tropism.signals.votes import votes_to_groups


@dataclass(frozen=True)
class Settings:
    """What to make of feedback; what a kind of signal does not know has no effect on it.

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

    Raises:
        ConfigError, DataError: as the functions for the kinds of signals do.
    """
    settings.exclude.check(columns.given())
    names = dict.fromkeys([*columns.given().values(), *settings.exclude.roles().values()])
    table = open_file(path, list(names), engine=settings.engine, lenient=settings.skip_bad)
    cleaning = _cleaning(settings)
    made = _build(table, columns, settings, cleaning, source=path.name, is_json=False)
    if settings.private:
        made = _noted(made, _replaced(table, columns))
    if lines := engine_of(table).rejected():
        made = _with_left_out(made, {UNREAD: len(lines)}, {UNREAD: [f"line {line}" for line in lines[:5]]})
    yield probed(made, seed=settings.seed)


@contextmanager
def build_foreign(path: Path, source: str, settings: Settings) -> Iterator[Built]:
    """Groups of a file in the shape of another tool; they can be read inside the block.

    Args:
        path: the file.
        source: a name in `READERS`.
        settings: what to make of it.

    Raises:
        ConfigError: for a source that is not known, or where the file does not say which of several ratings count.
        DataError: where nothing can be used.
    """
    if source not in READERS:
        raise ConfigError(f"--signal {source!r} is not known.", remedy=f"Use one of {', '.join(READERS)}.")
    replaced: Counter[str] = Counter()
    clean = _counting(replaced) if settings.private else None
    with ExitStack() as stack:
        flat = stack.enter_context(
            flattened(
                weighed(READERS[source](path), settings.aspects, source=path.name),
                source=path.name,
                engine=settings.engine,
                clean=clean,
            )
        )
        _refuse_unknown(settings.exclude, flat.table, source)
        cleaning = replace(_cleaning(settings), scrub=None)
        made = _build(
            flat.table, _foreign_columns(flat.kind), settings, cleaning, source=path.name, is_json=flat.is_json
        )
        made = _with_left_out(made, flat.left_out, flat.examples, flat.numbers)
        if settings.aspects is not None:
            card = made.card.model_copy(update={"rule": f"{made.card.rule}; {words_of(settings.aspects)}"})
            made = replace(made, card=card)
        made = _noted(made, {f"replaced: {name}": number for name, number in sorted(replaced.items())})
        yield probed(made, seed=settings.seed)


def _build(
    table: Table, columns: Columns, settings: Settings, cleaning: Cleaning, *, source: str, is_json: bool
) -> Built:
    """Groups of a table by its kind of signal."""
    weight: Any = settings.weight  # each kind knows some of the weights; the command line refuses the others
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


def _counting(replaced: Counter[str]) -> Callable[[str], str]:
    """Scrubbing that counts what it replaces."""

    def clean(text: str) -> str:
        scrubbed = scrub_text(text)
        if scrubbed != text:
            replaced.update({kind: number for kind, number in count_hits(text).items() if number})
        return scrubbed

    return clean


def _noted(made: Built, notes: Mapping[str, int]) -> Built:
    """The same groups, with more notes on their card."""
    account = made.card.account
    more = {note: number for note, number in notes.items() if number}
    changed = account.model_copy(update={"notes": {**account.notes, **more}})
    return replace(made, card=made.card.model_copy(update={"account": changed}))


def _with_left_out(
    made: Built,
    left_out: Mapping[str, int],
    examples: Mapping[str, list[str]],
    numbers: pa.ChunkedArray | None = None,
) -> Built:
    """The same groups, with the records on their card that a reader left out, and records for rows."""
    account = made.card.account
    told = account.examples
    if numbers is not None:
        told = {reason: [_record(name, numbers) for name in names] for reason, names in told.items()}
    changed = Account(
        **account.model_dump(exclude={"rows_read", "dropped", "examples"}),
        rows_read=account.rows_read + sum(left_out.values()),
        dropped=dict(Counter(account.dropped) + Counter(left_out)),
        examples={**told, **examples},
    )
    return replace(made, card=made.card.model_copy(update={"account": changed}))


def _record(name: str, numbers: pa.ChunkedArray) -> str:
    """`row 7` of the flat table as the record of the file that it came from."""
    place = name.removeprefix("row ")
    if place == name or not place.isdigit() or not 0 < int(place) <= len(numbers):
        return name
    return f"row {numbers[int(place) - 1].as_py()}"
