"""A suite on several models: what is kept is not run again, what is new is kept at once, and then all are compared."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import NamedTuple

from tropism.errors import Interrupted, TropismError
from tropism.evals.core.differences import compare_results, corrected, estimates, same_notes, within_unit
from tropism.evals.core.eval_folder import EvalFolder, Kept
from tropism.evals.core.items import Item, Need, Progress, Task
from tropism.evals.core.subject import Subject
from tropism.evals.core.suite import Suite, SuiteEval
from tropism.groups import PreferenceGroup, content_key
from tropism.judges.judge import Judge
from tropism.policies.base import Capability
from tropism.records import Comparison, EvalResult


@dataclass(frozen=True)
class Material:
    """What models are measured on.

    Args:
        groups: held-out preference groups.
        texts: held-out plain texts.
        judge: who compares answers, if anybody.
        seed: of every draw.
    """

    groups: Sequence[PreferenceGroup]
    texts: Sequence[str] = ()
    judge: Judge | None = None
    seed: int = 0

    def digest(self) -> str:
        """Identity of all of it."""
        digest = hashlib.sha256()
        for group in self.groups:
            contents = [content_key(content) for content in (*group.prompts, *(one.content for one in group.responses))]
            digest.update(repr((group.id, contents, group.edges, group.labels)).encode("utf-8", "surrogatepass"))
        judge = self.judge.identity() if self.judge else None
        digest.update(repr((list(self.texts), judge, self.seed)).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What came of a suite.

    Args:
        results: of every eval on every model, the base first.
        comparisons: of every other model with the base, corrected for their number.
        left_out: eval to the reason why it was not run, or why it failed.
        num_found: how many results were kept from before.
    """

    results: list[EvalResult]
    comparisons: list[Comparison]
    left_out: dict[str, str] = field(default_factory=dict)
    num_found: int = 0


def run_suite(
    suite: Suite,
    subjects: Sequence[Subject],
    *,
    base: Subject,
    material: Material,
    folder: EvalFolder,
    progress: Progress,
    fresh: bool = False,
) -> Outcome:
    """Measure the base and every subject by every eval of a suite, and compare.

    Args:
        suite: what to run.
        subjects: the models, without the base; their names differ.
        base: what they are compared with.
        material: what they are measured on.
        folder: results are stored here as soon as they are measured.
        progress: makes a progress bar.
        fresh: run also what is kept.
    """
    bench = Bench(base, material, folder, progress, fresh, material.digest())
    left_out = dict(suite.left_out)
    results: list[EvalResult] = []
    comparisons: list[Comparison] = []
    num_found = 0
    for entry in suite.evals:
        missing = _what_is_missing(entry, [base, *subjects], material)
        if missing:
            left_out[entry.name] = missing
            continue
        try:
            found = [bench.measured(entry, subject) for subject in (base, *subjects)]
        except Interrupted:
            raise
        except TropismError as error:
            left_out[entry.name] = str(error)
            continue
        kept = [one.kept for one in found]
        num_found += sum(one.was_there for one in found)
        results += _with_notes(kept, entry)
        for after in kept[1:]:
            comparisons += compare_results(kept[0], after, entry.eval)
    by_model = [corrected([one for one in comparisons if one.model == subject.name]) for subject in subjects]
    return Outcome(results, [one for part in by_model for one in part], left_out, num_found)


class Found(NamedTuple):
    """A result with its items, and whether it was kept from before."""

    kept: Kept
    was_there: bool


@dataclass(frozen=True)
class Bench:
    """The inputs of a run that all models share: the base, the material and its digest, and the folder of results."""

    base: Subject
    material: Material
    folder: EvalFolder
    progress: Progress
    fresh: bool
    data: str

    def measured(self, entry: SuiteEval, subject: Subject) -> Found:
        """One eval on one model, found or run."""
        material = self.material
        task = Task(
            subject, self.base, material.groups, material.texts, material.judge, entry.settings, material.seed,
            self.progress,
        )  # fmt: skip
        key = key_of(entry, task, self.data)
        there = None if self.fresh else self.folder.find(entry.name, subject.name, key)
        return Found(there, True) if there else Found(self.folder.keep(*measure(entry, task), key), False)


def _what_is_missing(entry: SuiteEval, models: Sequence[Subject], material: Material) -> str:
    """Why an eval cannot run; empty if it can."""
    reasons: dict[Need, str] = {}
    if not material.groups:
        reasons["groups"] = "there are no held-out groups"
    if not material.texts:
        reasons["texts"] = "there are no held-out texts"
    if material.judge is None:
        reasons["judge"] = "there is no judge"
    for need, reason in INCAPABLE.items():
        names = [model.name for model in models if not model.can(need)]
        if names:
            reasons[need] = f"{', '.join(names)} {reason}"
    return "; ".join(reasons[need] for need in sorted(entry.eval.needs) if need in reasons)


INCAPABLE: Mapping[Capability, str] = {
    "logp": "gives no log-probabilities of given texts",
    "states": "gives no hidden states",
    "generate": "writes no answers",
    "rewards": "gives no rewards",
    "images": "takes no images",
}
"""Why a model without a capability cannot be measured."""


def measure(entry: SuiteEval, task: Task) -> tuple[EvalResult, Sequence[Item]]:
    """Run one eval on one model."""
    started = time.perf_counter()
    measured = entry.eval.function(task)
    own = {name: within_unit(one, name, entry.eval.measures) for name, one in measured.metrics.items()}
    metrics = estimates(measured.items, entry.eval.statistics, entry.eval.measures) | own
    result = EvalResult(
        eval=entry.name,
        model=task.subject.name,
        metrics=metrics,
        matrices=list(measured.matrices),
        series={name: list(values) for name, values in measured.series.items()},
        skipped=dict(measured.skipped),
        notes=list(measured.notes),
        seconds=time.perf_counter() - started,
    )
    return result, measured.items


def key_of(entry: SuiteEval, task: Task, data: str) -> str:
    """Everything that a result depends on: version, eval, settings, both models, and what they are measured on."""
    settings = entry.settings.model_dump_json()
    models = (task.subject.fingerprint, task.base.fingerprint)
    parts = (version("tropism"), entry.name, entry.code, settings, *models, data)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _with_notes(kept: Sequence[Kept], entry: SuiteEval) -> list[EvalResult]:
    """The results of one eval; notes say which metrics are equivalent to the base's.

    Tables over all models are kept with the base.
    """
    base, *others = kept
    across = entry.eval.across
    tables = across({one.result.model: one.items for one in kept}, base.result.model) if across else ()
    return [base.result.model_copy(update={"matrices": [*base.result.matrices, *tables]})] + [
        one.result.model_copy(update={"notes": [*one.result.notes, *same_notes(base, one, entry.same_within)]})
        for one in others
    ]
