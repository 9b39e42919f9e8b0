"""The eval `win_rate`: does a judge prefer the model's answers to the base's, on the same prompts and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import Field

from tropism.evals.core.items import Item, Measured, Settings, Task
from tropism.evals.core.subject import Subject
from tropism.evals.preference.drift import chosen_prompts
from tropism.groups import PreferenceGroup, content_key, content_text
from tropism.judges.degenerate import fault_of
from tropism.judges.judge import AnswerPair, ScoringJudge, Verdict
from tropism.judges.verdicts import decide, place_bias
from tropism.metrics.bootstrap import mean_by_cluster
from tropism.metrics.length_control import length_controlled
from tropism.records import Estimate, Measure


class WinRateSettings(Settings):
    """Settings of the eval.

    Args:
        prompts: maximum number of held-out prompts that are answered.
        num_answers: of each model to each prompt; the first is compared with the first, and so on.
        temperature: of the sampling.
        max_new_tokens: an answer is cut here.
    """

    prompts: int = Field(100, gt=0)
    num_answers: int = Field(1, gt=0)
    temperature: float = Field(0.7, ge=0)
    max_new_tokens: int = Field(128, gt=0)


def win_rate(task: Task) -> Measured:
    """Which model's answers the judge prefers, and whether that is only due to their length.

    `rate`: mean preference for the model over the base, with ties as one half (the base has 0.5); `won`, `ties` and
    `lost`: shares of the comparisons; `length_controlled`: the rate at equal length, see
    `tropism.metrics.length_control`; `judge_score` if the judge gives scores; `characters`; `degenerate`: share of
    answers that are empty or repeat themselves, which never win. For a judge that sees the order of the answers also
    `flips` and `first_place`, see `tropism.judges.verdicts`.
    """
    settings = task.settings_as(WinRateSettings)
    groups = chosen_prompts(task.groups, settings.prompts)
    prompts = [group.prompts[0] for group in groups]
    ours = _answers_of(task, task.subject, groups)
    theirs = ours if task.is_base else _answers_of(task, task.base, groups)
    answer_pairs = [
        AnswerPair(prompt, first, second)
        for prompt, left, right in zip(prompts, ours, theirs, strict=True)
        for first, second in zip(left, right, strict=True)
    ]
    verdicts = _own_verdicts(task, answer_pairs) if task.is_base else _judged_verdicts(task, answer_pairs)
    names = [f"{content_key(prompt)} {k}" for prompt in prompts for k in range(settings.num_answers)]
    items = [
        _item_of(name, answer_pair, verdict, is_base=task.is_base)
        for name, answer_pair, verdict in zip(names, answer_pairs, verdicts, strict=True)
        if verdict is not None
    ]
    missing = len(answer_pairs) - len(items)
    if task.is_base:
        fixed = {"length_controlled": Estimate(value=0.5, low=0.5, high=0.5, n=len(items))}
        return Measured(items=items, metrics=fixed if items else {}, skipped=skipped(missing))
    metrics, notes = _beyond_means(
        task, items, verdicts, [content_key(answer_pair.prompt) for answer_pair in answer_pairs]
    )
    return Measured(items=items, metrics=metrics, skipped=skipped(missing), notes=notes)


def _answers_of(task: Task, subject: Subject, groups: Sequence[PreferenceGroup]) -> list[list[str]]:
    """A model's answers."""
    settings = task.settings_as(WinRateSettings)
    with task.progress(f"Answering held-out prompts ({subject.name})", len(groups)) as done:
        return subject.answers(
            groups,
            num_answers=settings.num_answers,
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            seed=task.seed,
            progress=done,
        )


def _judged_verdicts(task: Task, answer_pairs: Sequence[AnswerPair]) -> list[Verdict | None]:
    """The verdicts between the model and the base."""
    assert task.judge is not None, "the eval's row needs a judge"
    with task.progress(f"Judging answers ({task.judge.name})", len(answer_pairs)) as done:
        verdicts = decide(task.judge, answer_pairs, progress=done)
    return _with_scores(task.judge, answer_pairs, verdicts) if isinstance(task.judge, ScoringJudge) else verdicts


def _with_scores(
    judge: ScoringJudge, answer_pairs: Sequence[AnswerPair], verdicts: Sequence[Verdict | None]
) -> list[Verdict | None]:
    """The same verdicts, with the judge's scores of the looping answers that lost by rule; an empty answer has none."""
    places = [
        place
        for place, (answer_pair, verdict) in enumerate(zip(answer_pairs, verdicts, strict=True))
        if verdict is not None and verdict.scores is None and answer_pair.first.strip() and answer_pair.second.strip()
    ]
    found = list(verdicts)
    scored = judge.compare_all([answer_pairs[place] for place in places]) if places else []
    for place, known in zip(places, scored, strict=True):
        ruled = found[place]
        if ruled is not None and known is not None:
            found[place] = replace(ruled, scores=known.scores)
    return found


