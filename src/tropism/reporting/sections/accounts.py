"""Data cards and accounts as lines of text: what became of every row, and what winners could be told by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tropism.records import Account, DataCard, Measure
from tropism.records.confounders import CONFOUNDERS
from tropism.reporting.numbers import MISSING, SPACE, compact
from tropism.reporting.page_records import PageRecords, TrainedRun
from tropism.reporting.sections.change_tables import Cell, value_cell
from tropism.reporting.sections.matrices import MatrixGroup, card_tables

MOST_NAMED = 2
"""Sources whose rows are told in the summary of the section."""


class AccountLine(NamedTuple):
    """One line of what became of the rows, with its share of them and examples."""

    label: str
    num_rows: str
    share: str
    examples: str


class AccountTable(NamedTuple):
    """The lines that add up to the total, then what was noted but not dropped."""

    title: str
    lines: list[AccountLine]
    total: str
    notes: list[AccountLine]
    made: list[tuple[str, str]]


class ConfounderLine(NamedTuple):
    """One confounder as text."""

    label: str
    meaning: str
    value: Cell
    num_samples: str


class SourceView(NamedTuple):
    """A data card, with the models that were trained on it."""

    source: str
    rule: str
    models: tuple[str, ...]
    account: AccountTable
    confounders: list[ConfounderLine]
    spread: list[str]
    tables: list[MatrixGroup]


class SplitLine(NamedTuple):
    """How many groups went to one side of a split."""

    side: str
    num_groups: str


def sources_of(runs: Sequence[TrainedRun]) -> list[SourceView]:
    """Every data card once, with the models that were trained on it."""
    found: list[tuple[DataCard, list[str]]] = []
    for run in runs:
        for card in run.run.cards:
            models = next((names for known, names in found if known == card), None)
            if models is None:
                found.append((card, [run.name]))
            elif run.name not in models:
                models.append(run.name)
    return [_source_view(card, models) for card, models in found]


def _source_view(card: DataCard, models: Sequence[str]) -> SourceView:
    """A data card as the page shows it."""
    return SourceView(
        card.source,
        card.rule,
        tuple(models),
        account_table(card.account, "Rows of this source: used and dropped add up"),
        _confounder_lines(card),
        _spread_in_words(card),
        card_tables(card),
    )


def rows_in_words(sources: Sequence[SourceView]) -> str:
    """How many rows of all sources were used."""
    return ", ".join(
        f"{one.account.lines[0].num_rows} of {one.account.total} rows used" for one in sources[:MOST_NAMED]
    )


def group_accounts(records: PageRecords) -> list[AccountTable]:
    """What rendering did with the groups of every stage and of the evaluations; equal accounts appear once."""
    found: list[tuple[str, Account, list[str]]] = []
    own = [
        (f"Groups of stage {stage.name}", stage.account, run.name) for run in records.runs for stage in run.run.stages
    ]
    own += [
        ("Held-out groups", account, model)
        for suite in records.suites
        for model, account in suite.accounts.items()
        if model != suite.base
    ]
    for title, account, model in own:
        models = next((names for name, known, names in found if (name, known) == (title, account)), None)
        if models is None:
            found.append((title, account, [model]))
        else:
            models.append(model)
    several = len(records.models) > 1
    return [
        account_table(account, f"{title}{' of ' + ', '.join(models) if several else ''}: used and dropped add up")
        for title, account, models in found
    ]


def split_lines(runs: Sequence[TrainedRun]) -> list[SplitLine]:
    """Where the groups of a single run went; several runs have splits of their own."""
    split = runs[0].run.split if len(runs) == 1 else {}
    return [SplitLine(side, f"{count:,}") for side, count in split.items()]


def account_table(account: Account, title: str) -> AccountTable:
    """What became of every row: used and dropped add up to the total."""
    total = account.rows_read
    used = AccountLine("used", f"{account.rows_used:,}", _part(account.rows_used, total), "")
    dropped = [
        AccountLine(f"dropped: {reason}", f"{count:,}", _part(count, total), _examples(account, reason))
        for reason, count in account.dropped.items()
    ]
    notes = [
        AccountLine(note, f"{count:,}", "", _examples(account, note)) for note, count in account.notes.items() if count
    ]
    kinds = ("groups", "responses", "edges", "labels", "ties")
    made = [(kind, f"{getattr(account, kind):,}") for kind in kinds]
    return AccountTable(title, [used, *dropped], f"{total:,}", notes, made)


def _confounder_lines(card: DataCard) -> list[ConfounderLine]:
    """What a winner could be told by without reading it."""
    found = []
    for name, estimate in card.confounds.items():
        measure = CONFOUNDERS.get(name) or Measure.named(name)
        found.append(ConfounderLine(measure.label, measure.meaning, value_cell(estimate, measure), f"{estimate.n:,}"))
    return found


def _spread_in_words(card: DataCard) -> list[str]:
    """How comparisons are spread over threads; counts of all of them, so without intervals."""
    return [
        f"{name} {100 * value:.1f}{SPACE}%" if name.startswith("share") else f"{name} {compact(value)}"
        for name, value in card.pairs_per_thread.items()
    ]


def _part(count: int, total: int) -> str:
    """A count as a share of a total."""
    return f"{100 * count / total:.1f}{SPACE}%" if total else MISSING


def _examples(account: Account, reason: str) -> str:
    """The rows that a reason names."""
    return ", ".join(account.examples.get(reason, ()))
