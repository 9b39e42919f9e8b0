"""Prompts with every model's answer, for whoever wants to read them: taken from the evals that asked for answers."""

from __future__ import annotations

from collections.abc import Sequence

from tropism.evals.folder import EvalFolder
from tropism.records import EvalResult, SuiteSample

FROM = ("win_rate", "drift")
"""Evals whose items hold `prompt` and `answer`, the first that was run counts."""
NUM_SAMPLES = 60


def suite_samples(results: Sequence[EvalResult], folder: EvalFolder) -> list[SuiteSample]:
    """Answers of all models to the same prompts, with what a judge gave them where an item has `judge_score`."""
    for name in FROM:
        found = [result for result in results if result.eval == name]
        if found:
            return of_eval(found, folder)
    return []


def of_eval(results: Sequence[EvalResult], folder: EvalFolder) -> list[SuiteSample]:
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
