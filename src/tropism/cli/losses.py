"""`tropism losses`: the table of losses, or one page on one of them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import typer

from tropism.cli.output import JSON, Output

if TYPE_CHECKING:
    from tropism.losses import Loss


def losses(
    name: str = typer.Argument(None, help="A loss or a mixture, or your own as file.py:name, for its page."),
    for_programs: bool = JSON,
) -> None:
    """Print the table of losses, or the page of one: its formula, its settings, the data it needs."""
    output = Output(for_programs)
    from tropism.losses import LOSSES, MIXTURES

    if name is None:
        rows = [_row_of(one, loss) for one, loss in LOSSES.items()] + [_mixture_row(one) for one in MIXTURES]
        output.table("Losses", {
            row["name"]: f"{row['family']:10} {row['paper']:18} needs {', '.join(row['needs']) or 'nothing'}"
            for row in rows
        })  # fmt: skip
        output.finish({"losses": rows}, next_command="tropism losses dpo")
        return
    mine = _page_of(name)
    bounds = mine.pop("bounds")
    for line in mine["page"].splitlines():
        output.say(line)
    output.table("Settings", {
        key: f"{value}{f', must be {bounds[key]}' if key in bounds else ''}" for key, value in mine["settings"].items()
    } or {"none": ""})  # fmt: skip
    output.table("Data", {
        "needs": ", ".join(mine["needs"]) or "only responses",
        "edge fields it uses": ", ".join(mine["honours"]) or "none",
    })  # fmt: skip
    output.finish({"losses": [mine]}, next_command="tropism train recipe.yaml")


def _row_of(name: str, loss: Loss) -> dict[str, Any]:
    """A loss's row of the table for programs."""
    return {"name": name, "family": loss.family, "paper": loss.paper, "needs": sorted(loss.needs)}


def _mixture_row(name: str) -> dict[str, Any]:
    """A mixture's row of the table for programs."""
    from tropism.losses import LOSSES, MIXTURES

    parts, paper = MIXTURES[name]
    needs = sorted(set().union(*(LOSSES[part].needs for part in parts)))
    return {"name": name, "family": "mixture", "paper": paper, "needs": needs}


def _page_of(name: str) -> dict[str, Any]:
    """A loss's page: documentation, settings with their bounds, and requirements.

    Raises:
        ConfigError: for an unknown name, naming the nearest.
    """
    from tropism.losses import LOSSES, MIXTURES
    from tropism.losses.loss_names import unknown_loss
    from tropism.training.recipe.named_losses import own_loss

    if name in MIXTURES:
        parts = MIXTURES[name][0]
        summed = " + ".join(f"{settings.get('weight', 1.0):g} {part}" for part, settings in parts.items())
        honours = set.intersection(*(set(LOSSES[part].honours) for part in parts))
        page = {"page": f"{name} = {summed}", "settings": parts, "honours": sorted(honours), "bounds": {}}
        return _mixture_row(name) | page
    if name not in LOSSES and ":" not in name:
        raise unknown_loss(name, [*LOSSES, *MIXTURES])
    loss = own_loss(name) if ":" in name else LOSSES[name]
    return _row_of(name, loss) | {
        "page": inspect.getdoc(loss.function) or "",
        "settings": loss.defaults,
        "honours": sorted(loss.honours) if loss.family in ("pairwise", "listwise") else [],
        "bounds": {key: str(bound) for key, bound in loss.ranges.items()},
    }
