"""The records that a page shows: what the given folders of runs, evaluations, sweeps and rounds lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import ValidationError

from tropism.errors import DataError
from tropism.records import (
    EvalWords,
    Measure,
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
        folder: where it is.
        run: its record.
        logs: steps by stage.
    """

    name: str
    folder: Path
    run: Run
    logs: Mapping[str, Sequence[StepLog]]


@dataclass(frozen=True)
class PageRecords:
    """Everything that a page shows.

    Args:
        title: of the page.
        suites: evaluations, in which every model has its name on the page and is compared with one base.
        runs: the training runs; a run and the model that it made have one name.
        sweeps: sweeps that runs belong to; a failed run appears in their records alone.
        commands: how all of it was made.
        missing: sentences on records that were named and not found.
    """

    title: str
    suites: tuple[SuiteRun, ...]
    runs: tuple[TrainedRun, ...]
    sweeps: tuple[Sweep, ...] = ()
    commands: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [run.name for run in self.runs]
        assert len(set(names)) == len(names), f"two runs have one name: {names}"
        compared = [name for suite in self.suites for name in suite.others]
        assert len(set(compared)) == len(compared), f"two evaluated models have one name: {compared}"

    @property
    def bases(self) -> list[str]:
        """The models that others are compared with."""
        return list(dict.fromkeys(suite.base for suite in self.suites))

    @property
    def models(self) -> list[str]:
        """Every model that is compared with a base, then the runs without an evaluation."""
        return list(
            dict.fromkeys([name for suite in self.suites for name in suite.others] + [run.name for run in self.runs])
        )

    def run_named(self, name: str) -> TrainedRun | None:
        """The run that made a model."""
        return next((run for run in self.runs if run.name == name), None)

    def words_of(self, eval_name: str) -> EvalWords:
        """An eval in words."""
        found = (suite.evals[eval_name] for suite in self.suites if eval_name in suite.evals)
        return next(found, None) or EvalWords.named(eval_name)

    def measures_of(self, eval_name: str) -> dict[str, Measure]:
        """The metrics of an eval that have words."""
        prefix = f"{eval_name}."
        return {
            key.removeprefix(prefix): measure
            for suite in reversed(self.suites)
            for key, measure in suite.measures.items()
            if key.startswith(prefix)
        }

    def measure_of(self, eval_name: str, metric: str) -> Measure:
        """A metric in words."""
        return self.measures_of(eval_name).get(metric) or Measure.named(metric)


class _Given(NamedTuple):
    """A run's folder with the name that it has there, and the evaluation to show if it is not the run's own."""

    name: str
    folder: Path
    suite: SuiteRun | None = None


class _Records(NamedTuple):
    """What a folder holds."""

    suite: SuiteRun | None = None
    sweep: Sweep | None = None
    runs: Sequence[_Given] = ()
    command: str = ""
    title: str = ""


def gather(paths: Sequence[Path]) -> PageRecords:
    """Read the records in folders of runs, evaluations, sweeps and rounds, in any mixture.

    Args:
        paths: the folders.

    Raises:
        DataError: if a folder holds none of them, a record is of another version, or two evaluations are given.
    """
    found = [_found(path, is_only=len(paths) == 1) for path in paths]
    evaluated = [(path, one.suite) for path, one in zip(paths, found, strict=True) if one.suite]
    if len(evaluated) > 1:
        raise DataError(
            f"`paths` must hold at most one evaluation, got {len(evaluated)}: their measures are not comparable.",
            remedy="Evaluate the models together: tropism eval MODEL MODEL -o DIR.",
        )
    suites = [suite for _, suite in evaluated]
    makers, missing = _makers(*evaluated[0]) if evaluated else ([], ())
    known = {run.folder.resolve() for run in makers}
    others = [given for one in found for given in one.runs if given.folder.resolve() not in known]
    taken = {run.name for run in makers} | {suite.base for suite in suites}
    opened = list(_opened(others, taken))
    suites += _own_evaluations(opened, {model.name: model.fingerprint for suite in suites for model in suite.models})
    runs = (*makers, *(run for run, _ in opened))
    return PageRecords(
        _title([one.title for one in found if one.title], runs),
        tuple(suites),
        runs,
        tuple(one.sweep for one in found if one.sweep),
        tuple(dict.fromkeys([one.command for one in found if one.command] + [run.run.command for run in runs])),
        missing,
    )


def _title(titles: Sequence[str], runs: Sequence[TrainedRun]) -> str:
    """The title of an evaluation, a sweep or rounds if one is given, that of a single run, or the runs' names."""
    if len(titles) == 1:
        return titles[0]
    return runs[0].run.title if len(runs) == 1 else ", ".join(run.name for run in runs)


