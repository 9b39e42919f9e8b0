"""Paired generations on the same prompts and seed: which model's answer does a judge prefer."""

from __future__ import annotations

from collections.abc import Sequence

from tropism.evals.judge import RuleJudge
from tropism.evals.task import mean_by_cluster
from tropism.records import Estimate, Sample

TIE = 1e-9
"""Scores closer than this are a tie, which counts one half."""


def judged(samples: Sequence[Sample], judge: RuleJudge) -> list[Sample]:
    """The samples with the judge's numbers for both answers."""
    return [
        sample.model_copy(
            update={
                "before_score": judge.score(sample.prompt, sample.before),
                "after_score": judge.score(sample.prompt, sample.after),
            }
        )
        for sample in samples
    ]


def win_rate(samples: Sequence[Sample]) -> dict[str, Estimate]:
    """Share of prompts on which the tuned model's answer is better (a tie counts one half), ties, and mean scores.

    Args:
        samples: with scores; several samples of one prompt are drawn together in the interval.
    """
    prompts = [sample.prompt for sample in samples]
    before = [sample.before_score for sample in samples]
    after = [sample.after_score for sample in samples]
    assert all(score is not None for score in (*before, *after)), "samples were not judged"
    gaps = [float(b) - float(a) for a, b in zip(before, after, strict=True)]  # type: ignore[arg-type]
    values = {
        "win_rate": [0.5 if abs(gap) < TIE else float(gap > 0) for gap in gaps],
        "ties": [float(abs(gap) < TIE) for gap in gaps],
        "judge_score_before": before,
        "judge_score_after": after,
    }
    estimates = {name: mean_by_cluster(one, prompts) for name, one in values.items()}  # type: ignore[arg-type]
    return {name: estimate for name, estimate in estimates.items() if estimate is not None}
