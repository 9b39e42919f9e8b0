"""`tropism doctor`: is this installation sound, and what does the reference cache hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tropism.cli.output import JSON, Output

if TYPE_CHECKING:
    from tropism.references.score_cache import CacheFile


def doctor(
    cache: bool = typer.Option(False, "--cache", help="List the files of the reference cache."),
    prune: int | None = typer.Option(
        None, "--prune", metavar="DAYS", min=0, help="Delete cache files that no run has opened for so many days."
    ),
    for_programs: bool = JSON,
) -> None:
    """Check this installation on the embedded model, and list or prune the cache of reference scores."""
    output = Output(for_programs)
    from tropism.references.score_cache import default_folder, list_caches
    from tropism.references.score_cache import prune as delete
    from tropism.training.loop.machine import environment
    from tropism.training.loop.memory import free_bytes

    folder = default_folder()
    files = list_caches(folder)
    gone = delete(files, unused_for_days=prune) if prune is not None else []
    kept = [one for one in files if one not in gone]
    num_bytes = sum(one.num_bytes for one in kept)
    payload = {
        "cache": str(folder),
        "cache_bytes": num_bytes,
        "files": [{**one._asdict(), "path": str(one.path)} for one in kept],
        "pruned": [str(one.path) for one in gone],
    }
    if cache or prune is not None:
        output.table(f"Reference cache {folder}", {one.path.name: _in_words(one) for one in kept})
        output.say(f"{len(kept)} files, {num_bytes / 2**20:,.1f} MB; {len(gone)} deleted.")
        output.finish(payload | {"checks": {}}, next_command="tropism doctor --prune 30")
        return
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    checks = {"layouts agree": _try_layouts(device), "cache": f"{len(kept)} files, {num_bytes / 2**20:,.1f} MB"}
    output.table("Installation", environment() | {"memory free": f"{free_bytes(device) / 2**20:,.0f} MB"})
    output.table("Checks", checks)
    output.finish(payload | {"checks": checks}, next_command="tropism doctor --cache")


def _in_words(file: CacheFile) -> str:
    """What a cache file holds."""
    if file.problem:
        return f"broken: {file.problem}; {file.num_bytes / 2**20:,.1f} MB"
    return (
        f"{file.model or 'a model without a name'}: {file.responses:,} responses, {file.tokens:,} tokens, "
        f"{file.num_bytes / 2**20:,.1f} MB, last used {file.last_used}"
    )


def _try_layouts(device: Any) -> str:
    """Score one group of the embedded model by both layouts; the largest difference in words.

    Raises:
        ModelError: if they differ.
    """
    from tropism.applications.quickstart.forum_application import POCKET
    from tropism.errors import ModelError
    from tropism.groups import PreferenceGroup, Response
    from tropism.policies.base import Layout, ModelSettings
    from tropism.policies.registry import policy_kind, policy_settings

    found = []
    layouts: tuple[Layout, ...] = ("forest", "padded")
    for layout in layouts:
        model = ModelSettings(template="chat", max_tokens=128, min_response_tokens=4, layout=layout)
        policy = policy_kind("text").opener(str(POCKET), model, policy_settings("text", {}))
        policy.model.to(device)
        answers = (Response("a", "Put grit around it."), Response("b", "Put nets over it."), Response("c", "No idea."))
        groups, _ = policy.prepare([PreferenceGroup("a", ("Slugs eat my lettuce.",), answers)])
        (batch,) = policy.collate(groups, tokens_per_batch=4096)
        found.append(policy.score(policy.model, batch.to(policy.device)).policy.detach())
    gap = float((found[0] - found[1]).abs().max())
    if not gap < 1e-2:
        raise ModelError(
            f"the forest and the padded layout differ by {gap:.2g} nats on this machine.",
            remedy="Set layout: padded, and report it.",
        )
    return f"forest and padded within {gap:.1g} nats"
