"""One self-contained HTML page on runs, an evaluation, a sweep or rounds; a single run is the page with one model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tropism.records import write_text
from tropism.reporting.figures.frontier import frontiers_of
from tropism.reporting.figures.small_multiples import overview_of
from tropism.reporting.measured_changes import changes_of
from tropism.reporting.model_styles import styles_of
from tropism.reporting.page_records import PageRecords, gather
from tropism.reporting.sections.accounts import group_accounts, rows_in_words, sources_of, split_lines
from tropism.reporting.sections.change_tables import measure_lines
from tropism.reporting.sections.configuration import environments, failed_runs, recipes_of, settings_apart, suites_of
from tropism.reporting.sections.costs import cost_lines, training_in_words
from tropism.reporting.sections.evidence import evals_of
from tropism.reporting.sections.model_verdicts import model_verdicts
from tropism.reporting.sections.notable_prompts import pair_groups, prompt_groups
from tropism.reporting.sections.training_curves import curve_groups
from tropism.reporting.templates_env import filled
from tropism.reporting.verdict import counts_in_words, headline, key_changes

PAGE = "report.html"


def write_report(paths: Path | Sequence[Path], target: Path | None = None) -> Path:
    """Write one page on everything that the paths hold.

    Args:
        paths: a folder of a run, an evaluation, a sweep or rounds, or several of them.
        target: the page's file, or a folder for it. None takes the folder itself if one path is given, and the current
            folder if there are several.

    Returns:
        The path of the page.

    Raises:
        DataError: if a folder holds no finished record, or two evaluations are given.
    """
    folders = [paths] if isinstance(paths, Path) else list(paths)
    page = render_page(gather(folders))
    if target is None:
        target = folders[0] if len(folders) == 1 else Path()
    if target.is_dir():
        target = target / PAGE
    write_text(page, target)
    return target


def render_page(records: PageRecords) -> str:
    """The page of some records.

    Args:
        records: everything that it shows.

    Returns:
        HTML that needs no script, no network and no other file. Equal records give equal bytes.
    """
    models = styles_of(records.models, bases=records.bases)
    changes = changes_of(records)
    verdicts = model_verdicts(changes, models, records)
    sources = sources_of(records.runs)
    return filled(
        "page.html.j2",
        records=records,
        is_single=len(records.models) == 1,
        headline=headline(verdicts, changes, records),
        counts=counts_in_words(verdicts),
        key_measures=measure_lines(key_changes(changes, records), models, changes),
        verdicts=verdicts,
        overview=overview_of(changes, models),
        frontiers=frontiers_of(changes, models, records),
        evals=evals_of(changes, models, records),
        prompt_groups=prompt_groups(records, models),
        pair_groups=pair_groups(records, models),
        curves=curve_groups(records.runs, models),
        costs=cost_lines(records.runs),
        training=training_in_words(records.runs),
        sources=sources,
        rows=rows_in_words(sources),
        split=split_lines(records.runs),
        accounts=group_accounts(records),
        recipes=recipes_of(records.runs, models),
        differences=settings_apart(records.runs) if len(records.runs) > 1 else [],
        suites=suites_of(records),
        failed=failed_runs(records),
        environments=environments(records),
        models=models,
    )
