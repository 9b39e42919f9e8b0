"""`tropism train`: a recipe to a model, a record and a report."""

from __future__ import annotations

import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tropism.cli.output import JSON, Output, estimate

if TYPE_CHECKING:
    from tropism.records import MemoryPlan, Rounds, Run
    from tropism.training.recipe.sections import Recipe


NO_JUDGE = "there is no judge"
"""Why the win rate is missing from most runs; every other reason is printed."""


def train(
    recipe: Path = typer.Argument(help="The recipe, a YAML file."),
    overrides: list[str] = typer.Argument(None, help="Settings to override, such as loss.dpo.beta=0.05."),
    resume: bool = typer.Option(False, "--resume", help="Continue from the last checkpoint in the output folder."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Delete the run that is in the output folder."),
    plan: bool = typer.Option(False, "--plan", help="Print the memory plan and stop: nothing is trained or written."),
    rounds: int = typer.Option(None, min=1, help="On-policy rounds: sample, judge, train, and again. Needs a judge."),
    for_programs: bool = JSON,
) -> None:
    """Train a model on preferences, compare it with the model that it started from, and write a report."""
    output = Output(for_programs)
    from tropism.errors import ConfigError
    from tropism.training.recipe.recipe_file import load_recipe

    if resume and overwrite:
        raise ConfigError("--resume and --overwrite exclude each other.", remedy="Give one of them.")
    settings = load_recipe(recipe, [*(overrides or ()), *([f"rounds.count={rounds}"] if rounds else [])])
    from tropism.reporting.page import write_report  # these import torch, so a recipe is checked first
    from tropism.training.loop.machine import is_main_process, leave_process_group
    from tropism.training.runs.run import plan_recipe, run_recipe

    again = ["--rounds", str(rounds)] if rounds else []
    command = shlex.join(["tropism", "train", str(recipe), *(overrides or ()), *again])
    if plan:
        _show_plans(output, plan_recipe(settings), command)
        return
    if settings.rounds:
        _train_rounds(output, settings, command=command, resume=resume, overwrite=overwrite)
        return
    run = run_recipe(settings, command=command, resume=resume, overwrite=overwrite)
    if is_main_process():
        show(output, run, write_report(Path(settings.output)))
    leave_process_group()


def _train_rounds(output: Output, settings: Recipe, *, command: str, resume: bool, overwrite: bool) -> None:
    """Train in rounds, write a report of each round's run, and print the results."""
    from tropism.errors import ConfigError
    from tropism.records import read_run
    from tropism.reporting.page import write_report
    from tropism.training.loop.machine import is_main_process, leave_process_group
    from tropism.training.runs.rounds import run_rounds

    if overwrite:
        raise ConfigError("--overwrite replaces a run, not rounds.", remedy="Delete the folder, or give another.")
    folder = Path(settings.output)
    found = run_rounds(settings, command=command, resume=resume)
    if is_main_process():
        reports = [write_report(folder / one.run) for one in found.rounds]
        _show_rounds(output, found)
        last = found.rounds[-1]
        rounds = [one.model_dump(exclude={"against_first": {"samples", "pairs"}}) for one in found.rounds]
        result = payload(read_run(folder / last.run / "run.json"), reports[-1]) | {"rounds": rounds}
        output.finish(result, next_command=shlex.join(["tropism", "report", str(folder)]))
    leave_process_group()


def _show_rounds(output: Output, found: Rounds) -> None:
    """Print what every round sampled, and how its model compares with the first one."""
    for one in found.rounds:
        output.card(one.card)
        for note in one.notes:
            output.say(note)
        if one.against_first:
            known = one.against_first.metrics_of(one.against_first.others[0])
            words = one.against_first.measures
            shown = {words[name].label: estimate(value) for name, value in known.items()}
            output.table(f"Round {one.number}: {one.against_first.title}", shown)


def _show_plans(output: Output, plans: dict[str, MemoryPlan], command: str) -> None:
    """Print the memory plan of every stage."""
    for stage, plan in plans.items():
        output.table(f"Memory plan of stage {stage}", {
            "micro-batch": f"up to {plan.tokens_per_batch:,} tokens, the largest group {plan.largest_group_tokens:,}",
            "activations": "recomputed in the backward pass" if plan.gradient_checkpointing else "kept",
            "weights": f"{plan.weights_mb:,.0f} MB",
            "optimizer": f"{plan.optimizer_mb:,.0f} MB",
            "gradients and buffers": f"{plan.fixed_mb:,.0f} MB",
            "each token": f"{plan.kb_per_token:,.0f} KB",
            "expected peak": f"{plan.peak_mb:,.0f} MB, with what the process holds already",
            "free now": f"{plan.free_mb:,.0f} MB on {plan.device}",
        })  # fmt: skip
    output.finish({"plans": {name: plan.model_dump() for name, plan in plans.items()}}, next_command=command)


def show(output: Output, run: Run, report: Path) -> None:
    """Print the result of a finished run in at most fifteen lines: verdict, main measures, alarms, model and report."""
    from tropism.reporting.summary import WIDTH, summary_lines

    for line in summary_lines([report.parent]):
        output.say(line)
    tripped = [
        f"{alarm.name} (stage {stage.name}, step {alarm.step})" for stage in run.stages for alarm in stage.alarms
    ]
    if tripped:
        output.say(
            textwrap.shorten(f"Alarms, explained in the report: {', '.join(tripped)}", WIDTH, placeholder=" ...")
        )
    left_out = run.evaluation.settings["left_out"] if run.evaluation else {}
    for name, reason in left_out.items():
        if reason != NO_JUDGE:
            output.say(textwrap.shorten(f"Not measured: {name}, because {reason}", 2 * WIDTH, placeholder=" ..."))
    dropped = sum(sum(card.account.dropped.values()) for card in run.cards)
    output.say(
        f"{sum(card.account.rows_read for card in run.cards):,} rows read, {dropped:,} dropped; "
        f"{run.seconds:.0f} s, {run.peak_memory_mb:,.0f} MB at most."
    )
    output.say(f"Model: {run.stages[-1].model}")
    output.finish(payload(run, report), next_command=shlex.join(["python", "-m", "webbrowser", str(report)]))


def payload(run: Run, report: Path) -> dict[str, Any]:
    """The JSON object of `train` and `quickstart`."""
    metrics = run.evaluation.metrics_of(run.evaluation.others[0]) if run.evaluation else {}
    win_rate = metrics.get("win_rate.rate")
    accuracy = metrics.get("preference.pair_accuracy") or metrics.get("reward_accuracy.pair_accuracy")
    last = run.stages[-1]
    return {
        "steps": sum(stage.steps for stage in run.stages),
        "first_loss": last.first_loss,
        "last_loss": last.last_loss,
        "pair_accuracy": accuracy.value if accuracy else None,
        "win_rate": win_rate.model_dump() if win_rate else None,
        "metrics": {name: value.model_dump() for name, value in metrics.items()},
        "seconds": run.seconds,
        "peak_memory_mb": run.peak_memory_mb,
        "tokens_computed": sum(stage.tokens_computed for stage in run.stages),
        "tokens_distinct": sum(stage.tokens_distinct for stage in run.stages),
        "reference_tokens_scored": sum(stage.reference_tokens_scored for stage in run.stages),
        "alarms": [{"stage": stage.name, **alarm.model_dump()} for stage in run.stages for alarm in stage.alarms],
        "chosen_step": last.chosen_step,
        "rounds": None,
        "plans": {stage.name: stage.plan.model_dump() if stage.plan else None for stage in run.stages},
        "model": last.model,
        "report": str(report),
    }
