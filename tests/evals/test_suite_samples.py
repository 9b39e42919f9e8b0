"""Which held-out comparisons a suite run keeps for its readers."""

from __future__ import annotations

from pathlib import Path

from tropism.evals.core.eval_folder import EvalFolder
from tropism.evals.core.items import Item
from tropism.evals.core.suite_samples import MOST_PAIRS, suite_pairs
from tropism.records import EvalResult


def moved(name: str, change: float, *, with_texts: bool = True) -> Item:
    texts = {"prompt": f"p{name}", "winner": "w", "loser": "l"} if with_texts else {}
    return Item(name, name, {"winner_change": change, "loser_change": -1.0}, texts)


def kept(folder: EvalFolder, model: str, items: list[Item]) -> EvalResult:
    return folder.keep(EvalResult(eval="displacement", model=model, metrics={}), items, "key").result


def test_the_greatest_gains_and_losses_of_each_model_are_kept_with_every_models_change(tmp_path: Path) -> None:
    folder = EvalFolder(tmp_path / "out")
    changes = [float(place - 5) for place in range(11)]
    base = kept(folder, "base", [moved(str(place), 0.0) for place in range(11)])
    tuned = kept(folder, "tuned", [moved(str(place), change) for place, change in enumerate(changes)])
    pairs = suite_pairs([base, tuned], folder)
    assert sorted(pair.winner_change["tuned"] for pair in pairs) == [-5.0, -4.0, -3.0, 3.0, 4.0, 5.0]
    assert len(pairs) == 2 * MOST_PAIRS
    assert {pair.winner_change["base"] for pair in pairs} == {0.0}
    assert {pair.loser_change["tuned"] for pair in pairs} == {-1.0}


def test_items_kept_before_texts_were_and_suites_without_the_eval_give_none(tmp_path: Path) -> None:
    folder = EvalFolder(tmp_path / "out")
    old = kept(folder, "tuned", [moved("a", 2.0, with_texts=False)])
    assert suite_pairs([old], folder) == []
    assert suite_pairs([], folder) == []
