"""`tropism quickstart`: the whole road on an embedded default."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from tropism.cli.output import JSON, Output, estimate

SHORT = {
    "win_rate": "tuned answers preferred",
    "pair_accuracy": "held-out votes ordered rightly",
    "judge_score_before": "taste, supervised model",
    "judge_score_after": "taste, after DPO",
    "on_topic_before": "on topic, supervised model",
    "on_topic_after": "on topic, after DPO",
    "parsed_before": "whole sentences, supervised model",
    "parsed_after": "whole sentences, after DPO",
    "distinct_2_before": "distinct word pairs, supervised model",
    "distinct_2_after": "distinct word pairs, after DPO",
    "kl": "distance moved (KL, nats per answer)",
}
"""The few measures that the end of a quickstart shows; the report has all."""


def quickstart(
    folder: Path = typer.Option(Path("runs/quickstart"), "--output", "-o", help="Where the run goes."),
    posts: int = typer.Option(2000, help="Posts of the simulated forum to learn from."),
    seed: int = typer.Option(0, help="Seed of the forum, of training and of the answers."),
    for_programs: bool = JSON,
) -> None:
    """From a simulated forum's votes to a better pocket model and a report, with nothing to download."""
    output = Output(for_programs)
    from tropism.applications.quickstart.road import run_quickstart
    from tropism.cli.train import payload
    from tropism.report.page import write_report

    run = run_quickstart(folder, num_posts=posts, seed=seed, say=output.say)
    report = write_report(folder / "run")
    assert run.evaluation is not None
    metrics = run.evaluation.metrics_of(run.evaluation.others[0])
    output.table("On held-out prompts, with 95 % intervals", {
        title: estimate(metrics[name]) for name, title in SHORT.items() if name in metrics
    })  # fmt: skip
    output.table("Done", {
        "time and memory": f"{run.seconds:.0f} s, {run.peak_memory_mb:,.0f} MB at most",
        "model": run.stages[-1].model,
        "report": str(report),
    })  # fmt: skip
    output.finish(payload(run, report), next_command=shlex.join(["python", "-m", "webbrowser", str(report)]))
