"""Prompts and answers to read, taken from the items of the evals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tropism.evals.core.eval_folder import EvalFolder
from tropism.evals.core.items import Item
from tropism.records import EvalResult, SuitePair, SuiteSample

FROM = ("win_rate", "drift")
"""Evals whose items hold `prompt` and `answer`, the first that was run counts."""
NUM_SAMPLES = 60
MOST_PAIRS = 3
"""Comparisons kept of each model's greatest gains, and as many of its greatest losses."""


def suite_samples(results: Sequence[EvalResult], folder: EvalFolder) -> list[SuiteSample]:
    """Answers of all models to the same prompts, with a judge's scores if items have `judge_score`."""
    for name in FROM:
        found = [result for result in results if result.eval == name]
        if found:
            return _of_eval(found, folder)
    return []


def suite_pairs(results: Sequence[EvalResult], folder: EvalFolder) -> list[SuitePair]:
    """The held-out comparisons whose preferred answer gained or lost most probability in some model."""
    found = [result for result in results if result.eval == "displacement"]
    by_model = {result.model: {item.id: item for item in folder.items(result)} for result in found}
    chosen: dict[str, None] = {}
    for items in by_model.values():
        told = [item for item in items.values() if item.values["winner_change"] and "winner" in item.detail]
        ordered = sorted(told, key=lambda item: (item.values["winner_change"], item.id))
        chosen |= dict.fromkeys(item.id for item in (*ordered[:MOST_PAIRS], *ordered[-MOST_PAIRS:]))
    return [_pair_of({model: items[name] for model, items in by_model.items() if name in items}) for name in chosen]


def _pair_of(items: Mapping[str, Item]) -> SuitePair:
    """One comparison as every model's items have it."""
    texts = next(iter(items.values())).detail
    return SuitePair(
        prompt=str(texts["prompt"]),
        winner=str(texts["winner"]),
        loser=str(texts["loser"]),
        winner_change={model: item.values["winner_change"] for model, item in items.items()},
        loser_change={model: item.values["loser_change"] for model, item in items.items()},
    )


def _of_eval(results: Sequence[EvalResult], folder: EvalFolder) -> list[SuiteSample]:
    """Samples of one eval, one for each item that every model has."""
    by_model = {result.model: {item.id: item for item in folder.items(result)} for result in results}
    first = next(iter(by_model.values()))
    shared = [
        name for name in first if all(name in items and "answer" in items[name].detail for items in by_model.values())
    ]
    return [
        SuiteSample(
            prompt=str(first[name].detail.get("prompt", name)),
            answers={model: str(items[name].detail["answer"]) for model, items in by_model.items()},
            scores={
                model: items[name].values["judge_score"]
                for model, items in by_model.items()
                if "judge_score" in items[name].values
            },
        )
        for name in shared[:NUM_SAMPLES]
    ]
