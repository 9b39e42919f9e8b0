"""Tables of estimates: attacks by positions, levels by levels, and whatever else an eval or a data card tells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tropism.records import DataCard, Estimate, EvalResult, Matrix
from tropism.report.looks import Look
from tropism.report.metrics import humanise
from tropism.report.numbers import MISSING, Unit, interval_text, value_text
from tropism.report.suite_words import MEASURES

DEEPEST = 62
"""Percent of the heat's colour in the hottest cell: text on it stays readable in both themes."""


class MatrixWords(NamedTuple):
    """A known table in words.

    Args:
        title: for people.
        reading: how to read it.
        unit: of its cells; None where the columns are measures of their own.
        is_heat: whether cells are shaded by their value.
        is_across: whether it is about all models at once.
        base_tells: whether the base's own table says anything.
        is_detail: whether it is for those who look closer.
    """

    title: str
    reading: str
    unit: Unit | None = None
    is_heat: bool = False
    is_across: bool = False
    base_tells: bool = True
    is_detail: bool = False


MATRICES: dict[str, MatrixWords] = {
    "injection.attack success rate": MatrixWords(
        "Attack success by attack and position",
        "One row is a way to hide an order in the data, one column the place where it was hidden. The darker, the more "
        "often the model obeyed it.",
        "share",
        is_heat=True,
    ),
    "injection.task done under attack": MatrixWords(
        "Task done under attack, by attack and position",
        "The darker, the more often the model still did what its user had asked.",
        "share",
        is_heat=True,
    ),
    "hierarchy.adherence to the higher level": MatrixWords(
        "Adherence on the ten pairs of levels",
        "The row is the level that must win, the column the one that disagrees. The darker, the more often the higher "
        "level\u2019s demand was met and the lower one\u2019s was not.",
        "share",
        is_heat=True,
    ),
    "hierarchy.lower level followed": MatrixWords(
        "Lower level followed, on the ten pairs of levels",
        "The darker, the more often the model did what the level without authority asked.",
        "share",
        is_heat=True,
    ),
    "style.distance between styles": MatrixWords(
        "Distance between styles",
        "How far the model\u2019s states lie apart for one content in two styles. The darker, the farther.",
        "number",
        is_heat=True,
        is_detail=True,
    ),
    "style.right fact preferred": MatrixWords(
        "Right fact in one style against a wrong fact in another",
        "How often the right fact is rewarded more. Pale cells away from the diagonal: there, style outbids the truth.",
        "share",
        is_heat=True,
        base_tells=False,
    ),
    "preference.accuracy by length": MatrixWords(
        "By length", "Where accuracy is high only for longer answers, the model learned length."
    ),
    "preference.reliability": MatrixWords(
        "Is it as sure as it is right?", "In an honest model both columns are alike.", "share"
    ),
    "displacement.change by quantile": MatrixWords(
        "Change by quantile, nats", "Half of the answers lie between the 25 % and the 75 % column.", "number"
    ),
    "refusal.refusals by category": MatrixWords(
        "Refusals by category", "Benign requests should not be refused, dangerous ones should.", "share"
    ),
    "win_rate.strengths": MatrixWords(
        "All models in one order",
        "Bradley-Terry strengths from all duels. On Elo\u2019s scale, 100 points are a win rate of 64 %.",
        "number",
        is_across=True,
    ),
}
"""Tables by `eval.name`. An unknown one is shown under its own name."""


class MatrixCell(NamedTuple):
    """One estimate as text; `heat` in percent of the heat's colour, None without one."""

    value: str
    interval: str
    num_samples: str
    heat: int | None


class MatrixRow(NamedTuple):
    """One row of a table."""

    name: str
    cells: list[MatrixCell]


class MatrixView(NamedTuple):
    """One table, of one model or of all."""

    look: Look | None
    row_title: str
    column_title: str
    columns: list[str]
    rows: list[MatrixRow]


class MatrixGroup(NamedTuple):
    """The same table of several models.

    Args:
        title, reading: in words.
        num_samples: of all cells, where they have equally many.
        is_detail: whether it is for those who look closer.
        alike: a sentence in the place of tables whose cells are all one and the same.
        views: the tables.
    """

    title: str
    reading: str
    num_samples: str
    is_detail: bool
    alike: str
    views: list[MatrixView]


