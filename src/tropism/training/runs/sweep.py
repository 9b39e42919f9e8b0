"""A sweep: one recipe over a grid of settings, each an ordinary run, all on one reference cache."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from accelerate import PartialState
from pydantic import ValidationError

from tropism.errors import ConfigError, Interrupted, OutputError, TropismError
from tropism.records import Run, Sweep, SweepRun, read_run, write_json
from tropism.training.recipe.recipe_file import load_recipe, read_yaml
from tropism.training.recipe.sections import Recipe
from tropism.training.runs.run import run_recipe
from tropism.training.runs.run_folder import MARK

RECORD = "sweep.json"
LONGEST_NAME = 80
"""Characters of a run's folder; a longer name is cut, and a digest keeps it apart."""


@dataclass(frozen=True)
class Axis:
    """One setting of a grid and the values that it takes, as they were written."""

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
    """Run a recipe at every point of a grid, and keep the record in `sweep.json` after each.

    Finished runs are read, interrupted ones go on, failed ones are reported.

    Args:
        path: the recipe.
        axes: of the grid; the last one varies fastest.
        output: a folder of the sweep's own; the recipe's `output` is not used.
        command: how it was started, for the record and the message after Ctrl-C.
        say: prints a line.

    Raises:
        ConfigError: for a recipe that is wrong at any point, before anything is trained; or another recipe's sweep.
        OutputError: where the folder holds something else.
        Interrupted: after Ctrl-C, with everything kept.
    """
    points = list(grid(axes))
    folders = [json.dumps(str(output / point.name)) for point in points]
    recipes = [
        load_recipe(path, (*point.overrides, f"output={one}")) for point, one in zip(points, folders, strict=True)
    ]
    refuse_what_is_not_swept(recipes)
    record = Sweep(
        title=f"{path.stem} over {', '.join(axis.key for axis in axes)}",
        command=command,
        recipe=read_yaml(path.read_text(encoding="utf-8")),
        grid={axis.key: [read_yaml(value) for value in axis.values] for axis in axes},
        runs=[],
    )
    claim(output, record)
    for place, (point, recipe) in enumerate(zip(points, recipes, strict=True), 1):
        say(f"Run {place} of {len(points)}: {', '.join(point.overrides)}")
        found = run_point(point, recipe, command=command)
        if found.error:
            say(f"It failed: {found.error}")
        record = record.model_copy(update={"runs": [*record.runs, found]})
        write_json(record, output / RECORD)
    return record


def refuse_what_is_not_swept(recipes: Sequence[Recipe]) -> None:
    """A sweep is made of plain runs, one after the other in one process."""
    if any(recipe.rounds for recipe in recipes):
        raise ConfigError("a sweep has no place for `rounds`.", remedy="Leave them out, or sweep with a shell loop.")
    if PartialState().num_processes > 1:
        raise ConfigError(
            f"a sweep runs in one process, not in {PartialState().num_processes}.",
            remedy="Start each run with its own `tropism train`; they share the reference cache all the same.",
        )


def parse_axis(text: str) -> Axis:
    """Read `key=value,value,...`; commas inside brackets, braces and quotes belong to a value.

    Raises:
        ConfigError: where it looks otherwise, or names a value twice.

    Example:
        >>> parse_axis("loss=dpo,{dpo: {beta: 0.1}, nll: {}}").values
        ('dpo', '{dpo: {beta: 0.1}, nll: {}}')
    """
    key, equals, values = text.partition("=")
    found = tuple(split_values(values))
    if not equals or not key or not all(found):
        raise ConfigError(
            f"an axis of a sweep must look like key=value,value, not {text!r}.", remedy="Try loss.dpo.beta=0.05,0.1."
        )
    if key == "output":
        raise ConfigError("a sweep gives every run an output of its own.", remedy="Give the sweep's with --output.")
    if len(set(found)) != len(found):
        raise ConfigError(f"{key} names a value twice: {values}.", remedy="Name each once.")
    return Axis(key, found)


