"""Two models side by side on held-out groups: every metric this package has, in one record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from tropism.evals.preference import drift, win_rate
from tropism.evals.preference import implicit_reward as preference
from tropism.groups import content_key, content_text
from tropism.judges.judge import Judge
from tropism.metrics.bootstrap import mean_by_cluster
from tropism.policies.text import TextPolicy
from tropism.records import Estimate, Evaluation, Sample
from tropism.references.cached import CachedReference
from tropism.text.rendered import RenderedGroup

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


def compare(
    before: TextPolicy,
    after: TextPolicy,
    groups: Sequence[Any],
    *,
    names: tuple[str, str],
    num_prompts: int,
    judge: Judge | None,
    temperature: float,
    max_new_tokens: int,
    seed: int,
    progress: Progress,
) -> Evaluation:
    """Measure what changed from one model to another.

    Args:
        before: the model that training started from.
        after: the tuned model.
        groups: held-out groups; their comparisons are scored, their prompts answered.
        names: of the two models, for the record.
        num_prompts: how many prompts to answer, chosen by a hash of the prompt; fewer if there are fewer.
        judge: who compares the answers; None leaves the win rate out.
        temperature, max_new_tokens, seed: of the generation, the same for both models; no answer outgrows the context.
        progress: makes a progress bar from a title and a total.
    """
    logp = []
    for name, policy, keep in zip(names, (before, after), (True, False), strict=True):
        scores = CachedReference(policy, keep=keep)
        with progress(f"Scoring held-out answers ({name})", len(groups)) as done:
            scores.prepare(groups, progress=done)
        logp.append(scores.known)
    metrics, margins = preference.held_out(groups, logp[0], logp[1])
    asked = chosen_prompts([group for group in groups if group.prompts[0]], num_prompts)
    samples: list[Sample] = []
    if asked:
        starts = [group.prompts[0] for group in asked]
        max_new_tokens = min(max_new_tokens, after.context - max(map(len, starts)))
        answers = []
        for name, policy in zip(names, (before, after), strict=True):
            with progress(f"Answering held-out prompts ({name})", len(starts)) as done:
                rows = policy.sample(
                    starts, temperature=temperature, max_new_tokens=max_new_tokens, seed=seed, progress=done
                )
            answers.append(policy.texts(rows))
        texts = [content_text(group.group.prompts[0]) for group in asked]
        samples = [Sample(prompt=p, before=a, after=b) for p, a, b in zip(texts, *answers, strict=True)]
        samples = win_rate.judged(samples, judge) if judge else samples
        metrics |= (win_rate.win_rate(samples) if judge else {}) | drift.answers(samples)
        distance = kl(before, after, asked, max_new_tokens=max_new_tokens, seed=seed + 1)
        metrics |= {"kl": distance} if distance else {}
    return Evaluation(
        before=names[0],
        after=names[1],
        judge=judge.name if judge else None,
        metrics=metrics,
        margins=margins,
        samples=samples,
    )


def chosen_prompts(groups: Sequence[RenderedGroup], num_prompts: int) -> list[RenderedGroup]:
    """One group for each prompt, in the order of a hash, so that added groups do not change which come first.

    A prompt is asked in the very tokens that its responses were scored after, template arguments and cuts included.
    """
    distinct = {content_key(group.group.prompts[0]): group for group in groups}
    order = sorted(distinct, key=lambda key: hashlib.sha256(key.encode()).hexdigest())
    return [distinct[key] for key in order[:num_prompts]]


def kl(
    before: TextPolicy, after: TextPolicy, asked: Sequence[RenderedGroup], *, max_new_tokens: int, seed: int
) -> Estimate | None:
    """KL divergence of the tuned model from its start, nats per answer: the mean log-ratio of its own samples.

    Samples are drawn at temperature 1, as the definition asks, and end after `max_new_tokens` at the latest.
    """
    starts = [group.prompts[0] for group in asked]
    answers = after.sample(starts, temperature=1.0, max_new_tokens=max_new_tokens, seed=seed)
    groups = [
        drift.sampled_group(group.group.id, group.prompts[0], answer)
        for group, answer in zip(asked, answers, strict=True)
    ]
    logp = []
    for policy in (before, after):
        scores = CachedReference(policy, keep=False)
        scores.prepare(groups)
        logp.append([scores.known[group.response_key(group.responses[0])] for group in groups])
    ratios = [tuned - start for start, tuned in zip(*logp, strict=True)]
    return mean_by_cluster(ratios, range(len(ratios)))
