"""The output folder of a run: marked as ours, never mixed with anything else, nothing left half-written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml
from accelerate import PartialState

from tropism.errors import ConfigError, Interrupted, OutputError
from tropism.groups import PreferenceGroup, content_key
from tropism.records import write_text
from tropism.training.recipe.recipe_file import parse_recipe, read_yaml
from tropism.training.recipe.sections import Recipe

MARK = ".tropism-run"
"""The file that says that a folder is a run's; only what such a folder's mark names is ever deleted."""
REPLACED = ".tropism-replaced"
FILES = ("recipe.yaml", "run.json", "report.html")


@contextlib.contextmanager
def run_folder(recipe: Recipe, *, data: str, command: str, resume: bool, overwrite: bool) -> Iterator[Path]:
    """The output folder of a recipe for the time of a run.

    Args:
        recipe: names the folder.
        data: digest of the groups, so that nobody resumes on other data.
        command: how the run was started, for the message after Ctrl-C.
        resume: go on in a folder that holds the run.
        overwrite: replace the run that the folder holds; it comes back where the new one fails at its start.

    Raises:
        ConfigError: where there is nothing to resume, or another recipe or other data was used.
        OutputError: where the folder holds something else.
        Interrupted: after Ctrl-C inside the block.
    """
    output, state = Path(recipe.output), PartialState()
    existed = output.exists()
    if state.is_main_process:
        if resume:
            check_same_run(output, recipe, data)
        else:
            claim(output, recipe, overwrite=overwrite)
            names = [stage.name for stage in recipe.resolved_stages()]
            write_text(json.dumps({"data": data, "stages": names}) + "\n", output / MARK)
            given = recipe.model_dump(mode="json", exclude_unset=True)
            write_text(yaml.safe_dump(given, sort_keys=False, allow_unicode=True), output / "recipe.yaml")
    state.wait_for_everyone()
    try:
        yield output
    except BaseException as error:
        kept = [*output.glob("*/stage.json"), *output.glob("*/checkpoint-*")]
        if not kept and not resume and state.is_main_process:
            undo(output, existed=existed)
        if isinstance(error, KeyboardInterrupt):
            raise interrupted(output, bool(kept) or resume, command) from None
        raise
    shutil.rmtree(output / REPLACED, ignore_errors=True)


def interrupted(output: Path, is_kept: bool, command: str) -> Interrupted:
    """What to say after Ctrl-C outside a training step."""
    if is_kept:
        again = command if "--resume" in command else f"{command} --resume"
        return Interrupted(f"Interrupted; what was done is kept in {output}.", remedy=f"Go on with: {again}")
    return Interrupted("Interrupted before there was anything to keep.", remedy=f"Start again with: {command}")


def check_same_run(output: Path, recipe: Recipe, data: str) -> None:
    """Refuse to resume what is not there, or what another recipe or other data began."""
    if not (output / MARK).exists():
        raise ConfigError(f"there is nothing to resume in {output}.", remedy="Leave --resume out.")
    before = parse_recipe(read_yaml((output / "recipe.yaml").read_text(encoding="utf-8")))
    changed = [name for name in Recipe.model_fields if getattr(before, name) != getattr(recipe, name)]
    if changed:
        raise ConfigError(
            f"the run in {output} was started with another {', '.join(changed)}.",
            remedy="Resume with the same recipe, or give another `output`.",
        )
    if json.loads((output / MARK).read_text(encoding="utf-8"))["data"] != data:
        raise ConfigError(
            f"the run in {output} was started on other data: its files have changed since.",
            remedy="Bring the files back, or start anew with another `output`.",
        )


def claim(output: Path, recipe: Recipe, *, overwrite: bool) -> None:
    """Make the folder ours: it is new or empty, or it holds a run that may be replaced."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        output.mkdir(parents=True, exist_ok=True)
        return
    if not (output / MARK).exists():
        raise OutputError(f"the output folder {output} is not empty and holds no run.", remedy="Give another `output`.")
    if not overwrite:
        raise OutputError(
            f"the output folder {output} holds a run.",
            remedy="Give another `output`, or use --resume or --overwrite (which deletes the run).",
        )
    inputs = [recipe.model, *(source.path for stage in recipe.resolved_stages() for source in stage.data)]
    for name in [*inputs, *(source.path for source in recipe.data.eval)]:
        if Path(name).exists() and Path(name).resolve().is_relative_to(output.resolve()):
            raise ConfigError(f"--overwrite would delete its own input {name}.", remedy="Give another `output`.")
    aside = output / REPLACED
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for path in owned(output):
        path.rename(aside / path.name)


def owned(output: Path) -> list[Path]:
    """What a run's folder holds that is the run's."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        stages = json.loads((output / MARK).read_text(encoding="utf-8"))["stages"]
        return [output / name for name in (*stages, *FILES, MARK) if (output / name).exists()]
    return []


def undo(output: Path, *, existed: bool) -> None:
    """Take away what a failed start has written, and bring back what it was to replace."""
    for path in owned(output):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    aside = output / REPLACED
    if aside.is_dir():
        for path in list(aside.iterdir()):
            path.rename(output / path.name)
        aside.rmdir()
    if not existed:
        with contextlib.suppress(OSError):
            output.rmdir()


def digest_of(parts: Iterable[Sequence[PreferenceGroup]]) -> str:
    """A digest of groups: their keys, contents and feedback, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for groups in parts:
        for group in groups:
            contents = [content_key(content) for content in (*group.prompts, *(one.content for one in group.responses))]
            digest.update(repr((group.id, contents, group.edges, group.labels)).encode())
        digest.update(b"|")
    return digest.hexdigest()
