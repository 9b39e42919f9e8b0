"""A sweep: one recipe over a grid of settings; each point is an ordinary run, and all share one reference cache."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import PartialState
from pydantic import ValidationError

from tropism.errors import ConfigError, Interrupted, TropismError
from tropism.records import Run, Sweep, SweepRun, read_run, write_json
from tropism.training.recipe.recipe_file import load_recipe, read_yaml
from tropism.training.recipe.sections import Recipe
from tropism.training.runs.output_folder import OutputFolder
from tropism.training.runs.run import run_recipe
from tropism.training.runs.run_folder import folder_of_run

RECORD = "sweep.json"
LONGEST_NAME = 80
"""Characters in the name of a run's folder; a longer name is cut and ends with a digest, so that names differ."""


@dataclass(frozen=True)
class Axis:
    """One setting of a grid and its values, as they were written."""

    key: str
    values: tuple[str, ...]


class Point(NamedTuple):
    """One run of a grid: its name, and its overrides."""

    name: str
    overrides: tuple[str, ...]


def run_sweep(
    path: Path,
    axes: Sequence[Axis],
    *,
    output: Path,
    command: str,
    say: Callable[[str], None],
) -> Sweep:
    """Run a recipe at every point of a grid, and update the record `sweep.json` after each run.

    Finished runs are read, interrupted ones are resumed, failed ones are reported.

    Args:
        path: the recipe.
        axes: the axes of the grid; the last one varies fastest.
        output: the sweep's folder; the recipe's `output` is not used.
        command: how the sweep was started, for the record and the message after Ctrl-C.
        say: prints a line.

    Raises:
        ConfigError: if the recipe is wrong at any point, before anything is trained; or if the folder holds a sweep of
            another recipe.
        OutputError: if the folder holds something else, or another process writes to it.
        Interrupted: after Ctrl-C, with everything kept.
    """
    points = list(grid(axes))
    folders = [json.dumps(str(output / point.name)) for point in points]
    recipes = [
        load_recipe(path, (*point.overrides, f"output={one}")) for point, one in zip(points, folders, strict=True)
    ]
    _refuse_what_cannot_be_swept(recipes)
    record = Sweep(
        title=f"{path.stem} over {', '.join(axis.key for axis in axes)}",
        command=command,
        recipe=read_yaml(path.read_text(encoding="utf-8")),
        grid={axis.key: [read_yaml(value) for value in axis.values] for axis in axes},
        runs=[],
    )
    names = [point.name for point in points]
    folder = OutputFolder(
        output, "sweep", names=[*names, RECORD, "report.html"], record=RECORD, identity=_without_output(record.recipe)
    )
    with folder.claimed("continue", is_worth_keeping=lambda: any((output / name).exists() for name in names)):
        for place, (point, recipe) in enumerate(zip(points, recipes, strict=True), 1):
            say(f"Run {place} of {len(points)}: {', '.join(point.overrides)}")
            found = _run_point(point, recipe, command=command)
            if found.error:
                say(f"It failed: {found.error}")
            record = record.model_copy(update={"runs": [*record.runs, found]})
            write_json(record, output / RECORD)
    return record


def _refuse_what_cannot_be_swept(recipes: Sequence[Recipe]) -> None:
    """A sweep consists of single runs, one after the other in one process."""
    if any(recipe.rounds for recipe in recipes):
        raise ConfigError("a sweep cannot run `rounds`.", remedy="Omit them, or sweep with a shell loop.")
    if PartialState().num_processes > 1:
        raise ConfigError(
            f"a sweep must run in one process, got {PartialState().num_processes}.",
            remedy="Start each run with its own `tropism train`; they share the reference cache, too.",
        )


def parse_axis(text: str) -> Axis:
    """Read `key=value,value,...`; commas inside brackets, braces and quotes belong to a value.

    Raises:
        ConfigError: if the text has another form, or names a value twice.

    Example:
        >>> parse_axis("loss=dpo,{dpo: {beta: 0.1}, nll: {}}").values
        ('dpo', '{dpo: {beta: 0.1}, nll: {}}')
    """
    key, equals, values = text.partition("=")
    found = tuple(_split_values(values))
    if not equals or not key or not all(found):
        raise ConfigError(
            f"an axis of a sweep must look like key=value,value, got {text!r}.", remedy="Try loss.dpo.beta=0.05,0.1."
        )
    if key == "output":
        raise ConfigError("a sweep sets `output` of every run itself.", remedy="Give the sweep's folder as `output`.")
    if len(set(found)) != len(found):
        raise ConfigError(f"{key} names a value twice: {values}.", remedy="Name each once.")
    return Axis(key, found)


