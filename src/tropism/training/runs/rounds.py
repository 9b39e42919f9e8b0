"""On-policy rounds: sample answers to the training prompts, let a judge compare them, train on that, and again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from accelerate import PartialState
from pydantic import ValidationError

from tropism.data.group_keys import group_key, unit_hash
from tropism.data.group_store import read_card, write_groups
from tropism.errors import ConfigError, Interrupted, OutputError
from tropism.evals.core.subject import policy_subject
from tropism.judges.judge import load_judge
from tropism.losses import make_mixture
from tropism.records import Evaluation, RoundRecord, Rounds, Run, read_run, write_json, write_text
from tropism.sampling.on_policy import Draws, sample_groups
from tropism.sampling.prompt_files import prompts_of
from tropism.training.loop.callbacks import announce, progress
from tropism.training.recipe.recipe_file import parse_recipe
from tropism.training.recipe.sections import Recipe, RoundsRecipe
from tropism.training.runs.opened import open_policy
from tropism.training.runs.run import check_settings, compare_models, run_recipe, short_name
from tropism.training.runs.run_data import Split, load_data
from tropism.training.runs.run_folder import MARK

RECORD, ROUND, GROUPS, NOTES, HELD_OUT, RUN = (
    "rounds.json", "round.json", "groups.parquet", "notes.json", "held_out.parquet", "run",
)  # fmt: skip


def run_rounds(recipe: Recipe, *, command: str, resume: bool = False, say: Callable[[str], None] = announce) -> Rounds:
    """Train a recipe's `rounds.count` rounds, each on answers of the model that the one before it left.

    Args:
        recipe: with `rounds`, a judge, and no stages.
        command: how it was started, for the records and the message after Ctrl-C.
        resume: rounds that are done are read, an interrupted one goes on, and a higher count adds rounds.
        say: prints a line.

    Raises:
        ConfigError: for a recipe that rounds make no sense of, or another recipe's folder.
        OutputError: where the folder holds something else.
        Interrupted: after Ctrl-C, with everything kept.
    """
    settings = check_rounds(recipe)
    output, state = Path(recipe.output), PartialState()
    record = Rounds(
        title=f"On-policy rounds on prompts of {Path(recipe.data.train[0].path).name}",
        command=command,
        recipe=recipe.model_dump(mode="json"),
        rounds=[],
    )
    data = load_data(recipe)
    if state.is_main_process:
        claim(output, record, resume=resume)
        decided_by = data.probe if recipe.alarms.decides else ()
        write_groups((*data.held_out, *decided_by), output / HELD_OUT)
    state.wait_for_everyone()
    for number in range(1, settings.count + 1):
        model = record.rounds[-1].model if record.rounds else recipe.model
        say(f"Round {number} of {settings.count}, from {model}.")
        with what_goes_on(number, command):
            done = run_round(recipe, settings, data, number=number, model=model, command=command)
        record = record.model_copy(update={"rounds": [*record.rounds, done]})
        if state.is_main_process:
            write_json(record, output / RECORD)
        state.wait_for_everyone()
    return record


@contextlib.contextmanager
def what_goes_on(number: int, command: str) -> Iterator[None]:
    """After Ctrl-C in a round, say how the rounds go on, and not the run inside."""
    remedy = f"Go on with: {command}{'' if '--resume' in command else ' --resume'}"
    try:
        yield
    except Interrupted as stopped:
        raise Interrupted(stopped.problem, remedy=remedy) from None
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted in round {number}; what was done is kept.", remedy=remedy) from None


def check_rounds(recipe: Recipe) -> RoundsRecipe:
    """The settings of rounds, with everything that would make them fail found before the first one costs time.

    Raises:
        ConfigError: for stages, a missing judge, or a reference that no loss reads.
    """
    settings = recipe.rounds or RoundsRecipe()
    if recipe.stages:
        raise ConfigError(
            f"rounds repeat one stage, and the recipe has {len(recipe.stages)} under `stages`.",
            remedy="Train the first ones in a run of their own, name its model as `model`, and set `loss` here.",
        )
    if not recipe.evaluation.judge:
        raise ConfigError(
            "rounds need a judge to compare the answers.", remedy="Set evaluation.judge, such as judge.py:score."
        )
    if settings.reference == "first" and not make_mixture(recipe.loss).needs("reference"):
        raise ConfigError(
            f"rounds.reference has no effect: {' and '.join(recipe.loss)} reads no reference.", remedy="Leave it out."
        )
    check_settings(recipe)
    return settings


def claim(output: Path, record: Rounds, *, resume: bool) -> None:
    """Make the folder the rounds': it is new or empty, or holds rounds of the same recipe (but for their number)."""
    kept = output / RECORD
    if kept.exists() and not resume:
        raise OutputError(f"{output} holds rounds.", remedy="Go on with --resume, or give another `output`.")
    if resume:
        if not kept.exists():
            raise ConfigError(f"there are no rounds to resume in {output}.", remedy="Leave --resume out.")
        before = without_count(read_rounds(kept).recipe)
        changed = [name for name, value in without_count(record.recipe).items() if before.get(name) != value]
        if changed:
            raise ConfigError(
                f"the rounds in {output} were started with another {', '.join(changed)}.",
                remedy="Resume with the same recipe, or give another `output`.",
            )
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputError(f"the output folder {output} is not empty.", remedy="Give another `output`.")
    write_json(record, kept)


