"""One self-contained HTML page per run: read the record, compute its sentences, tables and figures, fill the template.

Everything a model or a data set wrote is untrusted: the template escapes all of it, and the page forbids its browser
to load anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from tropism.records import Run, Sample, Stage, StepLog, read_log, read_run, write_text
from tropism.report.curves import displacement_plots, line_note, series, training_plots
from tropism.report.metrics import rows_of
from tropism.report.numbers import compact, plain, size
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
_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {0x7F: 0x2421}
_CONTROLS |= dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)


class StageView(NamedTuple):
    """A stage with what the page shows of it."""

    stage: Stage
    account: AccountTable
    training: list[Plot]
    line_note: str
    displacement: list[Plot]
    displacement_in_words: str


class CardView(NamedTuple):
    """A data card with what the page shows of it."""

    source: str
    rule: str
    account: AccountTable
    confounds: list[MetricLine]


class SampleView(NamedTuple):
    """A prompt with both answers and what the judge said, in words."""

    sample: Sample
    before_score: str
    after_score: str
    preferred: str


def write_report(run_folder: Path) -> Path:
    """Write `report.html` beside a run's `run.json`.

    Args:
        run_folder: the `output` folder of a finished run.

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
    target = run_folder / "report.html"
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
    return _template().render(
        run=run,
        style=Markup(_style()),  # noqa: S704  (our own file)
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
        cards=[
            CardView(card.source, card.rule, account_table(card.account), confound_lines(card)) for card in run.cards
        ],
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
    )


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


def listing(recipe: Mapping[str, Any]) -> str:
    """A recipe as YAML, in its own order."""
    if not recipe:
        return "(empty)"
    return yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True, width=100).rstrip("\n")


def visible(value: object) -> object:
    """Text with control characters and half characters replaced by signs that can be shown; all else as it is."""
    return value.translate(_CONTROLS) if type(value) is str else value


@cache
def _template() -> Template:
    """The page's template, with escaping always on."""
    environment = Environment(
        loader=PackageLoader("tropism", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"size": size}
    return environment.get_template("template.html.j2")


@cache
def _style() -> str:
    """The page's style sheet."""
    return resources.files("tropism.report").joinpath("style.css").read_text(encoding="utf-8")
