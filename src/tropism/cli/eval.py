"""`tropism eval`: models compared with a base, by a suite of evals."""

from __future__ import annotations

import shlex
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tropism.cli.output import JSON, Output

if TYPE_CHECKING:
    from tropism.records import Comparison, SuiteRun

MOST_LINES = 15
"""Lines at the end of the command, for a single model."""


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
        "runs/eval", "-o", "--output", help="Folder of the results; results that it holds are not measured again."
    ),
    data: str = typer.Option(None, "--data", help="Held-out groups; by default those that the first run held out."),
    texts: str = typer.Option(
        None, "--texts", help="Held-out texts (.txt, a text per line; or JSONL); by default the held-out prompts."
    ),
    judge: str = typer.Option(
        None, "--judge", help="The judge that compares answers, such as judge.py:score; see docs/judges.md."
    ),
    template: str = typer.Option(None, "--template", help="auto, chat, dialogue or plain; by default the first run's."),
    max_tokens: int = typer.Option(None, "--max-tokens", min=2, help="Maximum length of prompt and response together."),
    seed: int = typer.Option(None, "--seed", help="Seed of every draw; by default the first run's, or 0."),
    fresh: bool = typer.Option(False, "--fresh", help="Measure everything again."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Print every metric and every note."),
    for_programs: bool = JSON,
) -> None:
    """Measure what training changed in a model: what got better, what got worse, what is not clear."""
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
            f"Interrupted; what was measured is kept in {folder}.", remedy="Run the same command again to continue."
        ) from None
    for line in _table_lines(record) if verbose else _short_lines(record, folder):
        output.say(line)
    output.finish(payload(record, folder), next_command=shlex.join(["tropism", "report", str(folder)]))


def _short_lines(record: SuiteRun, folder: Path) -> list[str]:
    """The verdict and the measures of the report's first screen, what was not run, and the first notes."""
    from tropism.records import EvalWords
    from tropism.reporting.numbers import counted
    from tropism.reporting.summary import WIDTH, summary_lines

    lines = summary_lines([folder])
    rest = [
        f"Not run: {EvalWords.named(name).title}: {reason.rstrip('.')}."
        for name, reason in record.settings["left_out"].items()
    ]
    rest += [f"{record.evals[name].title}: {note}" for name, note in _notes_of(record)]
    end = f"{len(record.models)} models, {record.seconds:.0f} s."
    more: list[str] = []
    for number, text in enumerate(rest):
        wrapped = textwrap.wrap(text, WIDTH, break_long_words=False)
        if len(lines) + len(more) + len(wrapped) > MOST_LINES - 2:
            end += f" {counted(len(rest) - number, 'more note')}: add --verbose."
            break
        more += wrapped
    return [*lines, *more, end]


def _notes_of(record: SuiteRun) -> list[tuple[str, str]]:
    """Every note once, with its eval; those of judged answers first, because they say how far to trust a verdict."""
    found = dict.fromkeys((result.eval, note) for result in record.results for note in result.notes)
    return sorted(found, key=lambda one: one[0] != "win_rate")


def _table_lines(record: SuiteRun) -> list[str]:
    """Every metric of every model compared with the base, then every note and everything that was not measured."""
    lines: list[str] = []
    for model in record.models:
        part = [one for one in record.comparisons if one.model == model.name]
        if not part:
            continue
        width = max(len(_name_of(one)) for one in part)
        lines.append(f"{model.name} against {record.base}, with 95 % intervals; p is corrected for the number of tests")
        lines.append(f"{'':{width}} {'before':>9} {'after':>9} {'difference':>34} {'p':>8} {'n':>6}")
        lines += [f"{_name_of(one):{width}} {row(one)}" for one in part]
        for verdict in ("better", "worse", "changed", "unsure"):
            names = [_name_of(one) for one in part if one.verdict == verdict]
            if names:
                lines.append(f"{verdict.capitalize()}: {', '.join(names)}")
    notes: dict[str, list[str]] = {}
    for result in record.results:
        for note in result.notes:
            notes.setdefault(f"{result.eval}: {note}", []).append(result.model)
    for note, models in notes.items():
        lines.append(f"Note on {note}" + ("" if len(models) == len(record.models) else f" ({', '.join(models)})"))
    for name, reason in record.settings["left_out"].items():
        lines.append(f"Not run: {name}: {reason}")
    for result in record.results:
        for reason, count in result.skipped.items():
            lines.append(f"Not measured by {result.eval} on {result.model}: {count:,} {reason}")
    return [*lines, f"{len(record.models)} models, {record.seconds:.0f} s"]


def _name_of(one: Comparison) -> str:
    """The metric's full name."""
    return f"{one.eval}.{one.metric}"


def row(one: Comparison) -> str:
    """The numbers of a comparison in one line."""
    from tropism.reporting.numbers import p_text

    gap = one.difference
    difference = f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
    p_value = p_text(one.p_adjusted)
    return (
        f"{one.before.value:9.3f} {one.after.value:9.3f} {difference:>34} {p_value:>8} {one.after.n:6,}  {one.verdict}"
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
