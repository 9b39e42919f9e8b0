"""The page of an application: its claims on top, then its arms over all seeds, and links to the evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

from tropism.records import ApplicationRun, Estimate, Measure, write_text
from tropism.report.page import write_report
from tropism.report.templates_env import filled

PAGE = "report.html"


class ArmRow(NamedTuple):
    """One measure of all arms; None for an arm on which it was not measured."""

    label: str
    cells: list[Estimate | None]


def write_application_page(run: ApplicationRun, folder: Path) -> Path:
    """Write the page of an application and the pages of its evaluations.

    Args:
        run: its record.
        folder: where the record and the evaluations are.

    Returns:
        The path of the application's page.
    """
    for name in run.evaluations:
        write_report(folder / name)
    write_text(render_application(run), folder / PAGE)
    return folder / PAGE


def render_application(run: ApplicationRun) -> str:
    """The page of an application as HTML; equal records give equal bytes."""
    names = dict.fromkeys(name for metrics in run.arms.values() for name in metrics)
    return filled(
        "application.html.j2",
        run=run,
        headline=headline(run),
        numbers=numbers,
        rows=[
            ArmRow(
                (run.measures.get(name) or Measure.named(name)).label,
                [metrics.get(name) for metrics in run.arms.values()],
            )
            for name in names
        ],
        pages=[f"{name}/{PAGE}" for name in run.evaluations],
        settings=yaml.safe_dump(run.settings, sort_keys=False, allow_unicode=True),
    )


def headline(run: ApplicationRun) -> str:
    """How many claims hold."""
    holding = sum(claim.holds for claim in run.claims)
    seeds = f"{len(run.seeds)} seed{'s' if len(run.seeds) > 1 else ''}"
    return f"{holding} of {len(run.claims)} claims of {run.name} hold on {seeds}"


def numbers(estimate: Estimate | None) -> str:
    """An estimate with its interval."""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]" if estimate else "–"
