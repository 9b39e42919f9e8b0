"""One self-contained HTML page of several models: the verdict on each, then the evidence, then how they were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tropism.records import DataCard, SweepRun, write_text
from tropism.report.dossier import Dossier, TrainedRun, gather
from tropism.report.entries import entries_of
from tropism.report.evidence import evals_of
from tropism.report.extremes import pair_groups, sample_groups
from tropism.report.filling import filled, listing
from tropism.report.frontier import frontiers_of
from tropism.report.judgement import cards_of, headline
from tropism.report.looks import Look, looks_of
from tropism.report.numbers import duration
from tropism.report.overlay import overlaid, settings_apart
from tropism.report.page import CardView, card_view, write_report
from tropism.report.strips import glance_of
from tropism.report.tables import CostLine, cost_total

PAGE = "report.html"


class Source(NamedTuple):
    """A data card, and the models that were trained on it."""

    view: CardView
    models: tuple[str, ...]


class RunLine(NamedTuple):
    """What a training run was and cost."""

    look: Look
    cost: CostLine
    steps: str
    title: str
    recipe: str


def write_reports(paths: Sequence[Path], target: Path | None = None) -> Path:
    """Write one page on everything that the paths hold.

    Args:
        paths: folders of runs, evaluations, sweeps or rounds.
        target: the page's file, or a folder for it. None takes the folder itself where one path is given, and the
            current folder where there are several.

    Returns:
        The path of the page. A single run has a page of its own kind.

    Raises:
        DataError: where a folder holds none of them.
    """
    if target is not None and target.is_dir():
        target = target / PAGE
    if len(paths) == 1 and (paths[0] / "run.json").is_file():
        return write_report(paths[0], target)
    page = render_reports(gather(paths))
    target = target or (paths[0] / PAGE if len(paths) == 1 else Path(PAGE))
    write_text(page, target)
    return target


def render_reports(dossier: Dossier) -> str:
    """The page of several models.

    Args:
        dossier: everything on it.

    Returns:
        HTML that needs no script, no network and no other file. Equal arguments give equal bytes.
    """
    suite = dossier.suite
    looks = looks_for(dossier)
    entries = entries_of(dossier)
    cards = cards_of(entries, looks, dossier)
    return filled(
        "several.html.j2",
        dossier=dossier,
        suite=suite,
        models=list(looks.values()),
        headline=headline(cards, entries, dossier),
        cards=cards,
        glance=glance_of(entries, looks),
        evals=evals_of(entries, looks, dossier),
        left_out=left_out(dossier),
        frontiers=frontiers_of(entries, looks, dossier),
        sample_groups=sample_groups(suite, looks) if suite else [],
        pair_groups=pair_groups(suite, looks) if suite else [],
        curves=overlaid(dossier.runs, looks),
        sources=sources_of(dossier.runs),
        differences=settings_apart(dossier.runs) if len(dossier.runs) > 1 else [],
        runs=[run_line(run, looks[run.name]) for run in dossier.runs],
        failed=failed_runs(dossier),
        settings=listing(suite.settings) if suite else "",
        environments=environments(dossier),
        seconds=duration(suite.seconds) if suite else "",
    )


def looks_for(dossier: Dossier) -> dict[str, Look]:
    """The looks of the suite's models, then of the other runs."""
    names = [model.name for model in dossier.suite.models] if dossier.suite else []
    names += [run.name for run in dossier.runs if run.name not in names]
    return looks_of(names, base=dossier.suite.base if dossier.suite else None)


def left_out(dossier: Dossier) -> dict[str, str]:
    """Evals that were not run: name to the reason, where the suite says so."""
    found = dossier.suite.settings.get("left_out") if dossier.suite else None
    return {str(name): str(reason) for name, reason in found.items()} if isinstance(found, dict) else {}


def sources_of(runs: Sequence[TrainedRun]) -> list[Source]:
    """Every data card once, with the models that learned from it."""
    found: list[tuple[DataCard, list[str]]] = []
    for run in runs:
        for card in run.run.cards:
            models = next((names for known, names in found if known == card), None)
            if models is None:
                found.append((card, [run.name]))
            elif run.name not in models:
                models.append(run.name)
    return [Source(card_view(card), tuple(models)) for card, models in found]


def run_line(run: TrainedRun, look: Look) -> RunLine:
    """A run's cost in a line, its steps, and its recipe."""
    steps = ", ".join(f"{stage.name} {stage.steps:,}" for stage in run.run.stages)
    recipe = listing(run.run.model_dump(mode="json")["recipe"])
    return RunLine(look, cost_total(run.run), steps, run.run.title, recipe)


def failed_runs(dossier: Dossier) -> list[SweepRun]:
    """Runs of sweeps that did not end."""
    return [run for sweep in dossier.sweeps for run in sweep.runs if run.error]


def environments(dossier: Dossier) -> list[Mapping[str, str]]:
    """What everything ran on, each machine once."""
    own = [dossier.suite.environment] if dossier.suite else []
    every = own + [run.run.environment for run in dossier.runs]
    return [one for place, one in enumerate(every) if one and one not in every[:place]]
