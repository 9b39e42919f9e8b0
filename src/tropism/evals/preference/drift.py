"""What else changed in the answers: distance from the base, length, repetition and variety."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import Field

from tropism.evals.core.items import Item, Measured, Settings, Statistic, Task
from tropism.evals.core.subject import Answer, Subject, share_tokens, start_of
from tropism.evals.preference.scored_pairs import chosen_groups
from tropism.groups import Content, PreferenceGroup, Response, content_key, content_text
from tropism.metrics.bootstrap import jackknife, mean_by_cluster
from tropism.records import Estimate, Measure, Sample
from tropism.references.cached import CachedReference
from tropism.text.rendered import RenderedGroup, RenderedResponse


class DriftSettings(Settings):
    """Settings of the eval.

    Args:
        prompts: most held-out prompts that are answered.
        max_new_tokens: an answer is cut here.
        repeat: length in words of the runs whose repetition is counted.
    """

    prompts: int = Field(100, gt=0)
    max_new_tokens: int = Field(96, gt=0)
    repeat: int = Field(4, gt=0)


def drift(task: Task) -> Measured:
    """Answers to held-out prompts at temperature 1, and how far they are from what the base would say.

    `kl`: nats per answer, the mean log-ratio of the model's own samples (and per token), where both models have one
    tokenizer; `words`, `ended` (the answer came to its end); `repetition`: share of runs of words that came before in
    the same answer; `longest_repeat` (words); over all answers `distinct_1`, `distinct_2`, `self_similarity`.
    """
    settings = task.settings_as(DriftSettings)
    prompts = chosen_prompts(task.groups, settings.prompts)
    with task.progress(f"Answering held-out prompts ({task.subject.name})", len(prompts)) as done:
        rows = task.subject.drawn(
            prompts, temperature=1.0, max_new_tokens=settings.max_new_tokens, seed=task.seed, progress=done
        )
    answers = [row[0] for row in rows]
    ratios = log_ratios(task, prompts, answers, settings.max_new_tokens)
    items = [
        answer_item(task.subject, prompt, answer, ratio, settings.repeat)
        for prompt, answer, ratio in zip(prompts, answers, ratios, strict=True)
    ]
    unknown = sum(ratio is None for ratio in ratios)
    return Measured(items=items, skipped={"answers whose log-ratio is not known": unknown} if unknown else {})


def chosen_prompts(groups: Sequence[PreferenceGroup], count: int) -> list[Content]:
    """So many distinct prompts that are not empty, chosen by a hash."""
    distinct = {content_key(group.prompts[0]): group.prompts[0] for group in chosen_groups(groups, len(groups))}
    return [prompt for prompt in distinct.values() if content_text(prompt)][:count]


def log_ratios(
    task: Task, prompts: Sequence[Content], answers: Sequence[Answer], max_new_tokens: int
) -> list[float | None]:
    """log p(answer) under the subject less that under the base, nats, in the very tokens that were drawn.

    None where the tokens are not known, or mean something else to the base.
    """
    subject, base = task.subject.policy, task.base.policy
    if subject is None or base is None or not share_tokens(subject, base):
        return [None] * len(prompts)
    groups = [
        sampled_group(str(place), start_of(subject, prompt, max_new_tokens), answer.ids)
        for place, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
    ]
    sides = []
    for policy in (base, subject):
        scores = CachedReference(policy, keep=False)
        scores.prepare(groups)
        sides.append([scores.known[group.response_key(group.responses[0])] for group in groups])
    return [after - before for before, after in zip(*sides, strict=True)]


def sampled_group(name: str, start: tuple[int, ...], answer: tuple[int, ...]) -> RenderedGroup:
    """A sampled answer as a group of one response, in the very tokens that were drawn."""
    group = PreferenceGroup(name, ("",), (Response("0", None),))
    response = RenderedResponse(answer, (True,) * len(answer), 0, complete=True)
    return RenderedGroup(group, (start,), (response,), (), (), (None,), (None,))


def answer_item(subject: Subject, prompt: Content, answer: Answer, ratio: float | None, repeat: int) -> Item:
    """What one answer is like."""
    words = answer.text.lower().split()
    values = {"words": float(len(words)), "longest_repeat": float(longest_repeat(words))}
    if len(words) >= repeat:
        values["repetition"] = 1.0 - distinct_n([answer.text], repeat)
    if subject.policy and answer.ids:
        values["ended"] = float(answer.ids[-1] in subject.policy.renderer.stops)
    if ratio is not None:
        values["kl"] = ratio
    return Item(
        id=content_key(prompt),
        cluster=content_key(prompt),
        values=values,
        detail={"prompt": content_text(prompt), "answer": answer.text, "tokens": len(answer.ids)},
    )


def distinct_1(items: Sequence[Item]) -> float:
    """Share of words in all answers that are different ones."""
    return distinct_n([item.detail["answer"] for item in items], 1)


def distinct_2(items: Sequence[Item]) -> float:
    """Share of pairs of words in all answers that are different ones."""
    return distinct_n([item.detail["answer"] for item in items], 2)


def kl_per_token(items: Sequence[Item]) -> float:
    """Mean log-ratio per sampled token, nats."""
    known = [item for item in items if "kl" in item.values]
    tokens = sum(item.detail["tokens"] for item in known)
    return sum(item.values["kl"] for item in known) / tokens if tokens else math.nan


def longest_repeat(words: Sequence[str]) -> int:
    """Length of the longest run of words that occurs twice in a text; the two may overlap.

    Example:
        >>> longest_repeat("we go home and we go out".split()), longest_repeat("no no no no".split())
        (2, 3)
    """
    low, high = 0, max(0, len(words) - 1)
    while low < high:
        length = (low + high + 1) // 2
        runs = {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}
        low, high = (length, high) if len(runs) < len(words) - length + 1 else (low, length - 1)
    return low


def self_similarity(items: Sequence[Item]) -> float:
    """Mean cosine similarity of answers to different prompts, as counts of words and pairs of words.

    0 where no two answers share a word, 1 where all say the same.
    """
    by_prompt: dict[str, Counter[str]] = {}
    sizes: Counter[str] = Counter()
    for item in items:
        vector = unit_counts(item.detail["answer"])
        by_prompt.setdefault(item.cluster, Counter()).update(vector)
        sizes[item.cluster] += bool(vector)
    total: Counter[str] = Counter()
    for vector in by_prompt.values():
        total.update(vector)
    num = sum(sizes.values()) ** 2 - sum(size**2 for size in sizes.values())
    return (squared(total) - sum(map(squared, by_prompt.values()))) / num if num else math.nan


def unit_counts(text: str) -> Counter[str]:
    """Counts of words and pairs of words, scaled to a vector of length 1."""
    words = text.lower().split()
    counts = Counter([*words, *map(" ".join, itertools.pairwise(words))])
    length = math.sqrt(squared(counts))
    return Counter({word: count / length for word, count in counts.items()})


def squared(vector: Mapping[str, float]) -> float:
    """The squared length of a vector."""
    return sum(value * value for value in vector.values())


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


MEASURES: Mapping[str, Measure] = {
    "kl": Measure(
        label="KL from the base",
        meaning="How far the model has moved: mean log-ratio of its own answers to the base, in nats per answer. 0 "
        "means that it has not moved.",
        baseline=0.0,
    ),
    "kl_per_token": Measure(label="KL from the base per token", meaning="The same in nats per token.", baseline=0.0),
    "words": Measure(label="Words per answer", meaning="Mean length of an answer. Judges often prefer long answers."),
    "ended": Measure(
        label="Answers that end", unit="share", meaning="Share of answers that end before the limit on new tokens."
    ),
    "repetition": Measure(
        label="Repetition",
        unit="share",
        better="lower",
        meaning="Share of the word sequences in an answer that occurred earlier in it.",
    ),
    "longest_repeat": Measure(
        label="Longest repeat",
        better="lower",
        meaning="Number of words in the longest sequence that occurs twice in an answer.",
    ),
    "distinct_1": Measure(
        label="Distinct words",
        unit="share",
        better="higher",
        meaning="Number of different words divided by the number of words, over all answers. It also falls when "
        "answers grow longer.",
    ),
    "distinct_2": Measure(
        label="Distinct word pairs",
        unit="share",
        better="higher",
        meaning="The same for pairs of neighbouring words.",
    ),
    "self_similarity": Measure(
        label="Similarity between answers",
        unit="share",
        better="lower",
        meaning="How similar answers to different prompts are to each other.",
    ),
}
STATISTICS: Mapping[str, Statistic] = {
    "kl_per_token": kl_per_token,
    "distinct_1": distinct_1,
    "distinct_2": distinct_2,
    "self_similarity": self_similarity,
}