def split_values(text: str) -> Iterator[str]:
    """The parts of a list with commas outside of brackets, braces and quotes."""
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
    """The product of axes; a run is named after the end of each key and its value.

    Raises:
        ConfigError: without an axis, or where two axes are of one key.

    Example:
        >>> [point.name for point in grid([parse_axis("loss.dpo.beta=0.1,0.3"), parse_axis("train.seed=1")])]
        ['beta-0.1_seed-1', 'beta-0.3_seed-1']
    """
    keys = [axis.key for axis in axes]
    if not axes or len(set(keys)) != len(keys):
        raise ConfigError("a sweep needs settings to vary, each once.", remedy="Try loss.dpo.beta=0.05,0.1,0.3.")
    ends = [key.rpartition(".")[2] for key in keys]
    titles = [end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)]
    for values in itertools.product(*(axis.values for axis in axes)):
        whole = "_".join(f"{title}-{value}" for title, value in zip(titles, values, strict=True))
        overrides = tuple(f"{key}={value}" for key, value in zip(keys, values, strict=True))
        yield Point(folder_name(whole), overrides)


def folder_name(text: str) -> str:
    """A name that is safe for a folder; where that changes it, a digest keeps two names apart."""
    safe = re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip("-.")[:LONGEST_NAME]
    return safe if safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def claim(output: Path, record: Sweep) -> None:
    """Make the folder the sweep's: it is new or empty, or holds a sweep of the same recipe (over any grid)."""
    kept = output / RECORD
    if kept.exists():
        before = read_sweep(kept)
        if before.recipe != record.recipe:
            raise ConfigError(
                f"{output} holds a sweep of another recipe.", remedy="Give another --output, or bring the recipe back."
            )
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputError(f"the output folder {output} holds something else.", remedy="Give another --output.")
    write_json(record, kept)


def read_sweep(path: Path) -> Sweep:
    """Read a sweep's record.

    Raises:
        ConfigError: where it is none of this version.
    """
    try:
        return Sweep.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError:
        raise ConfigError(f"{path} is not a sweep of this version.", remedy="Give another --output.") from None


def run_point(point: Point, recipe: Recipe, *, command: str) -> SweepRun:
    """One run: read where it is finished, gone on with where it was interrupted; a failure is an entry of the record.

    Raises:
        Interrupted: after Ctrl-C.
    """
    folder = Path(recipe.output)
    settings = dict(override.split("=", 1) for override in point.overrides)
    empty = SweepRun(
        name=point.name, folder=point.name, settings={key: read_yaml(value) for key, value in settings.items()}
    )
    try:
        run = finished(folder, recipe) or run_recipe(recipe, command=command, resume=(folder / MARK).exists())
    except Interrupted as stopped:
        raise Interrupted(stopped.problem, remedy=f"Go on with: {command}") from None
    except (TropismError, RuntimeError, OSError) as error:  # a run that needs too much memory, say, ends alone
        return empty.model_copy(update={"error": " ".join(str(error).split())[:500] or type(error).__name__})
    metrics = run.evaluation.metrics if run.evaluation else {}
    return empty.model_copy(update={
        "metrics": metrics,
        "alarms": [alarm for stage in run.stages for alarm in stage.alarms],
        "reference_tokens_scored": sum(stage.reference_tokens_scored for stage in run.stages),
        "seconds": run.seconds,
    })  # fmt: skip


def finished(folder: Path, recipe: Recipe) -> Run | None:
    """The record of a run that is over.

    Raises:
        ConfigError: where it was another recipe's.
    """
    if not (folder / "run.json").exists():
        return None
    run = read_run(folder / "run.json")
    if run.recipe != recipe.model_dump(mode="json"):
        raise ConfigError(f"the run in {folder} is another recipe's.", remedy="Give the sweep another --output.")
    return run
