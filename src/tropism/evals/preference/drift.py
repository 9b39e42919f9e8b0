"""The eval `drift`: the model's own answers - distance from the base, length, repetition and variety."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import Field

from tropism.evals.core.answer_store import TokenPrompt
from tropism.evals.core.items import Item, Measured, Settings, Statistic, Task
from tropism.evals.core.subject import Answer, Subject, share_tokens
from tropism.evals.preference.scored_pairs import chosen_groups
from tropism.groups import PreferenceGroup, content_key, content_text
from tropism.metrics.text_variety import distinct_n, longest_repeat, self_similarity
from tropism.policies.base import Policy
from tropism.policies.generating import GeneratingPolicy
from tropism.records import Measure
from tropism.references.cached import CachedReference
from tropism.text.prepared import Prepared


class DriftSettings(Settings):
    """Settings of the eval.

    Args:
        prompts: maximum number of held-out prompts that are answered.
        max_new_tokens: an answer is cut here.
        repeat: length in words of the sequences whose repetition is counted.
    """

    prompts: int = Field(100, gt=0)
    max_new_tokens: int = Field(96, gt=0)
    repeat: int = Field(4, gt=0)


def drift(task: Task) -> Measured:
    """Answers to held-out prompts at temperature 1, and how far they are from the base's distribution.

    `kl`: nats per answer, the mean log-ratio of the model's own samples (and per token), if both models have the same
    tokenizer; `words`, `ended` (before the limit); `repetition`: share of sequences of words that occurred earlier in
    the answer; `longest_repeat` (words); over all answers `distinct_1`, `distinct_2`, `self_similarity`.
    """
    settings = task.settings_as(DriftSettings)
    groups = chosen_prompts(task.groups, settings.prompts)
    with task.progress(f"Answering held-out prompts ({task.subject.name})", len(groups)) as done:
        rows = task.subject.drawn(
            groups, temperature=1.0, max_new_tokens=settings.max_new_tokens, seed=task.seed, progress=done
        )
    answers = [row[0] for row in rows]
    ratios = _log_ratios(task, groups, answers, settings.max_new_tokens)
    items = [
        answer_item(task.subject, group, answer, ratio, settings.repeat)
        for group, answer, ratio in zip(groups, answers, ratios, strict=True)
    ]
    unknown = sum(ratio is None for ratio in ratios)
    return Measured(items=items, skipped={"answers whose log-ratio is unknown": unknown} if unknown else {})


def chosen_prompts(groups: Sequence[PreferenceGroup], count: int) -> list[PreferenceGroup]:
    """A group for each of so many distinct prompts that are not empty, chosen by a hash."""
    distinct: dict[str, PreferenceGroup] = {}
    for group in chosen_groups(groups, len(groups)):
        if content_text(group.prompts[0]):
            distinct.setdefault(content_key(group.prompts[0]), group)
    return list(distinct.values())[:count]


def _log_ratios(
    task: Task, asked: Sequence[PreferenceGroup], answers: Sequence[Answer], max_new_tokens: int
) -> list[float | None]:
    """log p(answer) under the subject minus that under the base, nats, of the sampled tokens.

    None if the tokens are unknown or cannot be scored, or mean something else to the base.
    """
    subject, base = task.subject.generator, task.base.policy
    if subject is None or base is None or not share_tokens(subject, base):
        return [None] * len(asked)
    starts = [task.subject.start(group, max_new_tokens) for group in asked]
    rows = [
        (start.ids, answer.ids) for start, answer in zip(starts, answers, strict=True) if isinstance(start, TokenPrompt)
    ]
    return own_log_ratios(rows, subject, model=_log_probabilities(subject), base=_log_probabilities(base))


Scorer: TypeAlias = Callable[[Sequence[Prepared]], Mapping[bytes, float]]
"""Log-probability of every response of prepared groups, nats, by the response's key."""


def _log_probabilities(policy: Policy) -> Scorer:
    """The log-probabilities that a policy gives; nothing is kept on disk."""

    def score(groups: Sequence[Prepared]) -> Mapping[bytes, float]:
        scores = CachedReference(policy, keep=False)
        scores.prepare(groups)
        return scores.known

    return score


def own_log_ratios(
    rows: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
    policy: GeneratingPolicy[Any],
    *,
    model: Scorer,
    base: Scorer,
) -> list[float | None]:
    """log p(answer) under a model minus that under the base, nats, for answers that the model sampled at temperature 1.

    Their mean estimates the KL divergence of the model from the base without bias: E over the model's own samples of
    log p_model - log p_base. The eval `drift` and the probes use this function.

    Args:
        rows: token ids of each prompt and of the sampled answer.
        policy: the model that sampled; it makes groups of ids.
        model: scores with the model that sampled.
        base: scores with the model to compare with.

    Returns:
        None for every answer if the policy cannot score ids.
    """
    sampled = [policy.sampled_group(str(place), prompt, answer) for place, (prompt, answer) in enumerate(rows)]
    groups = [group for group in sampled if group is not None]
    if len(groups) < len(rows):
        return [None] * len(rows)
    keys = [group.response_key(group.responses[0]) for group in groups]
    before, after = base(groups), model(groups)
    return [after[key] - before[key] for key in keys]


def answer_item(subject: Subject, group: PreferenceGroup, answer: Answer, ratio: float | None, repeat: int) -> Item:
    """The measures of one answer."""
    prompt = group.prompts[0]
    words = answer.text.lower().split()
    values = {"words": float(len(words)), "longest_repeat": float(longest_repeat(words))}
    if len(words) >= repeat:
        values["repetition"] = 1.0 - distinct_n([answer.text], repeat)
    if subject.generator and answer.ids:
        values["ended"] = float(answer.ids[-1] in subject.generator.stops)
    if ratio is not None:
        values["kl"] = ratio
    return Item(
        id=content_key(prompt),
        cluster=content_key(prompt),
        values=values,
        detail={"prompt": content_text(prompt), "answer": answer.text, "tokens": len(answer.ids)},
    )


def distinct_1(items: Sequence[Item]) -> float:
    """Distinct words divided by words, over all answers."""
    return distinct_n([item.detail["answer"] for item in items], 1)


def distinct_2(items: Sequence[Item]) -> float:
    """Distinct pairs of words divided by pairs of words, over all answers."""
    return distinct_n([item.detail["answer"] for item in items], 2)


def kl_per_token(items: Sequence[Item]) -> float:
    """Mean log-ratio per sampled token, nats."""
    known = [item for item in items if "kl" in item.values]
    tokens = sum(item.detail["tokens"] for item in known)
    return sum(item.values["kl"] for item in known) / tokens if tokens else math.nan


def similarity(items: Sequence[Item]) -> float:
    """Mean cosine similarity of answers to different prompts."""
    return self_similarity([item.detail["answer"] for item in items], [item.cluster for item in items])


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
    "self_similarity": similarity,
}