def _split_values(text: str) -> Iterator[str]:
    """Split at the commas that are outside brackets, braces and quotes."""
    depth, quote, part = 0, "", ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign == "," and depth == 0:
            yield part.strip()
            part = ""
            continue
        else:
            depth += (sign in "[{(") - (sign in ")}]")
        part += sign
    yield part.strip()


def grid(axes: Sequence[Axis]) -> Iterator[Point]:
    """The product of axes; a run is named after the last part of each key and its value.

    Raises:
        ConfigError: if there is no axis, or two axes have the same key.

    Example:
        >>> [point.name for point in grid([parse_axis("loss.dpo.beta=0.1,0.3"), parse_axis("train.seed=1")])]
        ['beta-0.1_seed-1', 'beta-0.3_seed-1']
    """
    keys = [axis.key for axis in axes]
    if not axes or len(set(keys)) != len(keys):
        raise ConfigError(
            f"a sweep needs at least one axis, and each key once, got {', '.join(keys) or 'none'}.",
            remedy="Try loss.dpo.beta=0.05,0.1,0.3.",
        )
    ends = [key.rpartition(".")[2] for key in keys]
    titles = [end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)]
    for values in itertools.product(*(axis.values for axis in axes)):
        whole = "_".join(f"{title}-{value}" for title, value in zip(titles, values, strict=True))
        overrides = tuple(f"{key}={value}" for key, value in zip(keys, values, strict=True))
        yield Point(_folder_name(whole), overrides)


def _folder_name(text: str) -> str:
    """A name that is safe for a folder; if that changes the text, a digest is added, so that two names differ."""
    safe = re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip("-.")[:LONGEST_NAME]
    return safe if safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _without_output(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's settings without its folder, which a sweep does not use."""
    return {key: value for key, value in recipe.items() if key != "output"}


def read_sweep(path: Path) -> Sweep:
    """Read a sweep's record.

    Raises:
        ConfigError: if it is not a record of this version.
    """
    try:
        return Sweep.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError:
        raise ConfigError(f"{path} is not a sweep of this version.", remedy="Give another `output`.") from None


def _run_point(point: Point, recipe: Recipe, *, command: str) -> SweepRun:
    """One run: read if it is finished, resumed if it was interrupted; a failure is an entry of the record.

    Raises:
        Interrupted: after Ctrl-C.
    """
    folder = Path(recipe.output)
    settings = dict(override.split("=", 1) for override in point.overrides)
    empty = SweepRun(
        name=point.name, folder=point.name, settings={key: read_yaml(value) for key, value in settings.items()}
    )
    try:
        run = finished(folder, recipe) or run_recipe(recipe, command=command, resume=folder_of_run(recipe).is_started())
    except Interrupted as stopped:
        raise Interrupted(stopped.problem, remedy=f"Go on with: {command}") from None
    except (TropismError, RuntimeError, OSError) as error:  # such as a run that needs too much memory
        return empty.model_copy(update={"error": " ".join(str(error).split())[:500] or type(error).__name__})
    metrics = run.evaluation.metrics_of(run.evaluation.others[0]) if run.evaluation else {}
    return empty.model_copy(update={
        "metrics": metrics,
        "alarms": [alarm for stage in run.stages for alarm in stage.alarms],
        "reference_tokens_scored": sum(stage.reference_tokens_scored for stage in run.stages),
        "seconds": run.seconds,
    })  # fmt: skip


def finished(folder: Path, recipe: Recipe) -> Run | None:
    """The record of a finished run.

    Raises:
        ConfigError: if another recipe made it.
    """
    if not (folder / "run.json").exists():
        return None
    run = read_run(folder / "run.json")
    if _without_output(run.recipe) != _without_output(recipe.model_dump(mode="json")):
        raise ConfigError(f"the run in {folder} was made by another recipe.", remedy="Give another `output`.")
    return run
