"""On-policy rounds: sample answers to the training prompts, let a judge compare them, train on them, and repeat."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from accelerate import PartialState
from pydantic import ValidationError

from tropism.data.group_keys import group_key, unit_hash
from tropism.data.group_store import read_card, write_groups
from tropism.errors import ConfigError, Interrupted
from tropism.evals.core.subject import policy_subject
from tropism.judges.judge import load_judge
from tropism.records import RoundRecord, Rounds, Run, SuiteRun, read_run, write_json, write_text
from tropism.sampling.on_policy import Draws, sample_groups
from tropism.sampling.prompt_files import prompts_of
from tropism.training.loop.callbacks import announce, progress
from tropism.training.recipe.named_losses import mixture_of
from tropism.training.recipe.recipe_file import parse_recipe
from tropism.training.recipe.sections import Recipe, RoundsRecipe
from tropism.training.runs.evaluation import evaluate_run
from tropism.training.runs.opened import open_policy, policy_of
from tropism.training.runs.output_folder import OutputFolder
from tropism.training.runs.run import check_settings, run_recipe, short_name
from tropism.training.runs.run_data import Split, load_data
from tropism.training.runs.run_folder import folder_of_run

RECORD, ROUND, GROUPS, NOTES, HELD_OUT, RUN = (
    "rounds.json", "round.json", "groups.parquet", "notes.json", "held_out.parquet", "run",
)  # fmt: skip
ROUND_FOLDER = "round-"
AGAINST_FIRST = "against-first"


def run_rounds(recipe: Recipe, *, command: str, resume: bool = False, say: Callable[[str], None] = announce) -> Rounds:
    """Train a recipe's `rounds.count` rounds, each on answers of the previous round's model.

    Args:
        recipe: has `rounds`, a judge, and no stages.
        command: how the rounds were started, for the records and the message after Ctrl-C.
        resume: read the finished rounds and continue the interrupted one; a higher count adds rounds.
        say: prints a line.

    Raises:
        ConfigError: if the recipe does not allow rounds, or the folder holds rounds of another recipe.
        OutputError: if the folder holds something else, or another process writes to it.
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
    folder = _folder_of_rounds(recipe, settings)
    claim: contextlib.AbstractContextManager[Path] = contextlib.nullcontext(output)
    if state.is_main_process:
        claim = folder.claimed(
            "resume" if resume else "new", is_worth_keeping=lambda: any(output.glob(f"{ROUND_FOLDER}*/{GROUPS}"))
        )
    with claim:
        if state.is_main_process:
            decided_by = data.probe if recipe.alarms.decides else ()
            write_groups((*data.held_out, *decided_by), output / HELD_OUT)
        state.wait_for_everyone()
        for number in range(1, settings.count + 1):
            model = record.rounds[-1].model if record.rounds else recipe.model
            say(f"Round {number} of {settings.count}, from {model}.")
            with _resumable(number, command):
                done = _run_round(recipe, settings, data, number=number, model=model, command=command)
            record = record.model_copy(update={"rounds": [*record.rounds, done]})
            if state.is_main_process:
                write_json(record, output / RECORD)
            state.wait_for_everyone()
    return record


def _folder_of_rounds(recipe: Recipe, settings: RoundsRecipe) -> OutputFolder:
    """The output folder of a recipe's rounds: their number may grow, and only the judge of the evaluation is fixed."""
    fixed = recipe.model_dump(mode="json", exclude={"output": True, "evaluation": True, "rounds": {"count"}})
    names = [*(f"{ROUND_FOLDER}{number}" for number in range(1, settings.count + 1)), HELD_OUT, RECORD, "report.html"]
    judge = {"evaluation.judge": recipe.evaluation.judge}
    return OutputFolder(Path(recipe.output), "rounds", names=names, record=RECORD, identity=fixed | judge)


@contextlib.contextmanager
def _resumable(number: int, command: str) -> Iterator[None]:
    """After Ctrl-C in a round, say how to resume the rounds rather than the run inside."""
    remedy = f"Go on with: {command}{'' if '--resume' in command else ' --resume'}"
    try:
        yield
    except Interrupted as stopped:
        raise Interrupted(stopped.problem, remedy=remedy) from None
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted in round {number}; what was done is kept.", remedy=remedy) from None


