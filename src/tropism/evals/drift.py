"""What else changed in the answers: length, variety, and distance from the start model."""

from __future__ import annotations

from collections.abc import Sequence

from tropism.evals.task import jackknife, mean_by_cluster
from tropism.records import Estimate, Sample


def answers(samples: Sequence[Sample]) -> dict[str, Estimate]:
    """Words per answer, and distinct-1 and distinct-2, before and after."""
    prompts = [sample.prompt for sample in samples]
    found: dict[str, Estimate | None] = {}
    for side in ("before", "after"):
        texts = [getattr(sample, side) for sample in samples]
        found[f"words_{side}"] = mean_by_cluster([float(len(text.split())) for text in texts], prompts)
        for n in (1, 2):
            found[f"distinct_{n}_{side}"] = jackknife(lambda part, n=n: distinct_n(part, n), texts)  # type: ignore[misc]
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Distinct n-grams over n-grams of a collection of texts; 0 where no text has n words.

    Reference: Li et al. 2016, arXiv:1510.03055, section 5.1, with words split at white space and lower-cased.

    Example:
        >>> distinct_n(["a b a b", "a b"], 2)
        0.5
    """
    grams = [
        tuple(words[i : i + n]) for words in (text.lower().split() for text in texts) for i in range(len(words) - n + 1)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0
