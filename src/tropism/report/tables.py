"""The tables of a report as lines of text: the evaluation, what became of the rows, and what a run cost."""

from __future__ import annotations

from typing import NamedTuple

from tropism.records import Account, DataCard, Estimate, Run
from tropism.report.metrics import Kind, Row, metric_of
from tropism.report.numbers import MISSING, SPACE, decimals_of, duration, interval_text, plain, value_text

IN_WORDS: dict[Kind, str] = {
    "better": "better",
    "worse": "worse",
    "unclear": "no clear difference",
    "changed": "changed",
    "note": MISSING,
}


class Cell(NamedTuple):
    """A value with its interval, as text."""

    value: str
    interval: str


class MetricLine(NamedTuple):
    """One line of the evaluation's tables; `before` and `change` are None for a metric that stands alone."""

    label: str
    meaning: str
    before: Cell | None
    after: Cell
    change: Cell | None
    num_samples: str
    kind: Kind
    outcome: str


class AccountLine(NamedTuple):
    """One line of what became of the rows, with its share of them and examples."""

    label: str
    num_rows: str
    share: str
    examples: str


class AccountTable(NamedTuple):
    """The lines that add up to the total, then what was noted but not dropped."""

    lines: list[AccountLine]
    total: str
    notes: list[AccountLine]
    made: list[tuple[str, str]]


class CostLine(NamedTuple):
    """What a part of the run cost."""

    label: str
    time: str
    computed: str = ""
    distinct: str = ""
    ratio: str = ""
    reference: str = ""


def metric_line(row: Row, *, decimals: int | None = None) -> MetricLine:
    """A metric as the table shows it; before and after have equally many digits.

    Args:
        row: the metric.
        decimals: digits after the point of a number; as many as the narrower interval of both supports if None.
    """
    unit = row.metric.unit
    pair = [row.after] if row.before is None else [row.after, row.before]
    digits = 1 if unit == "share" else decimals_of(*pair) if decimals is None else decimals
    after = _cell(row, row.after, digits)
    before = None if row.before is None else _cell(row, row.before, digits)
    change = None
    if row.change is not None:
        scale = 100 if unit == "share" else 1
        value = plain(scale * row.change.value, digits, signed=True)
        change = Cell(value, interval_text(row.change, unit, decimals=digits, signed=True))
    counts = list(dict.fromkeys(f"{estimate.n:,}" for estimate in reversed(pair)))
    outcome = IN_WORDS[row.kind]
    return MetricLine(
        row.metric.label, row.metric.meaning, before, after, change, " / ".join(counts), row.kind, outcome
    )


def account_table(account: Account) -> AccountTable:
    """What became of every row: used and dropped add up to the total."""
    total = account.rows_read
    used = AccountLine("used", f"{account.rows_used:,}", _part(account.rows_used, total), "")
    dropped = [
        AccountLine(f"dropped: {reason}", f"{count:,}", _part(count, total), _examples(account, reason))
        for reason, count in account.dropped.items()
    ]
    notes = [AccountLine(note, f"{count:,}", "", _examples(account, note)) for note, count in account.notes.items()]
    kinds = ("groups", "responses", "edges", "labels", "ties")
    made = [(kind, f"{getattr(account, kind):,}") for kind in kinds]
    return AccountTable([used, *dropped], f"{total:,}", notes, made)


def confound_lines(card: DataCard) -> list[MetricLine]:
    """What a winner could be told by without reading it."""
    return [
        metric_line(Row(name, metric_of(name), None, estimate, None, "note"))
        for name, estimate in card.confounds.items()
    ]


def cost_lines(run: Run) -> list[CostLine]:
    """Time and tokens of each stage, the rest, and the whole run."""
    lines = [
        CostLine(
            stage.name,
            duration(stage.seconds),
            f"{stage.tokens_computed:,}",
            f"{stage.tokens_distinct:,}",
            f"{stage.tokens_computed / stage.tokens_distinct:.2f}" if stage.tokens_distinct else MISSING,
            f"{stage.reference_tokens_scored:,}",
        )
        for stage in run.stages
    ]
    rest = run.seconds - sum(stage.seconds for stage in run.stages)
    if rest >= 0.05 and run.stages:
        lines.append(CostLine("everything else (loading, evaluation)", duration(rest)))
    return lines


def cost_total(run: Run) -> CostLine:
    """The whole run."""
    totals = [
        sum(getattr(stage, name) for stage in run.stages)
        for name in ("tokens_computed", "tokens_distinct", "reference_tokens_scored")
    ]
    computed, distinct, reference = totals
    ratio = f"{computed / distinct:.2f}" if distinct else MISSING
    return CostLine("whole run", duration(run.seconds), f"{computed:,}", f"{distinct:,}", ratio, f"{reference:,}")


def _cell(row: Row, estimate: Estimate, digits: int) -> Cell:
    """One estimate of a row; a metric around zero shows its sign."""
    unit, signed = row.metric.unit, row.metric.baseline == 0
    value = value_text(estimate, unit, decimals=digits, signed=signed)
    return Cell(value, interval_text(estimate, unit, decimals=digits, signed=signed))


def _part(count: int, total: int) -> str:
    """A count as a share of a total."""
    return f"{100 * count / total:.1f}{SPACE}%" if total else MISSING


def _examples(account: Account, reason: str) -> str:
    """The rows that a reason names."""
    return ", ".join(account.examples.get(reason, ()))
