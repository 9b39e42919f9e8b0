"""Paired generations on the same prompts and seed: which model's answer does a judge prefer."""

from __future__ import annotations

from collections.abc import Sequence

from tropism.judges.judge import TIE, Duel, Judge
from tropism.judges.verdicts import by_rule
from tropism.metrics.bootstrap import mean_by_cluster
from tropism.records import Estimate, Sample


def judged(samples: Sequence[Sample], judge: Judge) -> list[Sample]:
    """The samples with the judge's numbers for both answers, or its preference for each where it gives no numbers.

    Where the judge has no verdict a sample stays as it is.
    """
    verdicts = judge.compare_all([Duel(sample.prompt, sample.before, sample.after) for sample in samples])
    found = []
    for sample, verdict in zip(samples, verdicts, strict=True):
        if verdict is not None:
            before, after = verdict.scores or (verdict.first, 1 - verdict.first)
            sample = sample.model_copy(update={"before_score": before, "after_score": after})
        found.append(sample)
    return found


def win_rate(samples: Sequence[Sample]) -> dict[str, Estimate]:
    """Share of prompts on which the tuned model's answer is better (a tie counts one half), ties, and mean scores.

    An empty or repeated answer never wins, whatever its score.

    Args:
        samples: with scores; several samples of one prompt are drawn together in the interval. Those that the judge had
            no verdict on are left out.
    """
    scored = [(sample, preference(sample)) for sample in samples if sample.before_score is not None]
    prompts = [sample.prompt for sample, _ in scored]
    values = {
        "win_rate": [value for _, value in scored],
        "ties": [float(value == 0.5) for _, value in scored],
        "judge_score_before": [sample.before_score for sample, _ in scored],
        "judge_score_after": [sample.after_score for sample, _ in scored],
    }
    estimates = {name: mean_by_cluster(one, prompts) for name, one in values.items()}  # type: ignore[arg-type]
    return {name: estimate for name, estimate in estimates.items() if estimate is not None}


def preference(sample: Sample) -> float:
    """1 where the tuned model's answer is better, 0 where the other is, one half for a tie."""
    assert sample.before_score is not None, "the sample was not judged"
    assert sample.after_score is not None, "the sample was not judged"
    ruled = by_rule(Duel(sample.prompt, sample.after, sample.before))
    if ruled is not None:
        return ruled.first
    gap = sample.after_score - sample.before_score
    return 0.5 if abs(gap) < TIE else float(gap > 0)
