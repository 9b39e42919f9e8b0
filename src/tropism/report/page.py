"""One self-contained HTML page per run: its record becomes sentences, tables and figures, and fills a template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tropism.records import DataCard, Run, Sample, Stage, StepLog, read_log, read_run, write_text
from tropism.report.curves import displacement_plots, line_note, series, training_plots
from tropism.report.filling import filled, listing
from tropism.report.frontier import Frontier, run_frontier
from tropism.report.matrices import MatrixGroup, card_tables
from tropism.report.metrics import rows_of
from tropism.report.numbers import SPACE, compact, plain
from tropism.report.plots import Plot, margin_histogram, share_intervals
from tropism.report.tables import (
    AccountTable,
    MetricLine,
    account_table,
    confound_lines,
    cost_lines,
    cost_total,
    metric_line,
)
from tropism.report.verdict import findings, headline

MOST_SAMPLES = 8


class StageView(NamedTuple):
    """A stage with what the page shows of it."""

    stage: Stage
    account: AccountTable
    training: list[Plot]
    line_note: str
    displacement: list[Plot]
    displacement_in_words: str
    frontier: Frontier | None


class CardView(NamedTuple):
    """A data card with what the page shows of it."""

    source: str
    rule: str
    account: AccountTable
    confounds: list[MetricLine]
    spread: list[str]
    tables: list[MatrixGroup]


class SampleView(NamedTuple):
    """A prompt with both answers and what the judge said, in words."""

    sample: Sample
    before_score: str
    after_score: str
    preferred: str


def write_report(run_folder: Path, target: Path | None = None) -> Path:
    """Write the page of a run.

    Args:
        run_folder: the `output` folder of a finished run.
        target: the page's file; `report.html` in that folder if None.

    Returns:
        The path of the page.

    Raises:
        DataError: where the folder holds no finished run.
    """
    run = read_run(run_folder / "run.json")
    logs = {}
    for stage in run.stages:
        path = run_folder / stage.log
        logs[stage.name] = read_log(path) if path.is_file() else []
    target = target or run_folder / "report.html"
    write_text(render_report(run, logs), target)
    return target


def render_report(run: Run, logs: Mapping[str, Sequence[StepLog]]) -> str:
    """The page of a run.

    Args:
        run: its record.
        logs: every stage's steps by the stage's name; a missing one shows no curves.

    Returns:
        HTML that needs no script, no network and no other file. Equal arguments give equal bytes.
    """
    evaluation = run.evaluation
    rows = rows_of(evaluation.metrics) if evaluation else []
    lines = [metric_line(row) for row in rows]
    return filled(
        "run.html.j2",
        run=run,
        headline=headline(run),
        found=findings(evaluation),
        changes=[line for line in lines if line.change],
        singles=[line for line in lines if not line.change],
        shares=share_intervals(rows),
        samples_note=samples_note(len(evaluation.samples) if evaluation else 0),
        samples=[sample_view(sample) for sample in evaluation.samples[:MOST_SAMPLES]] if evaluation else [],
        stages=[stage_view(stage, logs.get(stage.name, ()), place) for place, stage in enumerate(run.stages)],
        margins=margin_histogram(evaluation.margins) if evaluation else None,
        recipe=listing(run.model_dump(mode="json")["recipe"]),
        cards=[card_view(card) for card in run.cards],
        held_out=account_table(evaluation.account) if evaluation and evaluation.account else None,
        costs=cost_lines(run),
        total=cost_total(run),
    )


def stage_view(stage: Stage, log: Sequence[StepLog], place: int) -> StageView:
    """What the page shows of one stage; `place` keeps the ids of its figures apart from other stages'."""
    return StageView(
        stage,
        account_table(stage.account),
        training_plots(log, name=f"stage{place}"),
        line_note(log),
        displacement_plots(log, name=f"stage{place}"),
        displacement_in_words(log),
        run_frontier(stage.probes, stage.chosen_step, name=f"stage{place}-frontier"),
    )


def card_view(card: DataCard) -> CardView:
    """What the page shows of a data card."""
    return CardView(
        card.source, card.rule, account_table(card.account), confound_lines(card), spread_in_words(card),
        card_tables(card),
    )  # fmt: skip


def spread_in_words(card: DataCard) -> list[str]:
    """How comparisons are spread over threads; counts of all of them, so without intervals."""
    return [
        f"{name} {100 * value:.1f}{SPACE}%" if name.startswith("share") else f"{name} {compact(value)}"
        for name, value in card.pairs_per_thread.items()
    ]


def displacement_in_words(log: Sequence[StepLog]) -> str:
    """Where winners and losers stand at the last step, against the reference."""
    winners, losers = series(log, "winners_logp_change"), series(log, "losers_logp_change")
    if winners is None or losers is None:
        return ""
    numbers = (
        f"At the last step, preferred answers stand at {plain(winners.last, 1, signed=True)} nats and rejected ones at "
        f"{plain(losers.last, 1, signed=True)} nats against the reference."
    )
    if winners.last < 0 and losers.last < 0:
        return f"{numbers} Both fell: the model gave up some of the preferred answers\u2019 probability too."
    return numbers


def samples_note(num_samples: int) -> str:
    """Which samples the page shows; never a choice by what came out."""
    if num_samples > MOST_SAMPLES:
        return f"The first {MOST_SAMPLES} of the {num_samples:,} held-out prompts in the record, whatever came out."
    return "Every held-out prompt in the record."


def sample_view(sample: Sample) -> SampleView:
    """A sample with the judge's scores and what they mean."""
    before, after = sample.before_score, sample.after_score
    before_text, after_text = ("" if score is None else compact(score) for score in (before, after))
    if before is None or after is None:
        return SampleView(sample, before_text, after_text, "")
    preferred = "after" if after > before else "before" if before > after else "neither"
    return SampleView(sample, before_text, after_text, preferred)