def without_count(recipe: dict[str, object]) -> dict[str, object]:
    """A recipe's settings without the number of rounds, which may grow."""
    rounds = recipe.get("rounds")
    return recipe | {"rounds": {k: v for k, v in rounds.items() if k != "count"} if isinstance(rounds, dict) else {}}


def read_rounds(path: Path) -> Rounds:
    """Read the record of rounds.

    Raises:
        ConfigError: where it is none of this version.
    """
    try:
        return Rounds.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError:
        raise ConfigError(f"{path} holds no rounds of this version.", remedy="Give another `output`.") from None


def run_round(
    recipe: Recipe, settings: RoundsRecipe, data: Split, *, number: int, model: str, command: str
) -> RoundRecord:
    """One round, or its record where it is done: groups from the model's own answers, then an ordinary run on them."""
    output = Path(recipe.output)
    folder = output / f"round-{number}"
    if (folder / ROUND).exists():
        return RoundRecord.model_validate_json((folder / ROUND).read_text(encoding="utf-8"))
    state = PartialState()
    if state.is_main_process and not (folder / GROUPS).exists():
        sample_round(recipe, settings, data, number=number, model=model, folder=folder)
    state.wait_for_everyone()
    own = round_recipe(recipe, settings, number=number, model=model)
    trained = folder / RUN
    run = (
        read_run(trained / "run.json")
        if (trained / "run.json").exists()
        else run_recipe(own, command=command, resume=(trained / MARK).exists())
    )
    card = read_card(folder / GROUPS)
    assert card is not None
    done = RoundRecord(
        number=number,
        start_model=model,
        groups=f"{folder.name}/{GROUPS}",
        run=f"{folder.name}/{RUN}",
        model=run.stages[-1].model,
        card=card,
        notes=json.loads((folder / NOTES).read_text(encoding="utf-8")),
        against_first=against_first(recipe, run, data, number=number) if state.is_main_process else None,
    )
    if state.is_main_process:
        write_json(done, folder / ROUND)
    state.wait_for_everyone()
    return done


def sample_round(recipe: Recipe, settings: RoundsRecipe, data: Split, *, number: int, model: str, folder: Path) -> None:
    """Answer the round's prompts, compare the answers, and write the groups; each round draws anew."""
    assert recipe.evaluation.judge is not None
    (train,) = data.train
    order = sorted(train, key=lambda group: unit_hash(group_key(group), purpose=f"round-{number}"))
    policy = open_policy(recipe, model)
    policy.model.to(PartialState().device)
    found = sample_groups(
        policy_subject(f"round-{number}-start", policy),
        prompts_of(order[: settings.prompts], source=recipe.data.train[0].path),
        draws=Draws(
            num_answers=settings.answers,
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            seed=settings.seed + number,
        ),
        progress=progress,
        judge=load_judge(recipe.evaluation.judge),
    )
    write_text(json.dumps(list(found.notes)) + "\n", folder / NOTES)
    write_groups(found.groups, folder / GROUPS, card=found.card)


def round_recipe(recipe: Recipe, settings: RoundsRecipe, *, number: int, model: str) -> Recipe:
    """The recipe of one round's run: its groups, its start model, the reference that rounds ask for."""
    output = Path(recipe.output)
    folder = output / f"round-{number}"
    given = recipe.model_dump(mode="json", exclude_unset=True)
    given.pop("rounds", None)
    kept = {key: value for key, value in given["data"].items() if key not in ("train", "eval", "holdout", "max_groups")}
    data = kept | {"train": str(folder / GROUPS), "eval": str(output / HELD_OUT)}
    stages = [{"name": folder.name}]
    changes = {"model": model, "data": data, "stages": stages, "output": str(folder / RUN)}
    if settings.reference == "first" and number > 1:
        changes["reference"] = {"kind": "frozen", "model": recipe.model}
    return parse_recipe(given | changes)


def against_first(recipe: Recipe, run: Run, data: Split, *, number: int) -> Evaluation | None:
    """The round's model beside the first round's start, so that all rounds stand on one scale."""
    if number == 1:
        return run.evaluation
    names = (short_name(recipe.model), f"round-{number}")
    return compare_models(recipe, recipe.model, run.stages[-1].model, names=names, groups=data.held_out)
