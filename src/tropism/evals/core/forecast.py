"""How long an evaluation will take, from the speed of a first part that is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tropism.evals.core.items import Settings
from tropism.evals.core.subject import Subject
from tropism.evals.core.suite import Suite
from tropism.evals.core.suite_run import Material
from tropism.evals.preference.drift import chosen_prompts
from tropism.evals.preference.scored_pairs import chosen_groups
from tropism.groups import PreferenceGroup

FIRST_PART = 8
"""Number of groups and of prompts whose time is measured."""
WORTH_SAYING_SECONDS = 20.0


def forecast(suite: Suite, subjects: Sequence[Subject], material: Material) -> str:
    """A sentence with an upper bound of the duration; empty if it is short or unknown.

    The last model scores a few held-out groups and answers a few held-out prompts, and both are kept for the evals.
    The time of each is taken from a small batch, and a larger batch needs less time per answer. What is kept from an
    earlier evaluation is not subtracted.
    """
    subject = subjects[-1]
    num_groups = max((_setting(one.settings, "max_groups") for one in suite.evals), default=0)
    longest = [one.settings for one in suite.evals if _setting(one.settings, "prompts")]
    num_answers = sum(_setting(one, "prompts") for one in longest)
    seconds = 0.0
    if num_groups and "logp" in subject.capabilities and material.groups:
        compared = [group for group in material.groups if group.edges]
        part = chosen_groups(compared, FIRST_PART)
        per_group = _seconds(lambda: subject.logp(part)) / max(1, len(part))
        seconds += per_group * min(num_groups, len(compared)) * len(subjects)
    if longest and "generate" in subject.capabilities and material.groups:
        per_answer = _seconds_per_answer(subject, material.groups, longest[-1], seed=material.seed)
        seconds += per_answer * min(num_answers, len(longest) * len(material.groups)) * len(subjects)
    if seconds < WORTH_SAYING_SECONDS:
        return ""
    return (
        f"The evaluation should take at most about {_in_words(seconds)}: up to {num_groups:,} groups and "
        f"{num_answers:,} answers for each of {len(subjects)} models. Fewer: evaluation.groups, evaluation.prompts."
    )


def _seconds_per_answer(subject: Subject, groups: Sequence[PreferenceGroup], settings: Settings, *, seed: int) -> float:
    """Time of an answer in a small batch, drawn as the eval with these settings draws it."""
    part = chosen_prompts(groups, FIRST_PART)
    length = _setting(settings, "max_new_tokens")
    temperature = float(getattr(settings, "temperature", 1.0))
    seconds = _seconds(lambda: subject.drawn(part, temperature=temperature, max_new_tokens=length, seed=seed))
    return seconds / max(1, len(part))


def _setting(settings: Settings, name: str) -> int:
    """A setting that counts something; 0 for an eval without it."""
    return int(getattr(settings, name, 0) or 0)


def _seconds(work: Callable[[], object]) -> float:
    """How long a piece of work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _in_words(seconds: float) -> str:
    """A duration in words."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
