"""`tropism gate`: does a run or an evaluation pass every threshold; the exit status tells CI."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from tropism.cli.output import JSON, Output


def gate(
    file: Path = typer.Argument(help="The gate, a YAML file; see docs/evaluation.md."),
    folder: Path = typer.Argument(
        None, help="Folder of a `tropism eval` or of a finished run; by default the gate's `folder`."
    ),
    for_programs: bool = JSON,
) -> None:
    """Check thresholds on what was measured; exit status 1 if any fails, with the reason."""
    output = Output(for_programs)
    from tropism.errors import ConfigError
    from tropism.evals.core.gate import hold, read_gate, read_measures

    wanted = read_gate(file)
    place = folder or (Path(wanted.folder) if wanted.folder else None)
    if place is None:
        raise ConfigError(
            "the gate needs a folder to look at.", remedy=f"Run: tropism gate {shlex.quote(str(file))} FOLDER"
        )
    checks = hold(wanted, read_measures(place))
    for one in checks:
        output.say(f"{'passed' if one.passed else 'FAILED'}  {one.metric}: {one.reason}.")
    failed = [one for one in checks if not one.passed]
    passed = not failed
    output.say(
        f"The gate is open: all {len(checks)} checks hold." if passed
        else f"The gate is shut: {len(failed)} of {len(checks)} checks failed."
    )  # fmt: skip
    report = shlex.join(["tropism", "report", str(place)])
    output.finish({"passed": passed, "checks": [one._asdict() for one in checks]}, next_command=report)
    if not passed:
        raise typer.Exit(1)
