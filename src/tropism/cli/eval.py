"""`tropism eval`: models beside a base, by a whole suite of evals."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tropism.cli.output import JSON, Output

if TYPE_CHECKING:
    from tropism.records import Comparison, SuiteRun


def evaluate(
    models: list[str] = typer.Argument(help="Folders of models or of finished runs, or hub ids."),
    against: str = typer.Option(
        None,
        "--against",
        help="The model or run to compare with; by default the model that the first run started from.",
    ),
    suite: str = typer.Option(
        "holistic", "--suite", help="holistic, chat, security, community, or the path of a YAML file."
    ),
    folder: Path = typer.Option(
        "runs/eval", "-o", "--output", help="Folder of the results; what is there is not run again."
    ),
    data: str = typer.Option(None, "--data", help="Held-out groups; by default those that the first run held out."),
    texts: str = typer.Option(
        None, "--texts", help="Held-out texts (.txt, a text per line; or JSONL); by default the held-out prompts."
    ),
    judge: str = typer.Option(
        None, "--judge", help="Who compares answers, such as judge.py:score; see docs/judges.md."
    ),
    template: str = typer.Option(None, "--template", help="auto, chat, dialogue or plain; by default the first run's."),
    max_tokens: int = typer.Option(None, "--max-tokens", min=2, help="Prompt and response together."),
    seed: int = typer.Option(0, "--seed", help="Of every draw."),
    fresh: bool = typer.Option(False, "--fresh", help="Run also what is there already."),
    for_programs: bool = JSON,
) -> None:
    """Measure what training did to whole models: what got better, what got worse, what is not sure."""
    output = Output(for_programs)
    from tropism.errors import Interrupted
    from tropism.training.runs.evaluation import Request
    from tropism.training.runs.evaluation import evaluate as run

    request = Request(
        models, against, suite, folder, data=data, texts=texts, judge=judge, template=template, max_tokens=max_tokens,
        seed=seed, fresh=fresh, command=shlex.join(["tropism", *sys.argv[1:]]),
    )  # fmt: skip
    try:
        record = run(request, say=output.say)
    except KeyboardInterrupt:
        raise Interrupted(
            f"Interrupted; what was measured is kept in {folder}.", remedy="Run the same command again to go on."
        ) from None
    show(output, record)
    output.finish(payload(record, folder), next_command=shlex.join(["tropism", "report", str(folder)]))


def show(output: Output, record: SuiteRun) -> None:
    """Print every model beside the base, and what it comes to."""
    for model in record.models:
        part = [one for one in record.comparisons if one.model == model.name]
        if not part:
            continue
        width = max(len(name_of(one)) for one in part)
        output.say(f"{model.name} against {record.base}, with 95 % intervals; p is corrected for the number of tests")
        output.say(f"{'':{width}} {'before':>9} {'after':>9} {'difference':>34} {'p':>7} {'n':>6}")
        for one in part:
            output.say(f"{name_of(one):{width}} {row(one)}")
        for verdict in ("better", "worse", "changed", "unsure"):
            names = [name_of(one) for one in part if one.verdict == verdict]
            if names:
                output.say(f"{verdict.capitalize()}: {', '.join(names)}")
    notes: dict[str, list[str]] = {}
    for result in record.results:
        for note in result.notes:
            notes.setdefault(f"{result.eval}: {note}", []).append(result.model)
    for note, models in notes.items():
        output.say(f"Note on {note}" + ("" if len(models) == len(record.models) else f" ({', '.join(models)})"))
    for name, reason in record.settings["left_out"].items():
        output.say(f"Left out: {name}, because {reason}")
    for result in record.results:
        for reason, count in result.skipped.items():
            output.say(f"Not measured by {result.eval} on {result.model}: {count:,} {reason}")
    output.say(f"{len(record.models)} models, {record.seconds:.0f} s")


def name_of(one: Comparison) -> str:
    """The metric's full name."""
    return f"{one.eval}.{one.metric}"


def row(one: Comparison) -> str:
    """The numbers of a comparison in one line."""
    gap = one.difference
    difference = f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
    p_value = "-" if one.p_adjusted is None else f"{one.p_adjusted:.4f}"
    return (
        f"{one.before.value:9.3f} {one.after.value:9.3f} {difference:>34} {p_value:>7} {one.after.n:6,}  {one.verdict}"
    )


def payload(record: SuiteRun, folder: Path) -> dict[str, Any]:
    """The JSON object of `eval`."""
    return {
        "metrics": {
            f"{result.model}.{result.eval}.{name}": estimate.model_dump()
            for result in record.results
            for name, estimate in result.metrics.items()
        },
        "comparisons": [one.model_dump() | {"verdict": one.verdict} for one in record.comparisons],
        "left_out": record.settings["left_out"],
        "base": record.base,
        "seconds": record.seconds,
        "output": str(folder / "eval.json"),
    }