def check_rounds(recipe: Recipe) -> RoundsRecipe:
    """The settings of rounds, after finding everything that would make them fail, before the first one costs time.

    Raises:
        ConfigError: if there are stages, no judge, or a reference that no loss reads.
    """
    settings = recipe.rounds or RoundsRecipe()
    if recipe.stages:
        raise ConfigError(
            f"rounds repeat one stage, and the recipe has {len(recipe.stages)} under `stages`.",
            remedy="Train the other stages in a separate run, name its model as `model`, and set `loss` here.",
        )
    if not recipe.evaluation.judge:
        raise ConfigError(
            "rounds need a judge to compare the answers.", remedy="Set evaluation.judge, such as judge.py:score."
        )
    if settings.reference == "first" and not mixture_of(recipe.loss).needs("reference"):
        raise ConfigError(
            f"rounds.reference has no effect: {' and '.join(recipe.loss)} reads no reference.", remedy="Omit it."
        )
    check_settings(recipe)
    return settings


def read_rounds(path: Path) -> Rounds:
    """Read the record of rounds.

    Raises:
        ConfigError: if it is not a record of this version.
    """
    try:
        return Rounds.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError:
        raise ConfigError(f"{path} holds no rounds of this version.", remedy="Give another `output`.") from None


def _run_round(
    recipe: Recipe, settings: RoundsRecipe, data: Split, *, number: int, model: str, command: str
) -> RoundRecord:
    """One round, or its record if it is done: groups from the model's own answers, then an ordinary run on them."""
    output = Path(recipe.output)
    folder = output / f"{ROUND_FOLDER}{number}"
    if (folder / ROUND).exists():
        return RoundRecord.model_validate_json((folder / ROUND).read_text(encoding="utf-8"))
    state = PartialState()
    if state.is_main_process and not (folder / GROUPS).exists():
        _sample_round(recipe, settings, data, number=number, model=model, folder=folder)
    state.wait_for_everyone()
    own = round_recipe(recipe, settings, number=number, model=model)
    trained = folder / RUN
    run = (
        read_run(trained / "run.json")
        if (trained / "run.json").exists()
        else run_recipe(own, command=command, resume=folder_of_run(own).is_started())
    )
    card = read_card(folder / GROUPS)
    assert card is not None
    compared = None
    if state.is_main_process:
        compared = against_first(recipe, run, data, number=number, command=command)
    done = RoundRecord(
        number=number,
        start_model=model,
        groups=f"{folder.name}/{GROUPS}",
        run=f"{folder.name}/{RUN}",
        model=run.stages[-1].model,
        card=card,
        notes=json.loads((folder / NOTES).read_text(encoding="utf-8")),
        against_first=compared,
    )
    if state.is_main_process:
        write_json(done, folder / ROUND)
    state.wait_for_everyone()
    return done


def _sample_round(
    recipe: Recipe, settings: RoundsRecipe, data: Split, *, number: int, model: str, folder: Path
) -> None:
    """Answer the round's prompts, compare the answers, and write the groups; each round draws new answers."""
    assert recipe.evaluation.judge is not None
    (train,) = data.train
    order = sorted(train, key=lambda group: unit_hash(group_key(group), purpose=f"round-{number}"))
    policy = open_policy(recipe, model, policy_of(recipe.resolved_stages()[-1]))
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
    """The recipe of one round's run: its groups, its start model, and the reference that `rounds.reference` names."""
    output = Path(recipe.output)
    folder = output / f"{ROUND_FOLDER}{number}"
    given = recipe.model_dump(mode="json", exclude_unset=True)
    given.pop("rounds", None)
    kept = {key: value for key, value in given["data"].items() if key not in ("train", "eval", "holdout", "max_groups")}
    data = kept | {"train": str(folder / GROUPS), "eval": str(output / HELD_OUT)}
    stages = [{"name": folder.name}]
    changes = {"model": model, "data": data, "stages": stages, "output": str(folder / RUN)}
    if settings.reference == "first" and number > 1:
        changes["reference"] = {"kind": "frozen", "model": recipe.model}
    return parse_recipe(given | changes)


def against_first(recipe: Recipe, run: Run, data: Split, *, number: int, command: str) -> SuiteRun | None:
    """The round's model compared with the first round's start model, so that all rounds are on one scale."""
    if number == 1:
        return run.evaluation
    return evaluate_run(
        recipe,
        recipe.model,
        run.stages[-1].model,
        names=(short_name(recipe.model), f"{ROUND_FOLDER}{number}"),
        groups=data.held_out,
        folder=Path(recipe.output) / f"{ROUND_FOLDER}{number}" / AGAINST_FIRST,
        command=command,
        say=announce,
    )
