"""Reading files: one reader for every command, with one set of rules and one account of what was not read."""

from __future__ import annotations

from tropism.ingest.row_reader import read_rows
from tropism.ingest.row_values import Unusable
from tropism.ingest.rows import NotRead, Row
from tropism.ingest.table_file import ROW, TableFile, open_table

__all__ = ["ROW", "NotRead", "Row", "TableFile", "Unusable", "open_table", "read_rows"]