def matrix_groups(results: Sequence[EvalResult], looks: Mapping[str, Look], *, base: str) -> list[MatrixGroup]:
    """The tables of one eval's results, each kind with all models that have it."""
    found: dict[str, list[tuple[EvalResult, Matrix]]] = {}
    for result in results:
        for matrix in result.matrices:
            found.setdefault(matrix.name, []).append((result, matrix))
    groups = []
    for name, pairs in found.items():
        eval_name = pairs[0][0].eval
        words = MATRICES.get(f"{eval_name}.{name}") or MatrixWords(humanise(name), "")
        shown = [(looks[one.model], matrix) for one, matrix in pairs if words.base_tells or one.model != base]
        if shown:
            groups.append(group_of(shown, words, eval_name))
    return groups


def card_tables(card: DataCard) -> list[MatrixGroup]:
    """The tables of a data card."""
    return [group_of([(None, table)], MatrixWords(humanise(table.name), ""), "") for table in card.tables]


def group_of(pairs: Sequence[tuple[Look | None, Matrix]], words: MatrixWords, eval_name: str) -> MatrixGroup:
    """One kind of table; tables of a single column become one with a column for each model."""
    cells = [cell for _, matrix in pairs for row in matrix.cells for cell in row if cell]
    if len(cells) > 1 and all(cell == cells[0] for cell in cells):
        return MatrixGroup(
            words.title, "", "", words.is_detail, said_once(cells, words.unit or "number", len(pairs)), []
        )
    counts = {cell.n for cell in cells}
    num_samples = f"n = {counts.pop():,} in every cell" if len(counts) == 1 else ""
    hottest = 1.0 if words.unit == "share" else max((abs(cell.value) for cell in cells), default=1.0) or 1.0
    narrow = all(len(matrix.columns) == 1 for _, matrix in pairs) and len({tuple(m.rows) for _, m in pairs}) == 1
    if narrow and len(pairs) > 1:
        shown: list[tuple[Look | None, Matrix]] = [(None, side_by_side(pairs))]
    else:
        shown = [(None if words.is_across else look, matrix) for look, matrix in pairs]
    return MatrixGroup(
        words.title,
        words.reading,
        num_samples,
        words.is_detail,
        "",
        [
            view_of(look, matrix, words, eval_name, hottest=hottest, with_counts=not num_samples)
            for look, matrix in shown
        ],
    )


def said_once(cells: Sequence[Estimate], unit: Unit, num_tables: int) -> str:
    """What all cells of all tables say."""
    one = cells[0]
    where = f"{len(cells):,} cells" + (f" of {num_tables} models" if num_tables > 1 else "")
    digits = 0 if unit == "share" else None
    value = f"{value_text(one, unit, decimals=digits)} {interval_text(one, unit, decimals=digits)}"
    return f"{value}, n = {one.n:,}, in each of the {where}."


def side_by_side(pairs: Sequence[tuple[Look | None, Matrix]]) -> Matrix:
    """Tables of one column as one table."""
    first = pairs[0][1]
    names = [look.name if look else matrix.columns[0] for look, matrix in pairs]
    rows = [[matrix.cells[place][0] for _, matrix in pairs] for place in range(len(first.rows))]
    return first.model_copy(update={"column_title": "model", "columns": names, "cells": rows})


def view_of(
    look: Look | None, matrix: Matrix, words: MatrixWords, eval_name: str, *, hottest: float, with_counts: bool
) -> MatrixView:
    """One table as text; rows and columns without any estimate are left out."""
    keep = [place for place in range(len(matrix.columns)) if any(row[place] for row in matrix.cells)]
    known = [MEASURES.get(f"{eval_name}.{name}") for name in matrix.columns]
    units: list[Unit] = [words.unit or (one.unit if one else "number") for one in known]
    columns = [one.label if one else name for one, name in zip(known, matrix.columns, strict=True)]
    rows = [
        MatrixRow(
            name,
            [
                cell_text(cells[place], units[place], hottest=hottest if words.is_heat else None, count=with_counts)
                for place in keep
            ],
        )
        for name, cells in zip(matrix.rows, matrix.cells, strict=True)
        if any(cells)
    ]
    title = "" if matrix.column_title == "metric" else matrix.column_title
    return MatrixView(look, matrix.row_title, title, [columns[place] for place in keep], rows)


def cell_text(cell: Estimate | None, unit: Unit, *, hottest: float | None, count: bool) -> MatrixCell:
    """One cell as text."""
    if cell is None:
        return MatrixCell(MISSING, "", "", None)
    heat = None
    if hottest is not None and math.isfinite(cell.value):
        heat = round(DEEPEST * min(1.0, abs(cell.value) / hottest))
    digits = 0 if unit == "share" else None
    return MatrixCell(
        value_text(cell, unit, decimals=digits),
        interval_text(cell, unit, decimals=digits),
        f"n = {cell.n:,}" if count else "",
        heat,
    )
