"""The page of an application: its claims on top, then its arms over all seeds, and links to the evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tropism.records import ApplicationRun, ClaimResult, Estimate, Measure, write_text
from tropism.reporting.numbers import MISSING, compact, counted, duration
from tropism.reporting.page import PAGE, write_report
from tropism.reporting.sections.change_tables import Cell, value_cell
from tropism.reporting.sections.configuration import listing
from tropism.reporting.templates_env import filled


class ArmRow(NamedTuple):
    """One measure of all arms; None for an arm on which it was not measured."""

    label: str
    cells: list[Cell | None]


class ClaimRow(NamedTuple):
    """A claim as text; `verdict` is the class of its colour."""

    sentence: str
    value: Cell | None
    bound: str
    num_samples: str
    says: str
    verdict: str


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
        headline=_headline(run),
        claims=[_claim_row(claim) for claim in run.claims],
        rows=[
            _arm_row(
                run.measures.get(name) or Measure.named(name), [metrics.get(name) for metrics in run.arms.values()]
            )
            for name in names
        ],
        pages=[f"{name}/{PAGE}" for name in run.evaluations],
        settings=listing(run.settings),
        time=duration(run.seconds),
    )


def _headline(run: ApplicationRun) -> str:
    """How many claims hold."""
    holding = sum(claim.holds for claim in run.claims)
    return f"{holding} of {counted(len(run.claims), 'claim')} of {run.name} hold on {counted(len(run.seeds), 'seed')}"


def _claim_row(claim: ClaimResult) -> ClaimRow:
    """A claim, its threshold and what was measured."""
    value = value_cell(claim.estimate, Measure(label="")) if claim.estimate else None
    num_samples = f"{claim.estimate.n:,}" if claim.estimate else MISSING
    bound = f"{claim.direction} {compact(claim.threshold)}"
    return ClaimRow(claim.sentence, value, bound, num_samples, claim.says, "better" if claim.holds else "worse")


def _arm_row(measure: Measure, estimates: list[Estimate | None]) -> ArmRow:
    """A measure on every arm."""
    return ArmRow(measure.label, [value_cell(one, measure) if one else None for one in estimates])
