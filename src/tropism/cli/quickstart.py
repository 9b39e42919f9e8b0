"""`tropism quickstart`: the application `quickstart` on its demo, with its few most telling figures."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from tropism.cli.output import JSON, Output, estimate

FIGURES = (
    ("dpo", "win_rate.rate", "tuned answers preferred (a tie counts as half)"),
    ("dpo", "preference.pair_accuracy", "held-out votes ordered rightly"),
    ("base", "forum.taste", "taste, supervised model"),
    ("dpo", "forum.taste", "taste, after DPO"),
    ("base", "forum.on_topic", "on topic, supervised model"),
    ("dpo", "forum.on_topic", "on topic, after DPO"),
    ("base", "forum.parsed", "whole sentences, supervised model"),
    ("dpo", "forum.parsed", "whole sentences, after DPO"),
    ("base", "drift.distinct_2", "distinct word pairs, supervised model"),
    ("dpo", "drift.distinct_2", "distinct word pairs, after DPO"),
    ("dpo", "drift.kl", "distance moved (KL, nats per answer)"),
)
"""Arm, metric and words of the measures that are printed at the end; the report has all."""


def quickstart(
    output: Path = typer.Option(Path("runs/quickstart"), "--output", "-o", help="Folder of everything."),
    posts: int = typer.Option(2000, min=1, help="Posts of the simulated forum to learn from."),
    seed: int = typer.Option(0, help="Seed of the forum, of training and of the answers."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the quickstart that the folder holds."),
    for_programs: bool = JSON,
) -> None:
    """From a simulated forum's votes to a better pocket model and a report, with nothing to download.

    The same command continues where it was interrupted. `tropism app quickstart --demo --seeds 3` varies the seed.
    """
    printer = Output(for_programs)
    from tropism.applications.application_table import APPLICATIONS
    from tropism.applications.runner import run_application
    from tropism.cli.app import show_claims
    from tropism.cli.train import payload
    from tropism.records import read_run
    from tropism.reporting.application_page import write_application_page

    application = APPLICATIONS["quickstart"]
    command = shlex.join(["tropism", "quickstart", "--output", str(output), "--posts", str(posts), "--seed", str(seed)])
    found = run_application(
        application, application.settings.model_validate({"posts": posts}), seeds=[seed], output=output,
        command=command, say=printer.say, overwrite=overwrite,
    )  # fmt: skip
    report = write_application_page(found, output)
    run = read_run(output / f"seed-{seed}" / "dpo" / "run.json")
    printer.table("On held-out prompts, with 95 % intervals", {
        title: estimate(found.arms[arm][name]) for arm, name, title in FIGURES
    })  # fmt: skip
    show_claims(printer, found)
    printer.table("Done", {
        "time and memory": f"{found.seconds:.0f} s, {run.peak_memory_mb:,.0f} MB at most",
        "model": run.stages[-1].model,
        "report": str(report),
    })  # fmt: skip
    metrics = found.arms["dpo"]
    measured = {
        "pair_accuracy": metrics["preference.pair_accuracy"].value,
        "win_rate": metrics["win_rate.rate"].model_dump(),
        "metrics": {name: one.model_dump() for name, one in metrics.items()},
        "seconds": found.seconds,
    }
    result = payload(run, report) | measured
    printer.finish(result, next_command=shlex.join(["python", "-m", "webbrowser", str(report)]))
