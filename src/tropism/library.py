"""The library in a few functions: load groups, audit them, train on them, evaluate models, write the report.

Each does what the command of the same name does, with the same defaults, and keeps the same records.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tropism.cache import cache_root
from tropism.errors import ConfigError
from tropism.groups import PreferenceGroup
from tropism.records import DataCard, Run, SuiteRun

if TYPE_CHECKING:
    from tropism.data.audit.audit import Audit
    from tropism.policies.base import Policy

AnyPath = str | Path


class DroppedRowsWarning(UserWarning):
    """Some rows of a file could not be used; the message counts them by reason."""


class LoadedGroups(tuple[PreferenceGroup, ...]):
    """Preference groups, with an account of the rows that they were made of.

    Attributes:
        cards: one per source; `card.account` counts rows read, used and dropped by reason.
    """

    cards: tuple[DataCard, ...] = ()

    def __repr__(self) -> str:
        read = sum(card.account.rows_read for card in self.cards)
        used = sum(card.account.rows_used for card in self.cards)
        return f"<{len(self):,} groups of {used:,} of {read:,} rows>"


def load_groups(*paths: AnyPath) -> LoadedGroups:
    """Read preference data in any known form; rows with one prompt become one group.

    Args:
        paths: files, folders or hub ids, as `data.train` of a recipe names them; see docs/data.md for the forms.

    Returns:
        The groups, a tuple with `cards` that account for every row.

    Raises:
        DataError: if a source is missing, in no known form, or has no usable row.

    Warns:
        DroppedRowsWarning: if rows were dropped, with the number for each reason.

    Example:
        >>> groups = load_groups("votes.parquet")  # doctest: +SKIP
        >>> len(groups[0].edges)  # doctest: +SKIP
        3
    """
    from tropism.data.formats import Source, load

    loaded = load([Source(str(path)) for path in paths])
    groups = LoadedGroups(loaded.groups)
    groups.cards = loaded.cards
    for card in loaded.cards:
        if card.account.dropped:
            reasons = "; ".join(f"{count:,} {reason}" for reason, count in card.account.dropped.items())
            warnings.warn(
                f"{card.source}: {card.account.rows_read:,} rows read, {card.account.rows_used:,} used; dropped: "
                f"{reasons}.",
                DroppedRowsWarning,
                stacklevel=2,
            )
    return groups


def save_groups(groups: Iterable[PreferenceGroup], path: AnyPath) -> int:
    """Write groups to a `.parquet` file that every command reads, whole or not at all.

    Args:
        groups: may be a generator.
        path: of the file; an old one is replaced.

    Returns:
        The number of groups.

    Raises:
        OutputError: if the file cannot be written.
    """
    from tropism.data.group_store import write_groups

    return write_groups(groups, Path(path))


def audit(*paths: AnyPath, evaluation: Sequence[AnyPath] = (), skip: Iterable[str] = ()) -> Audit:
    """Check preference data against the contract that training assumes, as `tropism audit` does without a model.

    Args:
        paths: files that are trained on.
        evaluation: files that are only evaluated on; prompts on both sides are found.
        skip: names of checks to skip.

    Returns:
        The findings, the errors first; `passes(strict=False)` says whether there is no error.

    Raises:
        ConfigError: for an unknown check.
        DataError: if a file cannot be read.
    """
    from tropism.data.audit.audit import audit as run_audit
    from tropism.data.audit.audited_rows import AuditSources

    sources = AuditSources(tuple(map(str, paths)), tuple(map(str, evaluation)))
    return run_audit(sources, skip=frozenset(skip))


def train(
    policy: Policy | AnyPath,
    groups: Iterable[PreferenceGroup] | AnyPath,
    *,
    output: AnyPath,
    loss: str | Mapping[str, Mapping[str, Any] | None] = "dpo",
    reference: str | Mapping[str, Any] | None = None,
    eval_groups: Iterable[PreferenceGroup] | AnyPath | None = None,
    holdout: float | None = None,
    stages: Sequence[Mapping[str, Any]] = (),
    training_arguments: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    alarms: bool | Mapping[str, Any] = True,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
) -> Run:
    """Train a model on preferences, compare it with its start, and keep the record, as `tropism train` does.

    The run trains a copy: a policy object stays as it is. Groups and policies that are objects are stored under
    `$TROPISM_CACHE/inputs`, by content, so that the run can be resumed and evaluated later. For a large model give the
    path, which needs no copy.

    Args:
        policy: a model folder, a hub id, or a policy that `from_pretrained` opened.
        groups: preference groups, or a file in any known form.
        output: folder of the run.
        loss: name of a loss, or names with settings: `{"dpo": {"beta": 0.1}, "nll": {"weight": 0.2}}`.
        reference: kind of reference, or `{"kind": ..., ...}`; None is the start state if the loss compares with one.
        eval_groups: held-out groups; None holds out a share of `groups`.
        holdout: share of prompts that is held out, in [0, 1); None is 0.1. Not allowed with `eval_groups`.
        stages: stages of training, as a recipe lists them.
        training_arguments: fields of `transformers.TrainingArguments`, as under `train` in a recipe.
        evaluation: what to measure at the end, as under `evaluation` in a recipe.
        alarms: what to watch, as under `alarms` in a recipe; False switches alarms off.
        seed: of training and of the answers.
        resume: continue the run in `output`.
        overwrite: replace the run in `output`.

    Returns:
        The record; `run.evaluation["preference.pair_accuracy"]` is one of its estimates, `run.stages[-1].model` the
        folder of the trained model.

    Raises:
        TropismError: for everything that the caller can fix.
    """
    from tropism.training.recipe.recipe_file import parse_recipe
    from tropism.training.runs.run import run_recipe

    data: dict[str, Any] = {"train": _groups_file(groups, "groups")}
    if eval_groups is not None:
        data["eval"] = _groups_file(eval_groups, "eval_groups")
    if holdout is not None:
        data["holdout"] = holdout
    settings: dict[str, Any] = {
        "output": str(output),
        "data": data,
        "train": {"seed": seed, **(training_arguments or {})},
        "evaluation": {"seed": seed, **(evaluation or {})},
    }
    if alarms is not True:
        settings["alarms"] = alarms if isinstance(alarms, bool) else dict(alarms)
    if stages:
        settings["stages"] = [dict(stage) for stage in stages]
    else:
        settings["loss"] = loss if isinstance(loss, str) else {name: dict(own or {}) for name, own in loss.items()}
        if reference is not None:
            settings["reference"] = reference if isinstance(reference, str) else dict(reference)
    _add_policy(settings, policy)
    return run_recipe(parse_recipe(settings), command="tropism.train", resume=resume, overwrite=overwrite)


def evaluate(
    models: AnyPath | Sequence[AnyPath],
    *,
    output: AnyPath,
    against: AnyPath | None = None,
    suite: str | None = None,
    data: AnyPath | None = None,
    judge: str | None = None,
    seed: int | None = None,
    say: Callable[[str], None] | None = None,
) -> SuiteRun:
    """Compare models with a base by a suite of evals, as `tropism eval` does.

    Args:
        models: folders of models or finished runs, hub ids, or `endpoint:` and a URL.
        output: folder of the results; what is there for the same models and settings is not measured again.
        against: the base; None takes the model that the first run started from.
        suite: name or YAML file of a suite; None takes the first run's, or `holistic`.
        data: file of held-out groups; None takes those that the first run held out.
        judge: name of a judge; None takes the first run's, if it has one.
        seed: of every draw; None takes the first run's, or 0.
        say: called with each line of progress; None ignores them.

    Returns:
        The record, also written to `eval.json` in `output`.

    Raises:
        TropismError: for everything that the caller can fix.
    """
    from tropism.training.runs.evaluation import Request
    from tropism.training.runs.evaluation import evaluate as run_evaluation

    given = [models] if isinstance(models, str | Path) else list(models)
    request = Request(
        [str(model) for model in given],
        None if against is None else str(against),
        suite,
        Path(output),
        data=None if data is None else str(data),
        judge=judge,
        seed=seed,
        command="tropism.evaluate",
    )
    return run_evaluation(request, say=say or (lambda line: None))


def report(paths: Run | AnyPath | Sequence[AnyPath], target: AnyPath | None = None) -> Path:
    """Write one self-contained HTML page on runs, an evaluation, a sweep or rounds.

    Args:
        paths: their folders, or the record of a run.
        target: the file, or a folder for it; None takes the folder of a single path.

    Returns:
        The path of the page.

    Raises:
        DataError: if a folder holds no finished record.
    """
    from tropism.reporting.page import write_report

    if isinstance(paths, Run):
        paths = str(paths.recipe["output"])
    folders = [paths] if isinstance(paths, str | Path) else paths
    return write_report([Path(one) for one in folders], None if target is None else Path(target))


def _groups_file(groups: Iterable[PreferenceGroup] | AnyPath, parameter: Literal["groups", "eval_groups"]) -> str:
    """The path of a file, or of the file that groups in memory are stored in by their content."""
    if isinstance(groups, str | Path):
        return str(groups)
    from tropism.training.runs.run_folder import digest_of

    known = tuple(groups)
    wrong = next((one for one in known if not isinstance(one, PreferenceGroup)), None)
    if wrong is not None or not known:
        raise ConfigError(
            f"`{parameter}` must be a path or preference groups, got {'no group' if not known else repr(wrong)[:80]}.",
            remedy="Read a file by tropism.load_groups.",
        )
    path = cache_root() / "inputs" / f"{digest_of([known])}.parquet"
    if not path.exists():
        save_groups(known, path)
    return str(path)


def _add_policy(settings: dict[str, Any], policy: Policy | AnyPath) -> None:
    """Add the model, and how it is opened, to the settings of a recipe."""
    if isinstance(policy, str | Path):
        settings["model"] = str(policy)
        return
    from tropism.policies.registry import POLICIES

    kind = next((name for name, row in POLICIES.items() if row.opener == type(policy).open), None)
    opened = policy.model_settings
    if kind is None or opened is None:
        raise ConfigError(
            "`policy` must be a path or a policy that from_pretrained opened.", remedy="Save it, and give the folder."
        )
    folder = cache_root() / "inputs" / policy.fingerprint()
    if not folder.exists():
        policy.save(folder)
    settings |= {"model": str(folder), "policy": kind, "layout": opened.layout, "dtype": opened.dtype}
    settings["data"] |= {
        "template": opened.template,
        "max_tokens": opened.max_tokens,
        "min_response_tokens": opened.min_response_tokens,
    }
