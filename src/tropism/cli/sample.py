"""`tropism sample`: a model's answers to prompts, to be labelled by people or compared by a judge at once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from tropism.cli.build.build_output import check_target
from tropism.cli.output import JSON, Output

if TYPE_CHECKING:
    from tropism.evals.core.subject import Subject
    from tropism.sampling.on_policy import SampledGroups


def sample(
    model: str = typer.Argument(help="Folder of a model or of a finished run, or a hub id; with --endpoint its name."),
    prompts: str = typer.Argument(
        help="The prompts: any file that `tropism train` reads, or rows with `prompt` alone."
    ),
    num_answers: int = typer.Option(4, "-n", "--answers", min=1, help="Answers to each prompt."),
    target: Path = typer.Option(
        Path("groups.parquet"), "--output", "-o", help="Groups (.parquet), or pairs in TRL's columns (.jsonl)."
    ),
    judge: str = typer.Option(
        None, "--judge", help="Who compares the answers, such as judge.py:score; see docs/judges.md."
    ),
    temperature: float = typer.Option(0.8, "--temperature", min=0.0, help="Of the draws."),
    max_new_tokens: int = typer.Option(256, "--max-new-tokens", min=1, help="An answer is cut here."),
    seed: int = typer.Option(0, "--seed", help="Another seed, other answers."),
    endpoint: str = typer.Option(
        None, "--endpoint", help="Let a server answer: http(s)://HOST/v1, or a YAML file as in docs/judges.md."
    ),
    template: str = typer.Option(
        None, "--template", help="auto, chat, dialogue or plain; by default the run's, or auto."
    ),
    pairs: Literal["all", "best-worst"] = typer.Option(
        None, "--pairs", help="With --judge: every pair that is no tie (default), or the best against the worst."
    ),
    weight: Literal["one", "gap"] = typer.Option(
        None, "--weight", help="With --judge: weight of an edge, 1 (default) or the gap between two scores."
    ),
    margin: Literal["none", "gap"] = typer.Option(
        None, "--margin", help="With --judge: margin of an edge, 0 (default) or the gap between two scores."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the output file."),
    for_programs: bool = JSON,
) -> None:
    """Draw a model's own answers and make groups of them. What was drawn is kept: the same command goes on."""
    output = Output(for_programs)
    _check_settings(prompts, target, judge, overwrite=overwrite, endpoint=endpoint, template=template,
                   pairing={"--pairs": pairs, "--weight": weight, "--margin": margin})  # fmt: skip
    from tropism.errors import Interrupted
    from tropism.judges.judge import load_judge
    from tropism.sampling.judged_edges import Pairing
    from tropism.sampling.on_policy import Draws, sample_groups
    from tropism.sampling.prompt_files import read_prompts
    from tropism.training.loop.callbacks import progress

    draws = Draws(num_answers, temperature, max_new_tokens, seed)
    who = load_judge(judge) if judge else None
    asked = read_prompts(prompts)
    subject = _open_subject(model, endpoint, template)
    pairing = Pairing(pairs or "all", weight or "one", margin or "none")
    try:
        found = sample_groups(subject, asked, draws=draws, progress=progress, judge=who, pairing=pairing)
    except KeyboardInterrupt:
        raise Interrupted(
            "Interrupted; the answers that were finished are kept.", remedy="Run the same command again to go on."
        ) from None
    write(found, target)
    output.card(found.card)
    for note in (*found.notes, *([f"{who.spent()}."] if who and who.spent() else [])):
        output.say(note)
    output.table("Done", {"rule": found.card.rule, "output": str(target)})
    output.finish(payload(found, target), next_command=_next_command(found, target))


def _check_settings(
    prompts: str,
    target: Path,
    judge: str | None,
    *,
    overwrite: bool,
    endpoint: str | None,
    template: str | None,
    pairing: dict[str, str | None],
) -> None:
    """Refuse what would fail, or have no effect, before a model is opened.

    Raises:
        ConfigError: for options that have no effect.
        OutputError: for a target that is there.
    """
    from tropism.errors import ConfigError

    check_target(Path(prompts), target, overwrite=overwrite)
    for option, given in pairing.items():
        if given is not None and judge is None:
            raise ConfigError(f"{option} has no effect without --judge.", remedy="Name a judge, or omit the option.")
    if target.suffix == ".jsonl" and judge is None:
        raise ConfigError(
            "pairs (.jsonl) need somebody who compares the answers.", remedy="Add --judge, or write groups.parquet."
        )
    if endpoint and template:
        raise ConfigError("--template has no effect with --endpoint, which writes prompts itself.", remedy="Omit it.")


def _open_subject(model: str, endpoint: str | None, template: str | None) -> Subject:
    """The model that answers: on this machine, or behind an endpoint."""
    if endpoint:
        from tropism.endpoint.client import ChatEndpoint
        from tropism.endpoint.endpoint_settings import EndpointSettings, open_settings
        from tropism.evals.core.endpoint_writer import endpoint_subject

        return endpoint_subject(ChatEndpoint(open_settings(endpoint, EndpointSettings, model=model)))
    from transformers.utils import logging

    from tropism.evals.core.subject import policy_subject
    from tropism.training.runs.places import distinct_names, locate, open_place

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    place = locate(model)
    policy = open_place(place, place.recipe, template=template, min_response_tokens=1, layout="padded")
    return policy_subject(distinct_names([model])[0], policy)


def write(found: SampledGroups, target: Path) -> None:
    """Write groups, or pairs where the name ends in `.jsonl`; whole or not at all."""
    from tropism.data.group_store import write_groups, write_pairs

    if target.suffix == ".jsonl":
        write_pairs(found.groups, target)
    else:
        write_groups(found.groups, target, card=found.card)


def _next_command(found: SampledGroups, target: Path) -> str:
    """What to do with the groups."""
    if found.card.account.edges:
        return f"tropism train RECIPE.yaml {shlex.quote(f'data.train={target}')}"
    return f"tropism label {shlex.quote(str(target))}"


def payload(found: SampledGroups, target: Path) -> dict[str, Any]:
    """The JSON object of `sample`."""
    account = found.card.account
    return {
        "rows_read": account.rows_read,
        "rows_used": account.rows_used,
        "dropped": account.dropped,
        "groups": account.groups,
        "responses": account.responses,
        "edges": account.edges,
        "notes": account.notes,
        "flips": found.flips.model_dump() if found.flips else None,
        "confounds": {name: value.model_dump() for name, value in found.card.confounds.items()},
        "rule": found.card.rule,
        "output": str(target),
    }
