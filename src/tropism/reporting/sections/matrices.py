"""Tables of estimates from evals and data cards, such as attacks by positions and levels by levels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tropism.records import DataCard, Estimate, EvalResult, Matrix, Measure, TableWords
from tropism.reporting.model_styles import ModelStyle
from tropism.reporting.numbers import MISSING, Unit, interval_text, value_text
from tropism.reporting.page_records import PageRecords

DEEPEST = 62
"""Percent of the shade's colour in the darkest cell: text on it stays readable in both themes."""


class MatrixCell(NamedTuple):
    """One estimate as text; `shade` in percent of the shade's colour, None without one."""

    value: str
    interval: str
    num_samples: str
    shade: int | None


class MatrixRow(NamedTuple):
    """One row of a table."""

    name: str
    cells: list[MatrixCell]


class MatrixView(NamedTuple):
    """One table, of one model or of all."""

    model: ModelStyle | None
    row_title: str
    column_title: str
    columns: list[str]
    rows: list[MatrixRow]


class MatrixGroup(NamedTuple):
    """The same table of several models.

    Args:
        title, reading: in words.
        num_samples: of all cells, if they have equally many.
        alike: a sentence instead of tables whose cells are all the same.
        views: the tables.
    """

    title: str
    reading: str
    num_samples: str
    alike: str
    views: list[MatrixView]


def matrix_groups(
    results: Sequence[EvalResult], models: Mapping[str, ModelStyle], records: PageRecords
) -> list[MatrixGroup]:
    """The tables of one eval's results, each kind with all models that have it."""
    found: dict[str, list[tuple[EvalResult, Matrix]]] = {}
    for result in results:
        for matrix in result.matrices:
            found.setdefault(matrix.name, []).append((result, matrix))
    groups = []
    for name, pairs in found.items():
        eval_name = pairs[0][0].eval
        words = records.words_of(eval_name).tables.get(name) or TableWords(title=Measure.named(name).label)
        shown = [(models[one.model], matrix) for one, matrix in pairs if words.with_base or models[one.model].number]
        if shown:
            groups.append(_group_of(shown, words, records.measures_of(eval_name)))
    return groups


def card_tables(card: DataCard) -> list[MatrixGroup]:
    """The tables of a data card."""
    return [_group_of([(None, table)], TableWords(title=Measure.named(table.name).label), {}) for table in card.tables]


def _group_of(
    pairs: Sequence[tuple[ModelStyle | None, Matrix]], words: TableWords, measures: Mapping[str, Measure]
) -> MatrixGroup:
    """One kind of table; tables of a single column become one with a column for each model."""
    cells = [cell for _, matrix in pairs for row in matrix.cells for cell in row if cell]
    if len(cells) > 1 and all(cell == cells[0] for cell in cells):
        return MatrixGroup(words.title, "", "", _said_once(cells, words.unit or "number", len(pairs)), [])
    counts = {cell.n for cell in cells}
    num_samples = f"n = {counts.pop():,} in every cell" if len(counts) == 1 else ""
    darkest = 1.0 if words.unit == "share" else max((abs(cell.value) for cell in cells), default=1.0) or 1.0
    narrow = all(len(matrix.columns) == 1 for _, matrix in pairs) and len({tuple(m.rows) for _, m in pairs}) == 1
    if narrow and len(pairs) > 1:
        shown: list[tuple[ModelStyle | None, Matrix]] = [(None, _side_by_side(pairs))]
    else:
        shown = [(None if words.is_across else model, matrix) for model, matrix in pairs]
    views = [
        _view_of(model, matrix, words, measures, darkest=darkest, with_counts=not num_samples)
        for model, matrix in shown
    ]  # fmt: skip
    return MatrixGroup(words.title, words.reading, num_samples, "", views)


def _said_once(cells: Sequence[Estimate], unit: Unit, num_tables: int) -> str:
    """What all cells of all tables say."""
    one = cells[0]
    places = f"{len(cells):,} cells" + (f" of {num_tables} models" if num_tables > 1 else "")
    digits = 0 if unit == "share" else None
    value = f"{value_text(one, unit, decimals=digits)} {interval_text(one, unit, decimals=digits)}"
    return f"{value}, n = {one.n:,}, in each of the {places}."


def _side_by_side(pairs: Sequence[tuple[ModelStyle | None, Matrix]]) -> Matrix:
    """Tables of one column as one table."""
    first = pairs[0][1]
    names = [model.name if model else matrix.columns[0] for model, matrix in pairs]
    rows = [[matrix.cells[place][0] for _, matrix in pairs] for place in range(len(first.rows))]
    return first.model_copy(update={"column_title": "model", "columns": names, "cells": rows})


def _view_of(
    model: ModelStyle | None,
    matrix: Matrix,
    words: TableWords,
    measures: Mapping[str, Measure],
    *,
    darkest: float,
    with_counts: bool,
) -> MatrixView:
    """One table as text; rows and columns without any estimate are omitted."""
    keep = [place for place in range(len(matrix.columns)) if any(row[place] for row in matrix.cells)]
    known = [measures.get(name) for name in matrix.columns]
    units: list[Unit] = [words.unit or (one.unit if one else "number") for one in known]
    columns = [one.label if one else name for one, name in zip(known, matrix.columns, strict=True)]
    rows = [
        MatrixRow(
            name,
            [
                _cell_text(cells[place], units[place], darkest=darkest if words.is_shaded else None, count=with_counts)
                for place in keep
            ],
        )
        for name, cells in zip(matrix.rows, matrix.cells, strict=True)
        if any(cells)
    ]
    title = "" if matrix.column_title == "metric" else matrix.column_title
    return MatrixView(model, matrix.row_title, title, [columns[place] for place in keep], rows)


def _cell_text(cell: Estimate | None, unit: Unit, *, darkest: float | None, count: bool) -> MatrixCell:
    """One cell as text."""
    if cell is None:
        return MatrixCell(MISSING, "", "", None)
    shade = None
    if darkest is not None and math.isfinite(cell.value):
        shade = round(DEEPEST * min(1.0, abs(cell.value) / darkest))
    digits = 0 if unit == "share" else None
    return MatrixCell(
        value_text(cell, unit, decimals=digits),
        interval_text(cell, unit, decimals=digits),
        f"n = {cell.n:,}" if count else "",
        shade,
    )
