"""Repetition and variety in generated texts: distinct n-grams, repeated runs, similarity between texts."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Number of distinct n-grams divided by the number of n-grams of a collection of texts; 0 without any.

    Reference: Li et al. 2016, arXiv:1510.03055, section 5.1, with words split at white space and lower-cased.

    Example:
        >>> distinct_n(["a b a b", "a b"], 2)
        0.5
    """
    grams = [
        tuple(words[i : i + n]) for words in (text.lower().split() for text in texts) for i in range(len(words) - n + 1)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0


def own_distinct_2(text: str) -> float:
    """Distinct-2 of one text; 1 if it has no pair of words.

    Example:
        >>> own_distinct_2("no no no no no"), own_distinct_2("no")
        (0.25, 1.0)
    """
    return distinct_n([text], 2) if len(text.split()) > 1 else 1.0


def distinct_2_ratio(pairs: Sequence[tuple[str, str]]) -> float:
    """Distinct-2 of the first texts of pairs divided by that of the second texts; infinite if the latter is 0.

    Both texts of a pair are cut to the same number of words, because longer texts repeat more pairs of words.

    Example:
        >>> distinct_2_ratio([("a b a b a b a", "a b c d e")])
        0.5
    """
    words = [[text.split() for text in pair] for pair in pairs]
    cut = [[" ".join(side[: min(map(len, pair))]) for side in pair] for pair in words]
    now, before = (distinct_n([pair[side] for pair in cut], 2) for side in (0, 1))
    return now / before if before else float("inf")


def longest_repeat(words: Sequence[str]) -> int:
    """Length of the longest sequence of words that occurs twice in a text; the two may overlap.

    Example:
        >>> longest_repeat("we go home and we go out".split()), longest_repeat("no no no no".split())
        (2, 3)
    """
    low, high = 0, max(0, len(words) - 1)
    while low < high:
        length = (low + high + 1) // 2
        sequences = {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}
        low, high = (length, high) if len(sequences) < len(words) - length + 1 else (low, length - 1)
    return low


def self_similarity(texts: Sequence[str], prompts: Sequence[Hashable]) -> float:
    """Mean cosine similarity of answers to different prompts, as counts of words and of pairs of words.

    Args:
        texts: the answers.
        prompts: the prompt of each answer.

    Returns:
        0 if no two answers share a word, 1 if all are the same; nan without two prompts.
    """
    by_prompt: dict[Hashable, Counter[str]] = {}
    sizes: Counter[Hashable] = Counter()
    for text, prompt in zip(texts, prompts, strict=True):
        vector = _unit_counts(text)
        by_prompt.setdefault(prompt, Counter()).update(vector)
        sizes[prompt] += bool(vector)
    total: Counter[str] = Counter()
    for vector in by_prompt.values():
        total.update(vector)
    num = sum(sizes.values()) ** 2 - sum(size**2 for size in sizes.values())
    return (_squared(total) - sum(map(_squared, by_prompt.values()))) / num if num else math.nan


def _unit_counts(text: str) -> Counter[str]:
    """Counts of words and pairs of words, scaled to a vector of length 1."""
    words = text.lower().split()
    counts = Counter([*words, *map(" ".join, itertools.pairwise(words))])
    length = math.sqrt(_squared(counts))
    return Counter({word: count / length for word, count in counts.items()})


def _squared(vector: Mapping[str, float]) -> float:
    """The squared length of a vector."""
    return sum(value * value for value in vector.values())
