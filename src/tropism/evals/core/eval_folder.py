"""Results of evals on disk: each result and its items are kept as soon as they are measured, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from tropism.errors import DataError
from tropism.evals.core.items import Item
from tropism.records import EvalResult, write_text

RECORD, RESULTS, ITEMS = "eval.json", "results", "items"


class Kept(NamedTuple):
    """A result with its items."""

    result: EvalResult
    items: list[Item]


class EvalFolder:
    """Results of single evals on single models, each under a key of everything that it depends on.

    Args:
        path: the folder, which the caller has claimed; it is made with the first result.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, eval_name: str, model: str, key: str) -> Kept | None:
        """The kept result of an eval on a model, if it has this key."""
        try:
            kept = json.loads(self._result_path(eval_name, model).read_text(encoding="utf-8"))
            if kept["key"] != key:
                return None
            result = EvalResult.model_validate(kept["result"])
            return Kept(result, self.items(result))
        except (OSError, ValueError, KeyError, TypeError, ValidationError):
            return None

    def items(self, result: EvalResult) -> list[Item]:
        """The items of a result."""
        lines = (self.path / result.items).read_text(encoding="utf-8").split("\n")
        return [Item(**json.loads(line)) for line in lines if line]

    def keep(self, result: EvalResult, items: Sequence[Item], key: str) -> Kept:
        """Keep a result and its items; the returned result names the file of its items.

        Raises:
            DataError: if an item has a value that is not finite, or detail that is not JSON.
        """
        place = f"{ITEMS}/{_file_stem(result.eval, result.model)}.jsonl"
        result = result.model_copy(update={"items": place})
        write_text("".join(line(item, result.eval) + "\n" for item in items), self.path / place)
        text = json.dumps({"key": key, "result": json.loads(result.model_dump_json())}, ensure_ascii=False)
        write_text(text + "\n", self._result_path(result.eval, result.model))
        return Kept(result, list(items))

    def _result_path(self, eval_name: str, model: str) -> Path:
        return self.path / RESULTS / f"{_file_stem(eval_name, model)}.json"


def line(item: Item, eval_name: str) -> str:
    """An item as a line of JSON."""
    wrong = next((name for name, value in item.values.items() if not math.isfinite(value)), None)
    if wrong:
        raise DataError(
            f"values of items must be finite, got {item.values[wrong]} for {wrong!r} of item {item.id!r} of eval "
            f"{eval_name}.",
            remedy="Omit a value that was not measured.",
        )
    try:
        return json.dumps(asdict(item), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the detail of item {item.id!r} of eval {eval_name} is not JSON: {error}.", remedy="Use plain values."
        ) from None


def _file_stem(*parts: str) -> str:
    """A file name for a pair of names: readable, and different for different names."""
    plain = "--".join(re.sub(r"[^A-Za-z0-9_.-]+", "-", part)[:60] for part in parts)
    if "--".join(parts) == plain:
        return plain
    return f"{plain}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:8]}"
