"""The output folder of a run: what belongs to it, what a resume must not change, and what to say after Ctrl-C."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml
from accelerate import PartialState

from tropism.errors import Interrupted
from tropism.groups import PreferenceGroup, content_key
from tropism.records import write_text
from tropism.training.recipe.sections import Recipe
from tropism.training.runs.output_folder import Mode, OutputFolder
from tropism.training.watch.watch_training import KEPT

RECORD = "run.json"
FILES = ("recipe.yaml", RECORD, "report.html", "evaluation")
FREE_TO_CHANGE = ("output", "evaluation")
"""Sections of a recipe that a resume may change: where the run is now, and how its finished model is measured."""


def folder_of_run(recipe: Recipe, *, data: str = "") -> OutputFolder:
    """The output folder of a recipe's run.

    Args:
        recipe: names the folder and the stages; all that decides its weights must be the same for a resume.
        data: digest of the groups that it trains on.
    """
    settings = recipe.model_dump(mode="json", exclude=set(FREE_TO_CHANGE))
    names = [*(stage.name for stage in recipe.resolved_stages()), *FILES]
    return OutputFolder(
        Path(recipe.output), "run", names=names, record=RECORD, identity=settings | {"contents of the data": data}
    )


@contextlib.contextmanager
def run_folder(recipe: Recipe, *, data: str, command: str, resume: bool, overwrite: bool) -> Iterator[Path]:
    """The output folder of a recipe for the duration of a run; only the main process claims it.

    Args:
        recipe: names the folder.
        data: digest of the groups, so that a run is not resumed on other data.
        command: how the run was started, for the message after Ctrl-C.
        resume: continue the run that the folder holds.
        overwrite: replace the run that the folder holds; it comes back if the new one fails at its start.

    Raises:
        ConfigError: if there is nothing to resume, or another recipe or other data was used.
        OutputError: if the folder holds something else, or another process writes to it.
        Interrupted: after Ctrl-C inside the block.
    """
    folder, state = folder_of_run(recipe, data=data), PartialState()
    inputs = [recipe.model, *(source.path for stage in recipe.resolved_stages() for source in stage.data)]
    inputs += [source.path for source in recipe.data.eval]
    kinds = [kind for stage in recipe.resolved_stages() for kind in (stage.reference, stage.policy) if kind]
    inputs += [value for kind in kinds for value in kind.settings.values() if isinstance(value, str)]

    def is_worth_keeping() -> bool:
        return any(folder.path.glob("*/stage.json")) or any(folder.path.glob("*/checkpoint-*"))

    claim: contextlib.AbstractContextManager[Path] = contextlib.nullcontext(folder.path)
    if state.is_main_process:
        mode: Mode = "resume" if resume else "replace" if overwrite else "new"
        claim = folder.claimed(mode, inputs=inputs, is_worth_keeping=is_worth_keeping)
    try:
        with claim as output:
            if state.is_main_process:
                _forget_chosen_states(recipe, output)
                given = recipe.model_dump(mode="json", exclude_unset=True)
                write_text(yaml.safe_dump(given, sort_keys=False, allow_unicode=True), output / "recipe.yaml")
            state.wait_for_everyone()
            yield output
    except KeyboardInterrupt:
        raise _interrupted(folder.path, is_worth_keeping() or resume, command) from None


def _forget_chosen_states(recipe: Recipe, output: Path) -> None:
    """Delete the states of finished stages from which their model was chosen, if a kill came before that."""
    for stage in recipe.resolved_stages():
        if (output / stage.name / "stage.json").exists():
            for path in (output / stage.name).glob(f"{KEPT}*"):
                shutil.rmtree(path)


def _interrupted(output: Path, is_kept: bool, command: str) -> Interrupted:
    """What to say after Ctrl-C outside a training step."""
    if is_kept:
        again = command if "--resume" in command else f"{command} --resume"
        return Interrupted(f"Interrupted; what was done is kept in {output}.", remedy=f"Go on with: {again}")
    return Interrupted("Interrupted before there was anything to keep.", remedy=f"Start again with: {command}")


def digest_of(parts: Iterable[Sequence[PreferenceGroup]]) -> str:
    """A digest of groups: their keys, contents and feedback, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for groups in parts:
        for group in groups:
            contents = [content_key(content) for content in (*group.prompts, *(one.content for one in group.responses))]
            digest.update(repr((group.id, contents, group.edges, group.labels)).encode())
        digest.update(b"|")
    return digest.hexdigest()