def renamed(suite: SuiteRun, names: Mapping[str, str]) -> SuiteRun:
    """An evaluation whose models have other names.

    Args:
        suite: the record.
        names: every model's name there, to its new one.
    """

    def keyed(values: Mapping[str, float]) -> dict[str, float]:
        return {names[name]: value for name, value in values.items()}

    return suite.model_copy(
        update={
            "base": names[suite.base],
            "models": [one.model_copy(update={"name": names[one.name]}) for one in suite.models],
            "results": [one.model_copy(update={"model": names[one.model]}) for one in suite.results],
            "comparisons": [one.model_copy(update={"model": names[one.model]}) for one in suite.comparisons],
            "samples": [
                one.model_copy(
                    update={
                        "answers": {names[name]: answer for name, answer in one.answers.items()},
                        "scores": keyed(one.scores),
                    }
                )
                for one in suite.samples
            ],
            "pairs": [
                one.model_copy(
                    update={"winner_change": keyed(one.winner_change), "loser_change": keyed(one.loser_change)}
                )
                for one in suite.pairs
            ],
            "accounts": {names[name]: account for name, account in suite.accounts.items()},
        }
    )


def _found(path: Path, *, is_only: bool) -> _Records:
    """What one folder holds. The model of a run that is the only one keeps the name that its evaluation gives it."""
    if (path / "eval.json").is_file():
        suite = read_suite_run(path / "eval.json")
        return _Records(suite=suite, command=suite.command, title=suite.title)
    if (path / "sweep.json").is_file():
        sweep = _read(path / "sweep.json", Sweep)
        ended = [_Given(one.name, path / one.folder) for one in sweep.runs if one.error is None]
        return _Records(sweep=sweep, runs=ended, command=sweep.command, title=sweep.title)
    if (path / "rounds.json").is_file():
        rounds = _read(path / "rounds.json", Rounds)
        each = [_Given(f"round {one.number}", path / one.run, one.against_first) for one in rounds.rounds]
        return _Records(runs=each, command=rounds.command, title=rounds.title)
    if (path / "run.json").is_file():
        evaluation = read_run(path / "run.json").evaluation if is_only else None
        return _Records(runs=[_Given(evaluation.others[0] if evaluation else path.resolve().name, path)])
    raise DataError(
        f"{path} holds no finished run, evaluation, sweep or rounds.",
        remedy="Give the output folder of a finished `tropism train`, `tropism eval` or `tropism sweep`.",
    )


def _makers(folder: Path, suite: SuiteRun) -> tuple[list[TrainedRun], tuple[str, ...]]:
    """The runs that made a suite's models, and a sentence on every run that is not found."""
    runs, missing = [], []
    for model in suite.models:
        if model.run is None or model.name == suite.base:
            continue
        places = (Path(model.run), folder / model.run, folder.parent / Path(model.run).name)
        found = next((place for place in places if (place / "run.json").is_file()), None)
        if found is None:
            missing.append(f"The record of {model.name}\u2019s training was not found in {model.run}.")
        else:
            runs.append(_open(model.name, found))
    return runs, tuple(missing)


def _opened(given: Sequence[_Given], taken: set[str]) -> Iterator[tuple[TrainedRun, SuiteRun | None]]:
    """Runs under names that differ from all that are taken, each with its evaluation."""
    taken = set(taken)
    seen: set[Path] = set()
    for name, folder, suite in given:
        if folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        choices = (name, f"{folder.resolve().parent.name}/{name}", *(f"{name} ({n})" for n in range(2, len(given) + 2)))
        chosen = next(one for one in choices if one not in taken)
        taken.add(chosen)
        run = _open(chosen, folder)
        yield run, suite or run.run.evaluation


def _own_evaluations(
    opened: Sequence[tuple[TrainedRun, SuiteRun | None]], known: Mapping[str, str]
) -> Iterator[SuiteRun]:
    """The evaluations of runs; each run's model gets the run's name, and one name stands for one base.

    Args:
        opened: runs with their evaluations.
        known: names that are taken, to the fingerprints of their models.
    """
    known = dict.fromkeys((run.name for run, _ in opened), "") | dict(known)
    for run, suite in opened:
        if suite is None:
            continue
        fingerprint = next(model.fingerprint for model in suite.models if model.name == suite.base)
        choices = (suite.base, f"start of {run.name}", f"the start of {run.name}")
        base = next(name for name in choices if known.get(name, fingerprint) == fingerprint)
        known[base] = fingerprint
        yield renamed(suite, dict.fromkeys(suite.others, run.name) | {suite.base: base})


def _open(name: str, folder: Path) -> TrainedRun:
    """A run with the logs that it left."""
    run = read_run(folder / "run.json")
    logs = {stage.name: read_log(folder / stage.log) for stage in run.stages if (folder / stage.log).is_file()}
    return TrainedRun(name, folder, run, logs)


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
