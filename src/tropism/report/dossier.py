"""What a page of several models is about: the records that paths of runs, evaluations, sweeps and rounds lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import ValidationError

from tropism.errors import DataError
from tropism.records import (
    Record,
    Rounds,
    Run,
    StepLog,
    SuiteRun,
    Sweep,
    read_log,
    read_run,
    read_suite_run,
)

RecordType = TypeVar("RecordType", bound=Record)


@dataclass(frozen=True)
class TrainedRun:
    """A training run under the name that the page gives it.

    Args:
        name: different from all others of the page.
        folder: where it lies.
        run: its record.
        logs: steps by stage.
        settings: what sets it apart in its sweep, where it belongs to one.
    """

    name: str
    folder: Path
    run: Run
    logs: Mapping[str, Sequence[StepLog]]
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Dossier:
    """Everything that a page of several models shows.

    Args:
        title: of the page.
        suite: a suite on the models, where one was run.
        runs: the training runs, those of the suite's models first.
        sweeps: sweeps that runs belong to; a failed run is in their records alone.
        commands: how all of it was made.
        missing: sentences on what was named and is not there.
    """

    title: str
    suite: SuiteRun | None
    runs: tuple[TrainedRun, ...]
    sweeps: tuple[Sweep, ...] = ()
    commands: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [run.name for run in self.runs]
        assert len(set(names)) == len(names), f"two runs have one name: {names}"

    def run_named(self, name: str) -> TrainedRun | None:
        """The run that made a model."""
        return next((run for run in self.runs if run.name == name), None)


class _Given(NamedTuple):
    """A run's folder, under the name that it goes by there."""

    name: str
    folder: Path
    settings: Mapping[str, object]


class _Found(NamedTuple):
    """What a folder holds."""

    suite: SuiteRun | None = None
    sweep: Sweep | None = None
    runs: Sequence[_Given] = ()
    command: str = ""


def gather(paths: Sequence[Path]) -> Dossier:
    """Read the records in folders of runs, evaluations, sweeps and rounds, in any mixture.

    Args:
        paths: the folders.

    Raises:
        DataError: where a folder holds none of them, or a record is of another version, or two evaluations are given.
    """
    found = [_found(path) for path in paths]
    suites = [(path, one.suite) for path, one in zip(paths, found, strict=True) if one.suite]
    if len(suites) > 1:
        raise DataError(
            f"{len(suites)} evaluations are given, and measures of different ones are not comparable.",
            remedy="Evaluate the models together: tropism eval MODEL MODEL -o DIR.",
        )
    suite = suites[0][1] if suites else None
    made, missing = _made(*suites[0]) if suites else ([], ())
    known = {run.folder.resolve() for run in made}
    others = [given for one in found for given in one.runs if given.folder.resolve() not in known]
    runs = (*made, *_opened(others, {run.name for run in made} | ({suite.base} if suite else set())))
    sweeps = tuple(one.sweep for one in found if one.sweep)
    commands = [one.command for one in found if one.command] + [run.run.command for run in runs]
    return Dossier(_title(suite, sweeps, runs), suite, runs, sweeps, tuple(dict.fromkeys(commands)), missing)


def _found(path: Path) -> _Found:
    """What one folder holds."""
    if (path / "eval.json").is_file():
        suite = read_suite_run(path / "eval.json")
        return _Found(suite=suite, command=suite.command)
    if (path / "sweep.json").is_file():
        sweep = _read(path / "sweep.json", Sweep)
        ended = [_Given(one.name, path / one.folder, one.settings) for one in sweep.runs if one.error is None]
        return _Found(sweep=sweep, runs=ended, command=sweep.command)
    if (path / "rounds.json").is_file():
        rounds = _read(path / "rounds.json", Rounds)
        each = [_Given(f"round {one.number}", path / one.run, {}) for one in rounds.rounds]
        return _Found(runs=each, command=rounds.command)
    if (path / "run.json").is_file():
        return _Found(runs=[_Given(path.resolve().name, path, {})])
    raise DataError(
        f"{path} holds no finished run, evaluation, sweep or rounds.",
        remedy="Give the output folder of a `tropism train`, `eval` or `sweep` that ended.",
    )


def _made(folder: Path, suite: SuiteRun) -> tuple[list[TrainedRun], tuple[str, ...]]:
    """The runs that made a suite's models, and what is to be said of those that are gone."""
    runs, missing = [], []
    for model in suite.models:
        if model.run is None or model.name == suite.base:
            continue
        places = (Path(model.run), folder / model.run, folder.parent / Path(model.run).name)
        found = next((place for place in places if (place / "run.json").is_file()), None)
        if found is None:
            missing.append(f"The record of {model.name}\u2019s training is not in {model.run} any more.")
        else:
            runs.append(_open(model.name, found, {}))
    return runs, tuple(missing)


def _opened(given: Sequence[_Given], taken: set[str]) -> Iterator[TrainedRun]:
    """Runs under names that differ from all that are taken."""
    taken = set(taken)
    seen: set[Path] = set()
    for name, folder, settings in given:
        if folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        choices = (name, f"{folder.resolve().parent.name}/{name}", *(f"{name} ({n})" for n in range(2, len(given) + 2)))
        chosen = next(one for one in choices if one not in taken)
        taken.add(chosen)
        yield _open(chosen, folder, settings)


def _open(name: str, folder: Path, settings: Mapping[str, object]) -> TrainedRun:
    """A run with its logs; one that left no log shows no curves."""
    run = read_run(folder / "run.json")
    logs = {stage.name: read_log(folder / stage.log) for stage in run.stages if (folder / stage.log).is_file()}
    return TrainedRun(name, folder, run, logs, settings)


def _read(path: Path, kind: type[RecordType]) -> RecordType:
    """A record of a sweep or of rounds."""
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{path} is not a record of this version: {'.'.join(map(str, first['loc']))}: {first['msg']}.",
            remedy="Make it again.",
        ) from None


def _title(suite: SuiteRun | None, sweeps: Sequence[Sweep], runs: Sequence[TrainedRun]) -> str:
    """What the page is called."""
    if suite:
        return suite.title
    if len(sweeps) == 1:
        return sweeps[0].title
    return ", ".join(run.name for run in runs)
