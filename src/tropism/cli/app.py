"""`tropism app`: a published system on its demo or on your model and data, and whether its claims hold."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tropism.cli.output import JSON, Output, estimate

if TYPE_CHECKING:
    from tropism.applications.application import Application, ApplicationSettings
    from tropism.records import ApplicationRun


def app(
    name: str = typer.Argument(
        None, help="The application, or file.py:NAME for your own; without it, all applications are listed."
    ),
    demo: bool = typer.Option(False, "--demo", help="Run the small embedded demo."),
    model: str = typer.Option(None, "--model", help="The model to work on, a folder or hub id."),
    data: str = typer.Option(None, "--data", help="The data to work on."),
    settings: list[str] = typer.Option(None, "--set", help="A setting of the application, such as posts=500."),
    seeds: int = typer.Option(1, "--seeds", min=1, help="How many seeds: 0, 1, and so on."),
    output: Path = typer.Option(None, "-o", "--output", help="Folder of everything; by default runs/app-NAME."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace what the folder holds of the application."),
    for_programs: bool = JSON,
) -> None:
    """Run an application and check its claims; the same command continues where it was interrupted."""
    printer = Output(for_programs)
    from tropism.applications.application_table import find_application

    if name is None:
        _list_applications(printer)
        return
    application = find_application(name)
    chosen = _settings_of(application, demo=demo, model=model, data=data, given=settings or ())
    folder = output or Path("runs") / f"app-{application.name}"
    _run_and_show(
        printer, application, chosen, seeds=range(seeds), folder=folder, overwrite=overwrite,
        command=_command_of(name, demo=demo, model=model, data=data, given=settings or (), seeds=seeds, folder=folder),
    )  # fmt: skip


def _list_applications(output: Output) -> None:
    """Print every application with its paper."""
    from tropism.applications.application_table import APPLICATIONS

    for one in APPLICATIONS.values():
        output.table(one.name, {"summary": one.summary, "paper": one.paper, "claims": str(len(one.claims))})
    rows = [{"name": one.name, "paper": one.paper, "summary": one.summary} for one in APPLICATIONS.values()]
    output.finish({"applications": rows}, next_command=f"tropism app {next(iter(APPLICATIONS))} --demo")


def _settings_of(
    application: Application, *, demo: bool, model: str | None, data: str | None, given: Sequence[str]
) -> ApplicationSettings:
    """The settings that the options say; without a model of the user's, the demo must be asked for."""
    from pydantic import ValidationError

    from tropism.errors import ConfigError
    from tropism.training.recipe.recipe_file import override_setting

    values: dict[str, Any] = {key: value for key, value in (("model", model), ("data", data)) if value}
    if demo == bool(values):
        raise ConfigError(
            "`demo` has no effect beside `model` and `data`." if demo else "there is nothing to work on.",
            remedy="Give `demo`, or `model` and `data`.",
        )
    for setting in given:
        override_setting(values, setting)
    try:
        return application.settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"the setting {key!r} of {application.name} is not valid: {first['msg']} (got {first.get('input')!r}).",
            remedy=f"Its settings are: {', '.join(application.settings.model_fields)}.",
        ) from None


def _command_of(
    name: str, *, demo: bool, model: str | None, data: str | None, given: Sequence[str], seeds: int, folder: Path
) -> str:
    """The command that continues; it never replaces."""
    words = ["tropism", "app", name, *(["--demo"] if demo else [])]
    words += [*(["--model", model] if model else []), *(["--data", data] if data else [])]
    words += [word for setting in given for word in ("--set", setting)]
    return shlex.join([*words, "--seeds", str(seeds), "--output", str(folder)])


def _run_and_show(
    output: Output,
    application: Application,
    settings: ApplicationSettings,
    *,
    seeds: Sequence[int],
    folder: Path,
    overwrite: bool,
    command: str,
) -> None:
    """Run an application, write its page and print its claims."""
    from tropism.applications.runner import run_application
    from tropism.reporting.application_page import write_application_page

    run = run_application(
        application, settings, seeds=seeds, output=folder, command=command, say=output.say, overwrite=overwrite
    )
    report = write_application_page(run, folder)
    show_claims(output, run)
    output.finish(payload(run, report), next_command=shlex.join(["python", "-m", "webbrowser", str(report)]))


def show_claims(output: Output, run: ApplicationRun) -> None:
    """Print every claim with its number, whether it holds or not."""
    output.table(f"Claims of {run.name}, with 95 % intervals", {
        claim.sentence: f"{claim.says}: {estimate(claim.estimate)}" if claim.estimate else claim.says
        for claim in run.claims
    })  # fmt: skip
    for note in run.notes:
        output.say(note)


def payload(run: ApplicationRun, report: Path) -> dict[str, Any]:
    """The JSON object of `app NAME`."""
    empty = {"value": None, "low": None, "high": None, "n": 0}
    return {
        "claims": [
            {"name": claim.name, "sentence": claim.sentence}
            | (claim.estimate.model_dump() if claim.estimate else empty)
            | {"threshold": claim.threshold, "direction": claim.direction, "holds": claim.holds}
            for claim in run.claims
        ],
        "arms": {arm: {name: one.model_dump() for name, one in seen.items()} for arm, seen in run.arms.items()},
        "table": [
            {"arm": arm, "metric": name, **one.model_dump()}
            for arm, seen in run.arms.items()
            for name, one in seen.items()
        ],
        "seeds": run.seeds,
        "seconds": run.seconds,
        "report": str(report),
    }
