"""A suite on models and runs, from paths to the record of it all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers.utils import logging as transformers_logging

from tropism.evals.core.eval_folder import ITEMS, RECORD, RESULTS, EvalFolder
from tropism.evals.core.subject import Subject
from tropism.evals.core.suite import Suite, load_suite
from tropism.evals.core.suite_run import Material, Outcome, run_suite
from tropism.evals.core.suite_samples import suite_pairs, suite_samples
from tropism.judges.judge import load_judge
from tropism.records import EvalResult, EvalWords, Measure, SuiteModel, SuiteRun, write_json
from tropism.training.loop.callbacks import progress
from tropism.training.loop.machine import environment
from tropism.training.runs.output_folder import OutputFolder
from tropism.training.runs.places import HeldOut, Place, hold_out, locate_all, open_subject, read_texts


@dataclass(frozen=True)
class Request:
    """What to evaluate, as the command line says it.

    Args:
        models: folders of models or of runs, hub ids, or `endpoint:` and a URL or YAML file.
        against: the model or run to compare with; None takes the model that the first run's last stage started from.
        suite: name or file of a suite.
        output: folder of the results.
        data: file of held-out groups; None takes those that the first run held out.
        texts: file of held-out texts, `.txt` (one per line) or JSONL with `text`; None takes the held-out prompts.
        judge: name of a judge; None takes the first run's, if it has one.
        template: chat template of all models; None takes the first run's, or `auto`.
        max_tokens: prompt and response together; None takes the first run's, or the model's context up to 1,024.
        seed: of every draw.
        fresh: run again what is kept.
        command: how it was started, for the record.
    """

    models: Sequence[str]
    against: str | None
    suite: str
    output: Path
    data: str | None = None
    texts: str | None = None
    judge: str | None = None
    template: str | None = None
    max_tokens: int | None = None
    seed: int = 0
    fresh: bool = False
    command: str = ""


def evaluate(request: Request, *, say: Callable[[str], None]) -> SuiteRun:
    """Run a suite on models and keep the record in the output folder's `eval.json`.

    Args:
        request: what to evaluate.
        say: prints a line.

    Raises:
        TropismError: for everything that a user can put right.
    """
    started = time.perf_counter()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    suite = load_suite(request.suite)
    places, base = locate_all(request.models, request.against)
    recipe = next((place.recipe for place in places if place.recipe), None)
    judge = request.judge or (recipe.evaluation.judge if recipe else None)
    held_out = hold_out(request.data, [*places, base])
    for reason, count in held_out.left_out.items():
        say(f"{count:,} groups left out: {reason}.")
    material = Material(
        held_out.groups, read_texts(request.texts, held_out.groups), load_judge(judge) if judge else None, request.seed
    )
    names = (ITEMS, RESULTS, RECORD, "report.html")
    output = OutputFolder(request.output, "evaluation", names=names, record=RECORD, identity={})
    with output.claimed("continue"):
        folder = EvalFolder(request.output)
        subjects = [
            open_subject(place, recipe, template=request.template, max_tokens=request.max_tokens, fresh=request.fresh)
            for place in (base, *places)
        ]
        say(f"Suite {suite.name} on {', '.join(place.name for place in places)} against {base.name}: "
            f"{len(material.groups):,} held-out groups, {len(material.texts):,} texts.")  # fmt: skip
        outcome = run_suite(
            suite, subjects[1:], base=subjects[0], material=material, folder=folder, progress=progress,
            fresh=request.fresh,
        )  # fmt: skip
        if outcome.num_found:
            say(f"{outcome.num_found} results were there already, for the same models, settings and data.")
        record = record_of(
            request,
            suite,
            [base, *places],
            subjects,
            held_out=held_out,
            material=material,
            outcome=outcome,
            seconds=time.perf_counter() - started,
        )
        texts = {"samples": suite_samples(outcome.results, folder), "pairs": suite_pairs(outcome.results, folder)}
        record = record.model_copy(update=texts)
        write_json(record, request.output / RECORD)
    return record


def record_of(
    request: Request,
    suite: Suite,
    places: Sequence[Place],
    subjects: Sequence[Subject],
    *,
    held_out: HeldOut,
    material: Material,
    outcome: Outcome,
    seconds: float,
) -> SuiteRun:
    """A finished suite as its `eval.json` keeps it; the first place is the base."""
    names = [place.name for place in places]
    return SuiteRun(
        title=f"{', '.join(names[1:])} against {names[0]}",
        command=request.command,
        suite=suite.name,
        settings={
            "evals": {one.name: one.settings.model_dump(mode="json") for one in suite.evals},
            "left_out": outcome.left_out,
            "groups": len(material.groups),
            "groups_left_out": held_out.left_out,
            "texts": len(material.texts),
            "judge": material.judge.name if material.judge else None,
            "seed": request.seed,
        },
        environment=environment(),
        models=[
            SuiteModel(
                name=subject.name,
                path=place.path,
                fingerprint=subject.fingerprint,
                run=str(place.run) if place.run else None,
            )
            for subject, place in zip(subjects, places, strict=True)
        ],
        base=names[0],
        results=outcome.results,
        comparisons=outcome.comparisons,
        evals=evals_in_words(suite, outcome.results),
        measures=measures_in_words(suite, outcome.results),
        accounts={
            subject.name: subject.policy.renderer.render(material.groups)[1] for subject in subjects if subject.policy
        },
        seconds=seconds,
    )


def evals_in_words(suite: Suite, results: Sequence[EvalResult]) -> dict[str, EvalWords]:
    """The words of every eval that has a result."""
    ran = {result.eval for result in results}
    return {one.name: one.eval.words or EvalWords.named(one.name) for one in suite.evals if one.name in ran}


def measures_in_words(suite: Suite, results: Sequence[EvalResult]) -> dict[str, Measure]:
    """The words of every metric that was measured, by `eval.metric`."""
    rows = {one.name: one.eval.measures for one in suite.evals}
    names = dict.fromkeys((result.eval, metric) for result in results for metric in result.metrics)
    return {f"{name}.{metric}": rows[name].get(metric) or Measure.named(metric) for name, metric in names}