def _own_verdicts(task: Task, answer_pairs: Sequence[AnswerPair]) -> list[Verdict | None]:
    """The base against itself: ties, with scores if the judge gives any; any other judge is not asked."""
    if isinstance(task.judge, ScoringJudge):
        return task.judge.compare_all(answer_pairs)
    return [Verdict(0.5) for _ in answer_pairs]


def _item_of(name: str, answer_pair: AnswerPair, verdict: Verdict, *, is_base: bool) -> Item:
    """The measures of one comparison; ties of the base with itself are not counted."""
    values = {
        "rate": verdict.first,
        "characters": float(len(answer_pair.first)),
        "degenerate": float(fault_of(answer_pair.first) is not None),
    }
    if not is_base:
        values["won"] = float(verdict.first > 0.5)
        values["ties"] = float(verdict.first == 0.5)
        values["lost"] = float(verdict.first < 0.5)
    if verdict.scores:
        values["judge_score"] = verdict.scores[0]
    return Item(
        id=name,
        cluster=content_key(answer_pair.prompt),
        values=values,
        detail={
            "prompt": content_text(answer_pair.prompt),
            "answer": answer_pair.first,
            "base": answer_pair.second,
            "decided_by": verdict.decided_by,
            "by_place": verdict.by_place,
        },
    )


def _beyond_means(
    task: Task, items: Sequence[Item], verdicts: Sequence[Verdict | None], clusters: Sequence[str]
) -> tuple[dict[str, Estimate], list[str]]:
    """The metrics that are not means of items, and notes on the judge."""
    assert task.judge is not None
    metrics: dict[str, Estimate] = {}
    notes: list[str] = []
    rates = [item.values["rate"] for item in items]
    owners = [item.cluster for item in items]
    controlled = length_controlled(rates, [_gap_of(item) for item in items], owners, seed=task.seed)
    raw = mean_by_cluster(rates, owners)
    if controlled and raw:
        metrics["length_controlled"] = controlled.rate
        notes.append(controlled.sentence(raw))
    bias = place_bias(verdicts, clusters)
    if bias:
        metrics |= {"flips": bias.flips, "first_place": bias.first_place}
        notes.append(bias.sentence())
    ruled = sum(item.detail["decided_by"] == "rule" for item in items)
    if ruled:
        notes.append(
            f"{ruled:,} of {len(items):,} comparisons have an empty or looping answer and were decided by rule."
        )
    spent = task.judge.spent()
    if spent:
        notes.append(f"{spent}.")
    return metrics, [note for note in notes if note]


def _gap_of(item: Item) -> float:
    """Characters of the model's answer minus those of the base's."""
    return float(len(item.detail["answer"]) - len(item.detail["base"]))


def skipped(missing: int) -> dict[str, int]:
    """Number of comparisons without a verdict."""
    return {"comparisons without a verdict of the judge": missing} if missing else {}


MEASURES: Mapping[str, Measure] = {
    "rate": Measure(
        label="Win rate, ties as half",
        unit="share",
        better="higher",
        meaning="Share of prompts on which the judge prefers its answer to the base's; a tie counts as half.",
        baseline=0.5,
    ),
    "length_controlled": Measure(
        label="Win rate at equal length, ties as half",
        unit="share",
        better="higher",
        meaning="The win rate, ties as half, if both answers were equally long.",
        baseline=0.5,
    ),
    "judge_score": Measure(
        label="Judge's score", better="higher", meaning="Mean score of its answers, on the judge's own scale."
    ),
    "won": Measure(
        label="Won", unit="share", meaning="Share of prompts on which the judge prefers the model's answer."
    ),
    "lost": Measure(
        label="Lost", unit="share", meaning="Share of prompts on which the judge prefers the base's answer."
    ),
    "ties": Measure(label="Ties", unit="share", meaning="Share of prompts on which the judge prefers neither answer."),
    "characters": Measure(
        label="Characters per answer", meaning="Mean length of an answer. Judges often prefer long answers."
    ),
    "degenerate": Measure(
        label="Empty or looping answers",
        unit="share",
        better="lower",
        meaning="Share of answers that are empty or repeat themselves.",
    ),
    "flips": Measure(
        label="Verdicts that change with the order",
        unit="share",
        meaning="Share of pairs on which the judge changes its mind when the two answers swap places.",
    ),
    "first_place": Measure(
        label="Verdicts for the answer shown first",
        unit="share",
        meaning="50 % means that the order does not sway the judge.",
        baseline=0.5,
    ),
}
